//! Volumes: the parts of disks that are read, a whole disk, a partition or a window of one. File systems and block devices
//! stand on volumes; their pages are cached under the volume, counted from its first byte.
//!
//! A volume lives while somebody uses it: a base inode of its file system, or a change that is under way. After the last
//! one its pages are forgotten, some in each turn, and only then its number may name another part. When its disk is
//! pulled, a volume is *lost*: it has no bytes any more, and whoever still uses it gets EIO.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::disk;
use crate::fs::ext4::superblock::Geometry;
use crate::fs::page_cache::{Content, Owner, PageCache, PageId};
use crate::limits::{MAX_VOLUMES, READ_AHEAD_PAGES};
use crate::wait::{Stall, WakeKey};
use alloc::vec::Vec;
use core::ops::Range;
use hal::block::Block;
use hal::frame::FramePool;
use hal::limits::PAGE_BYTES;

const PAGE: u64 = PAGE_BYTES as u64;

const _: () = assert!(MAX_VOLUMES <= 1 << u8::BITS);

/// A part of a disk.
#[derive(Debug)]
pub(super) struct Volume {
    /// Its disk's place in the table of disks.
    pub(super) disk: u8,
    /// Its first byte there; a multiple of 512.
    pub(super) start: u64,
    /// How long it is; 0 once it is lost.
    pub(super) bytes: u64,
    /// What stands on it, once that was looked at.
    pub(super) geometry: Option<Geometry>,
    /// Base inodes, and changes under way.
    users: u32,
    /// The last user is gone: nobody gets it any more.
    is_unused: bool,
    /// Numbers of pages that are yet to be forgotten by then.
    remains: Range<u32>,
}

/// All volumes.
#[derive(Debug)]
pub(super) struct Volumes {
    table: Vec<Option<Volume>>,
    /// Slot of the page cache where the search for pages to be forgotten goes on.
    hand: u32,
    /// How many wait for that.
    unused: usize,
}

/// What to read of a volume, and for which pages; see [`disk::Wanted`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) volume: u8,
    pub(super) start: u64,
    pub(super) owner: Owner,
    pub(super) first: u32,
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// What the cache knows of a page that is not being read.
pub(super) enum Cached {
    Page(PageId),
    Missing,
    Suspect,
}

impl Volumes {
    pub(super) const fn new() -> Self {
        Self {
            table: Vec::new(),
            hand: 0,
            unused: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.iter().flatten().count()
    }

    pub(super) fn get(&self, index: u8) -> Option<&Volume> {
        self.table.get(usize::from(index))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u8) -> Option<&mut Volume> {
        self.table.get_mut(usize::from(index))?.as_mut()
    }

    /// Returns the size of a volume, 0 for one that is not there.
    pub(super) fn bytes(&self, index: u8) -> u64 {
        self.get(index).map_or(0, |volume| volume.bytes)
    }

    /// Returns whether pages of volumes without users are yet to be forgotten.
    pub(super) const fn has_unused(&self) -> bool {
        self.unused > 0
    }

    /// Returns the volume that is these bytes of a disk. It stays until it is [held](Self::hold) and released, or given
    /// up by [`Volumes::discard`].
    ///
    /// # Errors
    ///
    /// ENOMEM, also when there are [`MAX_VOLUMES`].
    pub(super) fn acquire(&mut self, disk: u8, start: u64, bytes: u64) -> Result<u8, Errno> {
        let part = (disk, start, bytes);
        let is_it = |volume: &Volume| {
            (volume.disk, volume.start, volume.bytes) == part && !volume.is_unused
        };
        let known = self
            .table
            .iter()
            .position(|slot| slot.as_ref().is_some_and(is_it));
        if let Some(known) = known {
            return Ok(known as u8);
        }
        let free = match self.table.iter().position(Option::is_none) {
            Some(free) => free,
            None if self.table.len() == MAX_VOLUMES => return Err(Errno::ENOMEM),
            None => {
                self.table.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                self.table.push(None);
                self.table.len() - 1
            }
        };
        self.table[free] = Some(Volume {
            disk,
            start,
            bytes,
            geometry: None,
            users: 0,
            is_unused: false,
            remains: 0..u32::MAX,
        });
        Ok(free as u8)
    }

    /// Counts one more user.
    pub(super) fn hold(&mut self, index: u8) {
        if let Some(volume) = self.get_mut(index) {
            volume.users += 1;
        }
    }

    /// Counts one user less; after the last one the volume's pages are forgotten by and by.
    pub(super) fn release(&mut self, index: u8) {
        let Some(volume) = self.get_mut(index) else {
            return;
        };
        volume.users = volume.users.saturating_sub(1);
        self.discard(index);
    }

    /// Gives a volume up unless somebody uses it.
    pub(super) fn discard(&mut self, index: u8) {
        if let Some(volume) = self.get_mut(index)
            && volume.users == 0
            && !volume.is_unused
        {
            volume.is_unused = true;
            self.unused += 1;
        }
    }

    /// Returns whether somebody uses a volume of this disk.
    pub(super) fn is_used(&self, disk: u8) -> bool {
        let mut volumes = self.table.iter().flatten();
        volumes.any(|volume| volume.disk == disk && volume.users > 0)
    }

    /// The disk is gone, and with it all its volumes.
    pub(super) fn lose(&mut self, disk: u8) {
        for volume in self.table.iter_mut().flatten() {
            if volume.disk == disk {
                volume.bytes = 0;
            }
        }
    }

    /// Forgets some pages of one volume without users.
    pub(super) fn forget_some(&mut self, pages: &mut PageCache, pool: &mut FramePool) {
        let unused = |slot: &Option<Volume>| slot.as_ref().is_some_and(|known| known.is_unused);
        let Some(index) = self.table.iter().position(unused) else {
            return;
        };
        let Some(volume) = &mut self.table[index] else {
            return;
        };
        let owner = Owner::Volume(index as u8);
        pages.remove_some(pool, owner, &mut volume.remains, &mut self.hand);
        if volume.remains.is_empty() {
            self.table[index] = None;
            self.hand = 0;
            self.unused -= 1;
        }
    }
}

impl<B: Block> Files<B> {
    /// Brings bytes of a volume in that lie within one page; returns the page and where in it.
    pub(super) fn volume_bytes(
        &mut self,
        context: &mut Context<'_>,
        volume: u8,
        start: u64,
        len: usize,
    ) -> Result<(PageId, Range<usize>), Stall> {
        let offset = (start % PAGE) as usize;
        let end = self.volumes.bytes(volume);
        if offset + len > PAGE_BYTES || start.saturating_add(len as u64) > end {
            return Err(Errno::EIO.into());
        }
        let index = u32::try_from(start / PAGE).map_err(|_| Errno::EIO)?;
        let owner = Owner::Volume(volume);
        let wanted = match self.cached(owner, index, volume)? {
            Cached::Page(page) => return Ok((page, offset..offset + len)),
            Cached::Missing => READ_AHEAD_PAGES,
            Cached::Suspect => 1,
        };
        let pages = (end.div_ceil(PAGE) - u64::from(index)).min(wanted as u64);
        let count = self.uncached(owner, index, pages as usize);
        self.start_read(
            context,
            Wanted {
                volume,
                start: u64::from(index) * PAGE,
                owner,
                first: index,
                count,
                bytes: count * PAGE_BYTES,
            },
        )
    }

    /// Returns what the cache knows of a page: the page, or that it has to be read.
    pub(super) fn cached(&mut self, owner: Owner, index: u32, volume: u8) -> Result<Cached, Stall> {
        let Some(page) = self.pages.find(owner, index) else {
            return Ok(Cached::Missing);
        };
        match self.pages.get(page).map(|page| &page.content) {
            Some(Content::Clean(_) | Content::Owned(_)) => Ok(Cached::Page(page)),
            Some(Content::Reading(_)) => {
                let disk = self.volumes.get(volume).ok_or(Errno::EIO)?.disk;
                Err(Stall::wait(WakeKey::Disk(disk)))
            }
            Some(Content::Suspect) => {
                self.pages.remove(page);
                Ok(Cached::Suspect)
            }
            Some(Content::Failed) => {
                self.pages.remove(page);
                Err(Errno::EIO.into())
            }
            None => Ok(Cached::Missing),
        }
    }

    /// Returns how many pages from `index` on, at most `most` and at least one, the cache knows nothing of.
    pub(super) fn uncached(&mut self, owner: Owner, index: u32, most: usize) -> usize {
        (1..most)
            .find(|&ahead| self.pages.find(owner, index + ahead as u32).is_some())
            .unwrap_or(most)
            .max(1)
    }

    /// Starts a read and says what to wait for.
    pub(super) fn start_read<T>(
        &mut self,
        context: &mut Context<'_>,
        wanted: Wanted,
    ) -> Result<T, Stall> {
        let count = self.room_for_reading(context, wanted.count)?;
        let volume = self.volumes.get(wanted.volume).ok_or(Errno::EIO)?;
        if wanted.start >= volume.bytes {
            return Err(Errno::EIO.into());
        }
        let wanted = disk::Wanted {
            disk: volume.disk,
            start: volume.start + wanted.start,
            owner: wanted.owner,
            first: wanted.first,
            count,
            bytes: wanted.bytes,
        };
        let pages = self
            .disks
            .read(context.pool, &mut self.pages, wanted, context.now)?;
        context.count_read(wanted.disk, pages);
        Err(Stall::wait(WakeKey::Disk(wanted.disk)))
    }
}
