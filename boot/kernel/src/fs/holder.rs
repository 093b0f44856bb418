//! What keeps a tree or a disk from being taken away: remembered when that is refused, so that the host can be told.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::directory::DirectoriesId;
use crate::fs::mount::MountId;
use crate::fs::place::PlaceRef;
use crate::fs::table::TableId;
use agent::kernel::View;
use hal::block::Block;

/// Why the last tree or disk could not be taken away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Busy {
    /// Somebody is in this tree.
    Used(MountId),
    /// This other tree stands on it.
    Lent(MountId),
}

impl<B: Block> Files<B> {
    /// Remembers why something cannot be taken away, and says so.
    pub(super) const fn refuse_busy(&mut self, busy: Option<Busy>) -> Errno {
        self.busy = busy;
        Errno::EBUSY
    }

    /// Returns whether it was another tree that stands on it.
    pub(crate) const fn is_lent(&self) -> bool {
        matches!(self.busy, Some(Busy::Lent(_)))
    }

    /// Returns whether a place is in the tree that could not be taken away, or in the one that stands on it.
    pub(crate) fn keeps(&self, place: PlaceRef<'_>) -> bool {
        let Some(Busy::Used(tree) | Busy::Lent(tree)) = self.busy else {
            return false;
        };
        let entry = self.dentries.get(place.0);
        entry.is_ok_and(|entry| self.is_mounted_on(entry.mount, tree))
    }

    /// Returns whether one of a process's open files or directories is in that tree.
    pub(crate) fn files_keep(
        &self,
        table: Option<TableId>,
        directories: Option<DirectoriesId>,
    ) -> bool {
        let state = directories.and_then(|id| self.directories.get(id));
        if state.is_some_and(|state| self.keeps(state.root()) || self.keeps(state.working())) {
            return true;
        }
        let Some(table) = table.and_then(|id| self.tables.get(id)) else {
            return false;
        };
        let mut from = 0;
        while let Some((fd, descriptor)) = table.next_used(from) {
            let file = self.descriptions.get(descriptor.description);
            let place = file.and_then(|file| file.place.as_ref());
            if place.is_some_and(|place| self.keeps(place.by_ref())) {
                return true;
            }
            from = fd + 1;
        }
        false
    }

    /// Returns whether a view shows a part of that tree elsewhere, or something in it.
    pub(crate) fn binds_keep(&self, view: View) -> bool {
        let mut places = self.binds.places(view);
        places.any(|place| self.keeps(place))
    }

    /// Writes the path of the tree that stands on what could not be taken away, and returns its length.
    pub(crate) fn tree_that_keeps(&self, out: &mut [u8]) -> Option<usize> {
        let Some(Busy::Lent(tree)) = self.busy else {
            return None;
        };
        let root = self.mounts.get(tree)?.root?;
        self.path_between(self.root?, root, out).ok()
    }

    /// Returns a tree that stands on a disk.
    pub(super) fn tree_on_disk(&self, disk: u8) -> Option<MountId> {
        let is_on = |volumes: u64| {
            let on_disk = |index: u8| self.volumes.get(index).is_some_and(|v| v.disk == disk);
            (0..u64::BITS as u8).any(|index| volumes >> index & 1 != 0 && on_disk(index))
        };
        let mut trees = self.mounts.iter();
        trees
            .find(|(_, tree)| !tree.is_abandoned && is_on(tree.volumes))
            .map(|(id, _)| id)
    }
}
