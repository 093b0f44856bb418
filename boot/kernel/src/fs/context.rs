//! What a file operation needs from outside: memory, who pays, who asks, the time, and who is to be woken.

use crate::account::{AccountId, Accounts, Resource};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::credentials::Credentials;
use crate::fs::directory::DirectoriesId;
use crate::fs::place::PlaceRef;
use crate::fs::table::TableId;
use crate::wait::{Stall, WakeQueue};
use agent::kernel::Pid;
use core::fmt;
use core::time::Duration;
use hal::clock::Instant;
use hal::frame::{FramePool, FrameRef};
use hal::limits::PAGE_BYTES;

/// Everything a file operation borrows for the length of one call.
pub struct Context<'a> {
    /// All memory.
    pub pool: &'a mut FramePool,
    /// All accounts.
    pub accounts: &'a mut Accounts,
    /// Who pays for what the operation makes.
    pub account: AccountId,
    /// On whose behalf it is done.
    pub credentials: &'a Credentials,
    /// Where in a file it may write at most (RLIMIT_FSIZE).
    pub largest_file: u64,
    /// Where to say that something became possible.
    pub wakes: &'a mut WakeQueue,
    /// Monotonic time.
    pub now: Instant,
    /// Wall time since 1970-01-01 UTC, for the times of files.
    pub wall: Duration,
    /// What `/proc` and `/dev/fd` show.
    pub processes: &'a dyn Processes,
    /// What `/dev/urandom` gives.
    pub random: &'a mut dyn Random,
}

impl Context<'_> {
    /// Charges the account of this context.
    pub(crate) fn charge(&mut self, resource: Resource, count: u64) -> Result<(), Errno> {
        self.charge_to(self.account, resource, count)
    }

    /// Charges an account.
    pub(crate) fn charge_to(
        &mut self,
        account: AccountId,
        resource: Resource,
        count: u64,
    ) -> Result<(), Errno> {
        self.accounts
            .get_mut(account)
            .ok_or(Errno::ENOMEM)?
            .charge(resource, count)
    }

    /// Gives back what an account was charged; an account that is gone took its charges with it.
    pub(crate) fn refund(&mut self, account: AccountId, resource: Resource, count: u64) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.refund(resource, count);
        }
    }

    /// Counts a read from a disk, which others may profit from later.
    pub(crate) fn count_read(&mut self, disk: u8, pages: usize) {
        if let Some(account) = self.accounts.get_mut(self.account)
            && let Some(reads) = account.counters.disks.get_mut(usize::from(disk))
        {
            reads.bytes += (pages * PAGE_BYTES) as u64;
            reads.requests += 1;
        }
    }

    /// Returns whether the asker has all of these capabilities.
    #[must_use]
    pub const fn can(&self, capabilities: Capabilities) -> bool {
        self.credentials.can(capabilities)
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("account", &self.account)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// A part of one page of a program, already checked and translated: where bytes come from or go to.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The page's frame.
    pub frame: FrameRef<'a>,
    /// First byte inside the frame.
    pub offset: usize,
    /// How many bytes; `offset + len` is at most a page.
    pub len: usize,
}

/// A source of random bytes.
pub trait Random {
    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// The reason to wait while the generator is not seeded.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Stall>;
}

/// A text `/proc` shows, whose content the process side knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// `/proc/PID/comm`, of this task when the number is not 0.
    Name(Pid, u32),
    /// `/proc/version`.
    Version,
}

/// Takes the bytes of a [`Report`].
pub trait Sink {
    /// Takes the next bytes of the report.
    fn put(&mut self, bytes: &[u8]);
}

impl fmt::Write for dyn Sink + '_ {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// What a process has to do with files.
#[derive(Clone, Copy, Debug)]
pub struct ProcessFiles<'a> {
    /// Its descriptor table.
    pub table: Option<TableId>,
    /// Its root and working directory.
    pub directories: Option<DirectoriesId>,
    /// Its program file.
    pub executable: Option<PlaceRef<'a>>,
    /// Its owner.
    pub uid: u32,
    /// Its owner's group.
    pub gid: u32,
    /// The session whose terminal is its own, 0 when it has none.
    pub session: u32,
}

/// The process side of `/proc`.
pub trait Processes {
    /// Returns the process that asks.
    fn current(&self) -> Pid;

    /// Returns the visible process with the smallest pid that is greater than `pid`.
    fn after(&self, pid: u32) -> Option<Pid>;

    /// Returns the task that asks.
    fn current_task(&self) -> u32;

    /// Returns the task of a visible process with the smallest number that is greater than `tid`.
    fn task_after(&self, pid: Pid, tid: u32) -> Option<u32>;

    /// Returns what a visible process has to do with files; `None` when there is no such process.
    fn files(&self, pid: Pid) -> Option<ProcessFiles<'_>>;

    /// Writes a report. Nothing is written for a process that is gone.
    fn report(&self, report: Report, out: &mut dyn Sink);
}
