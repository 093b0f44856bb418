//! Files: one tree for programs over disks, the initrd and memory.
//!
//! ```text
//! system call ─► table: descriptor ─► description: offset, flags ─► inode ─► page cache ─► disk
//!           └──► walk: path ─► dentry (name cache) ─► inode            └──► pipe, device, /proc
//! ```
//!
//! [`Files`] owns all of it. Nothing here blocks: an operation that needs a block that is not in memory submits a read
//! and says [`crate::wait::Stall::wait`]; the call parks and is tried again from its start, so every step is made so
//! that trying again is harmless.
//!
//! Sources (ext4 disks, the initrd) are read-only. What programs see is a *union*: names and pages that were written
//! lie in memory, in front of what the sources have. So a change never copies a whole file, and containers can stand on
//! the same source without seeing each other's changes.

mod attach;
mod attribute_change;
mod attributes;
mod base;
mod bind;
mod busy;
mod change;
mod content;
mod context;
mod credentials;
mod dentry;
mod description;
mod device;
mod directory;
mod disk;
mod epoll;
mod event;
mod exchange;
mod ext4;
mod fifo;
mod flags;
mod holder;
mod hole;
mod initrd;
mod inode;
mod listing;
mod lock;
mod mapping;
mod medium;
mod memory;
mod mount;
mod mounting;
mod name_charge;
mod nameless;
mod names;
mod open;
mod owner;
mod page_cache;
mod partition;
mod pipe;
mod place;
mod proc;
mod rename;
mod ring;
mod seal;
mod sharing;
mod socket;
mod sockets;
mod table;
mod teardown;
mod terminal;
mod text;
mod transfer;
mod union;
mod viewer;
mod volume;
mod walk;
mod watch;
mod xattr;

pub use attribute_change::NewTime;
pub use attributes::{Access, Attributes, Kind};
pub use context::{Context, ProcessFiles, Processes, Random, Report, Sink, Span};
pub use credentials::Credentials;
pub use description::{Description, DescriptionId, Target};
pub use device::{DISK_MAJOR, DISK_MINORS, Device};
pub use directory::{Directories, DirectoriesId};
pub use epoll::{Batch, Control, EpollId};
pub use event::{Event, EventId};
pub use flags::{Last, OpenFlags};
pub use inode::{Inode, InodeId};
pub use listing::Listed;
pub use lock::{LAST_BYTE, Lock, LockKind, LockOwner};
pub use mount::Sort;
pub(crate) use owner::{FileOwner, Setter, kind as owner_kind};
pub use pipe::{AgentStream, PIPE_BYTES, PipeEnd, PipeId, Pipes};
pub use place::{Place, PlaceRef};
pub(crate) use proc::{Live, Owner, Written, escape};
pub use rename::Existing;
pub use seal::Seals;
pub use sharing::AgentPipes;
pub use socket::{
    Connecting, Family, Host, Message, Peer, Shut, SocketId, SocketKind, SocketType, Sockets,
    UNBOUND,
};
pub use sockets::ADDRESS_BYTES;
pub use table::{Descriptor, Table, TableId};
pub use transfer::Readiness;
pub use walk::{Rules, Start};
pub use watch::Watch;
pub use xattr::{Attribute, NewAttribute};

use crate::limits::{FRAMES_PER_NAME, MAX_INODES, MAX_MOUNTS, MAX_OPEN_FILES, MAX_TABLES};
use crate::slab::Slab;
use crate::tty::Terminals;
use crate::wait::WakeQueue;
use alloc::vec;
use alloc::vec::Vec;
use base::Bases;
use bind::Binds;
use core::fmt;
use dentry::{Dentries, DentryId};
use disk::Disks;
use epoll::Epolls;
use event::Events;
use hal::block::Block;
use hal::clock::Instant;
use hal::frame::FramePool;
use holder::Busy;
use initrd::Initrd;
use lock::Locks;
use mount::Mount;
use name_charge::NameCharges;
use owner::Owners;
use page_cache::PageCache;
use table::Slots;
use teardown::Teardown;
use volume::Volumes;
use walk::SCRATCH_BYTES;

/// Clean names are kept in proportion to memory, within these bounds.
const MIN_WARM_NAMES: usize = 48;
const MAX_WARM_NAMES: usize = 8192;

/// All file state of the machine.
pub struct Files<B> {
    disks: Disks<B>,
    /// The parts of disks that are read.
    volumes: Volumes,
    initrd: Initrd,
    bases: Bases,
    pages: PageCache,
    inodes: Slab<Inode>,
    mounts: Slab<Mount>,
    binds: Binds,
    /// Why the last tree or disk could not be taken away.
    busy: Option<Busy>,
    /// What names in memory cost.
    name_charges: NameCharges,
    dentries: Dentries,
    descriptions: Slab<Description>,
    tables: Slab<Table>,
    /// What ended tables left behind, for the next ones: a warm spawn asks the heap for nothing.
    spare_slots: Vec<Slots>,
    directories: Slab<Directories>,
    /// Root of the machine's own tree.
    root: Option<DentryId>,
    /// Names beyond which clean ones make room.
    warm_names: usize,
    /// Locks of all files.
    locks: Locks,
    /// Where the next walk may not lead; it takes them.
    rules: Rules,
    /// What is left of a path that is walked.
    scratch: Vec<u8>,
    /// What is yet to be given back.
    teardown: Teardown,
    /// All pipes. The agent's ends are reached here directly.
    pub pipes: Pipes,
    /// All sockets.
    pub(crate) sockets: Sockets,
    /// All terminals.
    pub terminals: Terminals,
    /// All events.
    events: Events,
    /// All lists of files to wait for.
    epolls: Epolls,
    /// Who is told of open files.
    owners: Owners,
}

impl<B: Block> Files<B> {
    /// Makes the state of a machine with `frames` frames, without any file yet.
    #[must_use]
    pub fn new(frames: usize) -> Self {
        Self {
            disks: Disks::new(),
            volumes: Volumes::new(),
            initrd: Initrd::new(&[]),
            bases: Bases::new(),
            pages: PageCache::new(frames),
            inodes: Slab::new(MAX_INODES),
            mounts: Slab::new(MAX_MOUNTS),
            binds: Binds::new(),
            busy: None,
            name_charges: NameCharges::new(),
            dentries: Dentries::new(frames),
            descriptions: Slab::new(MAX_OPEN_FILES),
            tables: Slab::new(MAX_TABLES),
            spare_slots: Vec::new(),
            directories: Slab::new(MAX_TABLES),
            root: None,
            warm_names: (frames / FRAMES_PER_NAME).clamp(MIN_WARM_NAMES, MAX_WARM_NAMES),
            locks: Locks::new(),
            rules: Rules::empty(),
            scratch: vec![0; SCRATCH_BYTES],
            teardown: Teardown::new(),
            pipes: Pipes::new(),
            sockets: Sockets::new(),
            terminals: Terminals::new(),
            events: Slab::new(MAX_OPEN_FILES),
            epolls: Epolls::new(),
            owners: Owners::new(),
        }
    }

    /// Takes a disk in, behind those that are there already.
    ///
    /// # Errors
    ///
    /// The disk comes back when there are [`hal::limits::MAX_DISKS`].
    pub fn add_disk(&mut self, disk: B) -> Result<(), B> {
        self.disks.add(disk).map(|_index| ())
    }

    /// Returns how many disks there are.
    #[must_use]
    pub fn disk_count(&self) -> usize {
        self.disks.len()
    }

    /// Sets the archive that is the root when there is no disk.
    pub fn set_initrd(&mut self, archive: &'static [u8]) {
        self.initrd = Initrd::new(archive);
    }

    /// Takes what the disks have finished and wakes whoever waits for it. To be called when a disk's interrupt came,
    /// and at [`Files::next_deadline`].
    pub fn poll(&mut self, pool: &mut FramePool, wakes: &mut WakeQueue, now: Instant) {
        self.disks.poll(pool, &mut self.pages, wakes, now);
    }

    /// Returns when [`Files::poll`] should be called even if no interrupt comes.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        self.disks.next_deadline()
    }

    /// Writes how much the tables hold.
    pub(crate) fn dump(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(
            out,
            "files: {} pages cached, {} names, {} inodes, {} open, {} trees, {} binds, {} volumes",
            self.pages.len(),
            self.dentries.len(),
            self.inodes.len(),
            self.descriptions.len(),
            self.mounts.len(),
            self.binds.len(),
            self.volumes.len(),
        )
    }

    /// Makes frames free that hold nothing but copies of what disks have; returns how many. Looks at some pages only.
    pub fn reclaim(&mut self, pool: &mut FramePool, count: usize) -> usize {
        self.pages.reclaim(pool, count)
    }
}

impl<B> fmt::Debug for Files<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("pages", &self.pages.len())
            .field("inodes", &self.inodes.len())
            .field("names", &self.dentries.len())
            .field("open", &self.descriptions.len())
            .finish_non_exhaustive()
    }
}
