//! Open file descriptions: what open(2) makes and descriptors share (offset, status flags).

use crate::account::AccountId;
use crate::fs::device::Device;
use crate::fs::epoll::EpollId;
use crate::fs::event::EventId;
use crate::fs::flags::OpenFlags;
use crate::fs::inode::InodeId;
use crate::fs::pipe::{PipeEnd, PipeId};
use crate::fs::place::Place;
use crate::fs::socket::SocketId;
use crate::slab::Id;
use crate::tty::TerminalEnd;

/// Names an open file description.
pub type DescriptionId = Id<Description>;

/// What reads and writes of a description reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A regular file, a directory, a text of `/proc`.
    Inode(InodeId),
    /// A device.
    Device(Device),
    /// One end of a pipe.
    Pipe(PipeId, PipeEnd),
    /// A socket.
    Socket(SocketId),
    /// A side of a terminal.
    Terminal(TerminalEnd),
    /// An eventfd, a timerfd, a signalfd.
    Event(EventId),
    /// A list of files to wait for.
    Epoll(EpollId),
    /// Nothing: O_PATH.
    Nothing,
}

/// An open file.
#[derive(Debug)]
pub struct Description {
    /// What it reaches.
    pub target: Target,
    /// Where it was found; `None` for what has no name (a pipe).
    pub(super) place: Option<Place>,
    /// Access mode and status flags.
    pub flags: OpenFlags,
    /// Where the next read or write happens; for a directory, the cookie of the next entry.
    pub offset: u64,
    /// Descriptors that refer to it, and calls that are under way.
    pub(super) references: u32,
    /// Who paid for it.
    pub(super) account: AccountId,
}
