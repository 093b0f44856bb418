//! Page tables of programs: four levels, lower half only, made of frames (Intel SDM vol. 3, 4.5).
//!
//! A [`PageTable`] owns every frame mapped in it. It is plain data over a [`FramePool`], so the host tests it as it is;
//! only [`crate::user::User::run`] hands it to a processor.

mod entry;
mod ways;

use crate::frame::{Frame, FramePool, FrameRef, OutOfFrames};
use crate::limits::PAGE_BYTES;
use entry::{
    DIRTY, NO_EXECUTE, NUMBER, PRESENT, USER, WRITABLE, bits, cut, is_empty, next_present, present,
    read, token, write,
};
use ways::Ways;

/// The root entries 256..512, the same in every page table of a machine.
#[derive(Clone, Copy, Debug)]
pub struct KernelHalf(pub(crate) [u64; 256]);

impl KernelHalf {
    /// Returns the half of a machine without a kernel: nothing mapped. For tests on the host.
    #[must_use]
    pub const fn empty() -> Self {
        Self([0; 256])
    }
}

/// A page of the lower half, by number (address / 4096). The last page below the canonical hole is never one, so that
/// no instruction can end at a non-canonical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Page(u64);

impl Page {
    /// The first page behind the lower half's usable part.
    pub const END: Self = Self((1 << 35) - 1);

    /// Returns the page with this number, `None` at or behind [`Page::END`].
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        if number < Self::END.0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Returns the page that contains `address`, `None` outside the lower half's usable part.
    #[must_use]
    pub const fn containing(address: u64) -> Option<Self> {
        Self::from_number(address / PAGE_BYTES as u64)
    }

    /// Returns the page's number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns the address of the page's first byte.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0 * PAGE_BYTES as u64
    }

    /// Returns whether the last table on the way to both pages is the same.
    #[must_use]
    pub const fn shares_table(self, other: Self) -> bool {
        self.0 >> 9 == other.0 >> 9
    }

    const fn index(self, level: u32) -> usize {
        ((self.0 >> (9 * level)) & 511) as usize
    }
}

bitflags::bitflags! {
    /// What a program may do with a page.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u8 {
        /// Loads. On x86 a page with any right can be read.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXECUTE = 4;
    }
}

/// One mapped page.
#[derive(Clone, Copy, Debug)]
pub struct Mapping<'a> {
    /// Its frame.
    pub frame: FrameRef<'a>,
    /// What the program may do with it.
    pub protection: Protection,
    /// Whether the program has written to it since it was mapped.
    pub dirty: bool,
}

/// What [`PageTable::share`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Number of the page to go on with.
    pub next: u64,
    /// How many pages were shared.
    pub pages: u64,
    /// How many tables were made for them.
    pub tables: u64,
}

/// What the processor may still remember wrongly about a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    Nothing,
    One(Page),
    Everything,
}

/// The page table of one program.
#[derive(Debug)]
pub struct PageTable {
    root: Frame,
    stale: Stale,
    ways: Ways,
}

impl PageTable {
    /// Makes an empty page table.
    ///
    /// # Errors
    ///
    /// [`OutOfFrames`] when there is no frame for its root.
    pub fn new(pool: &mut FramePool, kernel: &KernelHalf) -> Result<Self, OutOfFrames> {
        let root = pool.take_zeroed()?;
        let bytes = pool.bytes_mut(&root);
        for (entry, half) in bytes[PAGE_BYTES / 2..].chunks_exact_mut(8).zip(&kernel.0) {
            entry.copy_from_slice(&half.to_le_bytes());
        }
        Ok(Self {
            root,
            stale: Stale::Nothing,
            ways: Ways::new(),
        })
    }

    /// Returns the physical address of the root, for CR3.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root.physical()
    }

    /// Maps `page` to `frame`, which the table owns from here on. The frame that was there before comes back.
    ///
    /// # Errors
    ///
    /// The frame comes back when there is none for a table on the way.
    pub fn map(
        &mut self,
        pool: &mut FramePool,
        page: Page,
        frame: Frame,
        protection: Protection,
    ) -> Result<Option<Frame>, Frame> {
        let Some(table) = self.make_way(pool, page) else {
            return Err(frame);
        };
        let old = read(pool, table, page.index(0));
        let entry = (frame.into_number() * PAGE_BYTES as u64) | bits(protection);
        write(pool, table, page.index(0), entry);
        if old & PRESENT == 0 {
            return Ok(None);
        }
        self.forget(page);
        Ok(Some(token(old)))
    }

    /// Returns the address of the last table on the way to `page`, making what is missing of the way.
    fn make_way(&mut self, pool: &mut FramePool, page: Page) -> Option<u64> {
        if let Some(table) = self.ways.find(page) {
            return Some(table);
        }
        let mut table = self.root.physical();
        for level in (1..=3).rev() {
            let entry = read(pool, table, page.index(level));
            table = if entry & PRESENT != 0 {
                entry & NUMBER
            } else {
                let next = pool.take_zeroed().ok()?.into_number() * PAGE_BYTES as u64;
                let entry = next | PRESENT | WRITABLE | USER;
                write(pool, table, page.index(level), entry);
                next
            };
        }
        self.ways.remember(page, table);
        Some(table)
    }

    /// Maps pages of this table at the same place of `child`, which has none there: each with a second token of its
    /// frame, and without the right to write in both, so that whoever writes first makes a copy. Begins with the first
    /// page mapped in `pages` and ends with its last table, at `budget` pages, or where no frame is left for a table.
    pub fn share(
        &mut self,
        pool: &mut FramePool,
        child: &mut Self,
        pages: core::ops::Range<Page>,
        budget: usize,
    ) -> Sharing {
        let mut shared = Sharing {
            next: pages.end.0,
            pages: 0,
            tables: 0,
        };
        let Some(first) = self.next_mapped(pool, pages.start, pages.end) else {
            return shared;
        };
        shared.next = first.0;
        let Some((from, _)) = self.leaf(pool, first) else {
            return shared;
        };
        let before = pool.available();
        let way = child.make_way(pool, first);
        shared.tables = (before - pool.available()) as u64;
        let Some(to) = way else {
            return shared;
        };
        let end = (first.0 | 511) + 1;
        while shared.next < end.min(pages.end.0) && shared.pages < budget as u64 {
            let index = Page(shared.next).index(0);
            let entry = read(pool, from, index);
            if entry & PRESENT == 0 {
                shared.next += (next_present(pool, from, index) - index) as u64;
                continue;
            }
            let frame = FrameRef::from_number((entry & NUMBER) / PAGE_BYTES as u64);
            let Some(second) = pool.share(frame) else {
                break;
            };
            // The page table entry is the token from here on.
            let _ = second.into_number();
            let entry = entry & !WRITABLE;
            write(pool, from, index, entry);
            write(pool, to, index, entry);
            shared.pages += 1;
            shared.next += 1;
        }
        shared.next = shared.next.min(pages.end.0);
        self.stale = Stale::Everything;
        shared
    }

    /// Returns how many tables [`PageTable::map`] would have to make for `page`.
    #[must_use]
    pub fn missing_tables(&self, pool: &FramePool, page: Page) -> u64 {
        if self.ways.find(page).is_some() {
            return 0;
        }
        let mut table = self.root.physical();
        for level in (1..=3).rev() {
            match present(pool, table, page.index(level)) {
                Some(next) => table = next,
                None => return u64::from(level),
            }
        }
        0
    }

    /// Unmaps `page` and returns its frame, `None` when nothing was mapped.
    pub fn unmap(&mut self, pool: &mut FramePool, page: Page) -> Option<Frame> {
        let (table, entry) = self.leaf(pool, page)?;
        write(pool, table, page.index(0), 0);
        self.forget(page);
        Some(token(entry))
    }

    /// Changes what the program may do with `page`; false when nothing is mapped there.
    pub fn protect(&mut self, pool: &mut FramePool, page: Page, protection: Protection) -> bool {
        let Some((table, entry)) = self.leaf(pool, page) else {
            return false;
        };
        write(
            pool,
            table,
            page.index(0),
            (entry & (NUMBER | DIRTY)) | bits(protection),
        );
        self.forget(page);
        true
    }

    /// Returns what `page` is mapped to.
    #[must_use]
    pub fn lookup(&self, pool: &FramePool, page: Page) -> Option<Mapping<'_>> {
        let (_, entry) = self.leaf(pool, page)?;
        let mut protection = Protection::empty();
        if entry & USER != 0 {
            protection |= Protection::READ;
            protection.set(Protection::WRITE, entry & WRITABLE != 0);
            protection.set(Protection::EXECUTE, entry & NO_EXECUTE == 0);
        }
        Some(Mapping {
            frame: FrameRef::from_number((entry & NUMBER) / PAGE_BYTES as u64),
            protection,
            dirty: entry & DIRTY != 0,
        })
    }

    /// Returns the frame of `page` if the program may use it as `wanted` says, without a fault: what nearly every access of
    /// the kernel to a program's memory finds.
    #[inline(always)]
    #[must_use]
    pub fn permitted(
        &self,
        pool: &FramePool,
        page: Page,
        wanted: Protection,
    ) -> Option<FrameRef<'_>> {
        let table = match self.ways.find(page) {
            Some(table) => table,
            None => self.walk(pool, page)?,
        };
        let entry = read(pool, table, page.index(0));
        let needed = bits(wanted | Protection::READ) & !NO_EXECUTE;
        let forbidden = match wanted.contains(Protection::EXECUTE) {
            true => NO_EXECUTE,
            false => 0,
        };
        (entry & (needed | forbidden) == needed)
            .then_some(FrameRef::from_number((entry & NUMBER) / PAGE_BYTES as u64))
    }

    /// Returns the first mapped page at or behind `from` and before `until`. Empty tables are stepped over whole.
    #[must_use]
    pub fn next_mapped(&self, pool: &FramePool, from: Page, until: Page) -> Option<Page> {
        let mut number = from.0;
        'walk: while number < until.0 {
            let mut table = self.root.physical();
            for level in (0..=3).rev() {
                let index = Page(number).index(level);
                // Pages that an entry of this table stands for, and those of the whole table.
                let (step, all) = (1 << (9 * level), 512 << (9 * level));
                let found = next_present(pool, table, index);
                if found > index {
                    number = (number & !(all - 1)) + found as u64 * step;
                }
                if found == 512 || number >= until.0 {
                    continue 'walk;
                }
                table = read(pool, table, found) & NUMBER;
            }
            return Some(Page(number));
        }
        None
    }

    /// Gives back the tables on the way to `page` that have nothing left in them; returns how many.
    pub fn trim(&mut self, pool: &mut FramePool, page: Page) -> u64 {
        let mut way = [self.root.physical(); 4];
        for level in (1..=3).rev() {
            let Some(next) = present(pool, way[level as usize], page.index(level)) else {
                return 0;
            };
            way[level as usize - 1] = next;
        }
        let mut count = 0;
        for level in 1..=3 {
            if !is_empty(pool, way[level as usize - 1]) {
                break;
            }
            if count == 0 {
                // The processor may remember the way through a table that is about to be somebody else's frame.
                crate::x86::processor::leave(self.root.physical());
                self.stale = Stale::Everything;
                self.ways.forget();
            }
            cut(pool, way[level as usize], page.index(level), &mut 1);
            count += 1;
        }
        count
    }

    /// Gives back up to `budget` tables below the root; returns whether none is left. Every page must have been unmapped
    /// before. A program can make one table for each page it touches, so this is done a bounded part at a time.
    pub fn prune(&mut self, pool: &mut FramePool, budget: usize) -> bool {
        self.ways.forget();
        let root = self.root.physical();
        crate::x86::processor::leave(root);
        let mut left = budget;
        for top in 0..256 {
            let Some(third) = present(pool, root, top) else {
                continue;
            };
            for middle in 0..512 {
                let Some(second) = present(pool, third, middle) else {
                    continue;
                };
                for low in 0..512 {
                    if present(pool, second, low).is_some() && !cut(pool, second, low, &mut left) {
                        return false;
                    }
                }
                if !cut(pool, third, middle, &mut left) {
                    return false;
                }
            }
            if !cut(pool, root, top, &mut left) {
                return false;
            }
        }
        true
    }

    /// Gives back the frames of the tables themselves, the root included. Mapped frames must have been unmapped
    /// before; those that were not are lost. Cost grows with the number of tables, not of pages.
    pub fn release(self, pool: &mut FramePool) {
        let root = self.root.physical();
        crate::x86::processor::leave(root);
        for top in 0..256 {
            let Some(third) = present(pool, root, top) else {
                continue;
            };
            for middle in 0..512 {
                let Some(second) = present(pool, third, middle) else {
                    continue;
                };
                for low in 0..512 {
                    if let Some(first) = present(pool, second, low) {
                        pool.release(token(first));
                    }
                }
                pool.release(token(second));
            }
            pool.release(token(third));
        }
        pool.release(self.root);
    }

    /// Returns what the processor must forget before it runs on this table again, and takes it as forgotten.
    pub(crate) fn take_stale(&mut self) -> Stale {
        core::mem::replace(&mut self.stale, Stale::Nothing)
    }

    fn forget(&mut self, page: Page) {
        self.stale = match self.stale {
            Stale::Nothing => Stale::One(page),
            Stale::One(known) if known == page => Stale::One(page),
            Stale::One(_) | Stale::Everything => Stale::Everything,
        };
    }

    /// Returns the address of the last table on the way to `page` and its entry there, when it is present.
    fn leaf(&self, pool: &FramePool, page: Page) -> Option<(u64, u64)> {
        let table = match self.ways.find(page) {
            Some(table) => table,
            None => self.walk(pool, page)?,
        };
        let entry = read(pool, table, page.index(0));
        (entry & PRESENT != 0).then_some((table, entry))
    }

    /// Returns the address of the last table on the way to `page`, and remembers it.
    #[inline(never)]
    fn walk(&self, pool: &FramePool, page: Page) -> Option<u64> {
        let mut table = self.root.physical();
        for level in (1..=3).rev() {
            table = present(pool, table, page.index(level))?;
        }
        self.ways.remember(page, table);
        Some(table)
    }
}

#[cfg(test)]
mod tests;
