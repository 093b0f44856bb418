//! Mounted trees: each has a root and pays attention to nobody else's changes.

use crate::fs::dentry::DentryId;
use crate::slab::Id;

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

/// A mounted tree.
#[derive(Debug)]
pub(super) struct Mount {
    /// What sort of tree it is.
    pub(super) sort: Sort,
    /// Its root, known once it is mounted.
    pub(super) root: Option<DentryId>,
    /// The directory it covers; `None` for a view's root.
    pub(super) over: Option<DentryId>,
    /// It was unmounted; its entries are being forgotten, and nothing is made in it any more.
    pub(super) is_abandoned: bool,
    /// Number of the next file made in it.
    pub(super) next_number: u64,
    /// `st_dev` of its files.
    pub(super) device: u64,
}
