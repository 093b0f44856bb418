//! The disk's queue: chains go in, used chains come out, and only those that went in.

use super::answer::Violation;
use super::mailbox::{Command, Mailbox};
use super::scatter::{Lent, Pieces};
use crate::limits::{BLOCK_QUEUE_DESCRIPTORS, MAX_BLOCK_CHAINS, MAX_REQUEST_FRAMES};
use crate::virtio::init::InitError;
use core::ptr::NonNull;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;
use virtio_drivers::{Error as QueueError, Hal};

/// The only queue.
pub(super) const QUEUE: u16 = 0;

/// Parts of a chain that the device writes: pieces of data and one status byte.
const MAX_WRITABLE: usize = MAX_REQUEST_FRAMES + 1;

/// The queue and the chains in flight. `W` is what the owner keeps of each.
pub(super) struct Ring<H: Hal, W> {
    queue: VirtQueue<H, BLOCK_QUEUE_DESCRIPTORS>,
    mailbox: Mailbox<H>,
    /// A chain's index is its slot in the mailbox.
    chains: [Option<Chain<W>>; MAX_BLOCK_CHAINS],
}

/// A chain in flight.
#[derive(Clone, Copy, Debug)]
struct Chain<W> {
    /// Its first descriptor, by which the device names it.
    head: u16,
    work: W,
}

/// A chain that the device says is done, still to be popped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used<W> {
    slot: usize,
    head: u16,
    pub(super) work: W,
}

/// A chain that was popped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Popped {
    /// The status byte, not yet believed.
    pub(super) status: u8,
    /// How many bytes the device claims to have written.
    pub(super) written: u32,
}

impl<H: Hal, W: Copy> Ring<H, W> {
    /// Sets the queue up.
    pub(super) fn new<T: Transport>(transport: &mut T) -> Result<Self, InitError> {
        let mailbox = Mailbox::take().ok_or(InitError::OutOfMemory)?;
        let queue =
            VirtQueue::new(transport, QUEUE, false, false).map_err(|error| match error {
                QueueError::DmaError => InitError::OutOfMemory,
                _ => InitError::BadQueue { queue: QUEUE },
            })?;
        Ok(Self {
            queue,
            mailbox,
            chains: [None; MAX_BLOCK_CHAINS],
        })
    }

    /// Returns the memory where the device puts its serial number.
    pub(super) fn identity_pieces(&self) -> Pieces {
        Pieces::from_iter([self.mailbox.identity()])
    }

    pub(super) fn mailbox(&self) -> &Mailbox<H> {
        &self.mailbox
    }

    /// Whether the device wants to be told of new chains.
    pub(super) fn should_notify(&self) -> bool {
        self.queue.should_notify()
    }

    /// Puts a chain into the ring; `false` when there is no room for it.
    ///
    /// # Safety
    ///
    /// The pieces are mapped and overlap nothing; until the chain was popped or the device was reset, nobody but the
    /// device reaches them.
    pub(super) unsafe fn send(
        &mut self,
        command: Command,
        sector: u64,
        pieces: &Pieces,
        work: W,
    ) -> bool {
        let Some(slot) = self.chains.iter().position(Option::is_none) else {
            return false;
        };
        self.mailbox.write_request(slot, command, sector);
        let header = self.header(slot);
        // SAFETY: the caller promises it of the pieces; status bytes are used by one chain at a time.
        let mut outputs = unsafe { Lent::<MAX_WRITABLE>::new(self.writable(slot, pieces)) };
        // SAFETY: header and status lie in the mailbox, which lives as long as the queue, and the slot is not used again
        // before the chain is popped; the pieces are as the caller promises.
        let added = unsafe { self.queue.add(&[header], outputs.as_mut_slices()) };
        let Ok(head) = added else {
            return false;
        };
        self.chains[slot] = Some(Chain { head, work });
        true
    }

    /// Returns the next chain that the device says is done.
    ///
    /// # Errors
    ///
    /// When it names no chain in flight. virtio-drivers would recycle whatever it is asked to, so this is checked first.
    pub(super) fn peek(&self) -> Result<Option<Used<W>>, Violation> {
        let Some(head) = self.queue.peek_used() else {
            return Ok(None);
        };
        self.chains
            .iter()
            .enumerate()
            .filter_map(|(slot, chain)| Some((slot, chain.as_ref()?)))
            .find(|(_, chain)| chain.head == head)
            .map(|(slot, chain)| {
                Some(Used {
                    slot,
                    head,
                    work: chain.work,
                })
            })
            .ok_or(Violation("used id is no chain in flight"))
    }

    /// Takes `used` out of the ring.
    ///
    /// # Errors
    ///
    /// When the device changed the ring since `peek`.
    ///
    /// # Safety
    ///
    /// The pieces are those the chain was sent with.
    pub(super) unsafe fn pop(
        &mut self,
        used: Used<W>,
        pieces: &Pieces,
    ) -> Result<Popped, Violation> {
        let inputs = [self.header(used.slot)];
        // SAFETY: the device says it is done with the chain; its memory is reached through these alone.
        let mut outputs = unsafe { Lent::<MAX_WRITABLE>::new(self.writable(used.slot, pieces)) };
        let outputs = outputs.as_mut_slices();
        // SAFETY: the slot's header and status and the caller's pieces are what `add` got when it returned `head`.
        let popped = unsafe { self.queue.pop_used(used.head, &inputs, outputs) };
        let written = popped.map_err(|_| Violation("used ring changed while it was read"))?;
        self.chains[used.slot] = None;
        Ok(Popped {
            status: self.mailbox.read_status(used.slot),
            written,
        })
    }

    /// Forgets the chains in flight, after a reset.
    pub(super) fn forget(&mut self) {
        self.chains = [None; MAX_BLOCK_CHAINS];
    }

    /// Lends a chain's header.
    fn header<'a>(&self, slot: usize) -> &'a [u8] {
        let header = self.mailbox.header(slot);
        // SAFETY: the header lies in the mailbox; it is written only while its slot is free, and the device reads only.
        // The slice is used in the calling method alone.
        unsafe { header.as_ref() }
    }

    /// Returns the parts of a chain that the device writes.
    fn writable(
        &self,
        slot: usize,
        pieces: &Pieces,
    ) -> impl Iterator<Item = NonNull<[u8]>> + use<H, W> {
        let status = self.mailbox.status_byte(slot);
        pieces.clone().into_iter().chain([status])
    }
}
