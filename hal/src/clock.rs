//! Time: an instant is a number that the owner of the loop reads once and hands down.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment of monotonic time, in nanoseconds since the machine was entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The moment the machine was entered.
    pub const ZERO: Self = Self(0);

    /// The end of time; a deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Returns the moment `nanos` nanoseconds after [`Instant::ZERO`].
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the moment `millis` milliseconds after [`Instant::ZERO`], at most [`Instant::NEVER`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Returns the nanoseconds since [`Instant::ZERO`].
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns how long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// The same as a number of nanoseconds, for sums.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at [`Instant::NEVER`].
    fn add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    /// The same as [`Instant::since`].
    fn sub(self, earlier: Instant) -> Duration {
        self.since(earlier)
    }
}

/// A source of time. The loop in `boot` holds it and lends it to the kernel, whose turns it measures; everybody else who works
/// for the host or a program gets an [`Instant`] as an argument.
pub trait Clock {
    /// Returns the monotonic time now.
    fn now(&self) -> Instant;

    /// Returns the wall time at [`Instant::ZERO`] as the span since 1970-01-01 UTC, `None` when the platform has no
    /// wall clock.
    fn epoch(&self) -> Option<Duration>;
}
