//! A process: tasks that share an address space, files, signal actions and credentials, and how it ends.

use crate::account::AccountId;
use crate::slab::Id;
use crate::space::SpaceId;
use crate::task::TaskId;
use agent::kernel::{ExitStatus, Pid, View};

/// Names a process.
pub(crate) type ProcessId = Id<Process>;

/// Where a process is in its life (agent::kernel draws it).
#[derive(Debug)]
pub(crate) enum Life {
    /// Loaded, not started.
    Stopped,
    /// Its tasks run.
    Running,
    /// It ended; somebody has yet to ask how.
    Zombie(ExitStatus),
}

/// A program in execution.
#[derive(Debug)]
pub(crate) struct Process {
    /// Linux's process id.
    pub(crate) pid: Pid,
    /// Which view of the machine it has.
    pub(crate) view: View,
    /// Who pays.
    pub(crate) account: AccountId,
    /// Its memory.
    pub(crate) space: SpaceId,
    /// Its first task.
    pub(crate) leader: TaskId,
    /// Where it is in its life.
    pub(crate) life: Life,
}
