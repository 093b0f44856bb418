//! A task: one flow of instructions of a process, and what it is doing.

use crate::futex::FutexWait;
use crate::limits::CALL_HISTORY;
use crate::priority::Priority;
use crate::process::ProcessId;
use crate::signal::{AlternateStack, Pending, Raised, SignalSet};
use crate::slab::Id;
use crate::syscall::Call;
use crate::user_memory::UserAddr;
use crate::wait::WakeKey;
use hal::clock::Instant;
use hal::user::Context;

/// Names a task.
pub(crate) type TaskId = Id<Task>;

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Not started yet.
    Held,
    /// In the run queue, or running.
    Ready,
    /// Waiting, inside a call or for a page.
    Parked {
        /// For what.
        key: WakeKey,
        /// Until when at most.
        deadline: Option<Instant>,
    },
    /// Stopped by a signal; SIGCONT lets it go on.
    Stopped,
}

/// A finished system call, for `dump`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PastCall {
    /// Its number.
    pub(crate) number: u32,
    /// What it returned in `rax`.
    pub(crate) result: u64,
}

/// One flow of instructions.
#[derive(Debug)]
pub(crate) struct Task {
    /// Registers and vector state.
    pub(crate) context: Context,
    /// Whose it is.
    pub(crate) process: ProcessId,
    /// Linux's thread id; that of a process's first task is its pid.
    pub(crate) tid: u32,
    /// What it is doing.
    pub(crate) activity: Activity,
    /// The call it is inside of.
    pub(crate) call: Option<Call>,
    /// Signals for this task alone.
    pub(crate) pending: Pending,
    /// Signals that wait.
    pub(crate) mask: SignalSet,
    /// The mask to go back to once a signal was delivered to a call that waited with another one (rt_sigsuspend(2)).
    pub(crate) saved_mask: Option<SignalSet>,
    /// Where handlers run that ask for it.
    pub(crate) alternate_stack: AlternateStack,
    /// The exception behind a pending signal.
    pub(crate) raised: Option<Raised>,
    /// Where to write 0 and wake waiters when it ends (set_tid_address(2)).
    pub(crate) clear_tid: UserAddr,
    /// The locks it has that others must learn about when it ends (set_robust_list(2)).
    pub(crate) robust_list: UserAddr,
    /// The word it waits for.
    pub(crate) futex: Option<FutexWait>,
    /// What it is called; the first one's name is its process's.
    pub(crate) name: heapless::String<15>,
    /// How much of the processor it wants.
    pub(crate) priority: Priority,
    /// Nanoseconds in user mode.
    pub(crate) user_nanos: u64,
    /// Nanoseconds in the kernel on its behalf.
    pub(crate) kernel_nanos: u64,
    /// The last calls, newest last.
    pub(crate) history: heapless::HistoryBuf<PastCall, CALL_HISTORY>,
}

impl Task {
    /// Makes a task that is held at the beginning of its program.
    pub(crate) fn new(process: ProcessId, tid: u32) -> Self {
        Self {
            context: Context::default(),
            process,
            tid,
            activity: Activity::Held,
            call: None,
            pending: Pending::default(),
            mask: SignalSet::default(),
            saved_mask: None,
            alternate_stack: AlternateStack::default(),
            raised: None,
            clear_tid: UserAddr::NULL,
            robust_list: UserAddr::NULL,
            futex: None,
            name: heapless::String::new(),
            priority: Priority::default(),
            user_nanos: 0,
            kernel_nanos: 0,
            history: heapless::HistoryBuf::new(),
        }
    }
}
