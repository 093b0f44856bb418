//! The name cache: directory entries in memory, those that were written included.
//!
//! An entry is *cached* (it repeats what a source says, and can be forgotten) or *written* (it is the truth: a file
//! made here, or the mark that a source's file is gone). A look-up that ends here touches no disk and no heap.
//!
//! An entry that has an entry below it, a [`super::Place`] or a mount on it is referenced and stays.

use super::text::Text;
use crate::errno::Errno;
use crate::fs::inode::InodeId;
use crate::fs::mount::MountId;
use crate::fs::name_charge::Payer;
use crate::limits::{
    FRAMES_PER_NAME_BUCKET, MAX_MOUNTS, MAX_NAME_BUCKETS, MAX_NAME_LOOKS, MAX_NAMES,
    MIN_NAME_BUCKETS,
};
use crate::slab::{Id, Slab};
use alloc::vec::Vec;

/// Names a directory entry.
pub(super) type DentryId = Id<Dentry>;

/// End of a hash chain.
const NONE: u32 = u32::MAX;

/// Whether an entry is the truth or repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Repeats what the sources say.
    Cached,
    /// Made, changed or removed here.
    Written,
    /// Removed while still in use; has a name, but is found no more.
    Detached,
    /// Removed and unused: waits to be forgotten.
    Fallen,
}

/// A directory entry in memory.
#[derive(Debug)]
pub(super) struct Dentry {
    /// The directory's entry; `None` for the root of a mounted tree.
    pub(super) parent: Option<DentryId>,
    pub(super) name: Text,
    /// The file; `None` when there is none by this name.
    pub(super) inode: Option<InodeId>,
    pub(super) state: State,
    /// The sources have a file by this name, so that removing it leaves a mark.
    pub(super) shadows: bool,
    pub(super) mount: MountId,
    /// Root of the tree mounted on this directory.
    pub(super) mounted: Option<DentryId>,
    pub(super) references: u32,
    pub(super) recent: bool,
    /// Neighbours among the directory's written entries.
    pub(super) earlier: Option<DentryId>,
    pub(super) later: Option<DentryId>,
    /// Sequence number among them.
    pub(super) order: u64,
    /// Who pays for it, while it is written.
    pub(super) payer: Option<Payer>,
    chain: u32,
}

impl Dentry {
    pub(super) fn new(
        parent: Option<DentryId>,
        name: &[u8],
        inode: Option<InodeId>,
        mount: MountId,
        state: State,
    ) -> Result<Self, Errno> {
        Ok(Self {
            parent,
            name: Text::copy_of(name)?,
            inode,
            state,
            shadows: false,
            mount,
            mounted: None,
            references: 0,
            recent: true,
            earlier: None,
            later: None,
            order: 0,
            payer: None,
            chain: NONE,
        })
    }

    /// Returns whether nothing is lost when this entry is forgotten.
    const fn is_idle(&self) -> bool {
        self.references == 0
            && !matches!(self.state, State::Written | State::Fallen)
            && self.mounted.is_none()
    }
}

/// All directory entries in memory.
#[derive(Debug)]
pub(super) struct Dentries {
    table: Slab<Dentry>,
    buckets: Vec<u32>,
    /// How many there are to be, once the first entry is put in: a power of two.
    bucket_count: usize,
    hand: u32,
    /// Slot of a fallen entry, whose chain leads to the next one.
    fallen: u32,
    /// References to entries of each tree, by its slot, those of entries to their parents left out.
    uses: [u32; MAX_MOUNTS],
}

impl Dentries {
    /// Makes an empty cache for a machine with `frames` frames.
    pub(super) fn new(frames: usize) -> Self {
        let buckets = (frames / FRAMES_PER_NAME_BUCKET).next_power_of_two();
        Self {
            table: Slab::new(MAX_NAMES),
            buckets: Vec::new(),
            bucket_count: buckets.clamp(MIN_NAME_BUCKETS, MAX_NAME_BUCKETS),
            hand: 0,
            fallen: NONE,
            uses: [0; MAX_MOUNTS],
        }
    }

    /// Makes room for `ready` entries.
    pub(super) fn reserve(&mut self, ready: usize) {
        self.table.reserve(ready);
    }

    #[inline(never)]
    pub(super) fn get(&self, id: DentryId) -> Result<&Dentry, Errno> {
        self.table.get(id).ok_or(Errno::ENOENT)
    }

    #[inline(never)]
    pub(super) fn get_mut(&mut self, id: DentryId) -> Result<&mut Dentry, Errno> {
        self.table.get_mut(id).ok_or(Errno::ENOENT)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Makes room for `count` more entries; returns whether there is.
    pub(super) fn has_spare(&mut self, count: usize) -> bool {
        self.table.has_spare(count)
    }

    /// Returns the hash chain of a name (FNV-1a).
    fn bucket(&self, parent: DentryId, name: &[u8]) -> usize {
        let start = 0xcbf2_9ce4_8422_2325 ^ u64::from(parent.index());
        let hash = name.iter().fold(start, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash ^ hash >> 32) as usize & (self.bucket_count - 1)
    }

    /// Returns the entry `name` of `parent`, if it is known.
    pub(super) fn find(&mut self, parent: DentryId, name: &[u8]) -> Option<DentryId> {
        let mut index = *self.buckets.get(self.bucket(parent, name))?;
        while index != NONE {
            let (id, entry) = self.table.at_mut(index)?;
            if entry.parent == Some(parent) && *entry.name == *name {
                entry.recent = true;
                return Some(id);
            }
            index = entry.chain;
        }
        None
    }

    /// Puts an entry in; one with a parent is found from now on, and holds its parent.
    pub(super) fn insert(&mut self, entry: Dentry) -> Result<DentryId, Errno> {
        if self.buckets.is_empty() {
            self.buckets
                .try_reserve_exact(self.bucket_count)
                .map_err(|_| Errno::ENOMEM)?;
            self.buckets.resize(self.bucket_count, NONE);
        }
        let parent = entry.parent;
        let id = self.table.insert(entry).map_err(|_| Errno::ENOSPC)?;
        if let Some(parent) = parent {
            self.hold_parent(parent);
            self.link(id);
        }
        Ok(id)
    }

    /// Takes an entry out. Its parent's reference is the caller's to give back.
    pub(super) fn remove(&mut self, id: DentryId) -> Option<Dentry> {
        self.unlink(id);
        self.table.remove(id)
    }

    /// Makes an entry findable under its present parent and name.
    pub(super) fn link(&mut self, id: DentryId) {
        let Some(entry) = self.table.get(id) else {
            return;
        };
        let Some(parent) = entry.parent else {
            return;
        };
        let bucket = self.bucket(parent, &entry.name);
        let head = core::mem::replace(&mut self.buckets[bucket], id.index());
        if let Some(entry) = self.table.get_mut(id) {
            entry.chain = head;
        }
    }

    /// Gives each of two entries that cannot be found the other's place: directory, name, and what the sources have there.
    pub(super) fn exchange(&mut self, one: DentryId, other: DentryId) {
        if let Some((one, other)) = self.table.pair_mut(one, other) {
            core::mem::swap(&mut one.parent, &mut other.parent);
            core::mem::swap(&mut one.name, &mut other.name);
            core::mem::swap(&mut one.shadows, &mut other.shadows);
        }
    }

    /// Makes an entry unfindable.
    pub(super) fn unlink(&mut self, id: DentryId) {
        let Some(entry) = self.table.get(id) else {
            return;
        };
        let Some(parent) = entry.parent else {
            return;
        };
        let next = entry.chain;
        let bucket = self.bucket(parent, &entry.name);
        let mut index = self.buckets[bucket];
        if index == id.index() {
            self.buckets[bucket] = next;
        }
        while index != NONE {
            let Some((_, entry)) = self.table.at_mut(index) else {
                return;
            };
            if entry.chain == id.index() {
                entry.chain = next;
                return;
            }
            index = entry.chain;
        }
    }

    /// Counts a reference.
    pub(super) fn hold(&mut self, id: DentryId) {
        if let Some(entry) = self.table.get_mut(id) {
            entry.references += 1;
            self.uses[entry.mount.index() as usize] += 1;
        }
    }

    /// Counts the reference of an entry to its parent.
    pub(super) fn hold_parent(&mut self, id: DentryId) {
        if let Some(entry) = self.table.get_mut(id) {
            entry.references += 1;
        }
    }

    /// Counts a reference less; returns whether the entry is detached and now unused.
    pub(super) fn let_go(&mut self, id: DentryId) -> bool {
        if let Some(entry) = self.table.get(id) {
            let uses = &mut self.uses[entry.mount.index() as usize];
            *uses = uses.saturating_sub(1);
        }
        self.let_go_parent(id)
    }

    /// Counts the reference of an entry to its parent less; returns whether that is detached and now unused.
    pub(super) fn let_go_parent(&mut self, id: DentryId) -> bool {
        let Some(entry) = self.table.get_mut(id) else {
            return false;
        };
        entry.references = entry.references.saturating_sub(1);
        entry.references == 0 && entry.state == State::Detached
    }

    /// Returns how many references there are to entries of a tree, those of entries to their parents left out.
    pub(super) const fn uses(&self, mount: MountId) -> u32 {
        self.uses[mount.index() as usize]
    }

    /// Returns an entry that can be forgotten and was not used for a while, if one of the next few is like that.
    pub(super) fn find_idle(&mut self) -> Option<DentryId> {
        for _ in 0..MAX_NAME_LOOKS.min(self.table.slots()) {
            self.hand = (self.hand + 1) % self.table.slots() as u32;
            let Some((id, entry)) = self.table.at_mut(self.hand) else {
                continue;
            };
            if !entry.is_idle() {
                continue;
            }
            if !core::mem::take(&mut entry.recent) {
                return Some(id);
            }
        }
        None
    }

    /// Lets a detached entry that nobody uses wait to be forgotten.
    pub(super) fn fall(&mut self, id: DentryId) {
        if let Some(entry) = self.table.get_mut(id) {
            entry.state = State::Fallen;
            entry.chain = core::mem::replace(&mut self.fallen, id.index());
        }
    }

    /// Returns whether an entry waits to be forgotten.
    pub(super) const fn has_fallen(&self) -> bool {
        self.fallen != NONE
    }

    /// Returns an entry that waits to be forgotten; it waits no more.
    pub(super) fn next_fallen(&mut self) -> Option<DentryId> {
        let (id, entry) = self.table.at_mut(self.fallen)?;
        self.fallen = core::mem::replace(&mut entry.chain, NONE);
        entry.state = State::Detached;
        Some(id)
    }

    /// Returns the number of slots entries stand in.
    pub(super) const fn slots(&self) -> u32 {
        self.table.slots() as u32
    }

    /// Returns the entry in a slot, if there is one.
    pub(super) fn at(&mut self, slot: u32) -> Option<DentryId> {
        self.table.at_mut(slot).map(|(id, _)| id)
    }
}
