//! Time on the processor: measured at every way into user mode and out of it, put on the bills of task, process and account
//! once for many of them.

use crate::account::AccountId;
use crate::limits::UNBILLED_NANOS;
use crate::process::ProcessId;
use crate::system::System;
use crate::task::TaskId;
use hal::block::Block;
use hal::clock::Instant;

/// Who pays for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payer {
    /// Whose turn it is.
    pub(crate) task: TaskId,
    /// Its process.
    pub(crate) process: ProcessId,
    /// The account of that.
    pub(crate) account: AccountId,
}

/// The time of the turn that runs, as far as it is on nobody's bill yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meter {
    payer: Option<Payer>,
    /// When the part that is being measured began.
    since: Instant,
    user_nanos: u64,
    kernel_nanos: u64,
}

impl Meter {
    /// Begins to measure a turn, in the kernel.
    pub(crate) const fn begin(&mut self, payer: Payer, now: Instant) {
        self.payer = Some(payer);
        self.since = now;
    }

    /// Ends a time in the kernel.
    #[inline(always)]
    pub(crate) const fn on_entry(&mut self, now: Instant) {
        self.kernel_nanos += now.nanos_since(self.since);
        self.since = now;
    }

    /// Ends a time in user mode; returns whether so much has come together that it is to be billed.
    #[inline(always)]
    pub(crate) const fn on_trap(&mut self, now: Instant) -> bool {
        self.user_nanos += now.nanos_since(self.since);
        self.since = now;
        self.user_nanos + self.kernel_nanos >= UNBILLED_NANOS
    }
}

impl<B: Block> System<B> {
    /// Puts what the turn took so far on the bills, also when the process has ended in it. Whoever tells a program its own
    /// time calls this first.
    #[inline(never)]
    pub(crate) fn bill(&mut self) {
        let Some(payer) = self.meter.payer else {
            return;
        };
        let user = core::mem::take(&mut self.meter.user_nanos);
        let kernel = core::mem::take(&mut self.meter.kernel_nanos);
        if let Some(task) = self.table.tasks.get_mut(payer.task) {
            task.user_nanos += user;
            task.kernel_nanos += kernel;
        }
        if let Some(process) = self.table.processes.get_mut(payer.process) {
            process.user_nanos += user;
            process.kernel_nanos += kernel;
        }
        if let Some(account) = self.accounts.get_mut(payer.account) {
            account.counters.user_nanos += user;
            account.counters.kernel_nanos += kernel;
        }
        self.ready.charge(payer.account, user + kernel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_comes_together_up_to_the_limit_and_not_further() {
        let at = Instant::from_nanos;
        let mut meter = Meter::default();
        meter.on_entry(at(4));
        assert!(!meter.on_trap(at(UNBILLED_NANOS - 1)));
        assert_eq!(meter.kernel_nanos, 4);
        assert_eq!(meter.user_nanos, UNBILLED_NANOS - 5);
        meter.on_entry(at(UNBILLED_NANOS - 1));
        assert!(meter.on_trap(at(UNBILLED_NANOS)));
        assert!(meter.on_trap(at(3 * UNBILLED_NANOS)));
        // A clock that goes back makes nobody richer.
        let before = meter;
        meter.on_entry(at(0));
        assert_eq!(meter.kernel_nanos, before.kernel_nanos);
    }
}
