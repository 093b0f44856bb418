//! Mounted trees: each has a root and pays attention to nobody else's changes.

use crate::errno::Errno;
use crate::fs::dentry::DentryId;
use crate::fs::inode::InodeId;
use crate::limits::MAX_LAYERS;
use crate::slab::Id;
use agent::kernel::Writes;
use alloc::vec::Vec;

/// Names a mounted tree.
pub(super) type MountId = Id<Mount>;

/// What sort of tree it is, as `/proc/mounts` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Read-only sources with changes kept in memory.
    Overlay,
    /// In memory alone.
    Memory,
    /// `/dev`.
    Devices,
    /// `/dev/pts`.
    Terminals,
    /// `/proc`.
    Processes,
}

impl Sort {
    /// Returns the file system type's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Memory => "tmpfs",
            Self::Devices => "devtmpfs",
            Self::Terminals => "devpts",
            Self::Processes => "proc",
        }
    }
}

/// Whose the files are that a tree stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backing {
    /// Its own, or nobody's.
    Own,
    /// Those of directories of other trees, which must not go before it.
    Borrowed,
}

/// What a new tree is to be like.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewTree {
    pub(super) writes: Writes,
    pub(super) backing: Backing,
    /// Of its root, when that is made in memory.
    pub(super) permissions: u16,
}

impl NewTree {
    /// A tree that takes writes, on files of its own.
    pub(super) const OWN: Self = Self {
        writes: Writes::Kept,
        backing: Backing::Own,
        permissions: 0o755,
    };
}

/// The directories of sources a tree is made of, each with a reference. One alone takes nothing from the heap.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// The topmost; none for a tree in memory.
    pub(super) top: Option<InodeId>,
    /// Those below it, in order.
    pub(super) deeper: Vec<InodeId>,
}

impl Layers {
    /// Puts one below the others, whose reference is taken on success.
    pub(super) fn push(&mut self, base: InodeId) -> Result<(), Errno> {
        if self.top.is_none() {
            self.top = Some(base);
            return Ok(());
        }
        if self.deeper.len() + 1 >= MAX_LAYERS {
            return Err(Errno::E2BIG);
        }
        self.deeper.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.deeper.push(base);
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = InodeId> {
        self.top.iter().chain(&self.deeper).copied()
    }
}

/// A mounted tree.
#[derive(Debug)]
pub(super) struct Mount {
    /// What sort of tree it is.
    pub(super) sort: Sort,
    /// Its root, known once it is mounted.
    pub(super) root: Option<DentryId>,
    /// The directory it covers; `None` for a view's root.
    pub(super) over: Option<DentryId>,
    /// What becomes of writes.
    pub(super) writes: Writes,
    /// Whose the files are that it stands on.
    pub(super) backing: Backing,
    /// The volumes those are on, a bit for each.
    pub(super) volumes: u64,
    /// It was unmounted; its entries are being forgotten, and nothing is made in it any more.
    pub(super) is_abandoned: bool,
    /// Number of the next file made in it.
    pub(super) next_number: u64,
    /// `st_dev` of its files.
    pub(super) device: u64,
}
