//! A quota of processor time: so much in each period, as Linux's `cpu.cfs_quota_us` and `cpu.cfs_period_us`.

use crate::limits::CPU_PERIOD;
use agent::kernel::{Throttling, UNLIMITED};
use core::time::Duration;
use hal::clock::Instant;

/// What an account may have in each period, and how much of that it had.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    /// Nanoseconds it may have, or [`UNLIMITED`].
    nanos: u64,
    period: Duration,
    end: Instant,
    used: u64,
    /// Since when tasks are held back.
    held_since: Option<Instant>,
    counts: Throttling,
}

impl Quota {
    /// No quota.
    pub(crate) const NONE: Self = Self {
        nanos: UNLIMITED,
        period: CPU_PERIOD,
        end: Instant::ZERO,
        used: 0,
        held_since: None,
        counts: Throttling {
            periods: 0,
            throttled_periods: 0,
            throttled_time: Duration::ZERO,
        },
    };

    /// Begins a new period if the last one is over; returns how many nanoseconds may be used now.
    pub(crate) fn left(&mut self, now: Instant) -> u64 {
        if self.nanos == UNLIMITED {
            return UNLIMITED;
        }
        if now >= self.end {
            self.counts.periods += u64::from(self.used > 0);
            let period = (self.period.as_nanos() as u64).max(1);
            let passed = 1 + now.since(self.end).as_nanos() as u64 / period;
            self.used = self.used.saturating_sub(self.nanos.saturating_mul(passed));
            self.end = Instant::from_nanos(
                self.end
                    .as_nanos()
                    .saturating_add(passed.saturating_mul(period)),
            );
        }
        let left = self.nanos.saturating_sub(self.used);
        match self.held_since {
            None if left == 0 => {
                self.held_since = Some(now);
                self.counts.throttled_periods += 1;
            }
            Some(since) if left > 0 => {
                self.held_since = None;
                self.counts.throttled_time += now.since(since);
            }
            _ => {}
        }
        left
    }

    /// Counts time that was had.
    pub(crate) const fn charge(&mut self, nanos: u64) {
        if self.nanos != UNLIMITED {
            self.used = self.used.saturating_add(nanos);
        }
    }

    /// Takes note that nobody is left to be held back.
    pub(crate) const fn release(&mut self) {
        self.held_since = None;
    }

    /// Returns when who stands in the queue can run: at once, or when a period begins.
    pub(crate) const fn next_start(&self) -> Instant {
        match self.held_since {
            Some(_) => self.end,
            None => Instant::ZERO,
        }
    }

    /// Sets what is to be otherwise; a period begins now.
    pub(crate) fn set(&mut self, quota_us: Option<u64>, period_us: Option<u32>, now: Instant) {
        if let Some(period) = period_us {
            self.period = Duration::from_micros(u64::from(period));
        }
        if let Some(quota) = quota_us {
            // No limit stays none.
            self.nanos = quota.saturating_mul(1000);
        }
        self.used = 0;
        self.held_since = None;
        self.end = now + self.period;
    }

    /// Returns what it did so far.
    pub(crate) const fn counts(&self) -> Throttling {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn quota() -> Quota {
        let mut quota = Quota::NONE;
        quota.set(Some(10_000), Some(100_000), at(0));
        quota
    }

    #[test]
    fn without_a_quota_there_is_no_end_and_nothing_is_counted() {
        let mut none = Quota::NONE;
        none.charge(u64::MAX);
        assert_eq!(none.left(at(1)), UNLIMITED);
        assert_eq!(none.counts(), Throttling::default());
    }

    #[test]
    fn time_is_given_below_the_quota_and_not_at_or_above_it() {
        for (used, left) in [(9, 1), (10, 0), (11, 0)] {
            let mut quota = quota();
            quota.charge(used * MS);
            assert_eq!(quota.left(at(50)), left * MS);
            let start = if left == 0 { at(100) } else { Instant::ZERO };
            assert_eq!(quota.next_start(), start);
        }
    }

    #[test]
    fn a_period_gives_anew_and_what_was_too_much_counts_in_it() {
        let mut quota = quota();
        quota.charge(13 * MS);
        assert_eq!((quota.left(at(40)), quota.left(at(99))), (0, 0));
        assert_eq!(quota.left(at(100)), 7 * MS);
        let counts = quota.counts();
        assert_eq!((counts.periods, counts.throttled_periods), (1, 1));
        assert_eq!(counts.throttled_time, Duration::from_millis(60));
    }

    #[test]
    fn periods_in_which_nothing_ran_save_nothing_up() {
        let mut quota = quota();
        assert_eq!(quota.left(at(1000)), 10 * MS);
        assert_eq!(quota.counts(), Throttling::default());
        assert_eq!(quota.next_start(), Instant::ZERO);
    }

    #[test]
    fn a_quota_taken_back_lets_everybody_run() {
        let mut quota = quota();
        quota.charge(10 * MS);
        assert_eq!(quota.left(at(1)), 0);
        quota.set(Some(UNLIMITED), None, at(2));
        assert_eq!(
            (quota.left(at(2)), quota.next_start()),
            (UNLIMITED, Instant::ZERO)
        );
    }
}
