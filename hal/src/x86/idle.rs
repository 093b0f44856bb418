//! Waiting: a little polling, then a halt that an interrupt or the timer ends.

use super::processor::Processor;
use super::trap;
use crate::clock::Instant;
use crate::limits::{IDLE_POLL_NANOS, LONGEST_TICK_MILLIS, SHORTEST_TICK_MILLIS};
use core::arch::asm;
use core::time::Duration;

/// How long the next halt may last.
///
/// Devices interrupt us, so the tick is only a net under them: some back ends lose a notification now and then. It is
/// short right after something moved, when an answer is likely to be outstanding, and doubles while nothing does, so
/// that an idle machine costs its host next to nothing.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    moved: Instant,
    span: Duration,
}

/// What to do while nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Look again at once.
    Poll,
    /// Halt until an interrupt, at most until then.
    Halt(Instant),
}

impl Tick {
    /// Starts short.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            moved: Instant::ZERO,
            span: Duration::from_millis(SHORTEST_TICK_MILLIS),
        }
    }

    /// Notes that something moved.
    pub const fn on_moved(&mut self, now: Instant) {
        self.moved = now;
        self.span = Duration::from_millis(SHORTEST_TICK_MILLIS);
    }

    /// Decides what to do now that nothing moved. `deadline` is when somebody has to be looked at again.
    pub fn on_quiet(&mut self, now: Instant, deadline: Instant) -> Wait {
        if deadline <= now || now.since(self.moved).as_nanos() < u128::from(IDLE_POLL_NANOS) {
            return Wait::Poll;
        }
        let until = deadline.min(now + self.span);
        self.span = (self.span * 2).min(Duration::from_millis(LONGEST_TICK_MILLIS));
        Wait::Halt(until)
    }
}

impl Default for Tick {
    fn default() -> Self {
        Self::new()
    }
}

impl Processor {
    /// Halts until an interrupt comes, at most until `until`.
    ///
    /// An interrupt that came since the rings were last looked at is pending and ends the halt at once: interrupts are
    /// enabled by `sti`, which takes effect only after the instruction behind it.
    pub fn halt(&mut self, now: Instant, until: Instant) {
        if !self.timer_mut().is_armed_until(until) {
            self.timer_mut().arm(now, until);
        }
        self.on_halt();
        // SAFETY: all vectors have gates, and their stubs leave registers as they were and memory but for what they count.
        unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
        trap::report_nmis();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1000)
    }

    #[test]
    fn polls_a_little_after_something_moved_then_halts() {
        let mut tick = Tick::new();
        tick.on_moved(at(1000));
        let poll = IDLE_POLL_NANOS / 1000;
        assert_eq!(tick.on_quiet(at(1000), Instant::NEVER), Wait::Poll);
        assert_eq!(
            tick.on_quiet(at(1000 + poll - 1), Instant::NEVER),
            Wait::Poll
        );
        assert_eq!(
            tick.on_quiet(at(1000 + poll), Instant::NEVER),
            Wait::Halt(at(1000 + poll + 1000))
        );
    }

    #[test]
    fn the_tick_doubles_while_quiet_up_to_its_longest_and_starts_over() {
        let mut tick = Tick::new();
        let mut spans = std::vec::Vec::new();
        for _ in 0..9 {
            let now = at(5_000_000);
            if let Wait::Halt(until) = tick.on_quiet(now, Instant::NEVER) {
                spans.push(until.since(now).as_millis());
            }
        }
        assert_eq!(spans, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        tick.on_moved(at(6_000_000));
        assert_eq!(
            tick.on_quiet(at(7_000_000), Instant::NEVER),
            Wait::Halt(at(7_001_000))
        );
    }

    #[test]
    fn a_deadline_before_the_tick_counts_and_one_that_has_come_is_not_waited_for() {
        let mut tick = Tick::new();
        let now = at(5_000_000);
        assert_eq!(tick.on_quiet(now, at(5_000_300)), Wait::Halt(at(5_000_300)));
        assert_eq!(tick.on_quiet(now, now), Wait::Poll);
        assert_eq!(tick.on_quiet(now, Instant::ZERO), Wait::Poll);
    }
}
