//! The heap: one region of RAM, every call counted.
//!
//! The hot path promises not to allocate; [`calls`] is how a test, on the host or in the booted image, holds it to that.

use crate::x86::exclusive::Exclusive;
use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use linked_list_allocator::Heap as List;

/// The allocator of the image: `#[global_allocator] static HEAP: Heap = Heap;`
#[derive(Debug)]
pub struct Heap;

static LIST: Exclusive<List> = Exclusive::new(List::empty());
static CALLS: AtomicU64 = AtomicU64::new(0);
static OPEN: AtomicBool = AtomicBool::new(false);

/// What the heap has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use.
    pub used: usize,
    /// Bytes in all.
    pub size: usize,
}

/// Gives the heap its memory. Before that, and for a second region, every allocation is refused.
pub fn open(memory: &'static mut [MaybeUninit<u8>]) {
    if OPEN.swap(true, Ordering::Relaxed) {
        return;
    }
    // Not lent: nothing allocates while the heap is opened.
    let _ = LIST.with(|list| list.init_from_slice(memory));
}

/// Returns how often the heap was asked to allocate, free or grow since start-up. Stays 0 where this is not the global
/// allocator.
#[must_use]
pub fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Returns how full the heap is.
#[must_use]
pub fn usage() -> Usage {
    LIST.with(|list| Usage {
        used: list.used(),
        size: list.size(),
    })
    .unwrap_or(Usage { used: 0, size: 0 })
}

/// Returns how many bytes are free, all pieces together: what a cold path asks before it calls into a crate that
/// allocates as it likes. Where this is not the global allocator, as much as anybody could want.
#[must_use]
pub fn headroom() -> usize {
    if !OPEN.load(Ordering::Relaxed) {
        return usize::MAX;
    }
    let usage = usage();
    usage.size - usage.used
}

// SAFETY: `LIST` hands out disjoint pieces of the region it was given, aligned as asked; it is lent to one caller at a
// time, and a caller that comes while it is lent (there is none) gets no memory.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        LIST.with(|list| list.allocate_first_fit(layout).ok())
            .flatten()
            .map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let Some(pointer) = NonNull::new(pointer) else {
            return;
        };
        // The list is not lent: neither allocation nor logging happens inside `with`.
        let _ = LIST.with(|list| {
            // SAFETY: the caller got the pointer from `alloc` with this layout and gives it back once.
            unsafe { list.deallocate(pointer, layout) };
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;

    // One test, because the heap is one global.
    #[test]
    fn refuses_before_it_is_open_counts_every_call_and_takes_back_what_it_gave() {
        let layout = Layout::from_size_align(100, 64).unwrap();
        assert_eq!(headroom(), usize::MAX);
        // SAFETY: the layout has a size.
        assert!(unsafe { Heap.alloc(layout) }.is_null());
        assert_eq!(calls(), 1);

        open(Box::leak(Box::new_uninit_slice(4096)));
        open(Box::leak(Box::new_uninit_slice(65536)));
        assert!(usage().size <= 4096, "the second region is not taken");
        let free = headroom();
        // SAFETY: the layout has a size.
        let first = unsafe { Heap.alloc(layout) };
        // SAFETY: as above.
        let second = unsafe { Heap.alloc(layout) };
        assert!(!first.is_null() && first.addr() % 64 == 0);
        assert!(first.addr().abs_diff(second.addr()) >= 100);
        // SAFETY: the layout has a size.
        assert!(unsafe { Heap.alloc(Layout::from_size_align(1 << 20, 8).unwrap()) }.is_null());
        for pointer in [first, second] {
            // SAFETY: it came from `alloc` with this layout.
            unsafe { Heap.dealloc(pointer, layout) };
        }
        assert_eq!(headroom(), free);
        assert_eq!(calls(), 6);
    }
}
