//! Who pays: every frame, open file and task is charged to an account, the utility VM's or a container's.
//!
//! Memory is one sum, whatever it is used for, because that is what a host limits. The tables all containers share
//! are guarded besides: one account never holds more than [`ACCOUNT_SHARE`] of one, so that a program that takes what it
//! can get leaves the others enough to go on.

use crate::errno::Errno;
use crate::limits::{
    ACCOUNT_SHARE, FRAMES_PER_MESSAGE, MAX_INTERESTS, MAX_LOCKS, MAX_OPEN_FILES, MAX_PIPES,
    MAX_SIGNALS, MAX_SOCKETS, MAX_TASKS, MESSAGE_MEMORY_BYTES, NAME_MEMORY_BYTES,
};
use crate::slab::{Id, Slab};
use agent::kernel::UNLIMITED;
use hal::limits::{MAX_DISKS, PAGE_BYTES};

/// Names an account.
pub type AccountId = Id<Account>;

/// Something an account pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Frames of programs: their pages and page tables.
    Frames,
    /// Frames of files that were written.
    FileFrames,
    /// Frames the kernel keeps for it otherwise: what is in pipes.
    KernelFrames,
    /// Open files.
    Files,
    /// Tasks.
    Tasks,
    /// Signals that wait with what they say of themselves.
    Signals,
    /// Locks of files.
    Locks,
    /// Names of files that stand in memory alone.
    Names,
    /// Pipes.
    Pipes,
    /// Files in epoll lists.
    Interests,
    /// Sockets.
    Sockets,
    /// Places for messages in sockets, and open files in such messages.
    Messages,
}

const RESOURCES: usize = 12;

/// Bytes of memory that one of each takes.
const COST: [u64; RESOURCES] = [
    PAGE_BYTES as u64,
    PAGE_BYTES as u64,
    PAGE_BYTES as u64,
    0,
    0,
    0,
    0,
    NAME_MEMORY_BYTES as u64,
    0,
    0,
    0,
    MESSAGE_MEMORY_BYTES as u64,
];

/// How much of each one account may have at most, whatever it was allowed.
const MOST: [u64; RESOURCES] = [
    UNLIMITED,
    UNLIMITED,
    UNLIMITED,
    (MAX_OPEN_FILES / ACCOUNT_SHARE) as u64,
    (MAX_TASKS / ACCOUNT_SHARE) as u64,
    (MAX_SIGNALS / ACCOUNT_SHARE) as u64,
    (MAX_LOCKS / ACCOUNT_SHARE) as u64,
    UNLIMITED,
    (MAX_PIPES / ACCOUNT_SHARE) as u64,
    (MAX_INTERESTS / ACCOUNT_SHARE) as u64,
    (MAX_SOCKETS / ACCOUNT_SHARE) as u64,
    UNLIMITED,
];

/// What was read from one disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskReads {
    /// Bytes.
    pub bytes: u64,
    /// Requests.
    pub requests: u64,
}

/// What an account has done since it was made; this never gets less.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Nanoseconds its programs ran in user mode.
    pub user_nanos: u64,
    /// Nanoseconds the kernel worked on their behalf.
    pub kernel_nanos: u64,
    /// Pages brought in.
    pub faults: u64,
    /// Pages brought in that a disk was read for.
    pub major_faults: u64,
    /// How often memory was not given because of the limit.
    pub memory_failures: u64,
    /// Processes killed because memory ran out.
    pub memory_kills: u64,
    /// Reads of each disk.
    pub disks: [DiskReads; MAX_DISKS],
}

impl Counters {
    /// Adds what another account has done.
    pub fn add(&mut self, other: &Self) {
        self.user_nanos += other.user_nanos;
        self.kernel_nanos += other.kernel_nanos;
        self.faults += other.faults;
        self.major_faults += other.major_faults;
        self.memory_failures += other.memory_failures;
        self.memory_kills += other.memory_kills;
        for (disk, other) in self.disks.iter_mut().zip(&other.disks) {
            disk.bytes += other.bytes;
            disk.requests += other.requests;
        }
    }
}

/// What one container (or the utility VM) uses and may use.
#[derive(Clone, Debug)]
pub struct Account {
    used: [u64; RESOURCES],
    limit: [u64; RESOURCES],
    /// Bytes in use, of all resources together.
    memory: u64,
    memory_peak: u64,
    memory_limit: u64,
    /// What it has done.
    pub counters: Counters,
}

impl Account {
    /// Makes an account that has used nothing and may use everything but what others need.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            used: [0; RESOURCES],
            limit: [UNLIMITED; RESOURCES],
            memory: 0,
            memory_peak: 0,
            memory_limit: UNLIMITED,
            counters: Counters::default(),
        }
    }

    /// Makes an account on a machine of `frames` frames, whose heap it has to share with others.
    #[must_use]
    pub fn on_machine(frames: usize) -> Self {
        let mut account = Self::unlimited();
        account.set_limit(Resource::Messages, (frames / FRAMES_PER_MESSAGE) as u64);
        account
    }

    /// Returns how much of `resource` is in use.
    #[must_use]
    pub const fn used(&self, resource: Resource) -> u64 {
        self.used[resource as usize]
    }

    /// Returns how many bytes of `resource` are in use.
    #[must_use]
    pub const fn bytes(&self, resource: Resource) -> u64 {
        self.used[resource as usize] * COST[resource as usize]
    }

    /// Returns how much of `resource` may be in use, as it was set.
    #[must_use]
    pub const fn limit(&self, resource: Resource) -> u64 {
        self.limit[resource as usize]
    }

    /// Sets how much of `resource` may be in use. What is in use already stays.
    pub const fn set_limit(&mut self, resource: Resource, limit: u64) {
        self.limit[resource as usize] = limit;
    }

    /// Returns how many bytes of memory are in use.
    #[must_use]
    pub const fn memory(&self) -> u64 {
        self.memory
    }

    /// Returns the most bytes of memory that were ever in use at once.
    #[must_use]
    pub const fn memory_peak(&self) -> u64 {
        self.memory_peak
    }

    /// Returns how many bytes of memory may be in use.
    #[must_use]
    pub const fn memory_limit(&self) -> u64 {
        self.memory_limit
    }

    /// Sets how many bytes of memory may be in use. What is in use already stays.
    pub const fn set_memory_limit(&mut self, bytes: u64) {
        self.memory_limit = bytes;
    }

    /// Returns whether `count` of `resource` could be charged.
    #[must_use]
    pub fn has_room(&self, resource: Resource, count: u64) -> bool {
        let index = resource as usize;
        self.used[index].saturating_add(count) <= self.limit[index].min(MOST[index])
            && self.memory.saturating_add(count * COST[index]) <= self.memory_limit
    }

    /// Charges `count` of `resource`.
    ///
    /// # Errors
    ///
    /// ENOMEM when there is no more memory for it; ENFILE, EAGAIN, ENOLCK or ENOSPC by resource when there may be no more of it.
    /// Nothing is charged then.
    pub fn charge(&mut self, resource: Resource, count: u64) -> Result<(), Errno> {
        let index = resource as usize;
        let used = self.used[index].saturating_add(count);
        if used > self.limit[index].min(MOST[index]) {
            return Err(match resource {
                Resource::Files | Resource::Pipes | Resource::Sockets => Errno::ENFILE,
                Resource::Interests => Errno::ENOSPC,
                Resource::Tasks | Resource::Signals => Errno::EAGAIN,
                Resource::Locks => Errno::ENOLCK,
                _ => Errno::ENOMEM,
            });
        }
        let cost = count.saturating_mul(COST[index]);
        let memory = self.memory.saturating_add(cost);
        if cost > 0 && memory > self.memory_limit {
            self.counters.memory_failures += 1;
            return Err(Errno::ENOMEM);
        }
        self.used[index] = used;
        self.memory = memory;
        self.memory_peak = self.memory_peak.max(memory);
        Ok(())
    }

    /// Charges what is there already, whatever may be.
    pub fn add(&mut self, resource: Resource, count: u64) {
        let index = resource as usize;
        self.used[index] += count;
        self.memory += count * COST[index];
        self.memory_peak = self.memory_peak.max(self.memory);
    }

    /// Gives back what was charged.
    pub fn refund(&mut self, resource: Resource, count: u64) {
        let index = resource as usize;
        debug_assert!(self.used[index] >= count, "refunded more than was charged");
        let count = count.min(self.used[index]);
        self.used[index] -= count;
        self.memory -= count * COST[index];
    }
}

/// All accounts.
pub type Accounts = Slab<Account>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_is_given_below_and_at_its_limit_and_not_above() {
        for (resource, errno) in [
            (Resource::Frames, Errno::ENOMEM),
            (Resource::FileFrames, Errno::ENOMEM),
            (Resource::KernelFrames, Errno::ENOMEM),
            (Resource::Files, Errno::ENFILE),
            (Resource::Tasks, Errno::EAGAIN),
            (Resource::Signals, Errno::EAGAIN),
            (Resource::Locks, Errno::ENOLCK),
            (Resource::Pipes, Errno::ENFILE),
            (Resource::Interests, Errno::ENOSPC),
            (Resource::Sockets, Errno::ENFILE),
            (Resource::Messages, Errno::ENOMEM),
        ] {
            let mut account = Account::unlimited();
            account.set_limit(resource, 5);
            assert_eq!(account.charge(resource, 4), Ok(()));
            assert_eq!(account.charge(resource, 2), Err(errno), "{resource:?}");
            assert_eq!(account.charge(resource, 1), Ok(()), "{resource:?}");
            assert_eq!(account.charge(resource, 1), Err(errno), "{resource:?}");
            account.refund(resource, 5);
            assert_eq!((account.used(resource), account.memory()), (0, 0));
        }
    }

    #[test]
    fn memory_is_one_sum_and_its_peak_and_refusals_are_kept() {
        let mut account = Account::unlimited();
        let page = PAGE_BYTES as u64;
        account.set_memory_limit(4 * page);
        assert_eq!(account.charge(Resource::Frames, 2), Ok(()));
        assert_eq!(account.charge(Resource::FileFrames, 1), Ok(()));
        assert_eq!(account.charge(Resource::KernelFrames, 1), Ok(()));
        assert_eq!(account.memory(), account.memory_limit());
        for resource in [
            Resource::Frames,
            Resource::FileFrames,
            Resource::KernelFrames,
        ] {
            assert_eq!(account.charge(resource, 1), Err(Errno::ENOMEM));
        }
        assert_eq!(account.counters.memory_failures, 3);
        // Files and tasks take no memory of the account's own.
        assert_eq!(account.charge(Resource::Files, 1), Ok(()));
        account.refund(Resource::Frames, 2);
        assert_eq!(account.memory(), 2 * page);
        assert_eq!(account.memory_peak(), 4 * page);
    }

    #[test]
    fn a_limit_below_what_is_in_use_takes_nothing_away_and_gives_nothing() {
        let mut account = Account::unlimited();
        assert_eq!(account.charge(Resource::Frames, 3), Ok(()));
        account.set_memory_limit(PAGE_BYTES as u64);
        assert_eq!(account.used(Resource::Frames), 3);
        assert_eq!(account.charge(Resource::Frames, 1), Err(Errno::ENOMEM));
    }

    #[test]
    fn no_account_takes_a_shared_table_whole() {
        for (resource, table) in [
            (Resource::Files, MAX_OPEN_FILES),
            (Resource::Tasks, MAX_TASKS),
            (Resource::Signals, MAX_SIGNALS),
            (Resource::Locks, MAX_LOCKS),
            (Resource::Pipes, MAX_PIPES),
            (Resource::Interests, MAX_INTERESTS),
            (Resource::Sockets, MAX_SOCKETS),
        ] {
            let mut account = Account::unlimited();
            let most = (table / ACCOUNT_SHARE) as u64;
            assert_eq!(account.charge(resource, most), Ok(()));
            assert!(account.charge(resource, 1).is_err(), "{resource:?}");
        }
    }
}
