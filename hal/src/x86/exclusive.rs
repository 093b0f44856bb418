//! A cell that lends its content to one borrower at a time, for the few globals this room has.
//!
//! There is one processor and the kernel is never interrupted, so the second borrower can only be the first one's own
//! callee: a bug, answered with `None`, never with a wait.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A global that is borrowed by one at a time.
#[derive(Debug)]
pub struct Exclusive<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` hands the value to one borrower at a time, whatever thread asks; that is all a shared reference gives.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Lends the value to `work`; `None` when it is lent already.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.taken.swap(true, Ordering::Acquire) {
            return None;
        }
        let _borrow = Borrow(&self.taken);
        // SAFETY: `taken` was false and is true until the guard above is dropped, so this is the only reference.
        let value = unsafe { &mut *self.value.get() };
        Some(work(value))
    }
}

/// Ends the borrow, also when the borrower panics.
struct Borrow<'a>(&'a AtomicBool);

impl Drop for Borrow<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_borrower_gets_nothing() {
        let cell = Exclusive::new(1);
        assert_eq!(cell.with(|_| cell.with(|_| ())), Some(None));
        assert_eq!(cell.with(|value| *value), Some(1));
    }
}
