//! Seals: what nobody may do any more with a file that memfd_create(2) made.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Access;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::inode::{InodeId, Node};
use crate::fs::place::PlaceRef;
use hal::block::Block;

bitflags::bitflags! {
    /// What nobody may do with a file in memory any more (linux/fcntl.h, `F_SEAL_*`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Seals: u8 {
        /// F_SEAL_SEAL: add seals.
        const SEAL = 1;
        /// F_SEAL_SHRINK: make it shorter.
        const SHRINK = 2;
        /// F_SEAL_GROW: make it longer.
        const GROW = 4;
        /// F_SEAL_WRITE: write.
        const WRITE = 8;
        /// F_SEAL_FUTURE_WRITE: write, but through mappings that are there.
        const FUTURE_WRITE = 16;
        /// Both of the latter.
        const WRITES = 8 | 16;
    }
}

impl<B: Block> Files<B> {
    /// Returns the seals of a file; none can be put on one that is not of memfd_create(2), which shows as
    /// [`Seals::SEAL`] there.
    pub(super) fn seals_of(&self, id: InodeId) -> Seals {
        match self.inodes.get(id).map(|inode| &inode.node) {
            Some(Node::Union(union)) => union.seals.unwrap_or(Seals::empty()),
            _ => Seals::empty(),
        }
    }

    /// Checks that a file has none of `seals`.
    ///
    /// # Errors
    ///
    /// EPERM.
    pub(super) fn permit_seals(&self, id: InodeId, seals: Seals) -> Result<(), Errno> {
        if self.seals_of(id).intersects(seals) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    /// Returns whether a file may not be written to any more.
    #[must_use]
    pub fn is_write_sealed(&self, place: PlaceRef<'_>) -> bool {
        self.inode_at(place.0)
            .is_ok_and(|id| self.seals_of(id).intersects(Seals::WRITES))
    }

    /// Returns the seals of an open file.
    ///
    /// # Errors
    ///
    /// EINVAL for one that cannot have any.
    pub fn seals(&self, id: DescriptionId) -> Result<Seals, Errno> {
        self.sealed(id).map(|(_, seals)| seals)
    }

    fn sealed(&self, id: DescriptionId) -> Result<(InodeId, Seals), Errno> {
        let file = self.descriptions.get(id).ok_or(Errno::EBADF)?;
        let Target::Inode(inode) = file.target else {
            return Err(Errno::EINVAL);
        };
        match &self.inodes.get(inode).ok_or(Errno::EIO)?.node {
            Node::Union(union) => Ok((inode, union.seals.ok_or(Errno::EINVAL)?)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Puts seals on an open file.
    ///
    /// # Errors
    ///
    /// EINVAL for one that cannot have any, EPERM when it was not opened for writing or takes none any more, EBUSY when
    /// a mapping may write that is to be sealed.
    pub fn add_seals(&mut self, id: DescriptionId, seals: Seals) -> Result<(), Errno> {
        let is_writer = self.description_access(id)?.contains(Access::WRITE);
        let (inode, known) = match self.sealed(id) {
            _ if !is_writer => return Err(Errno::EPERM),
            sealed => sealed?,
        };
        if known.contains(Seals::SEAL) {
            return Err(Errno::EPERM);
        }
        let union = self.union_mut(inode)?;
        if seals.contains(Seals::WRITE) && !known.contains(Seals::WRITE) && union.mapped > 0 {
            return Err(Errno::EBUSY);
        }
        union.seals = Some(known | seals);
        Ok(())
    }

    /// Counts one more mapping through which a file may be written to.
    ///
    /// # Errors
    ///
    /// EPERM when a seal forbids that; EROFS, ENOSPC for what cannot be changed.
    pub fn map_writable(&mut self, place: PlaceRef<'_>) -> Result<(), Errno> {
        let id = self.inode_at(place.0)?;
        if self.seals_of(id).intersects(Seals::WRITES) {
            return Err(Errno::EPERM);
        }
        // The file must not be forgotten once it was written to.
        if self.attributes(place)?.links > 0 {
            self.own(place)?;
        }
        let mapped = &mut self.union_mut(id)?.mapped;
        *mapped = mapped.checked_add(1).ok_or(Errno::ENOMEM)?;
        Ok(())
    }

    /// Counts one such mapping less.
    pub fn unmap_writable(&mut self, place: PlaceRef<'_>) {
        if let Ok(union) = self.inode_at(place.0).and_then(|id| self.union_mut(id)) {
            union.mapped = union.mapped.saturating_sub(1);
        }
    }
}
