//! DMA memory in host memory: a device's address of a byte is the byte's host address.

use crate::alloc::uncounted;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// The implementation of `virtio_drivers::Hal` for tests.
///
/// What is lent to devices is kept for each thread; a test and its driver therefore stay on one thread.
#[derive(Debug)]
pub struct MockHal;

/// A buffer that is lent to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lent {
    bytes: usize,
    direction: Direction,
}

/// `BufferDirection` for comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Readable,
    Writable,
}

thread_local! {
    static LENT: RefCell<BTreeMap<PhysAddr, Lent>> = const { RefCell::new(BTreeMap::new()) };
    static RINGS: RefCell<BTreeMap<PhysAddr, usize>> = const { RefCell::new(BTreeMap::new()) };
}

/// Returns how many buffers are lent to devices of this thread: 0 after a driver gave everything back.
#[must_use]
pub fn lent_buffers() -> usize {
    LENT.with_borrow(BTreeMap::len)
}

/// Panics unless the whole range is lent in this direction.
pub(super) fn assert_lent(start: PhysAddr, bytes: usize, direction: Direction) {
    let found = LENT.with_borrow(|lent| lent.get(&start).copied());
    let expected = Lent { bytes, direction };
    assert_eq!(
        found,
        Some(expected),
        "the descriptor at {start:#x} names a buffer that was not lent like this"
    );
}

/// Panics unless the whole range lies in memory from `dma_alloc`.
pub(super) fn assert_ring(start: PhysAddr, bytes: usize) {
    let end = start + bytes as u64;
    let inside = RINGS.with_borrow(|rings| {
        rings
            .range(..=start)
            .next_back()
            .is_some_and(|(&first, &length)| end <= first + length as u64)
    });
    assert!(inside, "a ring at {start:#x} lies outside DMA memory");
}

fn layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).expect("a test asks for little memory")
}

// SAFETY: `dma_alloc` returns fresh zeroed memory of the host's allocator, aligned to a page.
unsafe impl Hal for MockHal {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        assert_ne!(pages, 0, "DMA memory of no pages");
        uncounted(|| {
            // SAFETY: the layout has a size other than 0, asserted above.
            let start = unsafe { alloc_zeroed(layout(pages)) };
            let start = NonNull::new(start).expect("the host has memory");
            let address = start.as_ptr().expose_provenance() as PhysAddr;
            RINGS.with_borrow_mut(|rings| rings.insert(address, pages * PAGE_SIZE));
            (address, start)
        })
    }

    unsafe fn dma_dealloc(address: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        let known = RINGS.with_borrow_mut(|rings| rings.remove(&address));
        assert_eq!(known, Some(pages * PAGE_SIZE), "DMA memory freed wrongly");
        // A driver that is dropped frees also what its device still had; the address may come again.
        let freed = address..address + (pages * PAGE_SIZE) as u64;
        LENT.with_borrow_mut(|lent| lent.retain(|start, _| !freed.contains(start)));
        // SAFETY: it came from `dma_alloc` with this layout (asserted above) and the caller gives it up.
        unsafe { dealloc(start.as_ptr(), layout(pages)) };
        0
    }

    unsafe fn mmio_phys_to_virt(_address: PhysAddr, _bytes: usize) -> NonNull<u8> {
        unreachable!("the mock transport has no registers in memory")
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        let address = buffer.as_ptr().cast::<u8>().expose_provenance() as PhysAddr;
        let lent = Lent {
            bytes: buffer.len(),
            direction: Direction::from(direction),
        };
        let end = address + lent.bytes as u64;
        uncounted(|| {
            LENT.with_borrow_mut(|all| {
                if let Some((&before, known)) = all.range(..end).next_back() {
                    assert!(
                        before + known.bytes as u64 <= address,
                        "the buffer at {address:#x} is lent while its bytes are lent already"
                    );
                }
                all.insert(address, lent);
            });
        });
        address
    }

    unsafe fn unshare(address: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        let known = uncounted(|| LENT.with_borrow_mut(|all| all.remove(&address)));
        let expected = Lent {
            bytes: buffer.len(),
            direction: Direction::from(direction),
        };
        assert_eq!(known, Some(expected), "a buffer comes back that is not out");
    }
}

impl From<BufferDirection> for Direction {
    fn from(direction: BufferDirection) -> Self {
        match direction {
            BufferDirection::DriverToDevice => Self::Readable,
            BufferDirection::DeviceToDriver => Self::Writable,
            BufferDirection::Both => panic!("a queue's buffer has one direction"),
        }
    }
}
