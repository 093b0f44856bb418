//! One container: its id, its view of the machine, and what became of its init.

use crate::kernel::{Pid, Signal, View};
use crate::limits::CONTAINER_ID_BYTES;
use crate::message::guid::Activity;
use crate::message::response::ExitType;
use crate::process::Process;
use crate::table::Key;
use hal::clock::Instant;

/// What became of a container's init.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Init {
    /// Its program is being loaded; Create is not answered yet.
    Loading(Key<Process>),
    /// It is loaded and waits, runs, or its output is still being carried.
    Present(Key<Process>),
    /// It has exited with this code, and everything it wrote was carried.
    Exited(Pid, u32),
    /// There is none yet.
    Never,
}

/// What is owed to the host about the container's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Nothing yet.
    None,
    /// The notification, as soon as no wait for init is unanswered, and not before this moment.
    Due(Instant),
    /// Nothing any more.
    Settled,
}

impl Notice {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Due(_) => "due",
            Self::Settled => "settled",
        }
    }
}

/// A container.
pub(crate) struct Container {
    pub(crate) id: heapless::String<CONTAINER_ID_BYTES>,
    /// Whether it is the sandbox of a pod, which other containers can join.
    pub(crate) is_sandbox: bool,
    pub(crate) view: View,
    /// The activity id of its Create, which its notification repeats.
    pub(crate) activity: Activity,
    pub(crate) init: Init,
    /// Whether its init's standard streams are a terminal.
    pub(crate) has_terminal: bool,
    pub(crate) exit: ExitType,
    pub(crate) notice: Notice,
    /// Whether ExecuteProcess started the init: a host then sends a WaitForProcess right behind it.
    pub(crate) executed: bool,
    /// Whether a WaitForProcess for its init was answered with the exit code.
    pub(crate) wait_answered: bool,
    /// Whether DeleteContainerState came: the id is free for the host, the entry goes when the last process is gone.
    pub(crate) deleted: bool,
    /// The session whose host knows the container; another host would take its notification as an error.
    pub(crate) session: u32,
}

impl Container {
    /// Takes note of a signal that was delivered to init: the last TERM or KILL decides how the end is called, whether or
    /// not it was the cause (gcs-protocol §8.4).
    pub(crate) const fn on_init_signal(&mut self, signal: Signal) {
        match signal {
            Signal::TERM => self.exit = ExitType::Graceful,
            Signal::KILL => self.exit = ExitType::Forced,
            _ => {}
        }
    }
}
