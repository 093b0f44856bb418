//! The memory that devices share with the driver: rings, request headers, receive buffers.
//!
//! `virtio_drivers::Hal` has no `self`, so the pool behind it must be one of the few globals. It is a single
//! region of RAM handed over once at boot, given out in whole pages by a bitmap. Requests' data does not come from
//! here: frames of the [`FramePool`](crate::frame::FramePool) are lent to devices in place.

use crate::limits::{MAX_DMA_PAGES, PAGE_BYTES};
use crate::x86::layout::DIRECT_MAP_BYTES;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

/// Pages one word of the bitmap stands for.
const WORD_PAGES: usize = 64;

/// The machine's implementation of `virtio_drivers::Hal`: a device's address of memory is its physical address.
#[derive(Debug)]
pub struct MachineDma;

/// A region of RAM given out in pages.
///
/// Atomics only because it lives in a `static`: there is one vCPU and no interrupt handler comes here.
struct Pool {
    /// Physical address of the first page.
    physical: AtomicU64,
    /// Virtual address of a byte minus its physical address, for all of the direct map.
    offset: AtomicU64,
    /// How many pages the region has; 0 before the hand-over.
    pages: AtomicUsize,
    /// One bit for each page that is out.
    taken: [AtomicU64; MAX_DMA_PAGES / WORD_PAGES],
}

static POOL: Pool = Pool::new();

/// Hands over the region from which all DMA memory comes and says where physical memory is mapped. The part of the
/// region behind [`MAX_DMA_PAGES`] is left unused. Later calls change nothing and return `false`.
///
/// # Safety
///
/// For the rest of the program every byte of the region is mapped readable and writable at its physical address +
/// `offset` (wrapping) and belongs to this module alone; every buffer that is given to a virtqueue is mapped there
/// too. `physical` is a multiple of the page size and not 0.
pub unsafe fn hand_over(physical: u64, bytes: usize, offset: u64) -> bool {
    POOL.open(physical, bytes, offset)
}

impl Pool {
    const fn new() -> Self {
        Self {
            physical: AtomicU64::new(0),
            offset: AtomicU64::new(0),
            pages: AtomicUsize::new(0),
            taken: [const { AtomicU64::new(0) }; MAX_DMA_PAGES / WORD_PAGES],
        }
    }

    fn open(&self, physical: u64, bytes: usize, offset: u64) -> bool {
        if self.pages.load(Ordering::Relaxed) != 0 {
            return false;
        }
        self.physical.store(physical, Ordering::Relaxed);
        self.offset.store(offset, Ordering::Relaxed);
        let pages = (bytes / PAGE_BYTES).min(MAX_DMA_PAGES);
        self.pages.store(pages, Ordering::Relaxed);
        true
    }

    /// Takes `count` pages in a row and returns the index of the first; `None` when there is no such row.
    fn take(&self, count: usize) -> Option<usize> {
        let pages = self.pages.load(Ordering::Relaxed);
        let mut start = 0;
        let mut page = 0;
        while count > 0 && page < pages {
            if self.is_taken(page) {
                start = page + 1;
            } else if page + 1 - start == count {
                (start..=page).for_each(|index| self.mark(index, true));
                return Some(start);
            }
            page += 1;
        }
        None
    }

    fn give_back(&self, first: usize, count: usize) {
        (first..first + count).for_each(|index| self.mark(index, false));
    }

    fn is_taken(&self, page: usize) -> bool {
        self.taken[page / WORD_PAGES].load(Ordering::Relaxed) & (1 << (page % WORD_PAGES)) != 0
    }

    fn mark(&self, page: usize, taken: bool) {
        let word = &self.taken[page / WORD_PAGES];
        let bit = 1 << (page % WORD_PAGES);
        let old = word.load(Ordering::Relaxed);
        let new = if taken { old | bit } else { old & !bit };
        word.store(new, Ordering::Relaxed);
    }

    fn page_address(&self, page: usize) -> u64 {
        self.physical.load(Ordering::Relaxed) + (page * PAGE_BYTES) as u64
    }

    fn to_virtual(&self, physical: u64) -> *mut u8 {
        let address = physical.wrapping_add(self.offset.load(Ordering::Relaxed));
        core::ptr::with_exposed_provenance_mut(address as usize)
    }

    /// Returns the physical address of something in the direct map.
    ///
    /// # Panics
    ///
    /// When it does not lie there: a buffer in the image or on a foreign stack would send the device astray.
    fn to_physical(&self, pointer: NonNull<[u8]>) -> u64 {
        let address = pointer.cast::<u8>().as_ptr().expose_provenance() as u64;
        let physical = address.wrapping_sub(self.offset.load(Ordering::Relaxed));
        assert!(
            physical < DIRECT_MAP_BYTES,
            "DMA buffer outside the direct map"
        );
        physical
    }
}

// SAFETY: `dma_alloc` returns pages of the region handed over, which is mapped, page-aligned and reached by nothing
// else; a page is marked in the bitmap while it is out, so no two allocations overlap; pages are zeroed on the way out.
unsafe impl Hal for MachineDma {
    /// Address 0 stands for "none left"; virtio-drivers turns it into `Error::DmaError`.
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let Some(first) = POOL.take(pages) else {
            return (0, NonNull::dangling());
        };
        let physical = POOL.page_address(first);
        let Some(start) = NonNull::new(POOL.to_virtual(physical)) else {
            return (0, NonNull::dangling());
        };
        // SAFETY: the pages lie in the region, are mapped writable there (promise of `hand_over`) and were free.
        unsafe { start.write_bytes(0, pages * PAGE_BYTES) };
        (physical, start)
    }

    unsafe fn dma_dealloc(physical: PhysAddr, _start: NonNull<u8>, pages: usize) -> i32 {
        let first = (physical - POOL.page_address(0)) as usize / PAGE_BYTES;
        POOL.give_back(first, pages);
        0
    }

    /// Our transports map their registers themselves, so that a failure is an error value; this serves only the
    /// transports of virtio-drivers that we do not use, and reaches what the direct map covers.
    unsafe fn mmio_phys_to_virt(physical: PhysAddr, _bytes: usize) -> NonNull<u8> {
        NonNull::new(POOL.to_virtual(physical)).expect("the direct map does not start at address 0")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        POOL.to_physical(buffer)
    }

    /// Nothing to copy back: the device worked on the buffer itself.
    unsafe fn unshare(_physical: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x86::layout::{DIRECT_MAP, KERNEL_BASE, MMIO_WINDOW};

    fn pool(pages: usize) -> Pool {
        let pool = Pool::new();
        assert!(pool.open(0x10_0000, pages * PAGE_BYTES, 0));
        pool
    }

    fn available(pool: &Pool) -> usize {
        let pages = pool.pages.load(Ordering::Relaxed);
        (0..pages).filter(|page| !pool.is_taken(*page)).count()
    }

    #[test]
    fn gives_out_every_page_once_and_then_none() {
        let pool = pool(3);
        assert_eq!(pool.take(1), Some(0));
        assert_eq!(pool.take(2), Some(1));
        assert_eq!(pool.take(1), None);
        assert_eq!(available(&pool), 0);
    }

    #[test]
    fn finds_a_row_behind_a_hole_that_is_too_small() {
        let pool = pool(6);
        assert_eq!(pool.take(1), Some(0));
        assert_eq!(pool.take(1), Some(1));
        pool.give_back(0, 1);
        assert_eq!(pool.take(2), Some(2));
        assert_eq!(pool.take(1), Some(0));
    }

    #[test]
    fn takes_rows_across_the_words_of_the_bitmap() {
        let pool = pool(130);
        assert_eq!(pool.take(63), Some(0));
        assert_eq!(pool.take(67), Some(63));
        assert_eq!(available(&pool), 0);
        pool.give_back(63, 67);
        assert_eq!(available(&pool), 67);
        assert_eq!(pool.take(68), None);
    }

    #[test]
    fn gives_out_nothing_before_the_hand_over_and_no_empty_row() {
        assert_eq!(Pool::new().take(1), None);
        assert_eq!(pool(1).take(0), None);
    }

    #[test]
    fn leaves_pages_behind_its_capacity_unused() {
        assert_eq!(available(&pool(MAX_DMA_PAGES + 1)), MAX_DMA_PAGES);
    }

    #[test]
    fn is_handed_over_once() {
        let pool = pool(2);
        assert!(!pool.open(0x20_0000, PAGE_BYTES, 0));
        assert_eq!(pool.page_address(0), 0x10_0000);
    }

    fn physical(address: u64) -> u64 {
        let pool = Pool::new();
        pool.open(0x1000, PAGE_BYTES, DIRECT_MAP);
        let start: *mut u8 = core::ptr::without_provenance_mut(address as usize);
        let start = NonNull::new(start).expect("not null");
        pool.to_physical(NonNull::slice_from_raw_parts(start, 1))
    }

    #[test]
    fn the_last_byte_of_the_direct_map_has_a_physical_address() {
        let last = DIRECT_MAP_BYTES - 1;
        assert_eq!(physical(DIRECT_MAP + last), last);
    }

    #[test]
    #[should_panic(expected = "outside the direct map")]
    fn refuses_a_buffer_right_behind_the_direct_map() {
        let _ = physical(DIRECT_MAP + DIRECT_MAP_BYTES);
    }

    #[test]
    #[should_panic(expected = "outside the direct map")]
    fn refuses_a_buffer_in_a_device_s_window() {
        let _ = physical(MMIO_WINDOW);
    }

    #[test]
    #[should_panic(expected = "outside the direct map")]
    fn refuses_a_buffer_in_the_image() {
        let _ = physical(KERNEL_BASE + 0x10_0000);
    }
}
