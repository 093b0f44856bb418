//! Telling watches what happened, as Linux `fsnotify` does: a file's own watches, and with its name those of the directory it
//! was found in.

use super::Wanted;
use crate::fs::Files;
use crate::fs::attributes::Kind;
use crate::fs::dentry::{DentryId, State};
use crate::fs::description::DescriptionId;
use crate::fs::inode::InodeId;
use hal::block::Block;

bitflags::bitflags! {
    /// What happened (linux/inotify.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::fs) struct Told: u32 {
        const ACCESS = 0x1;
        const MODIFY = 0x2;
        const ATTRIB = 0x4;
        const CLOSE_WRITE = 0x8;
        const CLOSE_NOWRITE = 0x10;
        const OPEN = 0x20;
        const MOVED_FROM = 0x40;
        const MOVED_TO = 0x80;
        const CREATE = 0x100;
        const DELETE = 0x200;
        const DELETE_SELF = 0x400;
        const MOVE_SELF = 0x800;
        const UNMOUNT = 0x2000;
        const IGNORED = 0x8000;
        /// It happened to a directory.
        const DIRECTORY = 0x4000_0000;
    }
}

impl<B: Block> Files<B> {
    /// Tells the watches of the file under an entry, and of the directory it is in.
    #[inline]
    pub(in crate::fs) fn tell_entry(&mut self, entry: DentryId, told: Told) {
        if self.notifiers.is_watching() {
            self.tell_above(entry, told);
            if let Ok(inode) = self.inode_at(entry) {
                self.tell_inode(inode, told);
            }
        }
    }

    /// Tells those of an open file, of what has a name.
    #[inline]
    pub(in crate::fs) fn tell_open(&mut self, id: DescriptionId, told: Told) {
        if self.notifiers.is_watching()
            && let Some(place) = self
                .descriptions
                .get(id)
                .and_then(|file| file.place.as_ref())
        {
            self.tell_entry(place.0, told);
        }
    }

    /// Tells the watches of the file under an entry alone.
    #[inline]
    pub(in crate::fs) fn tell_file(&mut self, entry: DentryId, told: Told) {
        if self.notifiers.is_watching()
            && let Ok(inode) = self.inode_at(entry)
        {
            self.tell_inode(inode, told);
        }
    }

    /// Tells the watches of the directory an entry is in alone.
    #[inline]
    pub(in crate::fs) fn tell_directory(&mut self, entry: DentryId, told: Told) {
        if self.notifiers.is_watching() {
            self.tell_above(entry, told);
        }
    }

    fn tell_above(&mut self, entry: DentryId, told: Told) {
        let Ok(known) = self.dentries.get(entry) else {
            return;
        };
        let name = heapless::Vec::<u8, { crate::limits::NAME_BYTES }>::from_slice(&known.name);
        let is_gone = known.state == State::Detached && !told.contains(Told::DELETE);
        let (parent, inode) = (known.parent, known.inode);
        if let (Ok(name), Some(parent)) = (name, parent)
            && let Ok(directory) = self.inode_at(parent)
        {
            let about = self.kind_bit(inode);
            self.tell_named(directory, told.bits() | about, 0, &name, is_gone);
        }
    }

    /// Tells two directories that a file was moved from one name to another, and the file.
    pub(in crate::fs) fn tell_move(
        &mut self,
        (from, old): (DentryId, &[u8]),
        (to, new): (DentryId, &[u8]),
        moved: DentryId,
    ) {
        if !self.notifiers.is_watching() {
            return;
        }
        self.notifiers.cookie = self.notifiers.cookie.wrapping_add(1).max(1);
        let cookie = self.notifiers.cookie;
        let file = self.inode_at(moved).ok();
        let about = self.kind_bit(file);
        let ends = [(from, old, Told::MOVED_FROM), (to, new, Told::MOVED_TO)];
        for (directory, name, told) in ends {
            if let Ok(directory) = self.inode_at(directory) {
                self.tell_named(directory, told.bits() | about, cookie, name, false);
            }
        }
        if let Some(file) = file {
            self.tell_inode(file, Told::MOVE_SELF);
        }
    }

    fn kind_bit(&self, inode: Option<InodeId>) -> u32 {
        let inode = inode.and_then(|id| self.inodes.get(id));
        match inode.is_some_and(|inode| inode.attributes.kind == Kind::Directory) {
            true => Told::DIRECTORY.bits(),
            false => 0,
        }
    }

    fn tell_inode(&mut self, inode: InodeId, told: Told) {
        // Of itself no directory says what it is when it goes or moves (Linux `inotify_handle_inode_event`).
        let about = if told.intersects(Told::DELETE_SELF | Told::MOVE_SELF) {
            0
        } else {
            self.kind_bit(Some(inode))
        };
        self.tell_named(inode, told.bits() | about, 0, b"", false);
    }

    /// Tells all watches of an inode that ask for it.
    fn tell_named(&mut self, inode: InodeId, told: u32, cookie: u32, name: &[u8], is_gone: bool) {
        let mut slot = self.notifiers.first(inode);
        while let Some((found, watch)) = self.notifiers.find(inode, slot) {
            slot = watch.chain;
            let wanted = watch.wanted;
            let is_excluded = is_gone && wanted.contains(Wanted::EXCLUDES_UNLINKED);
            if wanted.bits() & Wanted::EVENTS.bits() & told == 0 || is_excluded {
                continue;
            }
            self.tell_watch(found, told, cookie, name);
            if wanted.contains(Wanted::ONCE) {
                self.end_watch(found);
            }
        }
    }

    pub(super) fn tell_watch(&mut self, slot: u32, told: u32, cookie: u32, name: &[u8]) {
        let Some((_, watch)) = self.notifiers.watches.at_mut(slot) else {
            return;
        };
        let (id, number) = (watch.notifier, watch.number);
        if let Some(notifier) = self.notifiers.table.get_mut(id)
            && notifier.queue.push(number, told, cookie, name)
        {
            notifier.has_news = true;
            self.notifiers.has_news = true;
            self.count_waiting(id);
        }
    }

    /// Ends a watch, which is told of that.
    pub(super) fn end_watch(&mut self, slot: u32) {
        self.tell_watch(slot, Told::IGNORED.bits(), 0, b"");
        let Some(watch) = self.notifiers.unlink(slot) else {
            return;
        };
        if let Some(notifier) = self.notifiers.table.get_mut(watch.notifier) {
            notifier.owed += 1;
            self.notifiers.has_news = true;
        }
        self.release_inode(watch.inode);
    }

    /// Tells the watches of an inode that nobody else refers to any more, and that has no name, that it is gone.
    pub(in crate::fs) fn tell_gone(&mut self, id: InodeId) {
        let Some(inode) = self.inodes.get(id) else {
            return;
        };
        if inode.attributes.links > 0 || self.notifiers.count(id) != inode.references {
            return;
        }
        // One reference more, so that it goes behind its last watch and not in their midst.
        if let Some(inode) = self.inodes.get_mut(id) {
            inode.references += 1;
        }
        self.tell_inode(id, Told::DELETE_SELF);
        let slot = |files: &mut Self| {
            let first = files.notifiers.first(id);
            files.notifiers.find(id, first).map(|(slot, _)| slot)
        };
        while let Some(slot) = slot(self) {
            self.end_watch(slot);
        }
        self.release_inode(id);
    }
}
