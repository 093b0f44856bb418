//! Alarms of a process: the three of setitimer(2), and its limit of processor time (RLIMIT_CPU).
//!
//! The one of real time is set off by the clock. An expired one that repeats goes on when its signal is taken, as Linux's
//! does, so that one nobody looks at costs nothing. The others are looked at when a turn of the process has ended and it
//! has used as much of the processor as the nearest of them needs at least ([`Process::look_at`]).

use crate::process::{Process, ProcessId};
use crate::rlimit::Resource;
use crate::signal::{Info, known, number};
use crate::system::System;
use agent::kernel::{ExitStatus, Signal};
use core::time::Duration;
use hal::block::Block;

/// Never, in nanoseconds of whatever is counted.
pub(crate) const NEVER: u64 = u64::MAX;

/// Which alarm of a process; its number in setitimer(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Of real time: SIGALRM.
    Real,
    /// Of its time in user mode: SIGVTALRM.
    Virtual,
    /// Of its time on the processor: SIGPROF.
    Profile,
}

/// One alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// When it goes off, in nanoseconds of what it counts; [`NEVER`] when it is not set.
    pub(crate) due: u64,
    /// How long after that again; 0: not again.
    pub(crate) interval: u64,
    /// When it went off, while its signal was not taken.
    fired: Option<u64>,
}

impl Alarm {
    /// One that is not set.
    pub(crate) const OFF: Self = Self::new(NEVER, 0);

    /// Makes one that goes off at `due`.
    pub(crate) const fn new(due: u64, interval: u64) -> Self {
        Self {
            due,
            interval,
            fired: None,
        }
    }

    /// Returns how long it is until it goes off; zero when it is not set.
    pub(crate) const fn left(&self, now: u64) -> Duration {
        match self.due {
            NEVER => Duration::ZERO,
            // One that is due is about to go off.
            due if due <= now => Duration::from_micros(1),
            due => Duration::from_nanos(due - now),
        }
    }

    /// Sets it off.
    const fn fire(&mut self) {
        self.fired = Some(self.due);
        self.due = NEVER;
    }

    /// Lets one that went off and repeats go on.
    const fn go_on(&mut self, now: u64) {
        if let Some(fired) = self.fired.take()
            && self.interval > 0
        {
            self.due = next_due(fired, self.interval, now).1;
        }
    }
}

/// Returns how many times more something that repeats and was due at `due` has come by `now`, and when it does next.
pub(crate) const fn next_due(due: u64, interval: u64, now: u64) -> (u64, u64) {
    let missed = match now.saturating_sub(due).checked_div(interval) {
        Some(missed) => missed,
        None => return (0, NEVER),
    };
    let next = (missed + 1).saturating_mul(interval);
    (missed, due.saturating_add(next))
}

impl Process {
    /// Returns how much of the processor it had, in nanoseconds.
    pub(crate) const fn used_nanos(&self) -> u64 {
        self.user_nanos + self.kernel_nanos
    }

    /// Returns what an alarm counts, as far as it has got.
    pub(crate) const fn counted(&self, which: Which, now: u64) -> u64 {
        match which {
            Which::Real => now,
            Which::Virtual => self.user_nanos,
            Which::Profile => self.used_nanos(),
        }
    }
}

impl<B: Block> System<B> {
    /// Sets an alarm of a process.
    pub(crate) fn set_alarm(&mut self, id: ProcessId, which: Which, alarm: Alarm) {
        if let Some(process) = self.table.processes.get_mut(id) {
            process.alarms[which as usize] = alarm;
        }
        match which {
            Which::Real => self.note_timer(alarm.due),
            Which::Virtual | Which::Profile => self.plan_looks(id),
        }
    }

    /// Sets off the alarms of real time that are due.
    pub(crate) fn ring_alarms(&mut self) {
        let now = self.now.as_nanos();
        let mut next = NEVER;
        for index in 0..self.table.processes.slots() as u32 {
            let Some((id, process)) = self.table.processes.at_mut(index) else {
                continue;
            };
            let alarm = &mut process.alarms[Which::Real as usize];
            if alarm.due <= now {
                alarm.fire();
                self.signal_process(id, known(number::ALRM), &Info::KERNEL);
            } else {
                next = next.min(alarm.due);
            }
        }
        self.note_timer(next);
    }

    /// Lets the alarm of real time go on whose signal a process has taken.
    pub(crate) fn resume_alarm(&mut self, id: ProcessId) {
        let now = self.now.as_nanos();
        if let Some(process) = self.table.processes.get_mut(id) {
            let alarm = &mut process.alarms[Which::Real as usize];
            alarm.go_on(now);
            let due = alarm.due;
            self.note_timer(due);
        }
    }

    /// Looks at what a process's time on the processor sets off, after a turn in which it has used enough.
    pub(crate) fn look_at_used_time(&mut self, id: ProcessId) {
        for (which, signal) in [
            (Which::Virtual, number::VTALRM),
            (Which::Profile, number::PROF),
        ] {
            let Some(process) = self.table.processes.get_mut(id) else {
                return;
            };
            let counted = process.counted(which, 0);
            let alarm = &mut process.alarms[which as usize];
            if alarm.due <= counted {
                alarm.fire();
                alarm.go_on(counted);
                self.signal_process(id, known(signal), &Info::KERNEL);
            }
        }
        self.enforce_used_time(id);
        self.ring_used_timers(id);
        self.plan_looks(id);
    }

    /// Tells a process that it has used as much of the processor as it may, each second, and ends it at the hard limit.
    fn enforce_used_time(&mut self, id: ProcessId) {
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        let used = process.used_nanos() / NANOS_PER_SECOND;
        let (soft, hard) = process.limits.get(Resource::CPU);
        // None at all is taken for a second, as by Linux.
        if used >= hard.max(1) {
            self.end_process(id, ExitStatus::Killed(Signal::KILL));
        } else if used >= soft.max(1) {
            // It has a second more.
            process.limits.set(Resource::CPU, (used + 1, hard));
            self.signal_process(id, known(number::XCPU), &Info::KERNEL);
        }
    }

    /// Notes after how much time on the processor a process is to be looked at again.
    pub(crate) fn plan_looks(&mut self, id: ProcessId) {
        let timers = self.least_left(id);
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        let used = process.used_nanos();
        let (soft, hard) = process.limits.get(Resource::CPU);
        let limit = soft.min(hard).max(1).saturating_mul(NANOS_PER_SECOND);
        let [_, user, both] = process.alarms.map(|alarm| alarm.due);
        // What counts less than all of its time comes no earlier than that.
        let nearest = [
            limit.saturating_sub(used),
            user.saturating_sub(process.user_nanos),
            both.saturating_sub(used),
            timers,
        ];
        let left = nearest.into_iter().min().unwrap_or(NEVER);
        process.look_at = if limit == NEVER && [user, both, timers] == [NEVER; 3] {
            NEVER
        } else {
            used.saturating_add(left)
        };
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_due_next_behind_now_and_tells_how_often_it_was_missed() {
        for (now, missed, next) in [
            (100, 0, 110),
            (109, 0, 110),
            (110, 1, 120),
            (1000, 90, 1010),
        ] {
            assert_eq!(next_due(100, 10, now), (missed, next));
        }
        assert_eq!(next_due(100, 0, 1000), (0, NEVER));
        assert_eq!(next_due(1, NEVER, 2), (0, NEVER));
    }

    #[test]
    fn an_alarm_that_repeats_waits_for_its_signal_to_be_taken() {
        let mut alarm = Alarm::new(100, 10);
        alarm.go_on(50);
        assert_eq!(alarm, Alarm::new(100, 10));
        alarm.fire();
        assert_eq!((alarm.due, alarm.left(200)), (NEVER, Duration::ZERO));
        alarm.go_on(125);
        assert_eq!(alarm, Alarm::new(130, 10));
        let mut once = Alarm::new(100, 0);
        once.fire();
        once.go_on(125);
        assert_eq!(once, Alarm::OFF);
    }

    #[test]
    fn what_is_left_is_never_told_as_nothing_while_it_is_set() {
        let alarm = Alarm::new(1000, 0);
        assert_eq!(alarm.left(400), Duration::from_nanos(600));
        assert_eq!(alarm.left(1000), Duration::from_micros(1));
        assert_eq!(Alarm::OFF.left(5), Duration::ZERO);
    }
}
