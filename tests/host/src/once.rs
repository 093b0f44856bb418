//! A value that comes once and stays: the answer to a call, the end of a container.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The place where the value will be. Clones share it.
#[derive(Debug)]
pub(crate) struct Once<T>(Arc<(Mutex<Option<T>>, Condvar)>);

impl<T> Clone for Once<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Once<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Mutex::new(None), Condvar::new())))
    }

    /// Puts the value in and wakes who waits. A later value is dropped: the first one stays.
    pub(crate) fn set(&self, value: T) {
        lock(&self.0.0).get_or_insert(value);
        self.0.1.notify_all();
    }

    /// Returns the value if it has come.
    pub(crate) fn get(&self) -> Option<T> {
        lock(&self.0.0).clone()
    }

    /// Waits for the value, for ever.
    pub(crate) fn wait(&self) -> T {
        let mut guard = lock(&self.0.0);
        loop {
            match &*guard {
                Some(value) => return value.clone(),
                None => guard = self.0.1.wait(guard).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Waits for the value for so long; `None` when it has not come by then.
    pub(crate) fn wait_timeout(&self, limit: Duration) -> Option<T> {
        let Some(deadline) = Instant::now().checked_add(limit) else {
            return Some(self.wait());
        };
        let mut guard = lock(&self.0.0);
        loop {
            if let Some(value) = &*guard {
                return Some(value.clone());
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            guard = self
                .0
                .1
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Locks a mutex. A thread that panicked while holding it left a whole value behind: every critical section of this
/// crate only inserts, removes or replaces.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_value() {
        let once = Once::new();
        assert_eq!(once.get(), None);
        assert_eq!(once.wait_timeout(Duration::ZERO), None);
        once.set(1);
        once.set(2);
        assert_eq!((once.get(), once.wait()), (Some(1), 1));
        assert_eq!(once.wait_timeout(Duration::MAX), Some(1));
    }
}
