//! Parts of regular files that become zeroes: fallocate(2)'s holes and zeroed ranges.

use crate::account::Resource;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::inode::{InodeId, Node};
use crate::fs::page_cache::{Content, Owner};
use crate::fs::place::PlaceRef;
use crate::fs::seal::Seals;
use crate::limits::{WORK_LOOKS, WORK_PAGES};
use crate::wait::Stall;
use core::ops::Range;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

const PAGE: u64 = PAGE_BYTES as u64;

impl<B: Block> Files<B> {
    /// Makes the bytes of a regular file in `range` zeroes, as many as one turn allows, and leaves in `range` what is to be
    /// done. Memory that holds nothing else is given back.
    ///
    /// # Errors
    ///
    /// [`Stall::AGAIN`] when something is left; EPERM for what is sealed; ENOSPC, EIO, or what to wait for.
    pub fn clear_range(
        &mut self,
        context: &mut Context<'_>,
        place: PlaceRef<'_>,
        range: &mut Range<u64>,
    ) -> Result<(), Stall> {
        let id = self.inode_at(place.0)?;
        self.permit_seals(id, Seals::WRITES)?;
        let known = &mut self.own(place)?.attributes;
        (known.modified, known.changed) = (context.wall, context.wall);
        range.end = range.end.min(known.size);
        let (mut looks, mut pages) = (WORK_LOOKS, WORK_PAGES);
        while range.start < range.end {
            if looks == 0 || pages == 0 {
                return Err(Stall::AGAIN);
            }
            let within = (range.start % PAGE) as usize;
            let count = (PAGE - within as u64).min(range.end - range.start);
            looks -= 1;
            pages -= usize::from(self.clear_part(context, id, range.start, within, count)?);
            range.start += count;
        }
        Ok(())
    }

    /// Makes `count` bytes of one page zeroes; returns whether there was anything to be done.
    fn clear_part(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        position: u64,
        within: usize,
        count: u64,
    ) -> Result<bool, Stall> {
        let index = (position / PAGE) as u32;
        if self.content_page(context, id, index)?.is_none() {
            return Ok(false);
        }
        let whole = count == PAGE;
        if whole && self.give_page_back(context, id, index) {
            return Ok(true);
        }
        let page = self.own_page(context, id, index, whole)?;
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        context.pool.bytes_mut(frame)[within..within + count as usize].fill(0);
        Ok(true)
    }

    /// Gives a page of a file back that has nothing below it and that nobody maps; returns whether it was like that.
    fn give_page_back(&mut self, context: &mut Context<'_>, id: InodeId, index: u32) -> bool {
        let Some(Node::Union(union)) = self.inodes.get(id).map(|inode| &inode.node) else {
            return false;
        };
        let (account, kept) = (union.account, union.kept);
        let Some(page) = self.pages.find(Owner::Inode(id), index) else {
            return false;
        };
        let is_shared = self
            .pages
            .frame(page)
            .is_none_or(|frame| context.pool.tokens(frame.by_ref()) > 1);
        if is_shared || u64::from(index) * PAGE < kept {
            return false;
        }
        if let Some(Content::Owned(frame)) = self.pages.remove(page) {
            context.pool.release(frame);
            context.refund(account, Resource::FileFrames, 1);
        }
        true
    }
}
