//! A virtqueue that does not trust its device.
//!
//! `VirtQueue` leaves it to its caller that a popped id was really out, and panics or corrupts its free list when it
//! was not. [`Ring`] remembers every buffer that is out and compares before it pops. Each buffer is one descriptor:
//! header and data together, which every back end accepts (virtio 1.2 §2.7.4, no assumption on framing).

use super::arena::Arena;
use crate::limits::VSOCK_QUEUE_LENGTH;
use crate::virtio::init::InitError;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;
use virtio_drivers::{Error, Hal};

/// A queue. All three have the same length, so that there is one code for all, also where fewer buffers are ever out.
#[derive(Debug)]
pub(crate) struct Ring<H: Hal + 'static> {
    /// A kibibyte and more, which is why it does not live on the stack that builds the device.
    queue: &'static mut VirtQueue<H, VSOCK_QUEUE_LENGTH>,
    index: u16,
    /// What is out, by the id that the queue gave it. Such memory is not touched by anyone but the device.
    lent: &'static mut [Option<Lent>],
    outstanding: usize,
}

/// Bytes that a ring takes of the arena.
pub(crate) const fn ring_bytes<H: Hal>() -> usize {
    size_of::<VirtQueue<H, VSOCK_QUEUE_LENGTH>>() + VSOCK_QUEUE_LENGTH * size_of::<Option<Lent>>()
}

/// A buffer that the device has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lent {
    region: NonNull<[u8]>,
    access: Access,
    /// The owner's name for it.
    tag: u16,
}

/// What the device may do with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A buffer that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// The owner's name for it.
    pub(crate) tag: u16,
    /// How many bytes the device says it wrote; at most the buffer's length, 0 for a buffer it could only read.
    pub(crate) written: usize,
}

/// How the device broke the rules of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingFault {
    /// It returned a buffer that it does not have.
    UnknownBuffer {
        /// The queue.
        queue: u16,
        /// The id in the used ring.
        id: u16,
    },
    /// It says it wrote more than the buffer holds.
    Overlong {
        /// The queue.
        queue: u16,
        /// What it says it wrote.
        written: u32,
        /// What the buffer holds.
        room: usize,
    },
    /// It changed an entry of the used ring while it was read.
    Unstable {
        /// The queue.
        queue: u16,
    },
}

impl core::fmt::Display for RingFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::UnknownBuffer { queue, id } => {
                write!(
                    f,
                    "queue {queue}: device returned buffer {id}, which it does not have"
                )
            }
            Self::Overlong {
                queue,
                written,
                room,
            } => {
                write!(
                    f,
                    "queue {queue}: device says it wrote {written} bytes into {room}"
                )
            }
            Self::Unstable { queue } => write!(f, "queue {queue}: used ring changed under us"),
        }
    }
}

impl core::error::Error for RingFault {}

impl<H: Hal + 'static> Ring<H> {
    /// Sets the queue up. Never inlined: what it builds on the stack is to be gone before the next one is set up.
    #[inline(never)]
    pub(crate) fn new<T: Transport>(
        transport: &mut T,
        arena: &mut Arena,
        index: u16,
        event_idx: bool,
    ) -> Result<Self, InitError> {
        let lent = arena
            .table(VSOCK_QUEUE_LENGTH, |_| None)
            .map_err(|_| InitError::OutOfMemory)?;
        let queue = VirtQueue::new(transport, index, false, event_idx).map_err(|error| {
            if error == Error::DmaError {
                InitError::OutOfMemory
            } else {
                InitError::BadQueue { queue: index }
            }
        })?;
        let queue = arena.place(queue).map_err(|_| InitError::OutOfMemory)?;
        Ok(Self {
            queue,
            index,
            lent,
            outstanding: 0,
        })
    }

    /// Returns how many buffers are out.
    pub(crate) const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Offers a buffer to the device; `tag` comes back with it.
    ///
    /// # Safety
    ///
    /// The memory is valid for ever, not empty, and until `take_used` returns `tag` nobody holds a reference to it.
    ///
    /// # Panics
    ///
    /// When [`VSOCK_QUEUE_LENGTH`] buffers are out already: their owner has no more.
    pub(crate) unsafe fn lend(&mut self, region: NonNull<[u8]>, access: Access, tag: u16) {
        let mut region = region;
        let added = match access {
            Access::Read => {
                // SAFETY: the caller owns the memory and nobody else has a reference (contract).
                let buffer = unsafe { region.as_ref() };
                // SAFETY: the memory stays valid and untouched until popped (contract; `lent` remembers it).
                unsafe { self.queue.add(&[buffer], &mut []) }
            }
            Access::Write => {
                // SAFETY: the caller owns the memory and nobody else has a reference (contract).
                let buffer = unsafe { region.as_mut() };
                // SAFETY: the memory stays valid and untouched until popped (contract; `lent` remembers it).
                unsafe { self.queue.add(&[], &mut [buffer]) }
            }
        };
        let Ok(id) = added else {
            unreachable!("no more buffers exist than the queue has descriptors");
        };
        self.lent[usize::from(id)] = Some(Lent {
            region,
            access,
            tag,
        });
        self.outstanding += 1;
    }

    /// Returns whether the device has returned something.
    pub(crate) fn has_used(&self) -> bool {
        self.queue.can_pop()
    }

    /// Takes back the next buffer that the device has returned.
    ///
    /// # Errors
    ///
    /// The device broke the rules. The queue is in no defined state then; the device must be reset.
    pub(crate) fn take_used(&mut self) -> Result<Option<Used>, RingFault> {
        let queue = self.index;
        let Some(id) = self.queue.peek_used() else {
            return Ok(None);
        };
        let known = self.lent.get_mut(usize::from(id)).and_then(Option::take);
        let Some(lent) = known else {
            return Err(RingFault::UnknownBuffer { queue, id });
        };
        self.outstanding -= 1;
        let written = self
            .pop(id, lent)
            .map_err(|_| RingFault::Unstable { queue })?;
        let room = match lent.access {
            // A read buffer's length has no meaning, and some devices put the buffer's size there.
            Access::Read => return Ok(Some(Used::read(lent.tag))),
            Access::Write => lent.region.len(),
        };
        if written as usize > room {
            return Err(RingFault::Overlong {
                queue,
                written,
                room,
            });
        }
        Ok(Some(Used {
            tag: lent.tag,
            written: written as usize,
        }))
    }

    /// Makes the driver's progress visible before the device's is read again. Without it the processor may read the
    /// used index before it has written `used_event`, and the device read `used_event` before it is written: both
    /// would believe the other will look (virtio 1.2 §2.7.7.2).
    pub(crate) fn settle(&self) {
        fence(Ordering::SeqCst);
    }

    /// Tells the device that buffers were offered.
    pub(crate) fn kick<T: Transport>(&self, transport: &mut T) {
        // The available index must be visible before the kick; on x86 a register write would do, but not everywhere.
        fence(Ordering::SeqCst);
        transport.notify(self.index);
    }

    fn pop(&mut self, id: u16, lent: Lent) -> virtio_drivers::Result<u32> {
        let mut region = lent.region;
        match lent.access {
            Access::Read => {
                // SAFETY: the buffer was lent under this id and nobody has a reference (contract of `lend`).
                let buffer = unsafe { region.as_ref() };
                // SAFETY: this is the buffer that was added under this id.
                unsafe { self.queue.pop_used(id, &[buffer], &mut []) }
            }
            Access::Write => {
                // SAFETY: the buffer was lent under this id and nobody has a reference (contract of `lend`).
                let buffer = unsafe { region.as_mut() };
                // SAFETY: this is the buffer that was added under this id.
                unsafe { self.queue.pop_used(id, &[], &mut [buffer]) }
            }
        }
    }
}

impl Used {
    const fn read(tag: u16) -> Self {
        Self { tag, written: 0 }
    }
}
