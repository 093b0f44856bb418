//! Files whose changes are seen in mappings that may not write.
//!
//! While nobody can write to a file, such a mapping shows the pages of its source, which cost nothing and can be forgotten.
//! Once somebody may, it shows pages of the file's own, which are those that are written to; what it had before is taken
//! away by whoever opens the file for writing.

use crate::fs::Files;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::inode::{InodeId, NO_SLOT, Node, Union};
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

    /// Returns whether an open file is the one in a place.
    #[must_use]
    pub fn is_same_file(&self, place: PlaceRef<'_>, file: DescriptionId) -> bool {
        let id = self.opened_inode(file);
        id.is_some() && id == self.inode_at(place.0).ok()
    }

    fn opened_inode(&self, file: DescriptionId) -> Option<InodeId> {
        match self.descriptions.get(file)?.target {
            Target::Inode(id) => Some(id),
            _ => None,
        }
    }

    fn opened_union(&mut self, file: DescriptionId) -> Option<&mut Union> {
        let id = self.opened_inode(file)?;
        self.union_mut(id).ok()
    }

    /// Returns the slot of the next address space that has to be looked through before an open file is written to.
    pub fn next_viewer(&mut self, file: DescriptionId) -> Option<u32> {
        let slot = self.opened_union(file)?.next_viewer;
        (slot != NO_SLOT).then_some(slot)
    }

    /// Sets that slot.
    pub fn set_next_viewer(&mut self, file: DescriptionId, slot: Option<u32>) {
        if let Some(union) = self.opened_union(file) {
            union.next_viewer = slot.unwrap_or(NO_SLOT);
        }
    }
}
