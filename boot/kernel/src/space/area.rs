//! The areas of an address space: which pages a program may use, and what stands behind them.

use super::file::FileId;
use crate::errno::Errno;
use crate::limits::{MAX_AREAS, READY_AREAS, SPARE_AREAS};
use crate::rlimit::Bounds;
use alloc::vec::Vec;
use core::ops::Range;
use hal::page_table::Protection;

/// What stands behind the pages of an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Zeroes until written.
    Anonymous,
    /// The same, and the area grows downwards.
    Stack,
    /// The page with which programs tell the time; the kernel's own, shared by all.
    Clock,
    /// A file's pages, to be copied when written. The area holds a reference to the file.
    File {
        /// Which file.
        file: FileId,
        /// The file's page behind the area's first page.
        page: u64,
    },
    /// A file's pages, as they are whoever writes to them; the program may not. The area holds a reference to the file.
    Seen {
        /// Which file.
        file: FileId,
        /// The file's page behind the area's first page.
        page: u64,
    },
    /// A file's pages themselves: what is written is seen by everybody. The area holds a reference to the file.
    Shared {
        /// Which file.
        file: FileId,
        /// The file's page behind the area's first page.
        page: u64,
    },
}

bitflags::bitflags! {
    /// What a child does not get of an area (madvise(2)).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Withheld: u8 {
        /// The area itself (`MADV_DONTFORK`).
        const AREA = 1;
        /// What is in its pages (`MADV_WIPEONFORK`).
        const CONTENT = 2;
    }
}

/// A run of pages with the same rights and the same backing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    /// Number of the first page.
    pub(crate) first: u64,
    /// Number of the page behind the last.
    pub(crate) end: u64,
    /// What the program may do.
    pub(crate) protection: Protection,
    /// Where the pages come from.
    pub(crate) backing: Backing,
    /// What fork leaves out.
    pub(crate) withheld: Withheld,
}

impl Area {
    /// Returns how many pages it has.
    pub(crate) const fn pages(&self) -> u64 {
        self.end - self.first
    }

    /// Returns the area that covers both when `next` continues this one in every respect.
    fn join(&self, next: &Self) -> Option<Self> {
        let continues = self.end == next.first
            && self.protection == next.protection
            && self.withheld == next.withheld
            && self.backing == Backing::Anonymous
            && next.backing == Backing::Anonymous;
        continues.then_some(Self {
            end: next.end,
            ..*self
        })
    }

    /// Returns the parts below page `at` and from `at` on.
    const fn split(self, at: u64) -> (Self, Self) {
        let low = Self { end: at, ..self };
        // Of a stack, only the lower part still grows.
        let high = self.part(at..self.end);
        (low, high)
    }

    /// Returns an area with the same rights and a continued backing for other pages, which may reach over its end.
    pub(crate) const fn part(self, pages: Range<u64>) -> Self {
        let backing = match self.backing {
            Backing::File { file, page } => Backing::File {
                file,
                page: page + (pages.start - self.first),
            },
            Backing::Seen { file, page } => Backing::Seen {
                file,
                page: page + (pages.start - self.first),
            },
            Backing::Shared { file, page } => Backing::Shared {
                file,
                page: page + (pages.start - self.first),
            },
            Backing::Stack | Backing::Anonymous => Backing::Anonymous,
            Backing::Clock => Backing::Clock,
        };
        Self {
            first: pages.start,
            end: pages.end,
            backing,
            ..self
        }
    }

    /// Returns the same area at another place.
    pub(crate) const fn at(self, first: u64) -> Self {
        Self {
            first,
            end: first + self.pages(),
            ..self
        }
    }

    /// Returns whether its pages are the program's own and can be written to, and are not the stack's (Linux `data_vm`).
    pub(crate) fn is_data(&self) -> bool {
        self.protection.contains(Protection::WRITE)
            && !self.is_shared()
            && self.backing != Backing::Stack
    }

    /// Returns how many of its pages count as data.
    fn data_pages(&self) -> u64 {
        if self.is_data() { self.pages() } else { 0 }
    }

    /// Returns whether what is written to its file is seen here.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self.backing, Backing::Shared { .. } | Backing::Seen { .. })
    }

    /// Returns the file behind it.
    pub(crate) const fn file(&self) -> Option<FileId> {
        match self.backing {
            Backing::File { file, .. }
            | Backing::Seen { file, .. }
            | Backing::Shared { file, .. } => Some(file),
            Backing::Anonymous | Backing::Stack | Backing::Clock => None,
        }
    }

    const fn contains(&self, page: u64) -> bool {
        self.first <= page && page < self.end
    }
}

/// The areas of one address space, in the order of their pages, without overlap.
#[derive(Debug, Default)]
pub(crate) struct AreaList {
    areas: Vec<Area>,
    /// How many pages they have.
    pages: u64,
    /// How many of them count as data ([`Area::is_data`]).
    data_pages: u64,
}

impl AreaList {
    /// Makes an empty list that uses the memory of `spare`.
    pub(crate) fn reusing(mut spare: Vec<Area>) -> Self {
        spare.clear();
        Self {
            areas: spare,
            ..Self::default()
        }
    }

    /// Returns how many pages all areas have.
    pub(crate) const fn pages(&self) -> u64 {
        self.pages
    }

    /// Returns whether there may be `more` pages of the sort that `area` has.
    pub(crate) fn has_room(&self, area: &Area, more: u64, bounds: &Bounds) -> bool {
        self.pages + more <= bounds.all && (!area.is_data() || self.has_data_room(more, bounds))
    }

    /// Returns whether `more` pages may become data.
    pub(crate) fn has_data_room(&self, more: u64, bounds: &Bounds) -> bool {
        self.data_pages + more <= bounds.data
    }

    /// Returns how many pages of `range` belong to an area.
    pub(crate) fn covered_pages(&self, range: Range<u64>) -> u64 {
        let behind = &self.areas[self.at_or_behind(range.start)..];
        let inside = behind.iter().take_while(|area| area.first < range.end);
        inside
            .map(|area| area.end.min(range.end) - area.first.max(range.start))
            .sum()
    }

    /// Returns memory for a list of as many areas as programs usually have; less where there is none.
    pub(crate) fn ready_memory() -> Vec<Area> {
        let mut areas = Vec::new();
        // The list grows when it has to.
        let _ = areas.try_reserve_exact(READY_AREAS);
        areas
    }

    /// Returns the list's memory for the next one, unless it is more than programs usually need.
    pub(crate) fn into_spare(self) -> Option<Vec<Area>> {
        (self.areas.capacity() <= SPARE_AREAS).then_some(self.areas)
    }

    /// Returns the area that contains `page`.
    pub(crate) fn find(&self, page: u64) -> Option<&Area> {
        self.areas
            .get(self.at_or_behind(page))
            .filter(|area| area.contains(page))
    }

    /// Returns the first area that ends behind `page`.
    pub(crate) fn next(&self, page: u64) -> Option<&Area> {
        self.areas.get(self.at_or_behind(page))
    }

    /// Returns the last area that ends at or before `page`.
    pub(crate) fn before(&self, page: u64) -> Option<&Area> {
        self.areas[..self.at_or_behind(page)].last()
    }

    /// Returns whether no area has a page in `range`.
    pub(crate) fn is_free(&self, range: Range<u64>) -> bool {
        self.next(range.start)
            .is_none_or(|area| area.first >= range.end)
    }

    /// Returns whether every page in `range` belongs to an area.
    pub(crate) fn covers(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        while at < range.end {
            match self.find(at) {
                Some(area) => at = area.end,
                None => return false,
            }
        }
        true
    }

    /// Returns the highest free run of `pages` pages inside `within`.
    pub(crate) fn find_gap(&self, pages: u64, within: Range<u64>) -> Option<u64> {
        let mut top = within.end;
        for area in self.areas.iter().rev() {
            if area.first >= top {
                continue;
            }
            if area.end <= top && top - area.end >= pages {
                break;
            }
            top = area.first;
        }
        let first = top.checked_sub(pages)?;
        (first >= within.start && self.is_free(first..top)).then_some(first)
    }

    /// Takes over the areas of another list, but for those that a child does not get; this one must be empty.
    ///
    /// # Errors
    ///
    /// ENOMEM when the list cannot grow.
    pub(crate) fn copy_from(&mut self, other: &Self) -> Result<(), Errno> {
        self.reserve(other.areas.len())?;
        let given = |area: &&Area| !area.withheld.contains(Withheld::AREA);
        for area in other.areas.iter().filter(given) {
            self.areas.push(*area);
            self.pages += area.pages();
            self.data_pages += area.data_pages();
        }
        Ok(())
    }

    /// Returns whether an area shows memory that others may have, too.
    pub(crate) fn has_shared(&self) -> bool {
        self.areas.iter().any(Area::is_shared)
    }

    /// Puts an area into free pages. It becomes one with a neighbour that continues it.
    ///
    /// # Errors
    ///
    /// ENOMEM when there are [`MAX_AREAS`], or when the list cannot grow.
    pub(crate) fn insert(&mut self, area: Area) -> Result<(), Errno> {
        debug_assert!(self.is_free(area.first..area.end), "areas never overlap");
        self.join_or_insert(area)?;
        self.pages += area.pages();
        self.data_pages += area.data_pages();
        Ok(())
    }

    fn join_or_insert(&mut self, area: Area) -> Result<(), Errno> {
        let at = self.at_or_behind(area.first);
        if at > 0
            && let Some(joined) = self.areas[at - 1].join(&area)
        {
            self.areas[at - 1] = joined;
            // It may have filled the gap between two.
            if let Some(after) = self.areas.get(at)
                && let Some(joined) = joined.join(after)
            {
                self.areas[at - 1] = joined;
                self.areas.remove(at);
            }
            return Ok(());
        }
        if let Some(after) = self.areas.get(at)
            && let Some(joined) = area.join(after)
        {
            self.areas[at] = joined;
            return Ok(());
        }
        self.reserve(1)?;
        self.areas.insert(at, area);
        Ok(())
    }

    /// Makes sure that no area reaches over the start of page `at`; returns the file that has one area more now.
    ///
    /// # Errors
    ///
    /// As for [`AreaList::insert`].
    pub(crate) fn split(&mut self, at: u64) -> Result<Option<FileId>, Errno> {
        let index = self.at_or_behind(at);
        let Some(area) = self.areas.get(index).copied() else {
            return Ok(None);
        };
        if area.first >= at {
            return Ok(None);
        }
        self.reserve(1)?;
        let (low, high) = area.split(at);
        // What was cut off a stack is one no more.
        self.data_pages += high.data_pages() - (area.data_pages() - low.data_pages());
        self.areas[index] = low;
        self.areas.insert(index + 1, high);
        Ok(area.file())
    }

    /// Takes the lowest area inside `range`, whose ends must have been split, out of the list; `None` when the range is
    /// free.
    pub(crate) fn take(&mut self, range: Range<u64>) -> Option<Area> {
        let index = self.at_or_behind(range.start);
        self.areas
            .get(index)
            .filter(|area| area.first < range.end)?;
        let area = self.areas.remove(index);
        self.pages -= area.pages();
        self.data_pages -= area.data_pages();
        Some(area)
    }

    /// Lets the stack that begins at `first` begin at the lower page `new_first`.
    pub(crate) fn grow_down(&mut self, first: u64, new_first: u64) {
        let index = self.at_or_behind(first);
        if let Some(area) = self.areas.get_mut(index) {
            self.pages += area.first - new_first;
            area.first = new_first;
        }
    }

    fn reserve(&mut self, more: usize) -> Result<(), Errno> {
        if self.areas.len() + more > MAX_AREAS || self.areas.try_reserve(more).is_err() {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Returns the index of the first area that ends behind `page`.
    fn at_or_behind(&self, page: u64) -> usize {
        self.areas.partition_point(|area| area.end <= page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(pages: Range<u64>, protection: Protection, backing: Backing) -> Area {
        Area {
            first: pages.start,
            end: pages.end,
            protection,
            backing,
            withheld: Withheld::empty(),
        }
    }

    /// Counts anew what a list says it has.
    fn counted(list: &AreaList) -> (u64, u64) {
        let pages = list.areas.iter().map(Area::pages).sum();
        (pages, list.areas.iter().map(Area::data_pages).sum())
    }

    #[test]
    fn pages_are_counted_however_areas_are_joined_cut_and_moved() {
        let both = Protection::READ | Protection::WRITE;
        let mut list = AreaList::default();
        for (pages, rights, backing) in [
            (10..20, both, Backing::Anonymous),
            (30..40, both, Backing::Anonymous),
            // It fills the gap between them.
            (20..30, both, Backing::Anonymous),
            (40..50, Protection::READ, Backing::Anonymous),
            (50..60, Protection::READ, Backing::Clock),
            (90..100, both, Backing::Stack),
        ] {
            list.insert(area(pages, rights, backing))
                .expect("there is room");
            assert_eq!((list.pages, list.data_pages), counted(&list));
        }
        assert_eq!((list.pages(), list.data_pages), (60, 30));
        list.grow_down(90, 80);
        assert_eq!(list.pages(), 70);
        for at in [15, 45, 85] {
            list.split(at).expect("there is room");
            assert_eq!((list.pages, list.data_pages), counted(&list), "{at}");
        }
        // What is above the cut is a stack no more.
        assert_eq!(list.data_pages, 45);
        assert_eq!(list.covered_pages(0..12), 2);
        assert_eq!(list.covered_pages(14..62), 46);
        assert_eq!(list.covered_pages(60..80), 0);
        let mut copy = AreaList::default();
        copy.copy_from(&list).expect("there is room");
        let mut withheld = list.take(10..15).expect("it is there");
        withheld.withheld = Withheld::AREA;
        list.insert(withheld).expect("there is room");
        let mut child = AreaList::default();
        child.copy_from(&list).expect("there is room");
        assert_eq!((child.pages, child.data_pages), counted(&child));
        assert_eq!(child.pages + withheld.pages(), list.pages);
        while list.take(15..85).is_some() {
            assert_eq!((list.pages, list.data_pages), counted(&list));
        }
        assert_eq!((list.pages(), list.data_pages), (20, 20));
        assert_eq!((copy.pages, copy.data_pages), counted(&copy));
    }

    #[test]
    fn there_is_room_below_and_at_the_bounds_and_not_above() {
        let both = Protection::READ | Protection::WRITE;
        let mut list = AreaList::default();
        let own = area(10..20, both, Backing::Anonymous);
        list.insert(own).expect("there is room");
        let bounds = Bounds {
            all: 15,
            data: 12,
            stack: 0,
        };
        let read = area(0..1, Protection::READ, Backing::Anonymous);
        for (area, most) in [(own, 2), (read, 5)] {
            assert!(list.has_room(&area, most - 1, &bounds) && list.has_room(&area, most, &bounds));
            assert!(!list.has_room(&area, most + 1, &bounds));
        }
    }
}
