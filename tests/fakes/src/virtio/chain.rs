//! One descriptor chain as the device sees it.

use super::dma::{Direction, assert_lent};

/// Descriptor flags (virtio 1.2 §2.7.5).
pub(super) const FLAG_NEXT: u16 = 1;
const FLAG_WRITE: u16 = 2;
const FLAG_INDIRECT: u16 = 4;

/// Bytes of a descriptor (virtio 1.2 §2.7.5).
pub(super) const DESCRIPTOR_BYTES: u64 = 16;

/// A chain that the driver offered: what it wrote for the device, and room for the answer.
#[derive(Debug)]
#[must_use = "a chain is completed with `Device::complete`, or never"]
pub struct Chain {
    pub(super) queue: u16,
    pub(super) head: u16,
    readable: Vec<u8>,
    writable: Vec<(u64, usize)>,
}

impl Chain {
    /// Walks the chain at `head` of a table of `size` descriptors.
    pub(super) fn walk(queue: u16, table: u64, size: u16, head: u16) -> Self {
        let mut chain = Self {
            queue,
            head,
            readable: Vec::new(),
            writable: Vec::new(),
        };
        let mut index = head;
        for _ in 0..size {
            assert!(index < size, "queue {queue}: descriptor {index} of {size}");
            let descriptor = table + u64::from(index) * DESCRIPTOR_BYTES;
            let address = read::<u64>(descriptor);
            let bytes = read::<u32>(descriptor + 8) as usize;
            let flags = read::<u16>(descriptor + 12);
            assert_eq!(flags & FLAG_INDIRECT, 0, "queue {queue}: indirect");
            assert_ne!(bytes, 0, "queue {queue}: descriptor {index} is empty");
            if flags & FLAG_WRITE != 0 {
                assert_lent(address, bytes, Direction::Writable);
                chain.writable.push((address, bytes));
            } else {
                assert!(
                    chain.writable.is_empty(),
                    "queue {queue}: readable descriptor {index} behind a writable one"
                );
                assert_lent(address, bytes, Direction::Readable);
                chain.readable.extend(copy_out(address, bytes));
            }
            if flags & FLAG_NEXT == 0 {
                return chain;
            }
            index = read::<u16>(descriptor + 14);
        }
        panic!("queue {queue}: the chain at {head} is a loop");
    }

    /// Returns the id that a used element must carry.
    #[must_use]
    pub const fn head(&self) -> u16 {
        self.head
    }

    /// Returns what the driver wrote for the device, at the time the chain was taken.
    #[must_use]
    pub fn readable(&self) -> &[u8] {
        &self.readable
    }

    /// Returns how many descriptors the device may write to.
    #[must_use]
    pub fn writable_parts(&self) -> usize {
        self.writable.len()
    }

    /// Returns how many bytes the device may write.
    #[must_use]
    pub fn writable_bytes(&self) -> usize {
        self.writable.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Returns the first `count` bytes of what stands in the writable part now.
    #[must_use]
    pub fn peek(&self, count: usize) -> Vec<u8> {
        let mut copy = Vec::new();
        for &(address, bytes) in &self.writable {
            copy.extend(copy_out(address, bytes.min(count - copy.len())));
        }
        copy
    }

    /// Writes `bytes` into the writable part from `offset` on, across its descriptors.
    ///
    /// # Panics
    ///
    /// When they do not fit.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(
            offset + bytes.len() <= self.writable_bytes(),
            "{} bytes at {offset} do not fit into {}",
            bytes.len(),
            self.writable_bytes()
        );
        let mut skip = offset;
        let mut rest = bytes;
        for &(address, room) in &self.writable {
            if skip >= room {
                skip -= room;
                continue;
            }
            let count = rest.len().min(room - skip);
            copy_in(address + skip as u64, &rest[..count]);
            rest = &rest[count..];
            skip = 0;
        }
    }
}

fn copy_out(address: u64, bytes: usize) -> Vec<u8> {
    let mut copy = vec![0; bytes];
    let source: *const u8 = std::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the range is lent to the device (asserted when the chain was walked), so it is alive and the driver does
    // not touch it; `copy` is as long.
    unsafe { source.copy_to_nonoverlapping(copy.as_mut_ptr(), bytes) };
    copy
}

fn copy_in(address: u64, bytes: &[u8]) {
    let target: *mut u8 = std::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: the range is lent to the device for writing (asserted when the chain was walked), so it is alive and the
    // driver does not touch it.
    unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
}

/// Reads a number of a ring or a descriptor; the caller has checked that it lies in DMA memory.
pub(super) fn read<T: Copy>(address: u64) -> T {
    let source: *const T = std::ptr::with_exposed_provenance(address as usize);
    // SAFETY: rings lie in memory from `dma_alloc` and are aligned (asserted when the queue was set up); offsets into
    // them are bounded by the queue's size. Driver and device share one thread, so nothing writes meanwhile.
    unsafe { source.read_volatile() }
}

/// Writes a number of a ring.
pub(super) fn write<T: Copy>(address: u64, value: T) {
    let target: *mut T = std::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: as in `read`.
    unsafe { target.write_volatile(value) }
}
