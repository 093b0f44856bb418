//! The receive side: buffers posted to the device, packets coming back.
//!
//! Every buffer is either posted or kept by an inbox until it is read. Before a buffer is posted its header is set to
//! zero: a back end may complete a buffer without writing a header (seen when a connection vanished meanwhile), and
//! what stood there before must not be taken for news.
//!
//! Kicks are saved. A device needs one only if it found the ring empty and waits, so the driver kicks when half of the
//! posted buffers are ones the device was never told about. Should the device have used up all it was told about, that
//! is the case at the latest when the last of them has come back, so nobody waits for ever.

use super::arena::{Arena, Exhausted};
use super::budget::Budget;
use super::buffer::Buffers;
use super::header::{HEADER_BYTES, Header};
use super::ring::{Access, Ring, RingFault};
use crate::virtio::init::InitError;
use virtio_drivers::Hal;
use virtio_drivers::transport::Transport;

/// Index of the receive queue (virtio 1.2 §5.10.2).
const QUEUE: u16 = 0;

/// The receive queue and its buffers.
#[derive(Debug)]
pub(crate) struct Receiver<H: Hal + 'static> {
    ring: Ring<H>,
    buffers: Buffers,
    /// Buffers posted since the last kick.
    untold: usize,
    /// Whether the device may have run dry before the last kick, so that a lost kick would stop it.
    starved: bool,
}

/// A packet in a buffer. The buffer belongs to whoever holds this, until it is kept or posted again.
#[derive(Debug)]
#[must_use = "a buffer that is neither kept nor posted is lost"]
pub(crate) struct Arrival {
    pub(crate) header: Header,
    pub(crate) buffer: usize,
    /// Bytes of data in the buffer; never more than the header says, and less only if the packet was cut.
    pub(crate) data_bytes: usize,
}

impl<H: Hal + 'static> Receiver<H> {
    pub(crate) fn new<T: Transport>(
        transport: &mut T,
        arena: &mut Arena,
        event_idx: bool,
        buffers: Buffers,
    ) -> Result<Self, InitError> {
        let mut receiver = Self {
            ring: Ring::new(transport, arena, QUEUE, event_idx)?,
            buffers,
            untold: 0,
            starved: true,
        };
        for buffer in 0..receiver.buffers.count() {
            receiver.post(buffer);
        }
        Ok(receiver)
    }

    /// Carves the buffers.
    pub(crate) fn carve(arena: &mut Arena, budget: &Budget) -> Result<Buffers, Exhausted> {
        Buffers::new(arena, budget.receive_buffers, budget.receive_bytes)
    }

    pub(crate) const fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Returns how many buffers the device has.
    pub(crate) const fn posted(&self) -> usize {
        self.ring.outstanding()
    }

    /// Returns whether a packet waits.
    pub(crate) fn has_used(&self) -> bool {
        self.ring.has_used()
    }

    /// See [`Ring::settle`].
    pub(crate) fn settle(&self) {
        self.ring.settle();
    }

    /// Takes the next packet. One that is shorter than its header comes as a header of zeroes.
    pub(crate) fn take(&mut self) -> Result<Option<Arrival>, RingFault> {
        let Some(used) = self.ring.take_used()? else {
            return Ok(None);
        };
        let buffer = usize::from(used.tag);
        let header = if used.written < HEADER_BYTES {
            Header::default()
        } else {
            Header::parse(&self.buffers.header(buffer))
        };
        let room = used.written.saturating_sub(HEADER_BYTES);
        Ok(Some(Arrival {
            header,
            buffer,
            data_bytes: room.min(header.len as usize),
        }))
    }

    /// Returns whether a packet of this size may keep its buffer: it fills a good part of it, and half of the buffers
    /// stay posted for the packets of everybody else.
    pub(crate) const fn may_keep(&self, data_bytes: usize) -> bool {
        data_bytes >= super::inbox::KEEP_BYTES
            && data_bytes >= self.buffers.data_bytes() / 4
            && self.posted() >= self.buffers.count() / 2
    }

    /// Gives a buffer to the device.
    pub(crate) fn post(&mut self, buffer: usize) {
        self.buffers.set_header(buffer, &[0; HEADER_BYTES]);
        let region = self.buffers.region(buffer, self.buffers.data_bytes());
        // SAFETY: the buffers live for ever; `Buffers` lends no references; a buffer is posted only by the holder of
        // its `Arrival` or by the inbox that kept it, never while it is out.
        unsafe { self.ring.lend(region, Access::Write, buffer as u16) };
        self.untold += 1;
    }

    /// Returns whether the device should be told of new buffers.
    pub(crate) const fn owes_kick(&self) -> bool {
        self.untold > 0 && self.untold * 2 >= self.posted()
    }

    /// Tells the device of new buffers.
    pub(crate) fn kick<T: Transport>(&mut self, transport: &mut T) {
        self.starved = self.untold == self.posted();
        self.untold = 0;
        self.ring.kick(transport);
    }

    /// Repeats a kick that may have been lost.
    pub(crate) fn kick_again<T: Transport>(&mut self, transport: &mut T) {
        self.untold = 0;
        self.ring.kick(transport);
    }

    /// Returns whether the device would wait for ever if the last kick was lost.
    pub(crate) const fn is_starved(&self) -> bool {
        self.starved
    }
}
