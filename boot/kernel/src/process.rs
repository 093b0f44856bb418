//! A process: tasks that share an address space, files, signal actions and credentials, and how it ends.

use crate::account::AccountId;
use crate::alarm::Alarm;
use crate::family::Kin;
use crate::fork::CloneFlags;
use crate::fs::{AgentPipes, DirectoriesId, Place, TableId};
use crate::identity::Identity;
use crate::out_of_memory::Blame;
use crate::program::Load;
use crate::rlimit::Limits;
use crate::signal::{Actions, Job, Pending, Queue};
use crate::slab::{Full, Id, Slab};
use crate::space::SpaceId;
use crate::task::{Task, TaskId};
use crate::timer::Timers;
use agent::kernel::{ExitStatus, LoadError, Pid, View};
use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;

/// Names a process.
pub(crate) type ProcessId = Id<Process>;

/// Names what processes do about signals.
pub(crate) type ActionsId = Id<Actions>;

/// Names on whose behalf processes run.
pub(crate) type IdentityId = Id<Identity>;

/// Where a process is in its life (agent::kernel draws it).
#[derive(Debug)]
pub(crate) enum Life {
    /// Its program is being looked for and read.
    Loading(Load),
    /// Loading failed; somebody has yet to be told.
    Failed(LoadError),
    /// Another program's task is making it (fork): the number of the page that is to be shared next.
    Made {
        /// Who does.
        maker: TaskId,
        /// Everything below this page is shared already.
        next: u64,
    },
    /// Loaded, not started.
    Stopped,
    /// Its tasks run.
    Running,
    /// It ended; somebody has yet to ask how.
    Zombie(ExitStatus),
}

bitflags::bitflags! {
    /// What the agent has yet to be told of a process.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Notices: u8 {
        /// Loading ended.
        const LOADED = 1;
        /// It ended.
        const EXITED = 2;
    }
}

/// A program in execution.
#[derive(Debug)]
pub(crate) struct Process {
    /// Linux's process id.
    pub(crate) pid: Pid,
    /// Its parent and its children.
    pub(crate) kin: Kin,
    /// Its process group.
    pub(crate) group: u32,
    /// Its session.
    pub(crate) session: u32,
    /// Its part in job control.
    pub(crate) job: Job,
    /// Which view of the machine it has.
    pub(crate) view: View,
    /// Who pays.
    pub(crate) account: AccountId,
    /// On whose behalf it runs, or ran: an ended process keeps it until it is taken out.
    pub(crate) identity: IdentityId,
    /// Its memory.
    pub(crate) space: SpaceId,
    /// Its descriptors; `None` once it has ended.
    pub(crate) files: Option<TableId>,
    /// Its root and working directory; `None` while it is loaded and once it has ended.
    pub(crate) directories: Option<DirectoriesId>,
    /// Its program file.
    pub(crate) executable: Option<Place>,
    /// The agent's ends of its standard streams.
    pub(crate) pipes: AgentPipes,
    /// Whether they were connected.
    pub(crate) is_attached: bool,
    /// What execve has got to, while one of its tasks is inside of that.
    pub(crate) exec: Option<(TaskId, Load)>,
    /// Its first task; stale once that or the process has ended.
    pub(crate) leader: Option<TaskId>,
    /// What it does about signals; stale once it has ended.
    pub(crate) actions: ActionsId,
    /// Signals for any of its tasks.
    pub(crate) pending: Pending,
    /// What setitimer(2) has set.
    pub(crate) alarms: [Alarm; 3],
    /// After how many nanoseconds on the processor it is to be looked at, for what those set off.
    pub(crate) look_at: u64,
    /// The number of the timer it makes next.
    pub(crate) next_timer: u32,
    /// What it may have.
    pub(crate) limits: Limits,
    /// How readily it is ended for want of memory.
    pub(crate) blame: Blame,
    /// File name of its program, cut as Linux's `comm` is.
    pub(crate) name: heapless::String<15>,
    /// Where it is in its life.
    pub(crate) life: Life,
    /// What the agent has yet to be told.
    pub(crate) notices: Notices,
    /// When it was made, since 1970-01-01 UTC; `None` on a machine without a wall clock.
    pub(crate) created: Option<Duration>,
    /// Nanoseconds in user mode.
    pub(crate) user_nanos: u64,
    /// Nanoseconds in the kernel on its behalf.
    pub(crate) kernel_nanos: u64,
}

impl Process {
    /// Returns whether its program runs or will run: others can see it and send it signals.
    pub(crate) const fn is_live(&self) -> bool {
        !self.is_over() && !matches!(self.life, Life::Made { .. })
    }

    /// Returns whether it has a number that programs may know it by: it has a program, or had one until it ended.
    pub(crate) const fn is_known(&self) -> bool {
        !matches!(self.life, Life::Failed(_) | Life::Made { .. })
    }

    /// Returns whether it has ended and given back what it had.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.life, Life::Zombie(_) | Life::Failed(_))
    }
}

/// All processes and tasks, and the numbers programs know them by.
#[derive(Debug)]
pub(crate) struct ProcessTable {
    /// Programs in execution.
    pub(crate) processes: Slab<Process>,
    /// Their flows of instructions.
    pub(crate) tasks: Slab<Task>,
    /// What they do about signals.
    pub(crate) actions: Slab<Actions>,
    /// On whose behalf they run.
    pub(crate) identities: Slab<Identity>,
    /// What signals that wait say of themselves.
    pub(crate) signals: Queue,
    /// Their timers.
    pub(crate) timers: Timers,
    /// Pids in ascending order.
    numbers: Vec<(u32, ProcessId)>,
    /// The pid given last.
    last: u32,
    /// On whose behalf files are worked on; what `/proc/self` means.
    pub(crate) current: Cell<Pid>,
    /// The task that does so, where it names a file; what `/proc/thread-self` means.
    pub(crate) current_task: Cell<u32>,
}

/// The largest pid; Linux's own limit on a 64-bit machine (`PID_MAX_LIMIT`).
const LAST_PID: u32 = 4 * 1024 * 1024;

impl ProcessTable {
    /// Makes an empty table.
    pub(crate) const fn new() -> Self {
        Self {
            processes: Slab::new(crate::limits::MAX_PROCESSES),
            tasks: Slab::new(crate::limits::MAX_TASKS),
            actions: Slab::new(crate::limits::MAX_PROCESSES),
            identities: Slab::new(crate::limits::MAX_PROCESSES),
            signals: Queue::new(crate::limits::MAX_SIGNALS),
            timers: Timers::new(crate::limits::MAX_SIGNALS),
            numbers: Vec::new(),
            last: 0,
            current: Cell::new(Pid(0)),
            current_task: Cell::new(0),
        }
    }

    /// Makes room for `ready` processes of one task each.
    pub(crate) fn reserve(&mut self, ready: usize) {
        self.processes.reserve(ready);
        self.tasks.reserve(ready);
        self.actions.reserve(ready);
        self.identities.reserve(ready);
        self.signals
            .reserve(crate::limits::SIGNALS_PER_PROCESS * ready);
        // Where memory does not suffice, the list grows with the processes.
        let _ = self.numbers.try_reserve_exact(ready);
    }

    /// Returns the number that was given last.
    pub(crate) const fn last_number(&self) -> u32 {
        self.last
    }

    /// Returns whether a process, group or session has this number.
    fn is_used(&self, number: u32) -> bool {
        self.processes
            .iter()
            .any(|(_, known)| [known.pid.0, known.group, known.session].contains(&number))
    }

    /// Returns a number that no process, task, group or session has, and that was not given for as long as possible.
    pub(crate) fn fresh_number(&mut self) -> u32 {
        loop {
            self.last = if self.last >= LAST_PID {
                1
            } else {
                self.last + 1
            };
            let number = self.last;
            if !self.is_used(number) && self.find_task(number).is_none() {
                return number;
            }
        }
    }

    /// Makes what a process has besides its memory and files: an identity, and the default for every signal.
    pub(crate) fn new_shares(
        &mut self,
        identity: Identity,
    ) -> Result<(IdentityId, ActionsId), Full> {
        let actions = self
            .actions
            .insert(Actions::new())
            .map_err(|(_, full)| full)?;
        match self.identities.insert(identity) {
            Ok(identity) => Ok((identity, actions)),
            Err((_, full)) => {
                self.actions.remove(actions);
                Err(full)
            }
        }
    }

    /// Makes the same for a child: an identity of its own, and the parent's actions or a copy of them.
    pub(crate) fn copy_shares(
        &mut self,
        actions: ActionsId,
        flags: CloneFlags,
        identity: Identity,
    ) -> Result<(IdentityId, ActionsId), Full> {
        let shares = self.new_shares(identity)?;
        let (identity, own) = shares;
        let Some(parent) = self.actions.get_mut(actions) else {
            return Ok(shares);
        };
        if flags.contains(CloneFlags::SIGHAND) {
            parent.sharers += 1;
            self.actions.remove(own);
            return Ok((identity, actions));
        }
        let mut copy = parent.clone();
        copy.sharers = 1;
        if flags.contains(CloneFlags::CLEAR_SIGHAND) {
            copy.forget_handlers();
        }
        if let Some(actions) = self.actions.get_mut(own) {
            *actions = copy;
        }
        Ok(shares)
    }

    /// Counts one process less that has these actions.
    pub(crate) fn leave_actions(&mut self, id: ActionsId) {
        if let Some(actions) = self.actions.get_mut(id) {
            actions.sharers -= 1;
            if actions.sharers == 0 {
                self.actions.remove(id);
            }
        }
    }

    /// Puts a process in.
    pub(crate) fn insert(&mut self, process: Process) -> Result<ProcessId, Full> {
        self.numbers.try_reserve(1).map_err(|_| Full::Memory)?;
        let pid = process.pid.0;
        let id = self.processes.insert(process).map_err(|(_, full)| full)?;
        let at = self.numbers.partition_point(|&(number, _)| number < pid);
        self.numbers.insert(at, (pid, id));
        Ok(id)
    }

    /// Takes a process out, and its identity with it.
    pub(crate) fn remove(&mut self, id: ProcessId) -> Option<Process> {
        let process = self.processes.remove(id)?;
        self.identities.remove(process.identity);
        self.numbers.retain(|&(_, known)| known != id);
        Some(process)
    }

    /// Returns the process with this pid.
    pub(crate) fn find(&self, pid: Pid) -> Option<ProcessId> {
        let at = self
            .numbers
            .binary_search_by_key(&pid.0, |&(number, _)| number)
            .ok()?;
        Some(self.numbers[at].1)
    }

    /// Returns the task with this number.
    pub(crate) fn find_task(&self, tid: u32) -> Option<TaskId> {
        self.tasks
            .iter()
            .find(|(_, task)| task.tid == tid)
            .map(|(task, _)| task)
    }

    /// Returns the process with the smallest pid of a view.
    pub(crate) fn first_in(&self, view: View) -> Option<ProcessId> {
        self.next_in(view, 0).map(|(id, _)| id)
    }

    /// Returns the child with the smallest pid that is greater than `after`.
    pub(crate) fn child_after(&self, parent: Pid, after: u32) -> Option<(ProcessId, &Process)> {
        self.behind(after)
            .find(|(_, process)| process.kin.parent == parent.0)
    }

    /// Returns the process of a view with the smallest pid that is greater than `after`.
    pub(crate) fn next_in(&self, view: View, after: u32) -> Option<(ProcessId, &Process)> {
        self.behind(after).find(|(_, process)| process.view == view)
    }

    /// Returns the processes whose pids are greater than `after`, in their order.
    pub(crate) fn behind(&self, after: u32) -> impl Iterator<Item = (ProcessId, &Process)> {
        let at = self.numbers.partition_point(|&(pid, _)| pid <= after);
        self.numbers[at..]
            .iter()
            .filter_map(|&(_, id)| Some((id, self.processes.get(id)?)))
    }

    /// Returns some task of a process.
    pub(crate) fn some_task(&self, id: ProcessId) -> Option<TaskId> {
        self.tasks
            .iter()
            .find(|(_, task)| task.process == id)
            .map(|(task, _)| task)
    }

    /// Returns some task of a process that is not `task`.
    pub(crate) fn other_task(&self, id: ProcessId, task: TaskId) -> Option<TaskId> {
        self.tasks
            .iter()
            .find(|&(other, known)| known.process == id && other != task)
            .map(|(other, _)| other)
    }

    /// Returns all processes in the order of their pids.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (ProcessId, &Process)> {
        self.behind(0)
    }
}
