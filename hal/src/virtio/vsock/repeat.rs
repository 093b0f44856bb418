//! Something that is repeated at growing intervals until it is no longer needed.

use crate::clock::Instant;
use core::time::Duration;

/// When something is due next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    at: Instant,
    interval: Duration,
}

impl Repeat {
    /// Never due.
    pub(crate) const OFF: Self = Self {
        at: Instant::NEVER,
        interval: Duration::ZERO,
    };

    /// Due `interval` after `now`.
    pub(crate) fn after(now: Instant, interval: Duration) -> Self {
        Self {
            at: now + interval,
            interval,
        }
    }

    /// Due again later: after twice the interval of last time, but at most `longest`.
    pub(crate) fn later(self, now: Instant, longest: Duration) -> Self {
        Self::after(now, (self.interval * 2).min(longest))
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.at
    }

    pub(crate) fn is_off(&self) -> bool {
        self.at == Instant::NEVER
    }

    /// Returns when it is due.
    pub(crate) const fn at(&self) -> Instant {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest_interval() {
        let longest = Duration::from_millis(10);
        let repeat = Repeat::after(Instant::ZERO, Duration::from_millis(4));
        assert!(!repeat.is_due(Instant::from_nanos(3_999_999)));
        assert!(repeat.is_due(Instant::from_millis(4)));
        let repeat = repeat.later(Instant::from_millis(4), longest);
        assert_eq!(repeat.at(), Instant::from_millis(12));
        let repeat = repeat.later(Instant::from_millis(12), longest);
        assert_eq!(repeat.at(), Instant::from_millis(22));
    }

    #[test]
    fn is_never_due_when_off() {
        assert!(Repeat::OFF.is_off());
        assert!(!Repeat::OFF.is_due(Instant::from_millis(1 << 40)));
    }
}
