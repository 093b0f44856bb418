//! Programs: from a list of strings to a task that stands at its first instruction.
//!
//! A [`Load`] is a straight line of steps, each of which may have to wait for a disk and is then tried again:
//!
//! ```text
//! working directory ─► look for the file ─► headers ─► map segments ─► clear ends ─► finish the stack
//! ```
//!
//! It builds a new address space beside whatever the process has, so that `execve` can use it as it is.

mod elf;
mod load;
mod map;
mod search;
mod stack;

use crate::errno::Errno;
use crate::space::FileId;
use crate::space::SpaceId;
use crate::wait::{Stall, WakeKey};
use stack::Strings;
pub(crate) use stack::TICKS_PER_SECOND;

/// Where loading a program has got to.
#[derive(Debug)]
pub(crate) struct Load {
    /// The address space it builds.
    pub(crate) space: SpaceId,
    /// What it waits for.
    pub(crate) waits: Option<WakeKey>,
    /// The program file, once it is found; the load is one of its users.
    pub(crate) file: Option<FileId>,
    step: Step,
    strings: Strings,
}

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Find or make the working directory.
    Directory,
    /// Look for the program as the `nth` candidate; `denied` is whether an earlier one was there but may not be
    /// executed.
    Search { nth: u32, denied: bool },
    /// Read the headers and map what they ask for.
    Map { file: FileId, bytes: u64 },
    /// Clear what lies behind the end of each segment's last page from the file.
    Clear {
        file: FileId,
        bytes: u64,
        image: Image,
    },
    /// Write the rest of the stack.
    Stack { image: Image },
}

/// What the mapped program says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Image {
    /// How far it was moved from the addresses it names.
    bias: u64,
    /// First instruction.
    entry: u64,
    /// Address of the program headers, 0 when they are not in memory.
    headers: u64,
    /// How many there are.
    header_count: u64,
    /// End of its highest segment.
    end: u64,
}

/// Why a load does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Not now.
    Wait(WakeKey),
    /// Not in this turn.
    Again,
    /// Never: the number, what exactly was wrong, and what it was about.
    Failed(Errno, &'static str, About),
}

/// What a failure was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// The program.
    Program,
    /// The working directory.
    Directory,
}

impl From<Stall> for Trouble {
    #[cold]
    #[inline(never)]
    fn from(stall: Stall) -> Self {
        match stall {
            Stall::Wait(key) => Self::Wait(key),
            Stall::Again => Self::Again,
            Stall::Error(errno) => Self::Failed(errno, errno.text(), About::Program),
        }
    }
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Stall::from(errno).into()
    }
}
