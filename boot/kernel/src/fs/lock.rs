//! Locks of files: flock(2) locks whole files for an open file, fcntl(2) ranges of them for a descriptor table (which is
//! what POSIX calls a process) or for an open file.
//!
//! The locks of a file are a chain that begins at its inode. The two calls do not see each other's locks, as on
//! Linux. Whoever waits is not in the chain: its call looks again when a lock of the file goes.

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::inode::InodeId;
use crate::fs::table::TableId;
use crate::limits::MAX_LOCKS;
use crate::slab::{Id, Slab};
use crate::wait::WakeKey;
use hal::block::Block;

/// Names a lock.
pub(super) type LockId = Id<Held>;

/// The last byte a lock can be on (Linux `OFFSET_MAX`).
pub const LAST_BYTE: u64 = i64::MAX as u64;

/// Whose a lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockOwner {
    /// A descriptor table's: fcntl(2), F_SETLK. It goes when the table closes any descriptor of the file.
    Table(TableId),
    /// An open file's: fcntl(2), F_OFD_SETLK. It goes with the open file.
    File(DescriptionId),
    /// An open file's, of the whole file: flock(2).
    Whole(DescriptionId),
}

impl LockOwner {
    /// Returns whether locks of both owners are of calls that see each other.
    const fn meets(self, other: Self) -> bool {
        matches!(self, Self::Whole(_)) == matches!(other, Self::Whole(_))
    }
}

/// What a lock lets others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// They may have shared locks.
    Shared,
    /// They may have none.
    Exclusive,
}

/// A lock that is held or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Whose it is.
    pub owner: LockOwner,
    /// What it lets others do.
    pub kind: LockKind,
    /// The first byte it is on.
    pub start: u64,
    /// The last byte it is on, at most [`LAST_BYTE`].
    pub last: u64,
    /// The process that asked for it.
    pub pid: u32,
}

impl Lock {
    /// Makes a lock of a whole file.
    #[must_use]
    pub const fn whole(owner: LockOwner, kind: LockKind, pid: u32) -> Self {
        Self {
            owner,
            kind,
            start: 0,
            last: LAST_BYTE,
            pid,
        }
    }

    const fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    fn conflicts(&self, other: &Self) -> bool {
        let is_exclusive = self.kind == LockKind::Exclusive || other.kind == LockKind::Exclusive;
        is_exclusive
            && self.owner != other.owner
            && self.owner.meets(other.owner)
            && self.overlaps(other)
    }

    /// Returns whether together with a lock of the same owner and kind it is one without a gap.
    const fn continues(&self, other: &Self) -> bool {
        self.start <= other.last.saturating_add(1) && other.start <= self.last.saturating_add(1)
    }
}

/// A lock that is held.
#[derive(Debug)]
pub(super) struct Held {
    lock: Lock,
    next: Option<LockId>,
    /// Who pays for it.
    account: AccountId,
}

/// All locks.
#[derive(Debug)]
pub(super) struct Locks(Slab<Held>);

impl Locks {
    pub(super) const fn new() -> Self {
        Self(Slab::new(MAX_LOCKS))
    }

    fn chain(&self, first: Option<LockId>) -> impl Iterator<Item = &Lock> {
        let held = |id: Option<LockId>| id.and_then(|id| self.0.get(id));
        core::iter::successors(held(first), move |known| held(known.next)).map(|known| &known.lock)
    }
}

impl<B: Block> Files<B> {
    /// Returns the file whose locks an open file's are.
    ///
    /// # Errors
    ///
    /// EBADF for a path only (O_PATH), ENOLCK for what has no name: nobody else could ask for its lock.
    pub fn locked_file(&self, id: DescriptionId) -> Result<InodeId, Errno> {
        let file = self.descriptions.get(id).ok_or(Errno::EBADF)?;
        match &file.place {
            _ if file.target == Target::Nothing => Err(Errno::EBADF),
            Some(place) => self.inode_at(place.0),
            None => Err(Errno::ENOLCK),
        }
    }

    /// Returns the first lock of a file that keeps its owner from having `wanted`.
    #[must_use]
    pub fn find_conflict(&self, id: InodeId, wanted: &Lock) -> Option<Lock> {
        let first = self.inodes.get(id)?.locks;
        self.locks
            .chain(first)
            .filter(|held| held.conflicts(wanted))
            .min_by_key(|held| held.start)
            .copied()
    }

    /// Gives an owner a lock that conflicts with none, in place of what it has there.
    ///
    /// # Errors
    ///
    /// ENOLCK when there are too many; nothing has changed then.
    pub fn set_lock(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        wanted: Lock,
    ) -> Result<(), Errno> {
        let new = self.add_lock(context, id, wanted)?;
        let freed = self.free_range(context, id, &wanted, Some(new));
        freed.inspect_err(|_| self.remove_lock(context, id, new))
    }

    /// Takes the part of an owner's locks that `range` covers away.
    ///
    /// # Errors
    ///
    /// ENOLCK when there are too many for one to become two; nothing has changed then.
    pub fn clear_lock(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        range: &Lock,
    ) -> Result<(), Errno> {
        self.free_range(context, id, range, None)
    }

    /// Takes all locks an owner has on an open file.
    pub(super) fn leave_locks(
        &mut self,
        context: &mut Context<'_>,
        id: DescriptionId,
        owner: LockOwner,
    ) {
        if self.locks.0.is_empty() {
            return;
        }
        if let Ok(file) = self.locked_file(id) {
            // Without locks of that owner, and without one that becomes two, nothing fails.
            let _ = self.free_range(
                context,
                file,
                &Lock::whole(owner, LockKind::Shared, 0),
                None,
            );
        }
    }

    fn add_lock(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        lock: Lock,
    ) -> Result<LockId, Errno> {
        let account = context.account;
        let inode = self.inodes.get_mut(id).ok_or(Errno::EBADF)?;
        context.charge(Resource::Locks, 1)?;
        let held = Held {
            lock,
            next: inode.locks,
            account,
        };
        match self.locks.0.insert(held) {
            Ok(new) => {
                inode.locks = Some(new);
                Ok(new)
            }
            Err(_) => {
                context.refund(account, Resource::Locks, 1);
                Err(Errno::ENOLCK)
            }
        }
    }

    /// Takes a lock out of its file's chain.
    fn remove_lock(&mut self, context: &mut Context<'_>, id: InodeId, gone: LockId) {
        let Some(held) = self.locks.0.remove(gone) else {
            return;
        };
        context.refund(held.account, Resource::Locks, 1);
        let Some(inode) = self.inodes.get_mut(id) else {
            return;
        };
        let mut link = &mut inode.locks;
        while let Some(at) = *link {
            if at == gone {
                *link = held.next;
                return;
            }
            let Some(before) = self.locks.0.get_mut(at) else {
                return;
            };
            link = &mut before.next;
        }
    }

    /// Takes what an owner has in `range` away, but for `new`, which takes its place and grows by what it continues.
    fn free_range(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        range: &Lock,
        new: Option<LockId>,
    ) -> Result<(), Errno> {
        let mut next = self.inodes.get(id).ok_or(Errno::EBADF)?.locks;
        while let Some(at) = next {
            let held = self.locks.0.get_mut(at).ok_or(Errno::ENOLCK)?;
            next = held.next;
            let old = held.lock;
            if Some(at) == new || old.owner != range.owner {
                continue;
            }
            if let Some(new) = new.filter(|_| old.kind == range.kind) {
                if old.continues(range) {
                    self.remove_lock(context, id, at);
                    if let Some(held) = self.locks.0.get_mut(new) {
                        held.lock.start = held.lock.start.min(old.start);
                        held.lock.last = held.lock.last.max(old.last);
                    }
                }
                continue;
            }
            if !old.overlaps(range) {
                continue;
            }
            let (is_before, is_behind) = (old.start < range.start, old.last > range.last);
            match (is_before, is_behind) {
                (true, true) => {
                    // It is the only one of its owner there: nothing was changed before it.
                    held.lock.last = range.start - 1;
                    let behind = Lock {
                        start: range.last + 1,
                        ..old
                    };
                    if let Err(errno) = self.add_lock(context, id, behind) {
                        if let Some(held) = self.locks.0.get_mut(at) {
                            held.lock = old;
                        }
                        return Err(errno);
                    }
                }
                (true, false) => held.lock.last = range.start - 1,
                (false, true) => held.lock.start = range.last + 1,
                (false, false) => self.remove_lock(context, id, at),
            }
            context.wakes.wake(WakeKey::Lock(id.index()));
        }
        Ok(())
    }
}
