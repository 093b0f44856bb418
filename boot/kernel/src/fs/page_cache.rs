//! The page cache: frames by owner and page number, for files and for the metadata of volumes alike.
//!
//! A page is *clean* (its source has it too, so that it can be forgotten unless a program maps it), *owned* (written
//! here, the only copy), *being read*, or *failed* (whoever asks next is told once, then it is read anew).

use crate::errno::Errno;
use crate::fs::inode::InodeId;
use crate::limits::{
    FRAMES_PER_BUCKET, MAX_PAGE_BUCKETS, MIN_PAGE_BUCKETS, WORK_LOOKS, WORK_PAGES,
};
use crate::slab::{Id, Slab};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use hal::frame::{Frame, FramePool};

/// Names a page in the cache.
pub(super) type PageId = Id<Page>;

/// End of a hash chain.
const NONE: u32 = u32::MAX;

/// Whose page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A file's.
    Inode(InodeId),
    /// A volume's.
    Volume(u8),
}

/// What is known of a page.
#[derive(Debug)]
pub(super) enum Content {
    /// A copy of what the source has.
    Clean(Frame),
    /// The only copy.
    Owned(Frame),
    /// A disk reads it; the number tells this read from earlier ones.
    Reading(u32),
    /// It was read together with others and that failed; it has to be read by itself.
    Suspect,
    /// Reading it failed.
    Failed,
}

/// A page in the cache.
#[derive(Debug)]
pub(super) struct Page {
    owner: Owner,
    index: u32,
    pub(super) content: Content,
    recent: bool,
    /// The checksums in it were found right.
    is_checked: bool,
    chain: u32,
}

/// All pages.
#[derive(Debug)]
pub(super) struct PageCache {
    table: Slab<Page>,
    buckets: Vec<u32>,
    hand: u32,
    /// Pages looked at in vain since one could be forgotten.
    in_vain: usize,
}

impl PageCache {
    /// Makes an empty cache for a machine with `frames` frames. Its table is made here, for all of them: it is the
    /// largest of the kernel, and to double it later would need room for two at once.
    pub(super) fn new(frames: usize) -> Self {
        let buckets = (frames / FRAMES_PER_BUCKET).next_power_of_two();
        Self {
            buckets: vec![NONE; buckets.clamp(MIN_PAGE_BUCKETS, MAX_PAGE_BUCKETS)],
            table: Slab::with_room(frames),
            hand: 0,
            in_vain: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns how many pages more can be put in.
    pub(super) const fn room(&self) -> usize {
        self.table.room()
    }

    fn bucket(&self, owner: Owner, index: u32) -> usize {
        let owner = match owner {
            Owner::Inode(inode) => inode.index(),
            Owner::Volume(volume) => !u32::from(volume),
        };
        let mixed = (u64::from(owner) << 32 | u64::from(index)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & (self.buckets.len() - 1)
    }

    /// Returns the page, if anything is known of it.
    pub(super) fn find(&mut self, owner: Owner, index: u32) -> Option<PageId> {
        let mut slot = self.buckets[self.bucket(owner, index)];
        while slot != NONE {
            let (id, page) = self.table.at_mut(slot)?;
            if page.owner == owner && page.index == index {
                page.recent = true;
                return Some(id);
            }
            slot = page.chain;
        }
        None
    }

    pub(super) fn get(&self, id: PageId) -> Option<&Page> {
        self.table.get(id)
    }

    pub(super) fn get_mut(&mut self, id: PageId) -> Option<&mut Page> {
        self.table.get_mut(id)
    }

    /// Returns whether the checksums in a page were found right.
    pub(super) fn is_checked(&self, id: PageId) -> bool {
        self.table.get(id).is_some_and(|page| page.is_checked)
    }

    /// Remembers that they were, for as long as the page is there.
    pub(super) fn set_checked(&mut self, id: PageId) {
        if let Some(page) = self.table.get_mut(id) {
            page.is_checked = true;
        }
    }

    /// Returns the frame of a page that has one.
    pub(super) fn frame(&self, id: PageId) -> Option<&Frame> {
        match &self.table.get(id)?.content {
            Content::Clean(frame) | Content::Owned(frame) => Some(frame),
            _ => None,
        }
    }

    /// Puts a page in. There must be none for this owner and number.
    ///
    /// # Errors
    ///
    /// The content comes back when there is no [room](Self::room).
    pub(super) fn insert(
        &mut self,
        owner: Owner,
        index: u32,
        content: Content,
    ) -> Result<PageId, (Content, Errno)> {
        let bucket = self.bucket(owner, index);
        let page = Page {
            owner,
            index,
            content,
            recent: true,
            is_checked: false,
            chain: self.buckets[bucket],
        };
        let id = self
            .table
            .insert(page)
            .map_err(|(page, _)| (page.content, Errno::ENOMEM))?;
        self.buckets[bucket] = id.index();
        Ok(id)
    }

    /// Takes a page out; its frame is the caller's.
    pub(super) fn remove(&mut self, id: PageId) -> Option<Content> {
        let page = self.table.get(id)?;
        let next = page.chain;
        let bucket = self.bucket(page.owner, page.index);
        let mut slot = self.buckets[bucket];
        if slot == id.index() {
            self.buckets[bucket] = next;
        } else {
            while let Some((_, page)) = self.table.at_mut(slot) {
                if page.chain == id.index() {
                    page.chain = next;
                    break;
                }
                slot = page.chain;
            }
        }
        self.table.remove(id).map(|page| page.content)
    }

    /// Takes out up to [`WORK_PAGES`] pages of `owner` whose numbers lie in `range`, giving their frames back, and
    /// leaves in `range` what may still be there. `hand` is where an unfinished search goes on. Returns how many of
    /// the pages were owned.
    pub(super) fn remove_some(
        &mut self,
        pool: &mut FramePool,
        owner: Owner,
        range: &mut Range<u32>,
        hand: &mut u32,
    ) -> u64 {
        let mut owned = 0;
        let slots = self.table.slots() as u32;
        // Whichever is shorter: asking for each number, or looking at each page.
        if range.len() as u32 <= slots {
            for _ in 0..WORK_PAGES {
                let Some(index) = range.next() else {
                    break;
                };
                if let Some(id) = self.find(owner, index) {
                    owned += self.give_back(pool, id);
                }
            }
            return owned;
        }
        let end = slots.min(hand.saturating_add(WORK_LOOKS as u32));
        let mut pages = 0;
        while *hand < end && pages < WORK_PAGES {
            let found = self.table.at_mut(*hand).and_then(|(id, page)| {
                (page.owner == owner && range.contains(&page.index)).then_some(id)
            });
            if let Some(id) = found {
                owned += self.give_back(pool, id);
                pages += 1;
            }
            *hand += 1;
        }
        if *hand == slots {
            range.start = range.end;
        }
        owned
    }

    /// Takes a page out and gives its frame back; returns 1 when it was owned.
    fn give_back(&mut self, pool: &mut FramePool, id: PageId) -> u64 {
        match self.remove(id) {
            Some(Content::Owned(frame)) => {
                pool.release(frame);
                1
            }
            Some(Content::Clean(frame)) => {
                pool.release(frame);
                0
            }
            _ => 0,
        }
    }

    /// Forgets up to `count` clean pages that nobody maps, the least recently used first; returns how many frames
    /// became free. Looks at [`WORK_LOOKS`] pages at most.
    pub(super) fn reclaim(&mut self, pool: &mut FramePool, count: usize) -> usize {
        let slots = self.table.slots() as u32;
        let mut freed = 0;
        for _ in 0..WORK_LOOKS.min(2 * slots as usize) {
            if freed >= count {
                break;
            }
            self.in_vain += 1;
            self.hand = (self.hand + 1) % slots;
            let Some((id, page)) = self.table.at_mut(self.hand) else {
                continue;
            };
            let idle = match &page.content {
                Content::Clean(frame) => pool.tokens(frame.by_ref()) == 1,
                Content::Suspect | Content::Failed => true,
                Content::Owned(_) | Content::Reading(_) => false,
            };
            if !idle || core::mem::take(&mut page.recent) {
                continue;
            }
            if let Some(Content::Clean(frame)) = self.remove(id) {
                pool.release(frame);
                freed += 1;
                self.in_vain = 0;
            }
        }
        freed
    }

    /// Returns whether every page was looked at twice since one could be forgotten: there is none. Whoever asks
    /// next begins anew.
    pub(super) fn is_exhausted(&mut self) -> bool {
        let is_exhausted = self.in_vain >= 2 * self.table.slots();
        if is_exhausted {
            self.in_vain = 0;
        }
        is_exhausted
    }
}
