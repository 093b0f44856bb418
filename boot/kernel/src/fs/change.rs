//! Changes of names: made, removed, linked. Everything lands in memory.

use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Attributes, Kind, SET_GROUP};
use crate::fs::context::Context;
use crate::fs::dentry::{Dentry, DentryId, State};
use crate::fs::inode::{Inode, InodeId, Node, Union};
use crate::fs::mount::Sort;
use crate::fs::place::PlaceRef;
use crate::fs::text::Text;
use crate::fs::walk::{LastName, Resolved};
use crate::limits::{MAX_LINKS, NAMES_HEAP_RESERVE, NAMES_SPARE, PATH_BYTES};
use crate::wait::Stall;
use hal::block::Block;

/// The sticky bit: in such a directory only owners remove names.
const STICKY: u16 = 0o1000;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(super) enum Make<'a> {
    /// An empty regular file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link to this.
    Symlink(&'a [u8]),
    /// A fifo, socket or device with this number.
    Special(Kind, u64),
}

impl<B: Block> Files<B> {
    /// Checks that names in a directory may be changed by the asker.
    pub(super) fn permit_change(
        &self,
        context: &Context<'_>,
        directory: DentryId,
    ) -> Result<(), Errno> {
        let entry = self.dentries.get(directory)?;
        let mount = self.mounts.get(entry.mount).ok_or(Errno::ENOENT)?;
        if matches!(mount.sort, Sort::Processes | Sort::Terminals) {
            return Err(Errno::EPERM);
        }
        if entry.state == State::Detached || mount.is_abandoned {
            return Err(Errno::ENOENT);
        }
        let attributes = self.attributes_at(directory)?;
        attributes.permit(context.credentials, Access::WRITE | Access::EXECUTE)?;
        self.permit_write(context, directory)
    }

    /// Makes a file where a walk found none.
    ///
    /// # Errors
    ///
    /// EEXIST when there is one, EACCES, ENOENT, ENOSPC, ENOMEM, EPERM on `/proc` and `/dev/pts`.
    pub(super) fn make(
        &mut self,
        context: &mut Context<'_>,
        found: &Resolved,
        make: Make<'_>,
        permissions: u16,
    ) -> Result<InodeId, Errno> {
        let LastName::Name(_) = &found.last else {
            return Err(Errno::EEXIST);
        };
        let directory = found.directory.0;
        if self.dentries.get(found.entry.0)?.inode.is_some() {
            return Err(Errno::EEXIST);
        }
        if found.is_slashed && !matches!(make, Make::Directory) {
            return Err(Errno::ENOENT);
        }
        self.permit_change(context, directory)?;
        let id = self.new_inode(context, directory, make, permissions)?;
        if let Err(errno) = self.write_entry(found.entry.0, Some(id)) {
            self.release_inode(id);
            return Err(errno);
        }
        self.directory_changed(context, directory, matches!(make, Make::Directory) as i32);
        Ok(id)
    }

    /// Puts a file over a base, whose reference is taken, where a walk found none.
    pub(super) fn make_over(
        &mut self,
        context: &mut Context<'_>,
        found: &Resolved,
        base: InodeId,
    ) -> Result<(), Errno> {
        let is_free = self.dentries.get(found.entry.0)?.inode.is_none();
        let mount = self.dentries.get(found.entry.0)?.mount;
        let made = match &found.last {
            LastName::Name(_) if is_free => self.permit_change(context, found.directory.0),
            _ => Err(Errno::EEXIST),
        };
        if let Err(errno) = made {
            self.release_inode(base);
            return Err(errno);
        }
        let id = self.union_root(context, mount, base, alloc::vec::Vec::new())?;
        self.write_entry(found.entry.0, Some(id))
            .inspect_err(|_| self.release_inode(id))
    }

    pub(super) fn new_inode(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        make: Make<'_>,
        permissions: u16,
    ) -> Result<InodeId, Errno> {
        let above = self.attributes_at(directory)?;
        self.permit_name(context)?;
        let mount = self.dentries.get(directory)?.mount;
        let tree = self.mounts.get_mut(mount).ok_or(Errno::ENOENT)?;
        let number = tree.next_number;
        tree.next_number += 1;
        let device = tree.device;
        let (kind, size, special) = match make {
            Make::Regular => (Kind::Regular, 0, 0),
            Make::Directory => (Kind::Directory, 4096, 0),
            Make::Symlink(target) => (Kind::Symlink, target.len() as u64, 0),
            Make::Special(kind, special) => (kind, 0, special),
        };
        let inherits = above.permissions & SET_GROUP != 0;
        let mut permissions = permissions & 0o7777;
        if inherits && kind == Kind::Directory {
            permissions |= SET_GROUP;
        }
        let mut attributes = Attributes {
            kind,
            permissions: if kind == Kind::Symlink {
                0o777
            } else {
                permissions
            },
            uid: context.credentials.uid,
            gid: if inherits {
                above.gid
            } else {
                context.credentials.gid
            },
            size,
            links: if kind == Kind::Directory { 2 } else { 1 },
            number,
            device,
            special,
            blocks: 0,
            accessed: context.wall,
            modified: context.wall,
            changed: context.wall,
        };
        if kind != Kind::Directory {
            // A program must not act for a group its maker is not in (Linux `mode_strip_sgid`).
            attributes.give_up_group(context.credentials);
        }
        self.leave_names()?;
        let mut union = Union::new(mount, context.account);
        union.changed = true;
        if let Make::Symlink(target) = make {
            if target.is_empty() {
                return Err(Errno::ENOENT);
            }
            if target.len() >= PATH_BYTES {
                return Err(Errno::ENAMETOOLONG);
            }
            union.link = Text::copy_of(target)?;
        }
        self.inodes
            .insert(Inode::new(attributes, Node::Union(union)))
            .map_err(|_| Errno::ENOSPC)
    }

    /// Refuses one more name that programs make when it would take what others need.
    fn leave_names(&mut self) -> Result<(), Errno> {
        room_for_name(hal::heap::headroom(), hal::heap::usage().size)?;
        // A small machine's heap has no room for so many: as many as it keeps of clean names.
        let spare = NAMES_SPARE.min(self.warm_names);
        while !self.dentries.has_spare(spare) || !self.inodes.has_spare(spare) {
            if !self.forget_any() {
                return Err(Errno::ENOSPC);
            }
        }
        Ok(())
    }

    /// Makes an entry the truth: it holds `inode` (whose reference is taken) or says that there is none.
    fn write_entry(&mut self, id: DentryId, inode: Option<InodeId>) -> Result<(), Errno> {
        let entry = self.dentries.get_mut(id)?;
        entry.inode = inode;
        if entry.state == State::Written {
            // A mark becomes a file, whose it is from now on.
            let parent = entry.parent;
            self.refund_name(id);
            self.charge_name(id);
            if let Some(parent) = parent {
                let directory = self.inode_at(parent)?;
                self.union_mut(directory)?.searched = 0;
            }
        }
        self.pin_entry(id)
    }

    /// Makes an entry that may only have been cached the truth, and lists it in its directory.
    pub(super) fn pin_entry(&mut self, id: DentryId) -> Result<(), Errno> {
        let entry = self.dentries.get(id)?;
        let Some(parent) = entry.parent else {
            return Ok(());
        };
        if entry.state != State::Cached {
            return Ok(());
        }
        let (shadows, is_mark) = (entry.shadows, entry.inode.is_none());
        let directory = self.inode_at(parent)?;
        let Some(Node::Union(union)) = self.inodes.get_mut(directory).map(|inode| &mut inode.node)
        else {
            return Err(Errno::EPERM);
        };
        let order = union.next_entry;
        union.next_entry += 1;
        let (mut earlier, mut later) = (None, None);
        if shadows {
            later = union.over_sources.replace(id);
            if !is_mark {
                union.searched = 0;
            }
        } else {
            earlier = union.entries.last.replace(id);
            if earlier.is_none() {
                union.entries.first = Some(id);
            }
        }
        if let Some(earlier) = earlier {
            self.dentries.get_mut(earlier)?.later = Some(id);
        }
        if let Some(later) = later {
            self.dentries.get_mut(later)?.earlier = Some(id);
        }
        let entry = self.dentries.get_mut(id)?;
        entry.state = State::Written;
        entry.order = order;
        entry.earlier = earlier;
        entry.later = later;
        self.charge_name(id);
        Ok(())
    }

    /// Takes a written entry out of its directory's lists. It is cached then.
    pub(super) fn unpin_entry(&mut self, id: DentryId) -> Result<(), Errno> {
        let entry = self.dentries.get_mut(id)?;
        if entry.state != State::Written {
            return Ok(());
        }
        entry.state = State::Cached;
        let (earlier, later) = (entry.earlier.take(), entry.later.take());
        let parent = entry.parent;
        self.refund_name(id);
        let Some(parent) = parent else {
            return Ok(());
        };
        if let Some(earlier) = earlier {
            self.dentries.get_mut(earlier)?.later = later;
        }
        if let Some(later) = later {
            self.dentries.get_mut(later)?.earlier = earlier;
        }
        let directory = self.inode_at(parent)?;
        if let Some(Node::Union(union)) =
            self.inodes.get_mut(directory).map(|inode| &mut inode.node)
        {
            if union.entries.first == Some(id) {
                union.entries.first = later;
            }
            if union.entries.last == Some(id) {
                union.entries.last = earlier;
            }
            if union.over_sources == Some(id) {
                union.over_sources = later;
            }
        }
        Ok(())
    }

    /// Notes in a directory's attributes that names in it changed.
    pub(super) fn directory_changed(
        &mut self,
        context: &Context<'_>,
        directory: DentryId,
        subdirectories: i32,
    ) {
        let wall = context.wall;
        let Ok(id) = self.inode_at(directory) else {
            return;
        };
        if let Some(inode) = self.inodes.get_mut(id) {
            inode.attributes.links = inode.attributes.links.saturating_add_signed(subdirectories);
            inode.attributes.modified = wall;
            inode.attributes.changed = wall;
        }
    }

    /// Returns a file's inode for a change: it is remembered from now on, whatever its source says.
    ///
    /// # Errors
    ///
    /// EROFS for files that cannot be changed.
    pub(super) fn own(&mut self, place: PlaceRef<'_>) -> Result<&mut Inode, Errno> {
        let id = self.inode_at(place.0)?;
        self.pin_entry(place.0)?;
        let inode = self.inodes.get_mut(id).ok_or(Errno::EIO)?;
        let attributes = inode.attributes;
        let Node::Union(union) = &mut inode.node else {
            return Err(Errno::EROFS);
        };
        union.changed = true;
        // A source's file with several names: the change must outlive this name, for the others.
        if union.lower.is_some()
            && attributes.kind != Kind::Directory
            && attributes.links > 1
            && !union.pinned
        {
            union.pinned = true;
            inode.references += 1;
        }
        Ok(inode)
    }

    /// Checks that a name may be removed or replaced.
    pub(super) fn permit_removal(
        &self,
        context: &Context<'_>,
        found: &Resolved,
    ) -> Result<Attributes, Errno> {
        let attributes = self.attributes_at(found.entry.0)?;
        self.permit_change(context, found.directory.0)?;
        let above = self.attributes_at(found.directory.0)?;
        let who = context.credentials;
        if above.permissions & STICKY != 0
            && who.uid != attributes.uid
            && who.uid != above.uid
            && !who.can(Capabilities::FOWNER)
        {
            return Err(Errno::EPERM);
        }
        let entry = self.dentries.get(found.entry.0)?;
        if entry.parent.is_none() || entry.mounted.is_some() {
            return Err(Errno::EBUSY);
        }
        Ok(attributes)
    }

    /// Removes a name: unlink(2), or rmdir(2) for a directory.
    pub(super) fn remove(
        &mut self,
        context: &mut Context<'_>,
        found: &Resolved,
        wanted: Kind,
    ) -> Result<(), Stall> {
        let is_rmdir = wanted == Kind::Directory;
        match (&found.last, is_rmdir) {
            (LastName::Name(_), _) => {}
            (LastName::Dot, true) => return Err(Errno::EINVAL.into()),
            (LastName::DotDot, true) => return Err(Errno::ENOTEMPTY.into()),
            (_, true) => return Err(Errno::EBUSY.into()),
            (_, false) => return Err(Errno::EISDIR.into()),
        }
        let attributes = self.permit_removal(context, found)?;
        match (attributes.kind == Kind::Directory, is_rmdir) {
            (true, false) => return Err(Errno::EISDIR.into()),
            (false, true) => return Err(Errno::ENOTDIR.into()),
            (false, false) if found.is_slashed => return Err(Errno::ENOTDIR.into()),
            _ => {}
        }
        if is_rmdir && !self.is_empty(context, found.entry.0)? {
            return Err(Errno::ENOTEMPTY.into());
        }
        self.take_name(context, found.entry.0)?;
        self.directory_changed(context, found.directory.0, -i32::from(is_rmdir));
        Ok(())
    }

    /// Takes the name of a file away. Whoever has it open keeps it; a mark stays where a source has the name.
    pub(super) fn take_name(
        &mut self,
        context: &mut Context<'_>,
        id: DentryId,
    ) -> Result<(), Errno> {
        let entry = self.dentries.get(id)?;
        let inode = entry.inode.ok_or(Errno::ENOENT)?;
        self.leave_mark(id)?;
        self.unpin_entry(id)?;
        self.dentries.unlink(id);
        self.dentries.get_mut(id)?.state = State::Detached;
        let wall = context.wall;
        let known = self.inodes.get_mut(inode).ok_or(Errno::EIO)?;
        known.attributes.changed = wall;
        known.attributes.links = if known.attributes.kind == Kind::Directory {
            0
        } else {
            known.attributes.links.saturating_sub(1)
        };
        let is_last = known.attributes.links == 0;
        if let Node::Union(union) = &mut known.node
            && is_last
            && core::mem::take(&mut union.pinned)
        {
            self.release_inode(inode);
        }
        self.abandon_marks(id);
        Ok(())
    }

    /// Puts a mark in place of a name that a source has, beside the entry that is about to go.
    pub(super) fn leave_mark(&mut self, id: DentryId) -> Result<(), Errno> {
        let entry = self.dentries.get(id)?;
        if !entry.shadows {
            return Ok(());
        }
        let mut mark = Dentry::new(entry.parent, &entry.name, None, entry.mount, State::Cached)?;
        mark.shadows = true;
        let mark = self.dentries.insert(mark)?;
        if let Err(errno) = self.pin_entry(mark) {
            self.drop_entry(mark);
            return Err(errno);
        }
        Ok(())
    }

    /// Gives a file another name.
    pub(super) fn link(
        &mut self,
        context: &mut Context<'_>,
        from: PlaceRef<'_>,
        found: &Resolved,
    ) -> Result<(), Errno> {
        let attributes = self.attributes(from)?;
        if attributes.kind == Kind::Directory {
            return Err(Errno::EPERM);
        }
        let LastName::Name(_) = &found.last else {
            return Err(Errno::EEXIST);
        };
        if self.dentries.get(found.entry.0)?.inode.is_some() {
            return Err(Errno::EEXIST);
        }
        if found.is_slashed {
            return Err(Errno::ENOENT);
        }
        if self.dentries.get(from.0)?.mount != self.dentries.get(found.directory.0)?.mount {
            return Err(Errno::EXDEV);
        }
        self.permit_change(context, found.directory.0)?;
        self.permit_name(context)?;
        self.leave_names()?;
        if attributes.links >= MAX_LINKS {
            return Err(Errno::EMLINK);
        }
        if attributes.links == 0
            && !core::mem::take(&mut self.union_mut(self.inode_at(from.0)?)?.can_be_linked)
        {
            return Err(Errno::ENOENT);
        }
        let wall = context.wall;
        let inode = self.own(from)?;
        inode.attributes.links += 1;
        inode.attributes.changed = wall;
        inode.references += 1;
        let id = self.inode_at(from.0)?;
        if let Err(errno) = self.write_entry(found.entry.0, Some(id)) {
            self.release_inode(id);
            return Err(errno);
        }
        self.directory_changed(context, found.directory.0, 0);
        Ok(())
    }
}

/// Refuses one more name that programs make when the rest of the heap, with `free` of its `size` bytes, is the kernel's.
const fn room_for_name(free: usize, size: usize) -> Result<(), Errno> {
    if free < size / NAMES_HEAP_RESERVE {
        return Err(Errno::ENOSPC);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_leave_a_part_of_the_heap_to_the_kernel() {
        let size = 1 << 20;
        let reserve = size / NAMES_HEAP_RESERVE;
        assert_eq!(room_for_name(reserve - 1, size), Err(Errno::ENOSPC));
        assert_eq!(room_for_name(reserve, size), Ok(()));
        assert_eq!(room_for_name(reserve + 1, size), Ok(()));
        assert_eq!(room_for_name(usize::MAX, 0), Ok(()), "no heap of ours");
    }
}
