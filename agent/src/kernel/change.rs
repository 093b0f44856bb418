//! Changes of what programs find on the machine: disks mounted, layers united, directories shown elsewhere, and all of it
//! taken away again. Most have to read a disk first, so each is begun by [`super::Kernel::change`] and ended by
//! [`super::Event::Changed`].

use super::{StringList, View};
use core::fmt;

/// Names a change that was begun, until it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeId(pub u32);

/// A disk as the host counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// By controller and logical unit. The disk whose serial is `scsi-CONTROLLER-LUN`, else (of controller 0) the one
    /// that was found at this place in the order of discovery.
    Scsi(u8, u8),
    /// A device of persistent memory: the disk whose serial is `pmem-NUMBER`.
    Pmem(u32),
}

impl fmt::Display for Medium {
    /// Writes the serial of the disk that is meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scsi(controller, unit) => write!(f, "scsi-{controller}-{unit}"),
            Self::Pmem(number) => write!(f, "pmem-{number}"),
        }
    }
}

/// Which part of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// A partition of its GUID partition table, counted from 1.
    Partition(u64),
    /// So many bytes from a byte on.
    Window {
        /// The first byte.
        start: u64,
        /// How many.
        bytes: u64,
    },
}

/// What becomes of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// They are refused: EROFS.
    Refused,
    /// They are kept in memory, in front of what the disk has.
    Kept,
}

/// What is to be done at the path of a [`Change`].
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Mounts the file system of a disk on a directory, which is made. With an empty path the disk is only waited for.
    Mount(Medium, Part, Writes),
    /// Makes a block device of a disk.
    BlockDevice(Medium, Part),
    /// Makes one tree of the directories `layers`, topmost first, and mounts it on a directory, which is made. `source` is
    /// a directory whose `upper` is above them all; empty for a tree that refuses writes.
    Unite,
    /// Shows the file or directory `source` of the utility VM in a view, at a path that is made.
    Bind(View, Writes),
    /// Mounts an empty tree in memory on a directory of a view, which is made, with these permissions.
    Memory(View, u16),
    /// Takes away what was mounted or made here, and the directory with it. Nothing there is fine.
    Unmount,
    /// Forgets a disk that is about to be pulled. One that is not there is fine.
    Eject(Medium),
}

/// A change to make. Paths are absolute; without a view in the action they are the utility VM's.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What to do.
    pub action: Action,
    /// Where.
    pub path: &'a str,
    /// From what, where the action says so.
    pub source: &'a str,
    /// From what else, where the action says so.
    pub layers: StringList<'a>,
}

impl<'a> Change<'a> {
    /// Makes a change that needs a path and nothing else.
    #[must_use]
    pub fn at(action: Action, path: &'a str) -> Self {
        Self {
            action,
            path,
            source: "",
            layers: StringList::default(),
        }
    }
}
