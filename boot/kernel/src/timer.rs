//! Timers of processes (timer_create(2)): each has a clock, a moment, and whom it tells by which signal.
//!
//! The signal of an expired timer waits once; how often the timer would have expired until it is taken is its overrun, and
//! only then it goes on. So one that expires without end costs no more than its signals are worth.

use crate::account::{AccountId, Resource};
use crate::alarm::{NEVER, next_due};
use crate::errno::Errno;
use crate::process::ProcessId;
use crate::rlimit;
use crate::signal::Receiver;
use crate::signal::info::{Info, code, pair};
use crate::slab::{Id, Slab};
use crate::syscall::{Meaning, Used};
use crate::system::System;
use crate::task::TaskId;
use agent::kernel::Signal;
use hal::block::Block;
use hal::clock::Instant;

/// Names a timer.
pub(crate) type TimerId = Id<Timer>;

/// All timers.
pub(crate) type Timers = Slab<Timer>;

/// Whom an expired timer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Nobody (SIGEV_NONE).
    Nobody,
    /// Its process.
    Process(Signal),
    /// A task.
    Task(TaskId, Signal),
}

/// One timer.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Whose it is.
    pub(crate) process: ProcessId,
    /// Its number among those of its process.
    pub(crate) number: u32,
    /// What it goes by.
    pub(crate) clock: Meaning,
    /// Whom it tells.
    pub(crate) notice: Notice,
    /// What the signal says (`sigev_value`).
    pub(crate) value: u64,
    /// When it expires, in nanoseconds of its clock; [`NEVER`] when it is not set.
    pub(crate) due: u64,
    /// How long after that again; 0: not again.
    pub(crate) interval: u64,
    /// Its signal waits to be taken.
    pub(crate) is_told: bool,
    /// How often it had expired besides when its last signal was taken.
    pub(crate) overrun: u32,
    /// Who pays for its signal.
    payer: AccountId,
}

impl Timer {
    /// Returns how often it has expired besides by `now`, and when it does next.
    const fn missed(&self, now: u64) -> (u32, u64) {
        let (missed, next) = next_due(self.due, self.interval, now);
        let most = i32::MAX as u64;
        (
            if missed < most {
                missed as u32
            } else {
                most as u32
            },
            next,
        )
    }

    /// Returns how long it is until it expires next; 0 when it does not.
    pub(crate) const fn left(&self, now: u64) -> u64 {
        let due = match self.due {
            NEVER => return 0,
            due if due > now => due,
            _ if self.interval > 0 => self.missed(now).1,
            // One that tells nobody has expired and stays so; another is about to.
            _ if matches!(self.notice, Notice::Nobody) || self.is_told => return 0,
            _ => now + 1,
        };
        due - now
    }

    /// Returns whether it is to be looked at when it is due.
    const fn is_awaited(&self) -> bool {
        self.due != NEVER && !self.is_told && !matches!(self.notice, Notice::Nobody)
    }
}

impl<B: Block> System<B> {
    /// Takes a timer in and returns its number.
    ///
    /// # Errors
    ///
    /// EAGAIN at the limits.
    pub(crate) fn make_timer(
        &mut self,
        process: ProcessId,
        clock: Meaning,
        notice: Notice,
        value: Option<u64>,
    ) -> Result<u32, Errno> {
        let owner = self.process(process)?;
        let (payer, most) = (owner.account, owner.limits.get(rlimit::Resource::SIGNALS).0);
        let number = owner.next_timer;
        let account = self.accounts.get_mut(payer).ok_or(Errno::EAGAIN)?;
        if account.used(Resource::Signals) >= most {
            return Err(Errno::EAGAIN);
        }
        account.charge(Resource::Signals, 1)?;
        let timer = Timer {
            process,
            number,
            clock,
            notice,
            value: value.unwrap_or(u64::from(number)),
            due: NEVER,
            interval: 0,
            is_told: false,
            overrun: 0,
            payer,
        };
        if self.table.timers.insert(timer).is_err() {
            if let Some(account) = self.accounts.get_mut(payer) {
                account.refund(Resource::Signals, 1);
            }
            return Err(Errno::EAGAIN);
        }
        // No number comes twice, so that a late signal is never taken for another timer's.
        self.process_mut(process)?.next_timer = number.wrapping_add(1) & i32::MAX as u32;
        Ok(number)
    }

    /// Returns the timer of a process that has this number.
    ///
    /// # Errors
    ///
    /// EINVAL when there is none.
    pub(crate) fn timer(&self, process: ProcessId, number: u32) -> Result<TimerId, Errno> {
        let mut timers = self.table.timers.iter();
        timers
            .find(|(_, timer)| timer.process == process && timer.number == number)
            .map(|(id, _)| id)
            .ok_or(Errno::EINVAL)
    }

    /// Takes a timer out.
    pub(crate) fn drop_timer(&mut self, id: TimerId) {
        if let Some(timer) = self.table.timers.remove(id)
            && let Some(account) = self.accounts.get_mut(timer.payer)
        {
            account.refund(Resource::Signals, 1);
        }
    }

    /// Takes all timers of a process out.
    pub(crate) fn drop_timers(&mut self, process: ProcessId) {
        for index in 0..self.table.timers.slots() as u32 {
            if let Some((id, timer)) = self.table.timers.at_mut(index)
                && timer.process == process
            {
                self.drop_timer(id);
            }
        }
    }

    /// Returns what a timer's clock shows, in the nanoseconds its moments are in: those of real time are the machine's.
    pub(crate) fn timer_now(&self, clock: Meaning) -> u64 {
        match clock {
            Meaning::Wall | Meaning::Monotonic => self.now.as_nanos(),
            // Of a task that has ended nothing more comes.
            Meaning::Processor(whose) => self.used(whose).map_or(0, |used| used.as_nanos() as u64),
        }
    }

    /// Makes sure that timers are looked at when one is due.
    pub(crate) fn note_timer(&mut self, due: u64) {
        self.next_timer = self.next_timer.min(Instant::from_nanos(due));
    }

    /// Notes when a timer is to be looked at.
    pub(crate) fn plan_timer(&mut self, id: TimerId) {
        let Some(timer) = self.table.timers.get(id) else {
            return;
        };
        match timer.clock {
            Meaning::Processor(_) => self.plan_looks(timer.process),
            _ if timer.is_awaited() => self.note_timer(timer.due),
            _ => {}
        }
    }

    /// Lets the timers of real time tell that are due.
    pub(crate) fn ring_timers(&mut self) {
        for index in 0..self.table.timers.slots() as u32 {
            if let Some((id, timer)) = self.table.timers.at_mut(index)
                && !matches!(timer.clock, Meaning::Processor(_))
            {
                self.ring_timer(id);
            }
        }
    }

    /// Lets the timers of a process tell that are due by its time on the processor.
    pub(crate) fn ring_used_timers(&mut self, process: ProcessId) {
        for index in 0..self.table.timers.slots() as u32 {
            if let Some((id, timer)) = self.table.timers.at_mut(index)
                && timer.process == process
                && matches!(timer.clock, Meaning::Processor(_))
            {
                self.ring_timer(id);
            }
        }
    }

    /// Lets a timer tell, if it is due; otherwise notes when it is.
    fn ring_timer(&mut self, id: TimerId) {
        let Some(timer) = self.table.timers.get(id) else {
            return;
        };
        let now = self.timer_now(timer.clock);
        if !timer.is_awaited() || timer.due > now {
            if timer.is_awaited() && !matches!(timer.clock, Meaning::Processor(_)) {
                self.note_timer(timer.due);
            }
            return;
        }
        let (to, signal) = match timer.notice {
            Notice::Process(signal) => (Receiver::Process(timer.process), signal),
            Notice::Task(task, signal) => (Receiver::Task(task), signal),
            Notice::Nobody => return,
        };
        let info = Info::of(code::TIMER, [pair(timer.number, 0), timer.value, 0, 0]);
        let is_told = self.send_counted(to, signal, &info);
        let Some(timer) = self.table.timers.get_mut(id) else {
            return;
        };
        timer.is_told = is_told;
        if !is_told {
            // Nobody will take it: it goes on by itself, though not at once (Linux `posix_timer_fn`).
            let later = now.saturating_add(LEAST_INTERVAL);
            timer.due = timer.missed(later).1;
            self.plan_timer(id);
        }
    }

    /// Returns what a timer's signal says, now that it is about to be taken: how often the timer has expired besides.
    pub(crate) fn counted_info(&self, process: ProcessId, mut info: Info) -> Info {
        let number = info.words[0] as u32;
        if info.code == code::TIMER
            && let Ok(id) = self.timer(process, number)
            && let Some(timer) = self.table.timers.get(id).filter(|timer| timer.is_told)
        {
            let now = self.timer_now(timer.clock);
            info.words[0] = pair(number, timer.missed(now).0);
        }
        info
    }

    /// Lets a timer go on whose signal was taken.
    pub(crate) fn resume_timer(&mut self, process: ProcessId, number: u32) {
        let Ok(id) = self.timer(process, number) else {
            return;
        };
        let Some(timer) = self.table.timers.get(id).filter(|timer| timer.is_told) else {
            return;
        };
        let now = self.timer_now(timer.clock);
        let (overrun, next) = timer.missed(now);
        if let Some(timer) = self.table.timers.get_mut(id) {
            timer.is_told = false;
            timer.overrun = overrun;
            timer.due = next;
        }
        self.plan_timer(id);
    }

    /// Returns after how much more of a process's time on the processor one of its timers may be due.
    pub(crate) fn least_left(&self, process: ProcessId) -> u64 {
        let timers = self.table.timers.iter();
        timers
            .filter(|(_, timer)| timer.process == process && timer.is_awaited())
            .filter(|(_, timer)| matches!(timer.clock, Meaning::Processor(_)))
            .map(|(_, timer)| timer.due.saturating_sub(self.timer_now(timer.clock)))
            .min()
            .unwrap_or(NEVER)
    }
}

/// Nanoseconds after which a timer goes on at the earliest whose signal is ignored: a tick.
const LEAST_INTERVAL: u64 = 1_000_000;

impl Used {
    /// Returns whether it is the time of a process or of one of its tasks.
    pub(crate) fn is_of<B: Block>(self, system: &System<B>, process: ProcessId) -> bool {
        match self {
            Self::Process(id, _) => id == process,
            Self::Task(id, _) => {
                let task = system.table.tasks.get(id);
                task.is_some_and(|task| task.process == process)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Bench, exit};
    use std::vec;

    fn timer(due: u64, interval: u64, notice: Notice) -> Timer {
        let mut bench = Bench::new(256);
        let pid = bench.run(vec![exit(0)]);
        Timer {
            process: bench.id(pid),
            number: 0,
            clock: Meaning::Monotonic,
            notice,
            value: 0,
            due,
            interval,
            is_told: false,
            overrun: 0,
            payer: bench.kernel.system.own_account,
        }
    }

    #[test]
    fn what_is_left_counts_to_the_next_time_that_was_not_missed() {
        let alarm = Notice::Process(Signal::TERM);
        assert_eq!(timer(100, 0, alarm).left(40), 60);
        assert_eq!(timer(100, 0, alarm).left(100), 1);
        assert_eq!(timer(100, 30, alarm).left(100), 30);
        assert_eq!(timer(100, 30, alarm).left(175), 15);
        assert_eq!(timer(NEVER, 30, alarm).left(175), 0);
        assert_eq!(timer(100, 0, Notice::Nobody).left(175), 0);
        assert_eq!(timer(100, 30, Notice::Nobody).left(175), 15);
    }

    #[test]
    fn an_overrun_is_counted_up_to_its_largest_value() {
        let alarm = Notice::Process(Signal::TERM);
        assert_eq!(timer(100, 10, alarm).missed(100).0, 0);
        assert_eq!(timer(100, 10, alarm).missed(125).0, 2);
        assert_eq!(timer(0, 1, alarm).missed(u64::MAX - 1).0, i32::MAX as u32);
    }
}
