//! What the host sets and is told of accounts.

use crate::account::{Account, AccountId, Counters, Resource};
use crate::fs::{DISK_MAJOR, DISK_MINORS};
use crate::limits::{MAX_TASKS, MAX_VIEWS};
use crate::system::System;
use agent::kernel::{DiskUsage, Limits, Refusal, Usage, View};
use core::time::Duration;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

impl<B: Block> System<B> {
    /// Takes an account in.
    ///
    /// # Errors
    ///
    /// [`Refusal`], with nothing left behind.
    pub(crate) fn open_account(&mut self, account: Account) -> Result<AccountId, Refusal> {
        let inserted = self.accounts.insert(account);
        let id = inserted.or(Err(Refusal::Limit("MAX_VIEWS", MAX_VIEWS - 1)))?;
        match self.ready.open(id) {
            Ok(()) => Ok(id),
            Err(_) => {
                self.accounts.remove(id);
                Err(Refusal::OutOfMemory)
            }
        }
    }

    /// Takes an account out; what it has done is kept.
    pub(crate) fn close_account(&mut self, id: AccountId) {
        if let Some(account) = self.accounts.remove(id) {
            self.gone.add(&account.counters);
        }
    }

    /// Sets what a view may use.
    ///
    /// # Errors
    ///
    /// [`Refusal`], with nothing set.
    pub(crate) fn set_limits(&mut self, view: View, limits: Limits) -> Result<(), Refusal> {
        let id = self.views.get(view).ok_or(Refusal::NoView)?.account;
        let account = self.accounts.get_mut(id).ok_or(Refusal::NoView)?;
        if let Some(bytes) = limits.memory_bytes {
            account.set_memory_limit(bytes);
        }
        if let Some(tasks) = limits.tasks {
            account.set_limit(Resource::Tasks, tasks);
        }
        if let Some(weight) = limits.cpu_weight {
            self.ready.set_weight(id, weight);
        }
        let (quota, period) = (limits.cpu_quota_us, limits.cpu_period_us);
        if quota.is_some() || period.is_some() {
            self.ready.set_quota(id, quota, period, self.now);
        }
        Ok(())
    }

    /// Returns what a view has used; the utility VM's is the whole machine's.
    pub(crate) fn usage(&self, view: View) -> Option<Usage> {
        if view != View::UTILITY_VM {
            let id = self.views.get(view)?.account;
            let account = self.accounts.get(id)?;
            let mut usage = Usage {
                tasks_limit: account.limit(Resource::Tasks),
                memory_peak_bytes: account.memory_peak(),
                memory_limit_bytes: account.memory_limit(),
                throttling: self.ready.throttling(id),
                ..Usage::default()
            };
            add(&mut usage, account);
            count(&mut usage, &account.counters);
            usage.memory_bytes = account.memory();
            return Some(usage);
        }
        let page = PAGE_BYTES as u64;
        let total = self.pool.total();
        let mut usage = Usage {
            tasks_limit: MAX_TASKS as u64,
            memory_bytes: (total - self.pool.available()) as u64 * page,
            memory_peak_bytes: total.saturating_sub(self.least_free) as u64 * page,
            memory_limit_bytes: total as u64 * page,
            ..Usage::default()
        };
        count(&mut usage, &self.gone);
        for (_, account) in self.accounts.iter() {
            add(&mut usage, account);
            count(&mut usage, &account.counters);
        }
        Some(usage)
    }

    /// Returns what was read from the `nth` of the disks a view has read from.
    pub(crate) fn disk_usage(&self, view: View, nth: usize) -> Option<DiskUsage> {
        let own = self.views.get(view)?.account;
        let everybody = view == View::UTILITY_VM;
        let known = |disk: usize| {
            let mut usage = DiskUsage {
                major: DISK_MAJOR,
                minor: disk as u32 * DISK_MINORS,
                read_bytes: 0,
                reads: 0,
            };
            let gone = everybody.then_some(&self.gone);
            let accounts = self.accounts.iter();
            let counted = accounts.filter(|(id, _)| everybody || *id == own);
            for counters in gone.into_iter().chain(counted.map(|(_, a)| &a.counters)) {
                usage.read_bytes += counters.disks[disk].bytes;
                usage.reads += counters.disks[disk].requests;
            }
            usage
        };
        (0..self.files.disk_count())
            .map(known)
            .filter(|usage| usage.reads > 0)
            .nth(nth)
    }
}

/// Adds what is in use.
fn add(usage: &mut Usage, account: &Account) {
    usage.tasks += account.used(Resource::Tasks);
    usage.program_bytes += account.bytes(Resource::Frames);
    usage.file_bytes += account.bytes(Resource::FileFrames);
    usage.kernel_bytes += account.bytes(Resource::KernelFrames) + account.bytes(Resource::Names);
}

/// Adds what was done.
fn count(usage: &mut Usage, counters: &Counters) {
    usage.user_time += Duration::from_nanos(counters.user_nanos);
    usage.kernel_time += Duration::from_nanos(counters.kernel_nanos);
    usage.faults += counters.faults;
    usage.major_faults += counters.major_faults;
    usage.memory_failures += counters.memory_failures;
    usage.memory_kills += counters.memory_kills;
}
