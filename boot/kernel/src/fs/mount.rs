//! Mounted trees: each has a root and pays attention to nobody else's changes.

use crate::errno::Errno;
use crate::fs::dentry::DentryId;
use crate::fs::inode::InodeId;
use crate::limits::{MAX_LAYERS, MAX_MOUNTS};
use crate::slab::Id;
use agent::kernel::{View, Writes};
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

/// Some of the trees, a bit for each slot of their table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TreeSet([u64; MAX_MOUNTS / WORD]);

/// Trees of one word of the set.
const WORD: usize = u64::BITS as usize;

const _: () = assert!(MAX_MOUNTS.is_multiple_of(WORD));

impl TreeSet {
    pub(super) fn add(&mut self, tree: MountId) {
        let slot = tree.index() as usize;
        self.0[slot / WORD] |= 1 << (slot % WORD);
    }

    pub(super) fn remove(&mut self, tree: MountId) {
        let slot = tree.index() as usize;
        self.0[slot / WORD] &= !(1 << (slot % WORD));
    }

    pub(super) fn has(&self, tree: MountId) -> bool {
        let slot = tree.index() as usize;
        self.0[slot / WORD] >> (slot % WORD) & 1 != 0
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        let mut words = self.0.iter().zip(&other.0);
        words.any(|(own, other)| own & other != 0)
    }
}

/// What a new tree is to be like.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewTree {
    pub(super) writes: Writes,
    /// Of its root, when that is made in memory.
    pub(super) permissions: u16,
    /// The view it goes with, even when the tree it is mounted on stays.
    pub(super) view: Option<View>,
}

impl NewTree {
    /// A tree that takes writes, on files of its own.
    pub(super) const OWN: Self = Self {
        writes: Writes::Kept,
        permissions: 0o755,
        view: None,
    };
}

/// The directories of sources a tree is made of, each with a reference. One alone takes nothing from the heap.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// The topmost; none for a tree in memory.
    pub(super) top: Option<InodeId>,
    /// Those below it, in order.
    pub(super) deeper: Vec<InodeId>,
    /// The trees they were found in, which must not go before the one that is made of them.
    pub(super) lenders: TreeSet,
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
    /// The trees it stands on, which must not go before it.
    pub(super) lenders: TreeSet,
    /// The view it goes with.
    pub(super) view: Option<View>,
    /// The volumes those are on, a bit for each.
    pub(super) volumes: u64,
    /// It was unmounted; its entries are being forgotten, and nothing is made in it any more.
    pub(super) is_abandoned: bool,
    /// Number of the next file made in it.
    pub(super) next_number: u64,
    /// `st_dev` of its files.
    pub(super) device: u64,
}
