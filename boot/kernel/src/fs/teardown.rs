//! What nobody can reach any more, given back a bounded number of pages, names and descriptors at a time.
//!
//! A file is cut or removed at once for everybody who looks; its pages go here. They stay in the page cache under
//! their old owner until a turn of the machine's loop, or somebody who is short of memory, takes them out:
//!
//! * an inode whose `remains` are not empty stands in a queue; without references it goes with its last page,
//! * a directory entry whose last user was far below it is *fallen* (`dentry`),
//! * a directory that was removed forgets the marks in it,
//! * a tree that was unmounted forgets its names slot by slot,
//! * a descriptor table without users closes its files.

use crate::account::{Accounts, Resource};
use crate::fs::Files;
use crate::fs::attributes::Kind;
use crate::fs::context::Context;
use crate::fs::dentry::{DentryId, State};
use crate::fs::inode::{Inode, InodeId, NO_SLOT, Node};
use crate::fs::mount::MountId;
use crate::fs::page_cache::Owner;
use crate::fs::table::TableId;
use crate::limits::{WORK_FILES, WORK_LOOKS, WORK_NAMES, WORK_PAGES};
use core::ops::Range;
use hal::block::Block;
use hal::frame::FramePool;
use hal::limits::PAGE_BYTES;

/// What is yet to be given back.
#[derive(Debug)]
pub(super) struct Teardown {
    /// Slots of the first and last inode with remains; `chain` leads from one to the next.
    first: u32,
    last: u32,
    /// Slot of the page cache where the search for the first one's pages goes on.
    hand: u32,
    /// A table to be closed, which knows the next one.
    tables: Option<TableId>,
    /// A directory that was removed while marks were in it; `later` leads from its entry to the next one's.
    emptied: Option<DentryId>,
    /// A tree that forgets its names, and the slot it has come to. Others wait for it.
    sweep: Option<(MountId, u32)>,
    /// Trees that are to forget their names.
    mounts: usize,
}

impl Teardown {
    pub(super) const fn new() -> Self {
        Self {
            first: NO_SLOT,
            last: NO_SLOT,
            hand: 0,
            tables: None,
            emptied: None,
            sweep: None,
            mounts: 0,
        }
    }

    /// Returns whether pages wait to be given back.
    pub(super) const fn has_pages(&self) -> bool {
        self.first != NO_SLOT
    }
}

impl<B: Block> Files<B> {
    /// Returns whether [`Files::tear_down`] has something to do.
    #[must_use]
    pub fn has_remains(&self) -> bool {
        self.teardown.has_pages()
            || self.teardown.tables.is_some()
            || self.teardown.emptied.is_some()
            || self.teardown.mounts > 0
            || self.volumes.has_unused()
            || self.dentries.has_fallen()
            || !self.name_charges.is_empty()
    }

    /// Returns whether pages of files that were cut or removed wait to be given back.
    pub(crate) const fn has_pages_to_come(&self) -> bool {
        self.teardown.has_pages()
    }

    /// Returns whether trees that were unmounted still stand in the table.
    pub(super) const fn has_abandoned_trees(&self) -> bool {
        self.teardown.mounts > 0
    }

    /// Gives some of what nobody can reach back; returns whether there was anything.
    pub fn tear_down(&mut self, context: &mut Context<'_>) -> bool {
        if !self.has_remains() {
            return false;
        }
        self.close_abandoned(context);
        self.forget_fallen();
        self.forget_marks();
        self.sweep_tree();
        self.give_pages_back(context.pool, context.accounts);
        self.volumes.forget_some(&mut self.pages, context.pool);
        self.settle_names(context.accounts);
        true
    }

    /// Lets the pages of a file with these numbers go.
    pub(super) fn abandon_pages(&mut self, id: InodeId, pages: Range<u32>) {
        let Some(inode) = self.inodes.get_mut(id) else {
            return;
        };
        if pages.is_empty() && inode.remains.is_empty() {
            return;
        }
        let is_queued = !inode.remains.is_empty();
        inode.remains = if is_queued {
            // What an earlier cut left must not show again because a later one was shorter.
            pages.start.min(inode.remains.start)..pages.end.max(inode.remains.end)
        } else {
            pages
        };
        // What was looked at for fewer pages has to be looked at again.
        self.teardown.hand = 0;
        if is_queued {
            return;
        }
        inode.chain = NO_SLOT;
        let before = core::mem::replace(&mut self.teardown.last, id.index());
        match self.inodes.at_mut(before) {
            Some((_, before)) => before.chain = id.index(),
            None => self.teardown.first = id.index(),
        }
    }

    /// Lets an inode go that has no reference any more.
    pub(super) fn abandon_inode(&mut self, id: InodeId) {
        let Some(inode) = self.inodes.get(id) else {
            return;
        };
        self.abandon_pages(id, 0..cached_pages(inode));
        if self
            .inodes
            .get(id)
            .is_some_and(|inode| inode.remains.is_empty())
        {
            self.inodes.remove(id);
        }
    }

    /// Gives back up to [`WORK_PAGES`] pages of cut or removed files.
    pub(super) fn give_pages_back(&mut self, pool: &mut FramePool, accounts: &mut Accounts) {
        let Some((id, inode)) = self.inodes.at_mut(self.teardown.first) else {
            return;
        };
        let hand = &mut self.teardown.hand;
        let owned = self
            .pages
            .remove_some(pool, Owner::Inode(id), &mut inode.remains, hand);
        if let Node::Union(union) = &inode.node
            && let Some(account) = accounts.get_mut(union.account)
        {
            account.refund(Resource::FileFrames, owned);
        }
        if !inode.remains.is_empty() {
            return;
        }
        inode.remains = 0..0;
        self.teardown.hand = 0;
        self.teardown.first = core::mem::replace(&mut inode.chain, NO_SLOT);
        if self.teardown.first == NO_SLOT {
            self.teardown.last = NO_SLOT;
        }
        if inode.references == 0 {
            self.inodes.remove(id);
        }
    }

    /// Lets a descriptor table go that has no user any more: a few files are closed at once, which is all most have.
    pub(super) fn abandon_table(&mut self, context: &mut Context<'_>, id: TableId) {
        if let Some(table) = self.tables.get_mut(id) {
            table.next_abandoned = self.teardown.tables.replace(id);
            self.close_abandoned(context);
        }
    }

    fn close_abandoned(&mut self, context: &mut Context<'_>) {
        let Some(id) = self.teardown.tables else {
            return;
        };
        for _ in 0..WORK_FILES {
            let Some(table) = self.tables.get_mut(id) else {
                break;
            };
            let Some(descriptor) = table.take_next(0) else {
                self.teardown.tables = table.next_abandoned;
                self.remove_table(id);
                return;
            };
            self.close_description(context, id, descriptor.description);
        }
    }

    fn forget_fallen(&mut self) {
        if let Some(id) = self.dentries.next_fallen() {
            self.drop_entry(id);
        }
    }

    /// Lets the marks in a directory go that was removed: nobody looks for names in it any more.
    pub(super) fn abandon_marks(&mut self, directory: DentryId) {
        let has_marks = self
            .inode_at(directory)
            .and_then(|id| self.union_mut(id))
            .is_ok_and(|union| union.over_sources.is_some());
        if has_marks && let Ok(entry) = self.dentries.get_mut(directory) {
            entry.later = self.teardown.emptied.replace(directory);
            self.dentries.hold_parent(directory);
        }
    }

    /// Forgets some marks of one such directory.
    fn forget_marks(&mut self) {
        let Some(directory) = self.teardown.emptied else {
            return;
        };
        for _ in 0..WORK_NAMES {
            let union = self.inode_at(directory).and_then(|id| self.union_mut(id));
            let mark = union.ok().and_then(|union| union.over_sources);
            // A tree that is swept may have forgotten it before.
            let Some(mark) = mark.filter(|&mark| self.unpin_entry(mark).is_ok()) else {
                let entry = self.dentries.get_mut(directory);
                self.teardown.emptied = entry.ok().and_then(|entry| entry.later.take());
                if self.dentries.let_go_parent(directory) {
                    self.drop_entry(directory);
                }
                return;
            };
            let entry = self.dentries.get(mark);
            if entry.is_ok_and(|entry| entry.references == 0) {
                self.drop_entry(mark);
            }
        }
    }

    /// Lets every entry of a tree go. It is unmounted already.
    pub(super) fn abandon_tree(&mut self, id: MountId) {
        let Some(mount) = self.mounts.get_mut(id) else {
            return;
        };
        mount.is_abandoned = true;
        mount.over = None;
        self.teardown.mounts += 1;
        if let Some(root) = mount.root.take() {
            if let Ok(entry) = self.dentries.get_mut(root) {
                entry.state = State::Detached;
            }
            self.let_go(root);
        }
    }

    /// Forgets some entries of an abandoned tree; those in use are detached and go with their last user.
    fn sweep_tree(&mut self) {
        if self.teardown.mounts == 0 {
            return;
        }
        let next = || self.mounts.iter().find(|(_, mount)| mount.is_abandoned);
        let Some((mount, start)) = self
            .teardown
            .sweep
            .or_else(|| next().map(|(mount, _)| (mount, 0)))
        else {
            return;
        };
        let end = self
            .dentries
            .slots()
            .min(start.saturating_add(WORK_LOOKS as u32));
        let mut names = 0;
        for slot in start..end {
            if names == WORK_NAMES {
                self.teardown.sweep = Some((mount, slot));
                return;
            }
            names += usize::from(self.forget_slot(mount, slot));
        }
        self.teardown.sweep = Some((mount, end));
        if end == self.dentries.slots() {
            self.mounts.remove(mount);
            // Another tree may get its slot.
            for (_, other) in self.mounts.iter_mut() {
                other.lenders.remove(mount);
            }
            self.teardown.sweep = None;
            self.teardown.mounts -= 1;
        }
    }

    /// Forgets the entry in a slot if it belongs to `mount`; returns whether it did.
    fn forget_slot(&mut self, mount: MountId, slot: u32) -> bool {
        let Some(id) = self.dentries.at(slot) else {
            return false;
        };
        let Ok(entry) = self.dentries.get_mut(id) else {
            return false;
        };
        if entry.mount != mount || matches!(entry.state, State::Detached | State::Fallen) {
            return false;
        }
        entry.state = State::Detached;
        entry.earlier = None;
        entry.later = None;
        let is_used = entry.references > 0;
        self.refund_name(id);
        self.dentries.unlink(id);
        self.unpin_inode(id);
        if !is_used {
            self.drop_entry(id);
        }
        true
    }

    /// Gives back the reference that kept a changed file of several names.
    fn unpin_inode(&mut self, id: DentryId) {
        let Ok(inode) = self.inode_at(id) else {
            return;
        };
        if let Some(Node::Union(union)) = self.inodes.get_mut(inode).map(|inode| &mut inode.node)
            && core::mem::take(&mut union.pinned)
        {
            self.release_inode(inode);
        }
    }
}

/// Returns how many pages of its own an inode can have in the cache.
fn cached_pages(inode: &Inode) -> u32 {
    let attributes = &inode.attributes;
    match &inode.node {
        Node::Union(union) if union.has_attributes => return u32::MAX,
        Node::Union(_) if attributes.kind != Kind::Regular => return 0,
        _ => {}
    }
    let pages = attributes.size.div_ceil(PAGE_BYTES as u64);
    u32::try_from(pages).unwrap_or(u32::MAX)
}

const _: () = assert!(WORK_FILES > 3, "the standard streams are closed at once");
const _: () = assert!(WORK_LOOKS >= WORK_PAGES && WORK_LOOKS >= WORK_NAMES);
