//! Changing which pages a program may use: what mmap, munmap, mprotect, mremap and brk are made of.

use super::{Area, Backing, LOWEST_ADDRESS, SpaceId};
use crate::account::Resource;
use crate::errno::Errno;
use crate::limits::WORK_PAGES;
use crate::system::System;
use crate::wait::Stall;
use core::ops::Range;
use hal::block::Block;
use hal::limits::PAGE_BYTES;
use hal::page_table::{Page, Protection};

/// Where a new area is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Anywhere, here if it is free.
    Near(u64),
    /// The same, below 2 GiB (`MAP_32BIT`).
    Low(u64),
    /// Here, whatever is there.
    Exactly(u64),
    /// Here, if it is free.
    ExactlyFree(u64),
}

/// The pages among which one is chosen that 31 bits can name (Linux arch/x86/kernel/sys_x86_64.c `find_start_end`).
const LOW_PAGES: Range<u64> = 0x4_0000..0x8_0000;

impl<B: Block> System<B> {
    /// Adds an area to free pages. A file behind it has one user more.
    ///
    /// # Errors
    ///
    /// ENOMEM at the limit of areas, or for more pages than there may be.
    pub(crate) fn add_area(&mut self, id: SpaceId, area: Area) -> Result<(), Errno> {
        self.permit_pages(id, &area, area.pages())?;
        self.place_area(id, area)
    }

    /// Checks that there may be `more` pages of the sort that `area` has.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn permit_pages(&self, id: SpaceId, area: &Area, more: u64) -> Result<(), Errno> {
        let space = self.space(id)?;
        if space.areas.has_room(area, more, &space.bounds) {
            Ok(())
        } else {
            Err(Errno::ENOMEM)
        }
    }

    /// Adds an area in the place of others that go, or have gone.
    ///
    /// # Errors
    ///
    /// ENOMEM at the limit of areas.
    pub(crate) fn place_area(&mut self, id: SpaceId, area: Area) -> Result<(), Errno> {
        self.space_mut(id)?.areas.insert(area)?;
        if let Some(file) = area.file() {
            self.hold_file(file);
        }
        Ok(())
    }

    /// Chooses where `pages` pages go. Pages that are in the way of [`Wish::Exactly`] are still there.
    ///
    /// # Errors
    ///
    /// EINVAL or ENOMEM for a place outside the address space, EEXIST for one that must be free and is not.
    pub(crate) fn choose_pages(&self, id: SpaceId, pages: u64, wish: Wish) -> Result<u64, Errno> {
        let space = self.space(id)?;
        let lowest = LOWEST_ADDRESS / PAGE_BYTES as u64;
        let inside = |first: u64| {
            first >= lowest
                && first
                    .checked_add(pages)
                    .is_some_and(|end| end <= Page::END.number())
        };
        match wish {
            Wish::Exactly(first) | Wish::ExactlyFree(first) if !inside(first) => {
                Err(if first < lowest {
                    Errno::EPERM
                } else {
                    Errno::ENOMEM
                })
            }
            Wish::Exactly(first) => Ok(first),
            Wish::ExactlyFree(first) if space.areas.is_free(first..first + pages) => Ok(first),
            Wish::ExactlyFree(_) => Err(Errno::EEXIST),
            Wish::Near(first) | Wish::Low(first) => {
                let (ends_at, among) = match wish {
                    Wish::Low(_) => (LOW_PAGES.end, LOW_PAGES),
                    _ => (Page::END.number(), lowest..space.map_top),
                };
                let is_good = inside(first)
                    && first + pages <= ends_at
                    && space.areas.is_free(first..first + pages);
                if is_good {
                    return Ok(first);
                }
                space.areas.find_gap(pages, among).ok_or(Errno::ENOMEM)
            }
        }
    }

    /// Takes pages away: first what is mapped, as much as one turn allows, then the areas.
    ///
    /// # Errors
    ///
    /// [`Stall::AGAIN`] when there is more to do (call it again with the same range), ENOMEM when an area cannot be
    /// split.
    pub(crate) fn remove_pages(&mut self, id: SpaceId, range: Range<u64>) -> Result<(), Stall> {
        // The areas are cut first: should that be impossible, nothing has happened yet.
        self.split_areas(id, &range)?;
        if self.unmap_pages(id, range.clone(), WORK_PAGES) == WORK_PAGES {
            return Err(Stall::AGAIN);
        }
        for _ in 0..WORK_PAGES {
            let Some(area) = self.space_mut(id)?.areas.take(range.clone()) else {
                return Ok(());
            };
            if let Some(file) = area.file() {
                self.release_file(file);
            }
        }
        Err(Stall::AGAIN)
    }

    /// Drops the content of pages, as much as one turn allows: anonymous ones are zero again, a file's as in the file.
    ///
    /// # Errors
    ///
    /// [`Stall::AGAIN`] when there is more to do.
    pub(crate) fn drop_pages(&mut self, id: SpaceId, range: Range<u64>) -> Result<(), Stall> {
        if self.unmap_pages(id, range, WORK_PAGES) == WORK_PAGES {
            return Err(Stall::AGAIN);
        }
        Ok(())
    }

    /// Makes sure that no area reaches over either end of `range`.
    pub(crate) fn split_areas(&mut self, id: SpaceId, range: &Range<u64>) -> Result<(), Errno> {
        for at in [range.start, range.end] {
            if let Some(file) = self.space_mut(id)?.areas.split(at)? {
                self.hold_file(file);
            }
        }
        Ok(())
    }

    /// Changes what a program may do with pages, as many as one turn allows; returns the first page behind those.
    ///
    /// # Errors
    ///
    /// ENOMEM for a page that has no area; pages before it are changed, as Linux does.
    pub(crate) fn protect_pages(
        &mut self,
        id: SpaceId,
        range: Range<u64>,
        protection: Protection,
    ) -> Result<u64, Errno> {
        let area = self.area_at(id, range.start).ok_or(Errno::ENOMEM)?;
        if area.protection == protection {
            return Ok(area.end.min(range.end));
        }
        if matches!(area.backing, Backing::Seen { .. }) && protection.contains(Protection::WRITE) {
            return Err(Errno::EACCES);
        }
        let space = self.space(id)?;
        let pages = area.end.min(range.end) - range.start;
        if !area.is_data()
            && (Area { protection, ..area }).is_data()
            && !space.areas.has_data_room(pages, &space.bounds)
        {
            return Err(Errno::ENOMEM);
        }
        self.split_areas(id, &range)?;
        let space = self.spaces.get_mut(id).ok_or(Errno::EFAULT)?;
        let Some(area) = space.areas.find(range.start).copied() else {
            return Err(Errno::ENOMEM);
        };
        let until = Page::from_number(area.end.min(range.end)).unwrap_or(Page::END);
        let mut from = Page::from_number(range.start);
        let mut budget = WORK_PAGES;
        while let Some(start) = from
            && let Some(page) = space.table.next_mapped(&self.pool, start, until)
        {
            if budget == 0 {
                // What was changed so far becomes an area of its own.
                return self.set_protection(id, range.start..page.number(), protection);
            }
            budget -= 1;
            let Some(mapping) = space.table.lookup(&self.pool, page) else {
                break;
            };
            let shared = !area.is_shared() && self.pool.tokens(mapping.frame) > 1;
            let allowed = if shared {
                // The next write copies the page.
                protection - Protection::WRITE
            } else {
                protection
            };
            space.table.protect(&mut self.pool, page, allowed);
            from = Page::from_number(page.number() + 1);
        }
        self.set_protection(id, range.start..until.number(), protection)
    }

    /// Gives the part `range` of an area other rights; returns the part's end.
    fn set_protection(
        &mut self,
        id: SpaceId,
        range: Range<u64>,
        protection: Protection,
    ) -> Result<u64, Errno> {
        self.change_area(id, range, &|area| Area { protection, ..area })
    }

    /// Makes the part `range` of an area an area of its own that differs from it; returns the part's end.
    ///
    /// # Errors
    ///
    /// ENOMEM at the limit of areas.
    pub(crate) fn change_area(
        &mut self,
        id: SpaceId,
        range: Range<u64>,
        change: &dyn Fn(Area) -> Area,
    ) -> Result<u64, Errno> {
        self.split_areas(id, &range)?;
        let space = self.space_mut(id)?;
        let Some(part) = space.areas.take(range.clone()) else {
            return Ok(range.end);
        };
        // A list that has just lost an area has room for one.
        space.areas.insert(change(part))?;
        Ok(range.end)
    }

    /// Moves mapped pages to another place, as many as one turn allows; returns whether all are moved.
    ///
    /// # Errors
    ///
    /// ENOMEM when there is no frame for a table at the new place; every page is at one of the two places then. Where
    /// pages were before, the tables still stand, so moving back never fails.
    pub(crate) fn move_pages(
        &mut self,
        id: SpaceId,
        from: Range<u64>,
        to: u64,
    ) -> Result<bool, Errno> {
        let (Some(first), Some(until)) =
            (Page::from_number(from.start), Page::from_number(from.end))
        else {
            return Err(Errno::EFAULT);
        };
        for _ in 0..WORK_PAGES {
            let space = self.space(id)?;
            let Some(page) = space.table.next_mapped(&self.pool, first, until) else {
                return Ok(true);
            };
            let target =
                Page::from_number(to + (page.number() - from.start)).ok_or(Errno::EFAULT)?;
            self.move_page(id, page, target)?;
        }
        Ok(false)
    }

    /// Moves one mapped page; when that is impossible it stays where it was.
    fn move_page(&mut self, id: SpaceId, page: Page, target: Page) -> Result<(), Errno> {
        let space = self.spaces.get_mut(id).ok_or(Errno::EFAULT)?;
        let account = self.accounts.get_mut(space.account).ok_or(Errno::ENOMEM)?;
        let tables = space.table.missing_tables(&self.pool, target);
        if tables > self.pool.available() as u64 {
            return Err(Errno::ENOMEM);
        }
        account.charge(Resource::Frames, tables)?;
        space.charged += tables;
        let Some(mapping) = space.table.lookup(&self.pool, page) else {
            return Ok(());
        };
        let protection = mapping.protection;
        let Some(frame) = space.table.unmap(&mut self.pool, page) else {
            return Ok(());
        };
        match space.table.map(&mut self.pool, target, frame, protection) {
            // There were frames for the tables, and the place was free.
            Ok(None) => Ok(()),
            Ok(Some(frame)) | Err(frame) => {
                self.pool.release(frame);
                Err(Errno::ENOMEM)
            }
        }
    }

    /// Returns the area that contains a page.
    pub(crate) fn area_at(&self, id: SpaceId, page: u64) -> Option<Area> {
        self.spaces.get(id)?.areas.find(page).copied()
    }
}
