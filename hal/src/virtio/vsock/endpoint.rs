//! The trait that the agent is written against, on the virtio device.

use super::connection::{Reaction, Writing};
use super::device::VirtioVsock;
use super::stream::VirtioStream;
use crate::clock::Instant;
use crate::limits::AGENT_CONNECTIONS;
use crate::vsock::{
    Address, ConnectError, ConnectionId, Direction, Event, Full, Port, Purpose, Vsock,
};
use core::ops::Range;
use virtio_drivers::Hal;
use virtio_drivers::transport::Transport;

impl<H: Hal + 'static, T: Transport> Vsock for VirtioVsock<H, T> {
    type Stream<'a>
        = VirtioStream<'a, H, T>
    where
        Self: 'a;

    fn connect(
        &mut self,
        port: Port,
        purpose: Purpose,
        now: Instant,
        deadline: Instant,
    ) -> Result<ConnectionId, Full> {
        self.now = self.now.max(now);
        let index = self.free_slot(purpose).ok_or(Full)?;
        let window = self.windows.reserve(purpose).ok_or(Full)?;
        let local = self.ports.take(index);
        let is_out_of_use = self.is_out_of_use();
        let connection = &mut self.connections[index];
        connection.dial(port.0, local, purpose, window, self.now, deadline);
        if is_out_of_use {
            connection.fail(ConnectError::TransportReset);
        }
        let id = connection.id(index as u16);
        self.refresh(index);
        self.push_out(index);
        Ok(id)
    }

    fn accept(&mut self, id: ConnectionId) {
        if let Some(index) = self.find(id) {
            self.connections[index].accept();
            self.push_out(index);
            self.refresh(index);
        }
    }

    fn local(&self, id: ConnectionId) -> Option<Address> {
        let connection = &self.connections[self.find(id)?];
        connection.is_established().then(|| Address {
            cid: self.guest_cid as u32,
            port: Port(connection.ports().0),
        })
    }

    fn poll(&mut self, now: Instant) -> Option<Event> {
        self.now = self.now.max(now);
        if self.eventful.is_empty() {
            self.work();
        }
        let index = self.eventful.take()?;
        let event = self.connections[index].take_event(index as u16);
        self.refresh(index);
        event
    }

    fn stream(&mut self, id: ConnectionId) -> Option<Self::Stream<'_>> {
        let index = self
            .find(id)
            .filter(|&index| self.connections[index].is_established())?;
        Some(VirtioStream::new(self, index))
    }

    fn flush(&mut self) {
        if self.is_behind {
            self.serve();
            self.is_behind = self.has_used();
        }
    }

    fn shutdown(&mut self, id: ConnectionId, direction: Direction) {
        if let Some(index) = self.find(id) {
            self.connections[index].shutdown(direction, self.now);
            self.refresh(index);
            self.push_out(index);
        }
    }

    fn unforwarded(&self, id: ConnectionId) -> usize {
        self.find(id)
            .map_or(0, |index| self.connections[index].send.in_flight() as usize)
    }

    fn close(&mut self, id: ConnectionId, deadline: Instant) {
        let Some(index) = self.find(id) else {
            return;
        };
        if self.connections[index].writing() == Writing::Lose {
            self.discard_open(index);
        }
        self.send_open(index);
        if self.connections[index].close(self.now, deadline) == Reaction::Reset {
            self.reset_peer(index);
        }
        self.refresh(index);
        self.push_out(index);
    }

    fn abort(&mut self, id: ConnectionId) {
        let Some(index) = self.find(id) else {
            return;
        };
        if self.connections[index].abort() == Reaction::Reset {
            self.reset_peer(index);
        }
        self.refresh(index);
        self.push_out(index);
    }

    fn next_deadline(&self) -> Instant {
        self.deadline()
    }
}

impl<H: Hal + 'static, T: Transport> VirtioVsock<H, T> {
    pub(super) fn find(&self, id: ConnectionId) -> Option<usize> {
        let index = usize::from(id.index);
        self.connections
            .get(index)
            .is_some_and(|connection| connection.is(id))
            .then_some(index)
    }

    /// Sends what a connection owes and starts transmission.
    pub(super) fn push_out(&mut self, index: usize) {
        if self.is_out_of_use() {
            return;
        }
        self.serve_resets();
        self.serve_connection(index);
        self.kick();
    }

    /// Returns a slot for a new connection, not the one that was used last if another is free.
    pub(super) fn free_slot(&mut self, purpose: Purpose) -> Option<usize> {
        let slots = self.slots(purpose);
        let last = &mut self.last_slots[usize::from(purpose == Purpose::Program)];
        let behind = usize::from(*last) + 1;
        let index = (behind..slots.end)
            .chain(slots.start..behind)
            .find(|&index| self.connections[index].is_free())?;
        *last = index as u16;
        Some(index)
    }

    /// Returns the slots for connections of a purpose.
    pub(super) fn slots(&self, purpose: Purpose) -> Range<usize> {
        match purpose {
            Purpose::Program => AGENT_CONNECTIONS..self.connections.len(),
            _ => 0..AGENT_CONNECTIONS,
        }
    }
}
