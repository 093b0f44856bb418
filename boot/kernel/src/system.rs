//! The system: every table of the kernel, apart from the processor itself.
//!
//! Fields are plain and visible inside the crate, because one call often needs several of them at once; each is the
//! property of the module that defines its type.

use crate::account::{AccountId, Accounts, Counters};
use crate::change::Changes;
use crate::errno::Errno;
use crate::fs::{Context, Credentials, Files};
use crate::identity::Identity;
use crate::limits::{MAX_MEMORY_KILLS, MAX_PROCESSES, MAX_SPACES, MAX_UNKNOWN_CALLS};
use crate::meter::Meter;
use crate::process::{Process, ProcessId, ProcessTable};
use crate::random::Random;
use crate::rlimit;
use crate::run_queue::RunQueue;
use crate::signal::Actions;
use crate::slab::Slab;
use crate::space::{AddressSpace, ShownFile, SpaceId};
use crate::task::{Task, TaskId};
use crate::view::Views;
use crate::wait::WakeQueue;
use agent::kernel::{MemoryKill, Pid};
use core::time::Duration;
use hal::block::Block;
use hal::clock::Instant;
use hal::frame::{Frame, FramePool};
use hal::page_table::KernelHalf;

/// Everything the kernel knows.
pub(crate) struct System<B> {
    /// Memory.
    pub(crate) pool: FramePool,
    /// The upper half of every page table.
    pub(crate) kernel_half: KernelHalf,
    /// Who pays for what.
    pub(crate) accounts: Accounts,
    /// The utility VM's account, which also pays for what belongs to nobody else.
    pub(crate) own_account: AccountId,
    /// What accounts that are gone had done.
    pub(crate) gone: Counters,
    /// The fewest frames that were free at the end of a turn.
    pub(crate) least_free: usize,
    /// What the kernel does for itself is done as root.
    pub(crate) own_credentials: Credentials,
    /// Whom to wake.
    pub(crate) wakes: WakeQueue,
    /// When this entry into the kernel began.
    pub(crate) now: Instant,
    /// The time of the turn that runs.
    pub(crate) meter: Meter,
    /// Whether who somebody is has changed since the task whose turn it is was told.
    pub(crate) is_renamed: bool,
    /// Wall time at [`Instant::ZERO`].
    pub(crate) epoch: Duration,
    /// Whether the platform knew it.
    pub(crate) has_epoch: bool,
    /// The page with which programs tell the time, where the machine has it.
    pub(crate) clock_page: Option<Frame>,
    /// When the earliest deadline of a parked call is, or earlier.
    pub(crate) next_timer: Instant,
    /// Programs and their flows of instructions.
    pub(crate) table: ProcessTable,
    /// Their memory.
    pub(crate) spaces: Slab<AddressSpace>,
    /// Files that areas show.
    pub(crate) shown: Slab<ShownFile>,
    /// Lists of areas that address spaces left behind, for the next ones.
    pub(crate) spare_areas: alloc::vec::Vec<alloc::vec::Vec<crate::space::Area>>,
    /// Address spaces without users, to be taken down.
    pub(crate) dying: heapless::Vec<SpaceId, MAX_SPACES>,
    /// Tasks that can run.
    pub(crate) ready: RunQueue<Task>,
    /// Whether a load can go on.
    pub(crate) loading: bool,
    /// Processes the agent is to be told about.
    pub(crate) noticed: heapless::Deque<ProcessId, MAX_PROCESSES>,
    /// Files.
    pub(crate) files: Files<B>,
    /// Containers' views.
    pub(crate) views: Views,
    /// Changes of the tree that are under way.
    pub(crate) changes: Changes,
    /// Processes killed for their memory, of whom the agent has yet to be told.
    pub(crate) memory_kills: heapless::Deque<MemoryKill, MAX_MEMORY_KILLS>,
    /// Disks that were taken out, for whoever pulls them.
    pub(crate) ejected: alloc::vec::Vec<B>,
    /// The random generator.
    pub(crate) random: Random,
    /// System calls that were answered with ENOSYS: number and how often.
    pub(crate) unknown_calls: heapless::Vec<(u32, u64), MAX_UNKNOWN_CALLS>,
    /// How often others were, when the table was full.
    pub(crate) other_unknown_calls: u64,
    /// How many times a task began to wait for a futex.
    pub(crate) futex_turn: u64,
    /// How often the machine's loop came round.
    pub(crate) turns: u64,
    /// What tells this start of the machine from others, once somebody asked.
    pub(crate) boot_id: Option<[u8; 16]>,
    /// Whether somebody asked for the machine's end.
    pub(crate) power_off: bool,
}

/// What an operation on files needs, borrowed at once.
pub(crate) struct FileParts<'a, B> {
    /// The files.
    pub(crate) files: &'a mut Files<B>,
    /// What else the operation needs.
    pub(crate) context: Context<'a>,
    /// The address spaces, for the frames of spans.
    pub(crate) spaces: &'a Slab<AddressSpace>,
    /// Files that areas show.
    pub(crate) shown: &'a Slab<ShownFile>,
    /// Containers' views.
    pub(crate) views: &'a Views,
}

impl<B: Block> System<B> {
    /// Returns an address space.
    ///
    /// # Errors
    ///
    /// EFAULT when it is gone.
    pub(crate) fn space(&self, id: SpaceId) -> Result<&AddressSpace, Errno> {
        self.spaces.get(id).ok_or(Errno::EFAULT)
    }

    /// Returns an address space for changing.
    ///
    /// # Errors
    ///
    /// EFAULT when it is gone.
    pub(crate) fn space_mut(&mut self, id: SpaceId) -> Result<&mut AddressSpace, Errno> {
        self.spaces.get_mut(id).ok_or(Errno::EFAULT)
    }

    /// Returns a process.
    ///
    /// # Errors
    ///
    /// ESRCH when it is gone.
    pub(crate) fn process(&self, id: ProcessId) -> Result<&Process, Errno> {
        self.table.processes.get(id).ok_or(Errno::ESRCH)
    }

    /// Returns a process for changing.
    ///
    /// # Errors
    ///
    /// ESRCH when it is gone.
    pub(crate) fn process_mut(&mut self, id: ProcessId) -> Result<&mut Process, Errno> {
        self.table.processes.get_mut(id).ok_or(Errno::ESRCH)
    }

    /// Returns on whose behalf a process runs.
    ///
    /// # Errors
    ///
    /// ESRCH when it is gone.
    pub(crate) fn identity(&self, id: ProcessId) -> Result<&Identity, Errno> {
        let id = self.process(id)?.identity;
        self.table.identities.get(id).ok_or(Errno::ESRCH)
    }

    /// Returns on whose behalf a process runs, for changing.
    ///
    /// # Errors
    ///
    /// ESRCH when it is gone.
    pub(crate) fn identity_mut(&mut self, id: ProcessId) -> Result<&mut Identity, Errno> {
        let id = self.process(id)?.identity;
        self.is_renamed = true;
        self.table.identities.get_mut(id).ok_or(Errno::ESRCH)
    }

    /// Returns what a process does about signals.
    ///
    /// # Errors
    ///
    /// ESRCH when it has ended.
    pub(crate) fn actions(&self, id: ProcessId) -> Result<&Actions, Errno> {
        let id = self.process(id)?.actions;
        self.table.actions.get(id).ok_or(Errno::ESRCH)
    }

    /// Returns what a process does about signals, for changing.
    ///
    /// # Errors
    ///
    /// ESRCH when it has ended.
    pub(crate) fn actions_mut(&mut self, id: ProcessId) -> Result<&mut Actions, Errno> {
        let id = self.process(id)?.actions;
        self.table.actions.get_mut(id).ok_or(Errno::ESRCH)
    }

    /// Returns a task for changing.
    ///
    /// # Errors
    ///
    /// ESRCH when it is gone.
    pub(crate) fn task_mut(&mut self, id: TaskId) -> Result<&mut Task, Errno> {
        self.table.tasks.get_mut(id).ok_or(Errno::ESRCH)
    }

    /// Returns wall time since 1970-01-01 UTC.
    pub(crate) fn wall(&self) -> Duration {
        self.epoch + self.now.since(Instant::ZERO)
    }

    /// Returns when the wall shows `time`. What it showed before the machine began is long over.
    pub(crate) fn at_wall(&self, time: Duration) -> Instant {
        Instant::ZERO + time.saturating_sub(self.epoch)
    }

    /// Borrows what an operation on files needs, on behalf of a process.
    ///
    /// # Errors
    ///
    /// ESRCH when the process is gone.
    pub(crate) fn file_parts(&mut self, id: ProcessId) -> Result<FileParts<'_, B>, Errno> {
        let process = self.table.processes.get(id).ok_or(Errno::ESRCH)?;
        let identity = self.table.identities.get(process.identity);
        let credentials = &identity.ok_or(Errno::ESRCH)?.files;
        self.table.current.set(process.pid);
        let wall = self.wall();
        let context = Context {
            pool: &mut self.pool,
            accounts: &mut self.accounts,
            account: process.account,
            credentials,
            largest_file: process.limits.get(rlimit::Resource::FILE_SIZE).0,
            wakes: &mut self.wakes,
            now: self.now,
            wall,
            processes: &self.table,
            random: &mut self.random,
        };
        Ok(FileParts {
            files: &mut self.files,
            context,
            spaces: &self.spaces,
            shown: &self.shown,
            views: &self.views,
        })
    }

    /// Borrows what an operation on files needs, on behalf of the kernel itself. Never inlined: what calls
    /// it is not in a hurry.
    #[inline(never)]
    pub(crate) fn own_file_parts(&mut self) -> FileParts<'_, B> {
        // Nobody's: what a bind refuses to a program is not refused to the kernel.
        self.table.current.set(Pid(0));
        let wall = self.wall();
        let context = Context {
            pool: &mut self.pool,
            accounts: &mut self.accounts,
            account: self.own_account,
            credentials: &self.own_credentials,
            largest_file: u64::MAX,
            wakes: &mut self.wakes,
            now: self.now,
            wall,
            processes: &self.table,
            random: &mut self.random,
        };
        FileParts {
            files: &mut self.files,
            context,
            spaces: &self.spaces,
            shown: &self.shown,
            views: &self.views,
        }
    }

    /// Counts a system call that is not there.
    pub(crate) fn count_unknown(&mut self, number: u32) {
        let known = self
            .unknown_calls
            .iter_mut()
            .find(|(known, _)| *known == number);
        if let Some((_, count)) = known {
            *count += 1;
        } else if self.unknown_calls.push((number, 1)).is_err() {
            self.other_unknown_calls += 1;
        }
    }
}
