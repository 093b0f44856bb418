//! Taking pages away, a bounded number at a time.

use super::SpaceId;
use crate::system::System;
use core::ops::Range;
use hal::block::Block;
use hal::page_table::Page;

impl<B: Block> System<B> {
    /// Unmaps up to `budget` pages inside `range`, lowest first; returns how many there were. Less than `budget` means
    /// that none is left. Tables that become empty go with their pages: else a program could make looking for the next
    /// page long, and would pay for them to its end.
    pub(super) fn unmap_pages(&mut self, id: SpaceId, range: Range<u64>, budget: usize) -> usize {
        let Some(space) = self.spaces.get_mut(id) else {
            return 0;
        };
        let until = Page::from_number(range.end).unwrap_or(Page::END);
        let mut from = Page::from_number(range.start);
        let (mut count, mut tables) = (0, 0);
        let mut last: Option<Page> = None;
        while let Some(start) = from
            && count < budget
            && let Some(page) = space.table.next_mapped(&self.pool, start, until)
        {
            if let Some(before) = last
                && !before.shares_table(page)
            {
                tables += space.table.trim(&mut self.pool, before);
            }
            last = Some(page);
            if let Some(frame) = space.table.unmap(&mut self.pool, page) {
                self.pool.release(frame);
                count += 1;
            }
            from = Page::from_number(page.number() + 1);
        }
        if let Some(page) = last {
            tables += space.table.trim(&mut self.pool, page);
        }
        let account = space.account;
        let freed = count as u64 + tables;
        space.charged -= freed;
        self.refund(account, freed);
        count
    }

    /// Takes down some of an address space nobody uses; returns whether nothing is left of it.
    pub(crate) fn clear_space(&mut self, id: SpaceId, budget: usize) -> bool {
        let everything = 0..Page::END.number();
        let mut left = budget;
        while let Some(space) = self.spaces.get_mut(id)
            && let Some(area) = space.areas.next(0)
        {
            let pages = area.first..area.end;
            let count = self.unmap_pages(id, pages, left);
            left -= count;
            if left == 0 {
                return false;
            }
            left -= 1;
            let taken = match self.spaces.get_mut(id) {
                Some(space) => space.areas.take(everything.clone()),
                None => None,
            };
            if let Some(file) = taken.and_then(|area| area.file())
                && self.release_file(file)
            {
                // One place at a time: giving it back may have to look far.
                return false;
            }
        }
        // Every page was in an area; what a mistake left behind is not lost for that.
        if self.unmap_pages(id, everything, budget) == budget {
            return false;
        }
        let Some(space) = self.spaces.get_mut(id) else {
            return true;
        };
        if !space.table.prune(&mut self.pool, budget) {
            return false;
        }
        if let Some(space) = self.spaces.remove(id) {
            space.table.release(&mut self.pool);
            self.refund(space.account, space.charged);
            if let Some(spare) = space.areas.into_spare() {
                // Room was made when the space was.
                self.spare_areas.push(spare);
            }
        }
        true
    }
}
