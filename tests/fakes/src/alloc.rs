//! A global allocator that counts: the proof that a path does not allocate.
//!
//! A test binary installs it once and asks [`calls`] around the code in question. Counts are kept for each thread, so
//! tests that run side by side do not disturb each other. What a fake needs for itself happens inside [`uncounted`].
//!
//! ```
//! #[global_allocator]
//! static HEAP: fakes::alloc::Counting = fakes::alloc::Counting::new();
//!
//! let before = fakes::alloc::calls();
//! let boxed = std::hint::black_box(Box::new(7));
//! assert_eq!(fakes::alloc::calls() - before, 1);
//! # drop(boxed);
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator with a count of the calls that ask for memory.
#[derive(Debug, Default)]
pub struct Counting(());

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static PAUSED: Cell<u32> = const { Cell::new(0) };
}

impl Counting {
    /// The allocator, to be put into a `#[global_allocator]` static.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

/// Returns how often this thread asked for memory (allocated or grew) so far. Always 0 when [`Counting`] is not
/// installed.
#[must_use]
pub fn calls() -> u64 {
    CALLS.get()
}

/// Runs a fake's own work without counting what it allocates.
pub fn uncounted<R>(work: impl FnOnce() -> R) -> R {
    /// Ends the pause also when `work` panics.
    struct Pause;
    impl Drop for Pause {
        fn drop(&mut self) {
            PAUSED.set(PAUSED.get() - 1);
        }
    }
    PAUSED.set(PAUSED.get() + 1);
    let _pause = Pause;
    work()
}

fn count() {
    // A thread that is being torn down has no locals any more, and no test that counts.
    let paused = PAUSED.try_with(|paused| paused.get() > 0).unwrap_or(true);
    if !paused {
        let _gone = CALLS.try_with(|calls| calls.set(calls.get() + 1));
    }
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(start, layout, bytes) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(start, layout) }
    }
}
