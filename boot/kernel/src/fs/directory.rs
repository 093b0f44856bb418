//! Directory states: where a process's absolute and relative paths start, and its umask.

use crate::fs::place::{Place, PlaceRef};
use crate::slab::Id;

/// Names a directory state.
pub type DirectoriesId = Id<Directories>;

/// Root and working directory and umask of one or several tasks.
#[derive(Debug)]
pub struct Directories {
    pub(super) root: Place,
    pub(super) working: Place,
    /// Permission bits that new files do not get.
    pub(super) umask: u16,
    pub(super) sharers: u32,
}

impl Directories {
    /// Returns where absolute paths start.
    #[must_use]
    pub const fn root(&self) -> PlaceRef<'_> {
        self.root.by_ref()
    }

    /// Returns where relative paths start.
    #[must_use]
    pub const fn working(&self) -> PlaceRef<'_> {
        self.working.by_ref()
    }

    /// Returns the permission bits that new files do not get.
    #[must_use]
    pub const fn umask(&self) -> u16 {
        self.umask
    }

    /// Sets the permission bits that new files do not get and returns the old ones.
    pub const fn set_umask(&mut self, umask: u16) -> u16 {
        core::mem::replace(&mut self.umask, umask & 0o777)
    }
}
