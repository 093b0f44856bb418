//! The transmit side: slots that are filled, sent in batches, and reaped lazily.
//!
//! There are three kinds of slots, so that a flood of large packets can block neither small replies nor the packets
//! that keep connections alive. A slot is free, open (its connection still adds data to it) or with the device.
//!
//! Completed slots are only reaped when they are needed: with EVENT_IDX the device interrupts for the first completion
//! after the last reaping and then not again, so lazy reaping saves interrupts.

use super::arena::{Arena, Exhausted};
use super::budget::Budget;
use super::buffer::Buffers;
use super::header::Header;
use super::ring::{Access, Ring, RingFault};
use crate::virtio::init::InitError;
use crate::vsock::Purpose;
use virtio_drivers::Hal;
use virtio_drivers::transport::Transport;

/// Index of the transmit queue (virtio 1.2 §5.10.2).
const QUEUE: u16 = 1;

/// Data slots of each kind that only control connections may take.
const CONTROL_SHARE: u32 = 1;

/// The transmit queue and its slots.
#[derive(Debug)]
pub(crate) struct Transmitter<H: Hal + 'static> {
    ring: Ring<H>,
    slots: Slots,
    /// Packets sent since the last kick.
    untold: bool,
    /// Counts packets given to the device, and those that it was seen to have dealt with.
    sent: u32,
    done: u32,
}

/// The memory of the slots, before the queue exists.
#[derive(Debug)]
pub(crate) struct Slots {
    large: Class,
    small: Class,
    control: Class,
}

/// Slots of one kind; bit `n` of `free` is slot `n`.
#[derive(Debug)]
struct Class {
    buffers: Buffers,
    free: u64,
}

/// Which kind of slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Large,
    Small,
    Control,
}

/// A slot that is being filled with data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    kind: Kind,
    index: u8,
    filled: u32,
}

impl Slots {
    pub(crate) fn carve(arena: &mut Arena, budget: &Budget) -> Result<Self, Exhausted> {
        Ok(Self {
            large: Class::new(arena, budget.large_slots, budget.large_bytes)?,
            small: Class::new(arena, budget.small_slots, budget.small_bytes)?,
            control: Class::new(arena, budget.control_slots, 0)?,
        })
    }

    fn class(&mut self, kind: Kind) -> &mut Class {
        match kind {
            Kind::Large => &mut self.large,
            Kind::Small => &mut self.small,
            Kind::Control => &mut self.control,
        }
    }
}

impl Class {
    fn new(arena: &mut Arena, count: usize, data_bytes: usize) -> Result<Self, Exhausted> {
        debug_assert!(count < 64);
        Ok(Self {
            buffers: Buffers::new(arena, count, data_bytes)?,
            free: (1 << count) - 1,
        })
    }

    const fn count_free(&self) -> u32 {
        self.free.count_ones()
    }

    const fn is_scarce(&self) -> bool {
        self.count_free() as usize * 2 < self.buffers.count()
    }

    const fn take(&mut self, share: u32) -> Option<u8> {
        if self.count_free() <= share {
            return None;
        }
        let index = self.free.trailing_zeros();
        self.free &= !(1 << index);
        Some(index as u8)
    }
}

impl<H: Hal + 'static> Transmitter<H> {
    pub(crate) fn new<T: Transport>(
        transport: &mut T,
        arena: &mut Arena,
        event_idx: bool,
        slots: Slots,
    ) -> Result<Self, InitError> {
        Ok(Self {
            ring: Ring::new(transport, arena, QUEUE, event_idx)?,
            slots,
            untold: false,
            sent: 0,
            done: 0,
        })
    }

    /// Opens a slot for `bytes` bytes of data, or for some of them.
    ///
    /// A write that fills less than half of a small slot gets one. Others prefer a large slot, because more is likely to
    /// follow: a pipe is relayed page by page. What does not fit into a small slot waits for a large one, so that it
    /// does not fall apart into many packets.
    pub(crate) fn open(&mut self, bytes: usize, purpose: Purpose) -> Option<Open> {
        let small_bytes = self.slots.small.buffers.data_bytes();
        let order: &[Kind] = if bytes * 2 < small_bytes {
            &[Kind::Small, Kind::Large]
        } else if bytes <= small_bytes {
            &[Kind::Large, Kind::Small]
        } else {
            &[Kind::Large]
        };
        order.iter().find_map(|&kind| {
            let index = self.slots.class(kind).take(share(purpose))?;
            Some(Open {
                kind,
                index,
                filled: 0,
            })
        })
    }

    /// Returns how many slots [`Transmitter::open`] could open for so many bytes.
    pub(crate) const fn count_free(&self, bytes: usize, purpose: Purpose) -> u32 {
        let share = share(purpose);
        let Slots { large, small, .. } = &self.slots;
        let small_too = bytes <= small.buffers.data_bytes();
        let of_small = if small_too { small.count_free() } else { 0 };
        large.count_free().saturating_sub(share) + of_small.saturating_sub(share)
    }

    /// Returns how much fits into a small slot.
    pub(crate) const fn small_bytes(&self) -> usize {
        self.slots.small.buffers.data_bytes()
    }

    /// Returns how much more fits into an open slot.
    pub(crate) fn room(&mut self, open: Open) -> usize {
        self.slots.class(open.kind).buffers.data_bytes() - open.filled as usize
    }

    /// Adds as much of `bytes` as fits and returns how much that is.
    pub(crate) fn fill(&mut self, open: &mut Open, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room(*open));
        let buffers = &mut self.slots.class(open.kind).buffers;
        buffers.write_data(
            usize::from(open.index),
            open.filled as usize,
            &bytes[..count],
        );
        open.filled += count as u32;
        count
    }

    /// Sends an open slot's data; the header's length is filled in here.
    pub(crate) fn send(&mut self, open: Open, header: Header) {
        let header = Header {
            len: open.filled,
            ..header
        };
        self.lend(open.kind, open.index, header);
    }

    /// Gives an open slot back unsent.
    pub(crate) fn discard(&mut self, open: Open) {
        self.slots.class(open.kind).free |= 1 << open.index;
    }

    /// Sends a packet without data, if a slot is free.
    pub(crate) fn send_control(&mut self, header: Header) -> bool {
        let Some(index) = self.slots.control.take(0) else {
            return false;
        };
        self.lend(Kind::Control, index, Header { len: 0, ..header });
        true
    }

    /// Returns a mark behind the packets sent so far.
    pub(crate) const fn mark(&self) -> u32 {
        self.sent
    }

    /// Returns whether the device has dealt with the packets before a mark, as far as they were reaped. Devices take packets
    /// in order; one that does not is only believed later.
    pub(crate) const fn is_past(&self, mark: u32) -> bool {
        self.done.wrapping_sub(mark).cast_signed() >= 0
    }

    /// Returns how many packets the device has, as far as they were reaped.
    pub(crate) const fn outstanding(&self) -> usize {
        self.ring.outstanding()
    }

    /// Returns whether completed packets should be reaped: slots of some kind are scarce.
    pub(crate) fn should_reap(&self) -> bool {
        let slots = &self.slots;
        self.ring.has_used()
            && (slots.large.is_scarce() || slots.small.is_scarce() || slots.control.is_scarce())
    }

    /// Takes all completed packets back. Returns whether there were any.
    pub(crate) fn reap(&mut self) -> Result<bool, RingFault> {
        let mut any = false;
        while let Some(used) = self.ring.take_used()? {
            let (kind, index) = from_tag(used.tag);
            self.slots.class(kind).free |= 1 << index;
            self.done = self.done.wrapping_add(1);
            any = true;
        }
        Ok(any)
    }

    /// Returns whether packets were sent since the last kick.
    pub(crate) const fn owes_kick(&self) -> bool {
        self.untold
    }

    /// Tells the device of new packets.
    pub(crate) fn kick<T: Transport>(&mut self, transport: &mut T) {
        self.untold = false;
        self.ring.kick(transport);
    }

    fn lend(&mut self, kind: Kind, index: u8, header: Header) {
        let buffers = &mut self.slots.class(kind).buffers;
        let slot = usize::from(index);
        buffers.set_header(slot, &header.encode());
        let region = buffers.region(slot, header.len as usize);
        // SAFETY: the buffers live for ever; `Buffers` lends no references; a slot's bit in `free` is clear from
        // `take` until `reap`, and only the holder of the slot comes here.
        unsafe { self.ring.lend(region, Access::Read, to_tag(kind, index)) };
        self.untold = true;
        self.sent = self.sent.wrapping_add(1);
    }
}

/// Returns the slots of each kind that must be left.
const fn share(purpose: Purpose) -> u32 {
    match purpose {
        Purpose::Control => 0,
        Purpose::Input | Purpose::Output | Purpose::Program => CONTROL_SHARE,
    }
}

const fn to_tag(kind: Kind, index: u8) -> u16 {
    let kind = match kind {
        Kind::Large => 0,
        Kind::Small => 1,
        Kind::Control => 2,
    };
    (kind << 8) | index as u16
}

const fn from_tag(tag: u16) -> (Kind, u8) {
    let kind = match tag >> 8 {
        0 => Kind::Large,
        1 => Kind::Small,
        _ => Kind::Control,
    };
    (kind, tag as u8)
}
