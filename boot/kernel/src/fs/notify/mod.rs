//! inotify: who watches which files, and what is told of them.
//!
//! A watch stands in a chain under its file's inode and keeps the inode in memory. Where something happens to a file, the file
//! and the directory it was found in are told ([`Files::tell_entry`]); without any watch that is one comparison. An event is
//! put into the watcher's queue at once and from anywhere; whoever waits for it is woken at the end of the turn, as what watches
//! that went cost is given back then.

mod queue;
mod tell;

pub use queue::LONGEST_EVENT_BYTES;
pub(super) use tell::Told;

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Kind};
use crate::fs::context::Context;
use crate::fs::event::{Event, EventId};
use crate::fs::flags::OpenFlags;
use crate::fs::inode::{InodeId, NO_SLOT, Node};
use crate::fs::mount::MountId;
use crate::fs::place::PlaceRef;
use crate::fs::table::TableId;
use crate::limits::{
    ACCOUNT_SHARE, MAX_INTERESTS, MAX_NOTIFIERS, NOTIFY_BUCKETS, NOTIFY_QUEUE_BYTES,
};
use crate::slab::{Id, Slab};
use crate::wait::WakeKey;
use alloc::vec::Vec;
use hal::block::Block;
use hal::limits::PAGE_BYTES;
use queue::Queue;

bitflags::bitflags! {
    /// What is asked of a watch (linux/inotify.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Wanted: u32 {
        /// IN_ALL_EVENTS.
        const EVENTS = 0xfff;
        /// IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED: told whether they are asked for or not.
        const ALWAYS = 0xe000;
        /// IN_ONLYDIR: the file must be a directory.
        const DIRECTORY = 0x100_0000;
        /// IN_DONT_FOLLOW: not where a link points.
        const DONT_FOLLOW = 0x200_0000;
        /// IN_EXCL_UNLINK: nothing of files that have left the directory.
        const EXCLUDES_UNLINKED = 0x400_0000;
        /// IN_MASK_CREATE: there must be no watch yet.
        const CREATED = 0x1000_0000;
        /// IN_MASK_ADD: beside what is watched for already.
        const ADDED = 0x2000_0000;
        /// IN_ISDIR, which means nothing here.
        const IS_DIRECTORY = 0x4000_0000;
        /// IN_ONESHOT: for one event.
        const ONCE = 0x8000_0000;
        /// What is remembered.
        const KEPT = 0xfff | 0x400_0000 | 0x8000_0000;
    }
}

/// Frames that are charged for a queue.
const QUEUE_FRAMES: u64 = NOTIFY_QUEUE_BYTES.div_ceil(PAGE_BYTES) as u64;

/// Names an inotify instance.
pub type NotifierId = Id<Notifier>;

/// An inotify instance.
#[derive(Debug)]
pub struct Notifier {
    queue: Queue,
    /// The open file's event, which knows how many bytes wait.
    event: Option<EventId>,
    /// The number the last watch got.
    last_watch: i32,
    /// Who pays.
    account: AccountId,
    /// Watches that went and are still charged.
    owed: u64,
    /// Something is new since waiters were woken.
    has_news: bool,
}

/// A watch of a file.
#[derive(Debug)]
struct Watched {
    notifier: NotifierId,
    number: i32,
    inode: InodeId,
    wanted: Wanted,
    /// The next watch with the same hash.
    chain: u32,
}

/// All instances and watches.
#[derive(Debug)]
pub(super) struct Notifiers {
    table: Slab<Notifier>,
    watches: Slab<Watched>,
    /// Heads of the chains; made with the first watch.
    buckets: Vec<u32>,
    /// What tells the two names of a file that was moved belong together.
    cookie: u32,
    has_news: bool,
}

impl Notifiers {
    pub(super) const fn new() -> Self {
        Self {
            table: Slab::new(MAX_NOTIFIERS),
            watches: Slab::new(MAX_INTERESTS),
            buckets: Vec::new(),
            cookie: 0,
            has_news: false,
        }
    }

    /// Returns whether anything is watched.
    pub(super) const fn is_watching(&self) -> bool {
        !self.watches.is_empty()
    }

    /// Returns whether somebody is to be woken, or given back what watches cost.
    pub(super) const fn has_news(&self) -> bool {
        self.has_news
    }

    fn first(&self, inode: InodeId) -> u32 {
        let bucket = inode.index() as usize % NOTIFY_BUCKETS;
        self.buckets.get(bucket).copied().unwrap_or(NO_SLOT)
    }

    /// Returns the slot of the first watch of an inode in a chain.
    fn find(&mut self, inode: InodeId, mut slot: u32) -> Option<(u32, &mut Watched)> {
        loop {
            // Borrowed twice, because what is returned is borrowed for longer than what was passed over.
            let (_, watch) = self.watches.at_mut(slot)?;
            if watch.inode == inode {
                break;
            }
            slot = watch.chain;
        }
        self.watches.at_mut(slot).map(|(_, watch)| (slot, watch))
    }

    /// Returns how many watches an inode has.
    fn count(&mut self, inode: InodeId) -> u32 {
        let (mut count, mut slot) = (0, self.first(inode));
        while let Some((_, watch)) = self.find(inode, slot) {
            (count, slot) = (count + 1, watch.chain);
        }
        count
    }

    fn unlink(&mut self, gone: u32) -> Option<Watched> {
        let (id, watch) = self.watches.at_mut(gone)?;
        let (next, bucket) = (watch.chain, watch.inode.index() as usize % NOTIFY_BUCKETS);
        let mut slot = self.buckets[bucket];
        if slot == gone {
            self.buckets[bucket] = next;
        }
        while let Some((_, watch)) = self.watches.at_mut(slot) {
            if watch.chain == gone {
                watch.chain = next;
            }
            slot = watch.chain;
        }
        self.watches.remove(id)
    }
}

impl<B: Block> Files<B> {
    /// Makes an inotify instance and puts it at the lowest free descriptor.
    ///
    /// # Errors
    ///
    /// EMFILE, also at [`MAX_NOTIFIERS`] and at an account's share of them; ENFILE, ENOMEM.
    pub fn open_notifier(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        flags: OpenFlags,
    ) -> Result<i32, Errno> {
        let account = context.account;
        let own = self.notifiers.table.iter();
        if own.filter(|(_, known)| known.account == account).count()
            >= MAX_NOTIFIERS / ACCOUNT_SHARE
        {
            return Err(Errno::EMFILE);
        }
        self.permit_name(context)?;
        context.charge(Resource::KernelFrames, QUEUE_FRAMES)?;
        let made = Queue::new().and_then(|queue| {
            let notifier = Notifier {
                queue,
                event: None,
                last_watch: 0,
                account,
                owed: 0,
                has_news: false,
            };
            let made = self.notifiers.table.insert(notifier);
            made.map_err(|(_, full)| full.errno(Errno::EMFILE))
        });
        let id =
            made.inspect_err(|_| context.refund(account, Resource::KernelFrames, QUEUE_FRAMES))?;
        let opened = self.open_event(context, table, Event::Watches(id, 0), flags);
        let fd = opened.inspect_err(|_| self.close_notifier(context, id))?;
        let (description, _) = self.description(table, fd)?;
        let (event, _) = self.event_of(description)?;
        if let Some(notifier) = self.notifiers.table.get_mut(id) {
            notifier.event = Some(event);
        }
        Ok(fd)
    }

    /// Lets an instance go, with its watches.
    pub(super) fn close_notifier(&mut self, context: &mut Context<'_>, id: NotifierId) {
        let Some(notifier) = self.notifiers.table.remove(id) else {
            return;
        };
        let mut gone = notifier.owed;
        for slot in 0..self.notifiers.watches.slots() as u32 {
            let watch = self.notifiers.watches.at_mut(slot);
            if watch.is_some_and(|(_, watch)| watch.notifier == id) {
                gone += 1;
                self.drop_watch(slot);
            }
        }
        context.refund(notifier.account, Resource::KernelFrames, QUEUE_FRAMES);
        context.refund(notifier.account, Resource::Interests, gone);
    }

    /// Takes a watch out of its chain and gives its inode back.
    fn drop_watch(&mut self, slot: u32) {
        if let Some(watch) = self.notifiers.unlink(slot) {
            self.release_inode(watch.inode);
        }
    }

    /// Watches the file in a place, or changes what for; returns the watch's number.
    ///
    /// # Errors
    ///
    /// Those of inotify_add_watch(2); EOPNOTSUPP for a file of `/proc`, of which nothing would be told.
    pub fn add_watch(
        &mut self,
        context: &mut Context<'_>,
        id: NotifierId,
        place: PlaceRef<'_>,
        wanted: Wanted,
    ) -> Result<i32, Errno> {
        let attributes = self.attributes(place)?;
        if wanted.contains(Wanted::DIRECTORY) && attributes.kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        attributes.permit(context.credentials, Access::READ)?;
        let inode = self.inode_at(place.0)?;
        let mut slot = self.notifiers.first(inode);
        while let Some((_, watch)) = self.notifiers.find(inode, slot) {
            slot = watch.chain;
            if watch.notifier != id {
                continue;
            }
            if wanted.contains(Wanted::CREATED) {
                return Err(Errno::EEXIST);
            }
            let kept = wanted & Wanted::KEPT;
            watch.wanted = if wanted.contains(Wanted::ADDED) {
                watch.wanted | kept
            } else {
                kept
            };
            return Ok(watch.number);
        }
        if self.union_mut(inode).is_err() {
            return Err(Errno::EOPNOTSUPP);
        }
        self.put_watch(context, id, inode, wanted & Wanted::KEPT)
    }

    fn put_watch(
        &mut self,
        context: &mut Context<'_>,
        id: NotifierId,
        inode: InodeId,
        wanted: Wanted,
    ) -> Result<i32, Errno> {
        let Notifiers {
            table,
            watches,
            buckets,
            ..
        } = &mut self.notifiers;
        let notifier = table.get_mut(id).ok_or(Errno::EINVAL)?;
        if buckets.is_empty() {
            buckets
                .try_reserve_exact(NOTIFY_BUCKETS)
                .map_err(|_| Errno::ENOMEM)?;
            buckets.resize(NOTIFY_BUCKETS, NO_SLOT);
        }
        let payer = context.accounts.get_mut(notifier.account);
        payer.ok_or(Errno::ENOSPC)?.charge(Resource::Interests, 1)?;
        let head = &mut buckets[inode.index() as usize % NOTIFY_BUCKETS];
        let number = notifier.last_watch.checked_add(1).unwrap_or(1);
        let watch = Watched {
            notifier: id,
            number,
            inode,
            wanted,
            chain: *head,
        };
        let made = watches.insert(watch);
        let made = made.map_err(|(_, full)| {
            context.refund(notifier.account, Resource::Interests, 1);
            full.errno(Errno::ENOSPC)
        })?;
        *head = made.index();
        notifier.last_watch = number;
        if let Some(inode) = self.inodes.get_mut(inode) {
            inode.references += 1;
        }
        Ok(number)
    }

    /// Ends a watch, which is told of that.
    ///
    /// # Errors
    ///
    /// EINVAL when there is none with this number.
    pub fn remove_watch(&mut self, id: NotifierId, number: i32) -> Result<(), Errno> {
        let slot = {
            let mut watches = self.notifiers.watches.iter();
            let found = watches.find(|(_, watch)| watch.notifier == id && watch.number == number);
            found.ok_or(Errno::EINVAL)?.0.index()
        };
        self.end_watch(slot);
        Ok(())
    }

    /// Copies the oldest event of an instance into `out`; returns how long it is, 0 when there is none.
    pub fn oldest_event(&self, id: NotifierId, out: &mut [u8; LONGEST_EVENT_BYTES]) -> usize {
        let notifier = self.notifiers.table.get(id);
        let event = notifier
            .and_then(|known| known.queue.peek())
            .unwrap_or_default();
        out[..event.len()].copy_from_slice(event);
        event.len()
    }

    /// Takes it out.
    pub fn take_event(&mut self, id: NotifierId) {
        if let Some(notifier) = self.notifiers.table.get_mut(id) {
            notifier.queue.pop();
            self.count_waiting(id);
        }
    }

    /// Lets the open file know how many bytes wait.
    fn count_waiting(&mut self, id: NotifierId) {
        if let Some(notifier) = self.notifiers.table.get(id)
            && let Some(Event::Watches(_, waiting)) =
                notifier.event.and_then(|event| self.events.get_mut(event))
        {
            *waiting = notifier.queue.len() as u32;
        }
    }

    /// Wakes whoever waits for what is new, and gives back what watches that went cost.
    pub(super) fn spread_news(&mut self, context: &mut Context<'_>) {
        if !core::mem::take(&mut self.notifiers.has_news) {
            return;
        }
        for (_, notifier) in self.notifiers.table.iter_mut() {
            if core::mem::take(&mut notifier.has_news)
                && let Some(event) = notifier.event
            {
                context.wakes.wake(WakeKey::Event(event.index()));
            }
            let owed = core::mem::take(&mut notifier.owed);
            context.refund(notifier.account, Resource::Interests, owed);
        }
    }

    /// Ends the watches of files in a tree that is unmounted.
    pub(super) fn unwatch_tree(&mut self, mount: MountId) {
        if !self.notifiers.is_watching() {
            return;
        }
        for slot in 0..self.notifiers.watches.slots() as u32 {
            let inode = self
                .notifiers
                .watches
                .at_mut(slot)
                .map(|(_, watch)| watch.inode);
            let inode = inode
                .and_then(|id| self.inodes.get(id))
                .map(|inode| &inode.node);
            if matches!(inode, Some(Node::Union(union)) if union.mount == mount) {
                self.tell_watch(slot, Told::UNMOUNT.bits(), 0, b"");
                self.end_watch(slot);
            }
        }
    }
}
