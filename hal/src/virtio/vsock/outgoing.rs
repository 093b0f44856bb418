//! Packets to the device: what connections owe, batched into one kick.

use super::connection::Reaction;
use super::device::VirtioVsock;
use super::header::{Header, Op, TYPE_STREAM};
use super::mark::Marks;
use crate::vsock::HOST_CID;
use virtio_drivers::Hal;
use virtio_drivers::transport::Transport;

impl<H: Hal + 'static, T: Transport> VirtioVsock<H, T> {
    /// Sends everything that is owed, as far as there are slots, wakes writers that found no room, and kicks.
    pub(super) fn serve(&mut self) {
        if self.is_out_of_use() {
            return;
        }
        self.serve_resets();
        self.is_short_of_slots = !self.resets.is_empty();
        while let Some(index) = self.owing.take() {
            if !self.serve_connection(index) {
                self.owing.set(index);
                self.is_short_of_slots = true;
                break;
            }
        }
        self.wake_writers();
        self.kick();
        self.is_behind = false;
    }

    /// Sends what one connection owes; returns whether there were slots for all of it.
    pub(super) fn serve_connection(&mut self, index: usize) -> bool {
        self.send_open(index);
        while let Some(op) = self.connections[index].next_owed() {
            let header = self.connections[index].header(op, self.guest_cid);
            if !self.transmitter.send_control(header) {
                return false;
            }
            self.connections[index].on_sent(op);
            match op {
                Op::Request => self.connections[index].on_dial_sent(self.transmitter.mark()),
                // Now it stands, which is to be told.
                Op::Response => self.eventful.set(index),
                _ => {}
            }
        }
        true
    }

    /// Sends the data that a connection has gathered.
    pub(super) fn send_open(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if let Some(open) = connection.open.take() {
            let header = connection.header(Op::Data, self.guest_cid);
            connection.on_sent(Op::Data);
            self.transmitter.send(open, header);
        }
    }

    /// Throws away the data that a connection has gathered.
    pub(super) fn discard_open(&mut self, index: usize) {
        if let Some(open) = self.connections[index].open.take() {
            self.transmitter.discard(open);
        }
    }

    /// Tells the device of new packets and buffers.
    pub(super) fn kick(&mut self) {
        self.events.kick(&mut self.transport);
        let is_sending = self.transmitter.owes_kick();
        if is_sending {
            self.transmitter.kick(&mut self.transport);
        }
        let is_posting = self.receiver.owes_kick();
        if is_posting {
            self.receiver.kick(&mut self.transport);
        }
        if is_sending || is_posting {
            self.on_kicked();
        }
    }

    /// Gives back the window, the slot and everything received and not read.
    pub(super) fn release(&mut self, index: usize) {
        self.discard_open(index);
        let connection = &mut self.connections[index];
        let receiver = &mut self.receiver;
        self.store
            .clear(&mut connection.inbox, |buffer| receiver.post(buffer));
        let held = connection.receive.held();
        connection.on_forwarded(held);
        let window = connection.receive.window();
        self.windows.give_back(connection.purpose, window);
        connection.holds_memory = false;
        self.is_behind = true;
    }

    /// Does what is due for one connection.
    pub(super) fn on_connection_time(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if connection.is_free() {
            return;
        }
        match connection.on_time(self.now) {
            Reaction::None => {}
            Reaction::Reset => self.reset_peer(index),
            Reaction::Redial => {
                let mark = self.connections[index].dial_mark();
                if mark.is_some_and(|mark| self.transmitter.is_past(mark)) {
                    let local = self.ports.take(index);
                    self.connections[index].redial(local, self.now);
                } else {
                    self.connections[index].put_off(self.now);
                }
            }
        }
        self.refresh(index);
    }

    /// Resets the peer of a connection that is over.
    pub(super) fn reset_peer(&mut self, index: usize) {
        self.discard_open(index);
        let (local, remote) = self.connections[index].ports();
        self.resets.push(local, remote);
        self.is_behind = true;
    }

    pub(super) fn serve_resets(&mut self) {
        while let Some((local, remote)) = self.resets.first() {
            let header = Header {
                src_cid: self.guest_cid,
                dst_cid: HOST_CID,
                src_port: local,
                dst_port: remote,
                kind: TYPE_STREAM,
                op: Op::Reset.number(),
                ..Header::default()
            };
            if !self.transmitter.send_control(header) {
                return;
            }
            self.resets.remove_first();
        }
    }

    /// Tells waiting writers of room, in turn, and no more of them than there are slots.
    fn wake_writers(&mut self) {
        let mut still_waiting = Marks::default();
        let mut woken = 0;
        while let Some(index) = self.blocked.take() {
            let connection = &mut self.connections[index];
            let credit = connection.send.available();
            let bytes = connection.wanted.min(credit);
            if credit == 0 {
                still_waiting.set(index);
            } else if self.transmitter.count_free(bytes, connection.purpose) > woken {
                woken += 1;
                connection.on_room();
                self.eventful.set(index);
            } else {
                still_waiting.set(index);
                self.is_short_of_slots = true;
            }
        }
        self.blocked.join(&still_waiting);
    }
}
