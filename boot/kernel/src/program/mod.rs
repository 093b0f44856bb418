//! Programs: from a list of strings to a task that stands at its first instruction.
//!
//! A [`Load`] is a straight line of steps, each of which may have to wait for a disk and is then tried again:
//!
//! ```text
//! working directory ─► user ─► look for the file ─┬► a script? its interpreter ─┐
//!  (execve: copy the strings) ───────────────────┘◄──────────────────────────┤
//!                               finish the stack ◄─ clear ends ◄─ map program, then dynamic linker
//! ```
//!
//! It builds a new address space beside whatever the process has, so that `execve` uses it as it is (`exec`): until all
//! of it stands the caller can still be told that it failed.

mod elf;
mod exec;
mod load;
mod map;
mod script;
mod search;
mod stack;
mod user;

use crate::errno::Errno;
use crate::space::FileId;
use crate::space::SpaceId;
use crate::wait::{Stall, WakeKey, Why};
pub(crate) use exec::Lists;
pub(crate) use load::append_cut;
use stack::Strings;
pub(crate) use stack::ticks;
use user::Reading;

/// Where loading a program has got to.
#[derive(Debug)]
pub(crate) struct Load {
    /// The address space it builds.
    pub(crate) space: SpaceId,
    /// What it waits for.
    pub(crate) waits: Option<WakeKey>,
    /// The program file, once it is found; the load is one of its users.
    pub(crate) file: Option<ProgramFile>,
    /// The dynamic linker it asks for.
    pub(crate) interpreter: Option<ProgramFile>,
    /// How many scripts led to the program.
    scripts: u8,
    step: Step,
    strings: Strings,
}

/// A file that may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProgramFile {
    /// The file.
    pub(crate) id: FileId,
    /// How long it is.
    pub(crate) bytes: u64,
}

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Find or make the working directory.
    Directory,
    /// Look up the user the host named.
    User(Reading),
    /// Look for the program as the `nth` candidate; `denied` is whether an earlier one was there but may not be
    /// executed.
    Search { nth: u32, denied: bool },
    /// Copy the strings of execve: so many of the environment and of the arguments are left.
    Strings { environment: u32, arguments: u32 },
    /// See whether the file is a script; it was the `nth` candidate.
    Look { nth: u32 },
    /// Read the headers and map what they ask for.
    Map,
    /// Map the dynamic linker.
    Link { image: Image },
    /// Clear what lies behind the end of each segment's last page from its file.
    Clear { image: Image },
    /// Write the rest of the stack.
    Stack { image: Image },
}

impl Step {
    /// Look for the program, from the first candidate on.
    const SEARCH: Self = Self::Search {
        nth: 0,
        denied: false,
    };
}

/// What the mapped program says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Image {
    /// How far it was moved from the addresses it names.
    bias: u64,
    /// Its first instruction.
    entry: u64,
    /// The first instruction of all: the dynamic linker's, if there is one.
    start: u64,
    /// How far the dynamic linker was moved; 0 when there is none.
    base: u64,
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
    /// The user it is to run as.
    User,
}

impl From<Stall> for Trouble {
    #[cold]
    #[inline(never)]
    fn from(stall: Stall) -> Self {
        match stall.why() {
            Why::Wait(key) => Self::Wait(key),
            Why::Again => Self::Again,
            Why::Error(errno) => Self::Failed(errno, errno.text(), About::Program),
        }
    }
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Stall::from(errno).into()
    }
}
