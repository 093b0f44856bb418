//! Bringing a page in: what happens when a program, or the kernel for it, touches a page.

use super::{Area, Backing, LOWEST_ADDRESS, STACK_PAGES, SpaceId};
use crate::account::Resource;
use crate::errno::Errno;
use crate::limits::{FAULT_AROUND_PAGES, STACK_GUARD_PAGES};
use crate::out_of_memory::Shortage;
use crate::system::System;
use crate::user_memory::Access;
use crate::wait::{Stall, WakeKey, Why};
use hal::block::Block;
use hal::frame::Frame;
use hal::limits::PAGE_BYTES;
use hal::page_table::{Page, Protection};

/// Why a page was not brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// No area has the page: SIGSEGV, SEGV_MAPERR.
    Unmapped,
    /// The area does not allow it: SIGSEGV, SEGV_ACCERR.
    Protected,
    /// The page lies behind the end of its file, or could not be read: SIGBUS.
    Bus,
    /// There is not enough of this: somebody is killed.
    OutOf(Shortage),
    /// Not yet.
    Wait(WakeKey),
    /// Not in this turn.
    Again,
}

impl Denial {
    /// Turns the reason why a file did not give its page into ours.
    const fn of_file(stall: Stall) -> Self {
        match stall.why() {
            Why::Error(Errno::ENOMEM) => Self::OutOf(Shortage::Frames),
            Why::Error(_) => Self::Bus,
            Why::Wait(key) => Self::Wait(key),
            Why::Again => Self::Again,
        }
    }
}

impl From<Denial> for Stall {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Unmapped | Denial::Protected | Denial::Bus => Errno::EFAULT.into(),
            Denial::OutOf(_) => Errno::ENOMEM.into(),
            Denial::Wait(key) => Self::wait(key),
            Denial::Again => Self::AGAIN,
        }
    }
}

impl<B: Block> System<B> {
    /// Makes `page` present for `access`.
    ///
    /// # Errors
    ///
    /// Why it is not, with nothing changed.
    pub(crate) fn page_in(
        &mut self,
        id: SpaceId,
        page: Page,
        access: Access,
    ) -> Result<(), Denial> {
        let space = self.spaces.get_mut(id).ok_or(Denial::Unmapped)?;
        let mapping = space.table.lookup(&self.pool, page);
        if let Some(mapping) = &mapping
            && match access {
                Access::Read => !mapping.protection.is_empty(),
                Access::Write => mapping.protection.contains(Protection::WRITE),
                Access::Execute => mapping.protection.contains(Protection::EXECUTE),
                Access::Load => false,
            }
        {
            return Ok(());
        }
        let mapped = mapping.is_some();
        let area = match space.areas.find(page.number()) {
            Some(area) => *area,
            None => self.grow_stack(id, page, access)?,
        };
        let allowed = match access {
            Access::Read => !area.protection.is_empty(),
            Access::Write => area.protection.contains(Protection::WRITE),
            Access::Execute => area.protection.contains(Protection::EXECUTE),
            Access::Load => true,
        };
        if !allowed {
            return Err(Denial::Protected);
        }
        let brought = if mapped {
            self.own_page(id, page, &area)
        } else {
            self.bring_in(id, page, access, &area)
        };
        self.count_fault(id, page, &brought);
        brought
    }

    /// Makes a page present that is not.
    fn bring_in(
        &mut self,
        id: SpaceId,
        page: Page,
        access: Access,
        area: &Area,
    ) -> Result<(), Denial> {
        match area.backing {
            Backing::Anonymous | Backing::Stack => {
                let frame = self.take_frame()?;
                self.pool.bytes_mut(&frame).fill(0);
                self.map_page(id, page, frame, area.protection)
            }
            Backing::Seen { file, page: first } => {
                let index = first + (page.number() - area.first);
                let frame = self.seen_page(file, index).map_err(Denial::of_file)?;
                self.map_page(id, page, frame, area.protection)?;
                self.map_around(id, area, page);
                Ok(())
            }
            Backing::Shared { file, page: first } => {
                let index = first + (page.number() - area.first);
                let frame = self.shared_page(file, index).map_err(Denial::of_file)?;
                self.map_page(id, page, frame, area.protection)
            }
            Backing::File { .. } | Backing::Clock => {
                let shared = self.given_page(page, area)?;
                if matches!(access, Access::Write | Access::Load) {
                    self.map_copy(id, page, shared, area.protection)
                } else {
                    self.map_page(id, page, shared, area.protection - Protection::WRITE)?;
                    self.map_around(id, area, page);
                    Ok(())
                }
            }
        }
    }

    /// Returns a token of the frame behind a page that is copied when it is written to.
    fn given_page(&mut self, page: Page, area: &Area) -> Result<Frame, Denial> {
        if let Backing::File { file, page: first } = area.backing {
            let index = first + (page.number() - area.first);
            return self.file_page(file, index).map_err(Denial::of_file);
        }
        let clock = self.clock_page.as_ref().map(Frame::by_ref);
        clock
            .and_then(|frame| self.pool.share(frame))
            .ok_or(Denial::Bus)
    }

    /// Counts a page that was brought in, and whether a disk was waited for.
    fn count_fault(&mut self, id: SpaceId, page: Page, brought: &Result<(), Denial>) {
        let Some(space) = self.spaces.get_mut(id) else {
            return;
        };
        match brought {
            Ok(()) => {
                let waited = space.awaited.take_if(|awaited| *awaited == page).is_some();
                if let Some(account) = self.accounts.get_mut(space.account) {
                    account.counters.faults += 1;
                    account.counters.major_faults += u64::from(waited);
                }
            }
            Err(Denial::Wait(WakeKey::Disk(_))) => space.awaited = Some(page),
            Err(_) => {}
        }
    }

    /// Takes a frame, making the page cache give some back when there is none.
    pub(super) fn take_frame(&mut self) -> Result<Frame, Denial> {
        if let Ok(frame) = self.pool.take() {
            return Ok(frame);
        }
        match self.files.make_room(&mut self.pool, &mut self.accounts) {
            Err(stall) if stall.is_error() && !self.dying.is_empty() => Err(Denial::Again),
            Err(stall) => Err(Denial::of_file(stall)),
            Ok(()) => self.pool.take().or(Err(Denial::OutOf(Shortage::Frames))),
        }
    }

    /// Maps a copy of `shared`, whose token is given back.
    fn map_copy(
        &mut self,
        id: SpaceId,
        page: Page,
        shared: Frame,
        protection: Protection,
    ) -> Result<(), Denial> {
        let copy = self.take_frame();
        if let Ok(copy) = &copy {
            self.pool
                .copy(shared.by_ref(), 0, copy.by_ref(), 0, PAGE_BYTES);
        }
        self.pool.release(shared);
        self.map_page(id, page, copy?, protection)
    }

    /// Maps the neighbours of a file's page that the page cache has.
    fn map_around(&mut self, id: SpaceId, area: &Area, page: Page) {
        let (Backing::File { file, page: first } | Backing::Seen { file, page: first }) =
            area.backing
        else {
            return;
        };
        if area.is_shared() && self.is_written(file) {
            return;
        }
        let start = page.number() & !(FAULT_AROUND_PAGES - 1);
        let from = start.max(area.first);
        for number in from..(start + FAULT_AROUND_PAGES).min(area.end) {
            let Some(neighbour) = Page::from_number(number) else {
                return;
            };
            let known = self
                .spaces
                .get(id)
                .is_none_or(|space| space.table.lookup(&self.pool, neighbour).is_some());
            let has_room = self.spaces.get(id).is_some_and(|space| {
                let account = self.accounts.get(space.account);
                account.is_some_and(|account| account.has_room(Resource::Frames, 1))
            });
            if !has_room {
                return;
            }
            if known {
                continue;
            }
            let Some(frame) = self.cached_page(file, first + (number - area.first)) else {
                continue;
            };
            let rights = area.protection - Protection::WRITE;
            // This is a favour: without memory for it, the page is simply not there yet.
            if self.map_page(id, neighbour, frame, rights).is_err() {
                return;
            }
        }
    }
}

impl<B: Block> System<B> {
    /// Lets the stack above `page` grow down to it, as far as it may; what the kernel puts there for a new program has its own
    /// limit.
    fn grow_stack(&mut self, id: SpaceId, page: Page, access: Access) -> Result<Area, Denial> {
        let space = self.spaces.get_mut(id).ok_or(Denial::Unmapped)?;
        let number = page.number();
        let stack = *space
            .areas
            .next(number)
            .filter(|area| area.backing == Backing::Stack)
            .ok_or(Denial::Unmapped)?;
        let guarded = space
            .areas
            .before(number)
            .is_none_or(|below| below.end + STACK_GUARD_PAGES <= number);
        let bounds = &space.bounds;
        let is_permitted = access == Access::Load && stack.end - number <= STACK_PAGES
            || stack.end - number <= bounds.stack
                && space.areas.has_room(&stack, stack.first - number, bounds);
        if page.address() < LOWEST_ADDRESS || !guarded || !is_permitted {
            return Err(Denial::Unmapped);
        }
        space.areas.grow_down(stack.first, number);
        Ok(Area {
            first: number,
            ..stack
        })
    }

    /// Makes the program the only owner of a mapped page that it shares with the page cache or another program, and
    /// gives it the area's full rights; a page of a shared area stays what it is.
    fn own_page(&mut self, id: SpaceId, page: Page, area: &Area) -> Result<(), Denial> {
        let protection = area.protection;
        let space = self.spaces.get_mut(id).ok_or(Denial::Unmapped)?;
        let mapping = space
            .table
            .lookup(&self.pool, page)
            .ok_or(Denial::Unmapped)?;
        if area.is_shared() || self.pool.tokens(mapping.frame) == 1 {
            space.table.protect(&mut self.pool, page, protection);
            return Ok(());
        }
        let copy = self.take_frame()?;
        let space = self.spaces.get_mut(id).ok_or(Denial::Unmapped)?;
        let Some(mapping) = space.table.lookup(&self.pool, page) else {
            self.pool.release(copy);
            return Err(Denial::Unmapped);
        };
        self.pool
            .copy(mapping.frame, 0, copy.by_ref(), 0, PAGE_BYTES);
        match space.table.map(&mut self.pool, page, copy, protection) {
            Ok(Some(shared)) => self.pool.release(shared),
            Ok(None) => {}
            Err(copy) => {
                self.pool.release(copy);
                return Err(Denial::OutOf(Shortage::Frames));
            }
        }
        Ok(())
    }

    /// Puts `frame` behind `page`, where nothing was, and charges it with the tables it needs.
    pub(crate) fn map_page(
        &mut self,
        id: SpaceId,
        page: Page,
        frame: Frame,
        protection: Protection,
    ) -> Result<(), Denial> {
        let Some(space) = self.spaces.get_mut(id) else {
            self.pool.release(frame);
            return Err(Denial::Unmapped);
        };
        let most = 1 + space.table.missing_tables(&self.pool, page);
        let Some(account) = self.accounts.get_mut(space.account) else {
            self.pool.release(frame);
            return Err(Denial::OutOf(Shortage::Frames));
        };
        if account.charge(Resource::Frames, most).is_err() {
            self.pool.release(frame);
            return Err(Denial::OutOf(Shortage::Limit));
        }
        let before = self.pool.available();
        let mapped = space.table.map(&mut self.pool, page, frame, protection);
        let tables = before.saturating_sub(self.pool.available()) as u64;
        let (pages, result) = match mapped {
            Ok(None) => (1, Ok(())),
            Ok(Some(old)) => {
                self.pool.release(old);
                (0, Ok(()))
            }
            Err(frame) => {
                self.pool.release(frame);
                (0, Err(Denial::OutOf(Shortage::Frames)))
            }
        };
        account.refund(Resource::Frames, most - pages - tables);
        space.charged += pages + tables;
        result
    }
}
