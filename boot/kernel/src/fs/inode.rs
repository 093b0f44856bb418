//! Inodes in memory: what a file is, wherever it comes from.
//!
//! Two sorts meet here. A *base* inode is a file of a read-only source (an ext4 disk, the initrd); it never changes
//! and is shared by everything that stands on it. A *union* inode is what programs see: nothing, one or several bases
//! below it, and what was changed, in memory. `/dev` and `/proc` have sorts of their own.

use crate::account::AccountId;
use crate::fs::attributes::Attributes;
use crate::fs::dentry::DentryId;
use crate::fs::ext4;
use crate::fs::lock::LockId;
use crate::fs::mount::MountId;
use crate::fs::pipe::PipeId;
use crate::fs::proc::ProcNode;
use crate::fs::seal::Seals;
use crate::fs::text::Text;
use crate::slab::Id;
use alloc::vec::Vec;
use core::ops::Range;

/// Names an inode.
pub type InodeId = Id<Inode>;

/// An inode in memory.
#[derive(Debug)]
pub struct Inode {
    /// What stat(2) says.
    pub(super) attributes: Attributes,
    /// Where its content comes from.
    pub(super) node: Node,
    /// Names, open descriptions, inodes above it, and calls under way.
    pub(super) references: u32,
    /// For a base, the first of the union inodes over it.
    pub(super) over: Option<InodeId>,
    /// The next base inode with the same hash; of an inode with remains, the next one of those.
    pub(super) chain: u32,
    /// Numbers of pages that are yet to be given back (`teardown`). Until then nobody may see or make them.
    pub(super) remains: Range<u32>,
    /// The first of its locks.
    pub(super) locks: Option<LockId>,
}

/// End of a chain.
pub(super) const NO_SLOT: u32 = u32::MAX;

impl Inode {
    /// Makes an inode with one reference. Never inlined, because it moves much.
    #[inline(never)]
    pub(super) const fn new(attributes: Attributes, node: Node) -> Self {
        Self {
            attributes,
            node,
            references: 1,
            over: None,
            chain: NO_SLOT,
            remains: 0..0,
            locks: None,
        }
    }
}

/// Where an inode's content comes from.
#[derive(Debug)]
pub(super) enum Node {
    /// A file on an ext4 disk.
    Ext4(ext4::Node),
    /// A volume as it is.
    Volume(u8),
    /// A file of the initrd, by its place in the table of entries.
    Initrd(u32),
    /// A file programs can change.
    Union(Union),
    /// A file or directory of `/proc`.
    Proc(ProcNode),
}

/// A file that programs can change, over nothing or over what it was on its sources.
#[derive(Debug)]
pub(super) struct Union {
    /// The tree it belongs to.
    pub(super) mount: MountId,
    /// The topmost base.
    pub(super) lower: Option<InodeId>,
    /// For a directory, the bases below that, in order.
    pub(super) deeper: Vec<InodeId>,
    /// The next union inode over the same base, of another tree.
    pub(super) next_over_base: Option<InodeId>,
    /// Bytes of the base that still show; what was cut off never comes back.
    pub(super) kept: u64,
    /// Something was changed: it must not be forgotten while it has a name.
    pub(super) changed: bool,
    /// A reference is held because of a base with several names: the change must be found by each of them.
    pub(super) pinned: bool,
    /// The pipe that it names, while that is open anywhere; stale afterwards.
    pub(super) pipe: Option<PipeId>,
    /// What nobody may do with it any more; nothing when it cannot have seals.
    pub(super) seals: Option<Seals>,
    /// Its extended attributes were changed: all of them are in a page of its own.
    pub(super) has_attributes: bool,
    /// It has no name and may get one.
    pub(super) can_be_linked: bool,
    /// Open files through which it may be written to.
    pub(super) writers: u16,
    /// Processes that execute it.
    pub(super) executed: u16,
    /// Files that areas show (`ShownFile`) through which it may be written to.
    pub(super) mapped: u16,
    /// Files that areas show which see what is written to it.
    pub(super) seen: u16,
    /// The slot of the next address space in which pages of the file are to be taken away from areas that see what is
    /// written to it, because somebody may write now or has cut it; [`NO_SLOT`] when there is none.
    pub(super) next_viewer: u32,
    /// Target of a symbolic link that was made here.
    pub(super) link: Text,
    /// Who pays for its pages.
    pub(super) account: AccountId,
    /// Sequence number of the directory's next written entry.
    pub(super) next_entry: u64,
    /// The written entry a listing showed last: the next one goes on from there.
    pub(super) listed: Option<DentryId>,
    /// Written entries of a directory that no source has, first to last.
    pub(super) entries: EntryList,
    /// The latest of those that stand before a source's: marks, and files that were changed or replaced.
    pub(super) over_sources: Option<DentryId>,
    /// Where in its listing the search for something that shows has come to; see [`crate::fs::Files::is_empty`].
    pub(super) searched: u64,
}

/// First and last of a directory's written entries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EntryList {
    pub(super) first: Option<DentryId>,
    pub(super) last: Option<DentryId>,
}
