//! The device as a whole: bringing it up, draining its rings, and taking it out of use when it lies.

use super::arena::Arena;
use super::budget::Budget;
use super::connection::Connection;
use super::event_queue::{DeviceEvent, EventQueue};
use super::inbox::{Segment, Store};
use super::mark::Marks;
use super::port::{Ports, Resets};
use super::receiver::Receiver;
use super::repeat::Repeat;
use super::ring::RingFault;
use super::transmitter::{Slots, Transmitter};
use super::window::Windows;
use crate::clock::Instant;
use crate::limits::{
    AGENT_CONNECTIONS, VSOCK_EVENT_BUFFERS, VSOCK_KICK_MS, VSOCK_MAX_KICK_MS, VSOCK_POLL_PACKETS,
};
use crate::virtio::dma::MachineDma;
use crate::virtio::init::{FEATURE_EVENT_IDX, InitError, negotiate, read_configuration, reset};
use core::time::Duration;
use virtio_drivers::Hal;
use virtio_drivers::transport::{DeviceStatus, Transport};

const KICK: Duration = Duration::from_millis(VSOCK_KICK_MS);
const LONGEST_KICK: Duration = Duration::from_millis(VSOCK_MAX_KICK_MS);

/// How often a kick is repeated for a device that has run out of receive buffers but owes nothing else.
const STARVED_KICKS: u8 = 3;

/// The virtio-vsock device and all its connections; implements [`crate::vsock::Vsock`].
#[derive(Debug)]
pub struct VirtioVsock<H: Hal + 'static, T: Transport> {
    pub(super) transport: T,
    pub(super) receiver: Receiver<H>,
    pub(super) transmitter: Transmitter<H>,
    pub(super) events: EventQueue<H>,
    pub(super) guest_cid: u64,

    pub(super) connections: &'static mut [Connection],
    pub(super) store: Store,
    pub(super) windows: Windows,
    pub(super) ports: Ports,
    pub(super) resets: Resets,

    /// The slots that were used last: the agent's, and programs'.
    pub(super) last_slots: [u16; 2],

    /// Connections that owe packets, have events, or wait for room to write.
    pub(super) owing: Marks,
    pub(super) eventful: Marks,
    pub(super) blocked: Marks,

    /// The time that was told last.
    pub(super) now: Instant,
    /// No connection's timer is due before this.
    timer: Instant,
    /// When the device is kicked again.
    kick: Repeat,
    starved_kicks: u8,
    /// Whether something was written or read that the device has not been told.
    pub(super) is_behind: bool,
    /// Whether something could not be sent for want of slots.
    pub(super) is_short_of_slots: bool,
    fault: Option<RingFault>,
}

// SAFETY: what it points to (rings, buffers, tables) is memory that was given to it for ever and that nobody else on
// this side reaches; none of it belongs to a thread.
unsafe impl<H: Hal + 'static, T: Transport + Send> Send for VirtioVsock<H, T> {}

/// How much of its memory the layer uses, for reports and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Connections that exist, closing ones included.
    pub connections: usize,
    /// Chunks of the credit pool, those promised to windows, and those that hold bytes.
    pub chunks: usize,
    /// See `chunks`.
    pub chunks_promised: usize,
    /// See `chunks`.
    pub chunks_in_use: usize,
    /// Receive buffers, and those that the device has.
    pub buffers: usize,
    /// See `buffers`.
    pub buffers_posted: usize,
}

/// Bytes of the tables that `VirtioVsock::new` builds beside buffers and chunks.
pub(super) const fn table_bytes(budget: &Budget) -> usize {
    let segments = (budget.chunks + budget.receive_buffers) * size_of::<Segment>();
    let events = VSOCK_EVENT_BUFFERS * super::budget::stride(0);
    let rings = 3 * super::ring::ring_bytes::<MachineDma>();
    budget.connections * size_of::<Connection>() + segments + events + rings
}

impl<H: Hal + 'static, T: Transport> VirtioVsock<H, T> {
    /// Brings the device up, with `memory` for all buffers and tables: at least [`Budget::bytes`], in the part of the
    /// address space whose addresses `H::share` can give to the device, physically contiguous; what stands in it
    /// means nothing. `seed` varies the local
    /// ports from one start to the next.
    ///
    /// EVENT_IDX is accepted for the interrupts it saves (vhost-device-vsock interrupts for every packet without it).
    /// For kicks it is not used: virtio-drivers keeps the device's index to itself and compares it wrongly across the
    /// wrap. There is one kick for each batch instead, which the standard allows (virtio 1.2 §2.7.10, "SHOULD NOT").
    ///
    /// # Errors
    ///
    /// When the device does not play along or memory is missing; it is left in status `FAILED` or reset.
    pub fn new(
        mut transport: T,
        memory: &'static mut [u8],
        budget: &Budget,
        seed: u32,
        now: Instant,
    ) -> Result<Self, InitError> {
        let mut arena = Arena::new(memory);
        let carve = |_| InitError::OutOfMemory;
        let connections = arena
            .table(budget.connections, |_| Connection::FREE)
            .map_err(carve)?;
        let receive = Receiver::<H>::carve(&mut arena, budget).map_err(carve)?;
        let slots = Slots::carve(&mut arena, budget).map_err(carve)?;
        let event_buffers = EventQueue::<H>::carve(&mut arena).map_err(carve)?;
        let store = Store::new(&mut arena, budget.chunks, budget.receive_buffers).map_err(carve)?;

        let features = negotiate(&mut transport, FEATURE_EVENT_IDX)?;
        let event_idx = features & FEATURE_EVENT_IDX != 0;
        let set_up = || {
            Ok((
                read_guest_cid(&transport)?,
                Receiver::new(&mut transport, &mut arena, event_idx, receive)?,
                Transmitter::new(&mut transport, &mut arena, event_idx, slots)?,
                EventQueue::new(&mut transport, &mut arena, event_idx, event_buffers)?,
            ))
        };
        let (guest_cid, receiver, transmitter, events) = match set_up() {
            Ok(parts) => parts,
            Err(error) => {
                // The device must forget the rings it was told of.
                reset(&mut transport);
                transport.set_status(DeviceStatus::FAILED);
                return Err(error);
            }
        };
        transport.finish_init();

        let mut device = Self {
            transport,
            receiver,
            transmitter,
            events,
            guest_cid,
            connections,
            store,
            windows: Windows::new(budget),
            ports: Ports::new(seed),
            resets: Resets::new(),
            last_slots: [AGENT_CONNECTIONS as u16 - 1, budget.connections as u16 - 1],
            owing: Marks::default(),
            eventful: Marks::default(),
            blocked: Marks::default(),
            now,
            timer: Instant::NEVER,
            kick: Repeat::OFF,
            starved_kicks: STARVED_KICKS,
            is_behind: false,
            is_short_of_slots: false,
            fault: None,
        };
        device.receiver.kick(&mut device.transport);
        device.events.kick(&mut device.transport);
        device.kick = Repeat::after(now, KICK);
        Ok(device)
    }

    /// Returns this machine's context id.
    #[must_use]
    pub const fn guest_cid(&self) -> u64 {
        self.guest_cid
    }

    /// Returns how the device broke the rules, if it did. It is out of use then and all connections are gone.
    #[must_use]
    pub const fn fault(&self) -> Option<RingFault> {
        self.fault
    }

    /// Returns how much of its memory the layer uses.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let used = self.connections.iter().filter(|slot| !slot.is_free());
        Usage {
            connections: used.count(),
            chunks: self.windows.total(),
            chunks_promised: self.windows.reserved(),
            chunks_in_use: self.windows.total() - self.store.free_chunks(),
            buffers: self.receiver.buffers().count(),
            buffers_posted: self.receiver.posted(),
        }
    }

    /// Acknowledges an interrupt of the device, which the transports without MSI-X want before the rings are drained.
    pub fn acknowledge_interrupt(&mut self) {
        self.transport.ack_interrupt();
    }

    /// Drains the rings, does what is due and tells the device everything new. At the end the rings were empty, or
    /// `is_behind` says that they were not.
    pub(super) fn work(&mut self) {
        let mut packets = VSOCK_POLL_PACKETS;
        while self.fault.is_none() {
            let result = self.drain(&mut packets).and_then(|()| self.on_time());
            if let Err(fault) = result {
                self.on_fault(fault);
                return;
            }
            self.serve();
            self.receiver.settle();
            let is_empty = !self.has_used();
            if is_empty || packets == 0 {
                self.is_behind = !is_empty;
                return;
            }
        }
    }

    /// Returns whether the device has returned anything that was not looked at.
    pub(super) fn has_used(&self) -> bool {
        self.receiver.has_used() || self.events.has_used()
    }

    /// Returns when something is due.
    pub(super) fn deadline(&self) -> Instant {
        let has_work = self.is_behind && self.fault.is_none();
        if has_work || !self.eventful.is_empty() {
            return Instant::ZERO;
        }
        if self.fault.is_some() {
            return Instant::NEVER;
        }
        self.timer.min(self.kick.at())
    }

    /// Takes notice of what happened to a connection: it may owe packets, have events, wait for a time or have given
    /// up its memory. Called after every change.
    pub(super) fn refresh(&mut self, index: usize) {
        if !self.connections[index].is_open() {
            self.discard_open(index);
        }
        let connection = &self.connections[index];
        if connection.next_owed().is_some() || connection.open.is_some() {
            self.owing.set(index);
        }
        if connection.has_event() {
            self.eventful.set(index);
        } else {
            self.eventful.clear(index);
        }
        if connection.wanted > 0 {
            self.blocked.set(index);
        } else {
            self.blocked.clear(index);
        }
        self.timer = self.timer.min(connection.timer());
        if connection.holds_memory && !connection.needs_memory() {
            self.release(index);
        }
    }

    /// Notes that the device was kicked and should react soon.
    pub(super) fn on_kicked(&mut self) {
        self.kick = Repeat::after(self.now, KICK);
    }

    pub(super) const fn is_out_of_use(&self) -> bool {
        self.fault.is_some()
    }

    fn drain(&mut self, packets: &mut usize) -> Result<(), RingFault> {
        while *packets > 0
            && let Some(arrival) = self.receiver.take()?
        {
            *packets -= 1;
            self.starved_kicks = STARVED_KICKS;
            self.on_arrival(arrival);
        }
        while *packets > 0
            && let Some(event) = self.events.take()?
        {
            *packets -= 1;
            if event == DeviceEvent::TransportReset {
                log::warn!("vsock: transport reset, all connections are gone");
                self.on_transport_reset();
            }
        }
        if self.transmitter.should_reap() || self.is_short_of_slots {
            self.transmitter.reap()?;
        }
        Ok(())
    }

    fn on_time(&mut self) -> Result<(), RingFault> {
        if self.now >= self.timer {
            self.timer = Instant::NEVER;
            // Whoever dials again wants to know what became of the last dial; others are spared the interrupts.
            if self.connections.iter().any(Connection::is_dialling) {
                self.transmitter.reap()?;
            }
            for index in 0..self.connections.len() {
                self.on_connection_time(index);
            }
        }
        if self.kick.is_due(self.now) {
            self.kick_again()?;
        }
        Ok(())
    }

    /// Kicks again what the device has not reacted to.
    fn kick_again(&mut self) -> Result<(), RingFault> {
        self.transmitter.reap()?;
        let is_sending = self.transmitter.outstanding() > 0;
        let is_waiting = is_sending || self.connections.iter().any(Connection::is_waiting);
        let is_starved = self.receiver.is_starved() && self.starved_kicks > 0;
        if is_sending {
            self.transmitter.kick(&mut self.transport);
        }
        if is_waiting || is_starved {
            self.starved_kicks = self.starved_kicks.saturating_sub(1);
            self.receiver.kick_again(&mut self.transport);
        }
        self.kick = if is_sending {
            Repeat::after(self.now, KICK)
        } else if is_waiting || is_starved {
            self.kick.later(self.now, LONGEST_KICK)
        } else {
            Repeat::OFF
        };
        Ok(())
    }

    fn on_transport_reset(&mut self) {
        self.resets.clear();
        match read_guest_cid(&self.transport) {
            Ok(cid) => self.guest_cid = cid,
            Err(error) => log::error!("vsock: the context id cannot be read again: {error}"),
        }
        for index in 0..self.connections.len() {
            self.connections[index].on_transport_reset();
            self.refresh(index);
        }
    }

    /// Takes the device out of use. Its buffers stay reserved: a device that lies may also write on.
    pub(super) fn on_fault(&mut self, fault: RingFault) {
        log::error!("vsock: device is out of use: {fault}");
        self.fault = Some(fault);
        if !reset(&mut self.transport) {
            log::error!("vsock: device does not reset");
        }
        self.resets.clear();
        for index in 0..self.connections.len() {
            self.connections[index].on_transport_reset();
            self.refresh(index);
        }
    }
}

/// Reads `guest_cid`, whose upper half is reserved and zero (virtio 1.2 §5.10.4).
fn read_guest_cid<T: Transport>(transport: &T) -> Result<u64, InitError> {
    read_configuration(transport, |transport| {
        transport.read_config_space::<u32>(0).map(u64::from)
    })
}
