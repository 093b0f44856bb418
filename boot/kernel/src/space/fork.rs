//! Copying an address space for a child: areas at once, pages by sharing their frames, a bounded number at a time.

use super::{SpaceId, TABLES};
use crate::account::Resource;
use crate::errno::Errno;
use crate::limits::{WORK_LOOKS, WORK_PAGES};
use crate::system::System;
use crate::wait::Stall;
use hal::block::Block;
use hal::page_table::Page;

impl<B: Block> System<B> {
    /// Makes an address space that has the areas of another, for one user, and none of its pages yet.
    ///
    /// # Errors
    ///
    /// ENOMEM; EAGAIN at the limit.
    pub(crate) fn copy_space(&mut self, id: SpaceId) -> Result<SpaceId, Errno> {
        let parent = self.space(id)?;
        let (account, bounds) = (parent.account, parent.bounds);
        let mut space = self.empty_space(account, bounds)?;
        let mut copied = Err(Errno::EFAULT);
        if let Some(parent) = self.spaces.get(id) {
            space.break_start = parent.break_start;
            space.break_end = parent.break_end;
            space.map_top = parent.map_top;
            space.stack_top = parent.stack_top;
            space.strings = parent.strings;
            space.has_barriers = parent.has_barriers;
            copied = space.areas.copy_from(&parent.areas);
        }
        let copy = self.keep_space(space, copied)?;
        let mut at = 0;
        while let Some(area) = self.space(copy)?.areas.next(at).copied() {
            at = area.end;
            if let Some(file) = area.file() {
                self.hold_file(file);
            }
        }
        Ok(copy)
    }

    /// Lets `child` have the pages of `parent` from number `start` on, as many as one turn allows; returns where to go
    /// on, which is [`Page::END`] when it has all. Nobody may write to them without making a copy from here on, but for
    /// those of shared areas, which the child finds by itself, and of those that are withheld from it.
    ///
    /// # Errors
    ///
    /// ENOMEM, or [`Stall::AGAIN`] when memory is on its way back.
    pub(crate) fn share_pages(
        &mut self,
        parent: SpaceId,
        child: SpaceId,
        start: u64,
    ) -> Result<u64, Stall> {
        let mut next = start;
        let mut budget = WORK_PAGES;
        for _ in 0..WORK_LOOKS {
            let Some(area) = self.space(parent)?.areas.next(next).copied() else {
                return Ok(Page::END.number());
            };
            let first = Page::from_number(next.max(area.first)).ok_or(Errno::EFAULT)?;
            let end = Page::from_number(area.end).unwrap_or(Page::END);
            if area.is_shared() || !area.withheld.is_empty() {
                next = area.end;
                continue;
            }
            let (from, to) = self.spaces.pair_mut(parent, child).ok_or(Errno::EFAULT)?;
            let account = self.accounts.get_mut(to.account).ok_or(Errno::ENOMEM)?;
            let most = budget as u64 + TABLES;
            account.charge(Resource::Frames, most)?;
            let shared = from
                .table
                .share(&mut self.pool, &mut to.table, first..end, budget);
            let charged = shared.pages + shared.tables;
            account.refund(Resource::Frames, most - charged);
            to.charged += charged;
            next = shared.next;
            budget -= shared.pages as usize;
            if budget == 0 {
                break;
            }
            if shared.pages == 0 && next < area.end {
                // No frame was left for a table.
                let frame = self.take_frame()?;
                self.pool.release(frame);
            }
        }
        Ok(next)
    }
}
