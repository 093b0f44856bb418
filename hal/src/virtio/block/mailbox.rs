//! One page shared with the disk: request headers, status bytes, and the answer to "who are you?".

use crate::limits::{BLOCK_SERIAL_BYTES, MAX_BLOCK_CHAINS, PAGE_BYTES};
use core::marker::PhantomData;
use core::ptr::NonNull;
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

/// Bytes of a request header: type, reserved, sector (virtio 1.2 §5.2.6).
const HEADER_BYTES: usize = 16;

/// Where the status bytes begin.
const STATUS_OFFSET: usize = MAX_BLOCK_CHAINS * HEADER_BYTES;

/// Where the serial number is put.
const IDENTITY_OFFSET: usize = STATUS_OFFSET + MAX_BLOCK_CHAINS;

const _: () = assert!(IDENTITY_OFFSET + BLOCK_SERIAL_BYTES <= PAGE_BYTES);

/// What a status byte holds until the device writes it; no status of virtio 1.2 §5.2.6.
pub(super) const STATUS_UNWRITTEN: u8 = 0xff;

/// What is asked of the device (virtio 1.2 §5.2.6).
#[derive(Clone, Copy)]
pub(super) enum Command {
    /// `VIRTIO_BLK_T_IN`.
    Read = 0,
    /// `VIRTIO_BLK_T_GET_ID`.
    Identify = 8,
}

/// The page. Slot `n` is the header and status byte of chain `n`.
pub(super) struct Mailbox<H: Hal> {
    physical: PhysAddr,
    /// Valid for `PAGE_BYTES` bytes as long as `self` lives.
    start: NonNull<u8>,
    hal: PhantomData<H>,
}

impl<H: Hal> Mailbox<H> {
    /// Takes the page; `None` when there is none.
    pub(super) fn take() -> Option<Self> {
        let (physical, start) = H::dma_alloc(1, BufferDirection::Both);
        (physical != 0).then_some(Self {
            physical,
            start,
            hal: PhantomData,
        })
    }

    /// Writes the header of `slot` and marks its status as unwritten. The device must not hold the slot.
    pub(super) fn write_request(&mut self, slot: usize, command: Command, sector: u64) {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&(command as u32).to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        let target = self.header(slot).cast::<[u8; HEADER_BYTES]>();
        // SAFETY: `header` returned a part of the page; bytes have no alignment.
        unsafe { target.write_volatile(header) };
        let status = self.status_byte(slot).cast::<u8>();
        // SAFETY: `status_byte` returned a byte of the page.
        unsafe { status.write_volatile(STATUS_UNWRITTEN) };
    }

    /// Returns the status the device wrote for `slot`.
    pub(super) fn read_status(&self, slot: usize) -> u8 {
        let status = self.status_byte(slot).cast::<u8>();
        // SAFETY: `status_byte` returned a byte of the page.
        unsafe { status.read_volatile() }
    }

    /// Returns the serial number the device wrote.
    pub(super) fn read_identity(&self) -> [u8; BLOCK_SERIAL_BYTES] {
        let identity = self.identity().cast::<[u8; BLOCK_SERIAL_BYTES]>();
        // SAFETY: `identity` returned a part of the page of that length; bytes have no alignment.
        unsafe { identity.read_volatile() }
    }

    pub(super) fn header(&self, slot: usize) -> NonNull<[u8]> {
        assert!(slot < MAX_BLOCK_CHAINS);
        self.part(slot * HEADER_BYTES, HEADER_BYTES)
    }

    pub(super) fn status_byte(&self, slot: usize) -> NonNull<[u8]> {
        assert!(slot < MAX_BLOCK_CHAINS);
        self.part(STATUS_OFFSET + slot, 1)
    }

    pub(super) fn identity(&self) -> NonNull<[u8]> {
        self.part(IDENTITY_OFFSET, BLOCK_SERIAL_BYTES)
    }

    fn part(&self, offset: usize, bytes: usize) -> NonNull<[u8]> {
        assert!(offset <= PAGE_BYTES && bytes <= PAGE_BYTES - offset);
        // SAFETY: `offset` is at most the page's length, checked above.
        let start = unsafe { self.start.add(offset) };
        NonNull::slice_from_raw_parts(start, bytes)
    }
}

impl<H: Hal> Drop for Mailbox<H> {
    fn drop(&mut self) {
        // SAFETY: these are the values `dma_alloc` returned in `take`, given back once.
        let _ = unsafe { H::dma_dealloc(self.physical, self.start, 1) }; // Nothing could be done about a refusal.
    }
}

// SAFETY: the page is owned like a box; its pointer is not bound to a thread.
unsafe impl<H: Hal> Send for Mailbox<H> {}
