//! Unions: what programs see of one or several sources with changes in front of them.
//!
//! A name is looked up in the name cache first; written names, and marks that a name was removed, stand there. Only a
//! name the cache does not know is asked of the sources, topmost first. Directories of several sources become one;
//! a source's marks are those that overlayfs writes: a character device 0:0 for a name that was removed, an attribute of a
//! directory that hides those below it.

use crate::account::AccountId;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Attributes, Kind};
use crate::fs::context::Context;
use crate::fs::dentry::{Dentry, DentryId, State};
use crate::fs::inode::{EntryList, Inode, InodeId, NO_SLOT, Node, Union};
use crate::fs::mount::MountId;
use crate::fs::place::{Place, PlaceRef};
use crate::fs::text::Text;
use crate::limits::{MAX_NAME_LOOKS, WORK_NAMES};
use crate::wait::Stall;
use alloc::vec::Vec;
use hal::block::Block;

impl Union {
    /// Makes a union over nothing.
    pub(super) const fn new(mount: MountId, account: AccountId) -> Self {
        Self {
            mount,
            lower: None,
            deeper: Vec::new(),
            next_over_base: None,
            kept: 0,
            changed: false,
            pinned: false,
            pipe: None,
            seals: None,
            has_attributes: false,
            can_be_linked: false,
            writers: 0,
            executed: 0,
            mapped: 0,
            seen: 0,
            next_viewer: NO_SLOT,
            link: Text::EMPTY,
            account,
            next_entry: 1,
            listed: None,
            entries: EntryList {
                first: None,
                last: None,
            },
            over_sources: None,
            searched: 0,
        }
    }
}

impl<B: Block> Files<B> {
    /// Returns the entry `name` of a directory; it holds no inode when there is no such file. The entry is not
    /// referenced: hold it before anything else is looked up.
    pub(super) fn child(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        name: &[u8],
    ) -> Result<DentryId, Stall> {
        if let Some(known) = self.dentries.find(directory, name) {
            return Ok(known);
        }
        let entry = self.dentries.get(directory)?;
        let (mount, id) = (entry.mount, entry.inode.ok_or(Errno::ENOENT)?);
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        if inode.attributes.kind != Kind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        if let Node::Proc(node) = &inode.node {
            let node = *node;
            return self.proc_child(context, directory, node, name);
        }
        if entry.state == State::Detached {
            // It was removed, and the marks that hide what its sources have may be gone.
            return Err(Errno::ENOENT.into());
        }
        let found = self.source_child(context, id, name)?;
        let inode = match found {
            Some((base, deeper)) => Some(self.union_over(context, mount, base, deeper)?),
            None => None,
        };
        let shadows = inode.is_some();
        match self.enter(Some(directory), name, inode, mount, State::Cached) {
            Ok(id) => {
                self.dentries.get_mut(id)?.shadows = shadows;
                Ok(id)
            }
            Err(errno) => {
                if let Some(inode) = inode {
                    self.release_inode(inode);
                }
                Err(errno.into())
            }
        }
    }

    /// Asks a directory's sources for a name; returns the topmost base that has it, and for directories those below,
    /// each with a reference.
    fn source_child(
        &mut self,
        context: &mut Context<'_>,
        directory: InodeId,
        name: &[u8],
    ) -> Result<Option<(InodeId, Vec<InodeId>)>, Stall> {
        let mut top: Option<InodeId> = None;
        let mut deeper = Vec::new();
        let result = self.ask_sources(context, directory, name, &mut top, &mut deeper);
        match (result, top) {
            (Ok(()), Some(top)) => Ok(Some((top, deeper))),
            (Ok(()), None) => Ok(None),
            (Err(stall), _) => {
                for base in top.into_iter().chain(deeper) {
                    self.release_inode(base);
                }
                Err(stall)
            }
        }
    }

    fn ask_sources(
        &mut self,
        context: &mut Context<'_>,
        directory: InodeId,
        name: &[u8],
        top: &mut Option<InodeId>,
        deeper: &mut Vec<InodeId>,
    ) -> Result<(), Stall> {
        let mut nth = 0;
        while let Some(source) = self.source(directory, nth) {
            nth += 1;
            let Some(base) = self.base_find(context, source, name)? else {
                continue;
            };
            let attributes = self.inodes.get(base).ok_or(Errno::EIO)?.attributes;
            let is_directory = attributes.kind == Kind::Directory;
            if is_whiteout(&attributes) || (top.is_some() && !is_directory) {
                self.release_inode(base);
                return Ok(());
            }
            if top.is_none() {
                *top = Some(base);
            } else if deeper.try_reserve(1).is_err() {
                self.release_inode(base);
                return Err(Errno::ENOMEM.into());
            } else {
                deeper.push(base);
            }
            if !is_directory {
                return Ok(());
            }
            let is_last = self.source(directory, nth).is_none();
            if !is_last && self.ext4_is_opaque(context, base)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns the `nth` source of a union directory, topmost first.
    pub(super) fn source(&self, directory: InodeId, nth: usize) -> Option<InodeId> {
        let Node::Union(union) = &self.inodes.get(directory)?.node else {
            return None;
        };
        match nth {
            0 => union.lower,
            _ => union.deeper.get(nth - 1).copied(),
        }
    }

    /// Returns the union inode of `mount` over a base, with a reference; takes the references of the bases. Names of
    /// one file share it.
    fn union_over(
        &mut self,
        context: &mut Context<'_>,
        mount: MountId,
        base: InodeId,
        deeper: Vec<InodeId>,
    ) -> Result<InodeId, Errno> {
        let known = self.inodes.get(base).ok_or(Errno::EIO)?;
        let (attributes, over) = (known.attributes, known.over);
        if attributes.kind != Kind::Directory && attributes.links > 1 {
            let mut next = over;
            while let Some(id) = next {
                let Some(inode) = self.inodes.get_mut(id) else {
                    break;
                };
                let Node::Union(union) = &inode.node else {
                    break;
                };
                next = union.next_over_base;
                if union.mount == mount {
                    inode.references += 1;
                    self.release_inode(base);
                    return Ok(id);
                }
            }
        }
        let mut union = Union::new(mount, context.account);
        union.lower = Some(base);
        union.deeper = deeper;
        union.kept = attributes.size;
        union.next_over_base = over;
        let inode = Inode::new(attributes, Node::Union(union));
        match self.inodes.insert(inode) {
            Ok(id) => {
                if let Some(base) = self.inodes.get_mut(base) {
                    base.over = Some(id);
                }
                Ok(id)
            }
            Err((inode, _)) => {
                if let Node::Union(union) = inode.node {
                    for base in union.deeper {
                        self.release_inode(base);
                    }
                }
                self.release_inode(base);
                Err(Errno::ENOSPC)
            }
        }
    }

    /// Makes the root inode of a tree over some bases, taking their references.
    pub(super) fn union_root(
        &mut self,
        context: &mut Context<'_>,
        mount: MountId,
        base: InodeId,
        deeper: Vec<InodeId>,
    ) -> Result<InodeId, Errno> {
        self.union_over(context, mount, base, deeper)
    }

    /// Puts an entry into the name cache, taking the inode's reference on success. An old clean entry goes for it when
    /// there are many.
    pub(super) fn enter(
        &mut self,
        parent: Option<DentryId>,
        name: &[u8],
        inode: Option<InodeId>,
        mount: MountId,
        state: State,
    ) -> Result<DentryId, Errno> {
        let entry = Dentry::new(parent, name, inode, mount, state)?;
        if self.dentries.len() >= self.warm_names {
            // The directory itself must stay.
            if let Some(parent) = parent {
                self.dentries.hold(parent);
            }
            if self.dentries.has_spare(1) {
                self.forget_idle(1);
            } else {
                self.forget_any();
            }
            if let Some(parent) = parent {
                self.dentries.let_go(parent);
            }
        }
        self.dentries.insert(entry)
    }

    /// Forgets an old clean entry, looking for it `times` times at some; returns whether there was one.
    fn forget_idle(&mut self, times: usize) -> bool {
        let idle = (0..times).find_map(|_| self.dentries.find_idle());
        if let Some(idle) = idle {
            self.drop_entry(idle);
        }
        idle.is_some()
    }

    /// Forgets a clean entry wherever one is; returns whether there was one.
    pub(super) fn forget_any(&mut self) -> bool {
        // The first round takes the mark of what was used lately.
        let rounds = 2 * self.dentries.slots() as usize;
        self.forget_idle(rounds / MAX_NAME_LOOKS + 1)
    }

    /// Forgets an entry, gives its inode back, and forgets the directories above that were waiting for that: some
    /// now, the others fall.
    pub(super) fn drop_entry(&mut self, id: DentryId) {
        let mut next = Some(id);
        for _ in 0..WORK_NAMES {
            let Some(id) = next.take() else {
                return;
            };
            let Some(entry) = self.dentries.remove(id) else {
                return;
            };
            if let Some(inode) = entry.inode {
                self.release_inode(inode);
            }
            if let Some(parent) = entry.parent
                && self.dentries.let_go_parent(parent)
            {
                next = Some(parent);
            }
        }
        if let Some(id) = next {
            self.dentries.fall(id);
        }
    }

    /// Gives a reference to an entry back.
    pub(super) fn let_go(&mut self, id: DentryId) {
        if self.dentries.let_go(id) {
            self.drop_entry(id);
        }
    }

    /// Makes a second token of a place.
    pub fn share_place(&mut self, place: PlaceRef<'_>) -> Place {
        self.dentries.hold(place.0);
        Place(place.0)
    }

    /// Gives a place back.
    pub fn release_place(&mut self, place: Place) {
        self.let_go(place.0);
    }

    /// Gives a reference to an inode back; with the last one it goes, and what it stands on may go too. The depth of
    /// this is two: a union's bases stand on nothing.
    pub(super) fn release_inode(&mut self, id: InodeId) {
        let Some(inode) = self.inodes.get_mut(id) else {
            return;
        };
        inode.references = inode.references.saturating_sub(1);
        if inode.references > 0 {
            return;
        }
        self.forget_base(id);
        if let Some(Node::Union(union)) = self.inodes.get_mut(id).map(|inode| &mut inode.node) {
            let (lower, after) = (union.lower.take(), union.next_over_base.take());
            let deeper = core::mem::take(&mut union.deeper);
            if let Some(base) = lower {
                self.unlink_over(base, id, after);
                self.release_inode(base);
            }
            for base in deeper {
                self.release_inode(base);
            }
        }
        self.abandon_inode(id);
    }

    /// Takes a union inode out of the list of those over its base.
    fn unlink_over(&mut self, base: InodeId, gone: InodeId, after: Option<InodeId>) {
        let Some(known) = self.inodes.get_mut(base) else {
            return;
        };
        if known.over == Some(gone) {
            known.over = after;
            return;
        }
        let mut next = known.over;
        while let Some(inode) = next.and_then(|id| self.inodes.get_mut(id)) {
            let Node::Union(union) = &mut inode.node else {
                return;
            };
            if union.next_over_base == Some(gone) {
                union.next_over_base = after;
                return;
            }
            next = union.next_over_base;
        }
    }

    /// Returns the inode in a place.
    ///
    /// # Errors
    ///
    /// ENOENT when it holds none.
    pub(super) fn inode_at(&self, id: DentryId) -> Result<InodeId, Errno> {
        self.dentries.get(id)?.inode.ok_or(Errno::ENOENT)
    }

    pub(super) fn attributes_at(&self, id: DentryId) -> Result<Attributes, Errno> {
        let inode = self.inode_at(id)?;
        Ok(self.inodes.get(inode).ok_or(Errno::EIO)?.attributes)
    }

    /// Returns what stat(2) says of the file in a place.
    ///
    /// # Errors
    ///
    /// ENOENT when the place holds no file.
    pub fn attributes(&self, place: PlaceRef<'_>) -> Result<Attributes, Errno> {
        self.attributes_at(place.0)
    }
}

/// Returns whether a source's file is the mark that a name was removed.
pub(super) const fn is_whiteout(attributes: &Attributes) -> bool {
    matches!(attributes.kind, Kind::Character) && attributes.special == 0
}
