//! A clock that is wound by hand.

use core::time::Duration;
use hal::clock::{Clock, Instant};
use std::cell::Cell;
use std::rc::Rc;

/// A clock whose copies all show the same time.
#[derive(Clone, Debug, Default)]
pub struct HandClock {
    nanos: Rc<Cell<u64>>,
}

impl HandClock {
    /// Makes a clock that stands at [`Instant::ZERO`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Winds the clock forward.
    pub fn advance(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.set(self.nanos.get().saturating_add(nanos));
    }
}

impl Clock for HandClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.nanos.get())
    }

    fn epoch(&self) -> Option<Duration> {
        Some(Duration::from_secs(1_700_000_000))
    }
}
