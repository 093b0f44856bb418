//! Files whose changes are seen in mappings.
//!
//! While nobody can write to a file, a mapping that may not write either shows the pages of its source, which cost nothing and can be forgotten.
//! Once somebody may, it shows pages of the file's own, which are those that are written to; what it had before is taken
//! away by whoever opens the file for writing. Whoever cuts a file takes the pages of all its mappings away, so that none
//! shows what is gone.

use crate::fs::Files;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::inode::{InodeId, NO_SLOT, Node};
use crate::fs::place::PlaceRef;
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Counts files that areas show and whose changes they see.
    pub fn count_seen(&mut self, place: PlaceRef<'_>, step: i16) {
        if let Ok(union) = self.inode_at(place.0).and_then(|id| self.union_mut(id)) {
            union.seen = union.seen.saturating_add_signed(step);
        }
    }

    /// Returns whether somebody may write to a file.
    #[must_use]
    pub fn is_written(&self, place: PlaceRef<'_>) -> bool {
        let id = self.inode_at(place.0).ok();
        match id
            .and_then(|id| self.inodes.get(id))
            .map(|inode| &inode.node)
        {
            Some(Node::Union(union)) => union.writers > 0 || union.mapped > 0,
            _ => false,
        }
    }

    /// Returns whether a file is the one in a place.
    #[must_use]
    pub fn is_same_file(&self, place: PlaceRef<'_>, file: InodeId) -> bool {
        self.inode_at(place.0) == Ok(file)
    }

    /// Returns the file that an open one is, when areas that show it are to be looked through.
    #[must_use]
    pub fn viewed(&self, file: DescriptionId) -> Option<InodeId> {
        match self.descriptions.get(file)?.target {
            Target::Inode(id) => self.next_viewer(id).map(|_slot| id),
            _ => None,
        }
    }

    /// Returns the file in a place, when areas that show it are to be looked through.
    #[must_use]
    pub fn viewed_at(&self, place: PlaceRef<'_>) -> Option<InodeId> {
        let id = self.inode_at(place.0).ok()?;
        self.next_viewer(id).map(|_slot| id)
    }

    /// Lets areas that show a file be looked through, if there are any: what they have may be gone.
    pub(super) fn refresh_viewers(&mut self, id: InodeId) {
        if let Ok(union) = self.union_mut(id)
            && (union.seen > 0 || union.mapped > 0)
        {
            union.next_viewer = 0;
        }
    }

    /// Returns the slot of the next address space that has to be looked through.
    #[must_use]
    pub fn next_viewer(&self, id: InodeId) -> Option<u32> {
        let Node::Union(union) = &self.inodes.get(id)?.node else {
            return None;
        };
        (union.next_viewer != NO_SLOT).then_some(union.next_viewer)
    }

    /// Sets that slot.
    pub fn set_next_viewer(&mut self, id: InodeId, slot: Option<u32>) {
        if let Ok(union) = self.union_mut(id) {
            union.next_viewer = slot.unwrap_or(NO_SLOT);
        }
    }
}
