//! One process from the host's point of view.
//!
//! ```text
//! Loading ──► Loaded ──► Created ──► Dialling ──► Running ──► Draining ──► (exit code kept, gone)
//!    └──── not an init: no Create to answer ─────────┘
//!    any launch ──► Failed ──► (request refused, gone)
//! ```
//!
//! What the kernel knows of it ends with `Draining`: once its output is carried, the kernel releases it and only its exit
//! code is kept.

use crate::container::Container;
use crate::failure::Failure;
use crate::kernel::{ExitStatus, Pid};
use crate::outgoing::Tag;
use crate::stream::{Kind, Phase, Stream};
use crate::table::Key;
use core::fmt;
use hal::clock::Instant;

/// Where a process runs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Home {
    /// In the utility VM, outside every container.
    UtilityVm,
    /// In this container.
    Container(Key<Container>),
}

/// What a process is to its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Its exit is the container's.
    Init,
    /// Any other.
    Further,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Further => "further",
        }
    }
}

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The kernel is loading its program.
    Loading,
    /// An init that is loaded; Create is to be answered.
    Loaded,
    /// It came to nothing; its request is to be answered.
    Failed,
    /// An init that waits for its ExecuteProcess.
    Created,
    /// Its standard streams are being connected, at most until then.
    Dialling(Instant),
    /// It runs.
    Running,
    /// It has exited; its output is still being carried.
    Draining(ExitStatus),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loading => "loading",
            Self::Loaded => "loaded",
            Self::Failed => "failed",
            Self::Created => "created",
            Self::Dialling(_) => "dialling",
            Self::Running => "running",
            Self::Draining(status) => return write!(f, "draining code={}", status.code()),
        })
    }
}

/// A process.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) home: Home,
    /// Under whose id it was asked for: its home's, or a container's beside which it runs in the utility VM.
    pub(crate) asked: Home,
    pub(crate) role: Role,
    /// Whether its standard streams are a terminal.
    pub(crate) has_terminal: bool,
    pub(crate) state: State,
    /// In the order of [`Kind::ALL`].
    pub(crate) streams: [Stream; 3],
    /// The Create or ExecuteProcess that waits for it.
    pub(crate) request: Option<Tag>,
    /// Why that is to be refused.
    pub(crate) failure: Option<Failure>,
}

impl Process {
    /// Returns a process that the kernel has begun to load.
    pub(crate) const fn loading(pid: Pid, home: Home, role: Role, request: Tag) -> Self {
        Self {
            pid,
            home,
            asked: home,
            role,
            has_terminal: false,
            state: State::Loading,
            streams: [Stream::new(Phase::Absent); 3],
            request: Some(request),
            failure: None,
        }
    }

    pub(crate) const fn stream(&mut self, kind: Kind) -> &mut Stream {
        &mut self.streams[kind.index()]
    }

    /// Returns whether the host knows its pid and it has not exited.
    pub(crate) const fn is_alive(&self) -> bool {
        match self.state {
            State::Created | State::Dialling(_) | State::Running => true,
            State::Loading | State::Loaded | State::Failed | State::Draining(_) => false,
        }
    }

    /// Returns whether everything it wrote has been carried, or nobody wanted it.
    pub(crate) fn is_drained(&self) -> bool {
        self.streams.iter().all(Stream::is_absent)
    }
}
