//! Page tables of programs: four levels, lower half only, made of frames (Intel SDM vol. 3, 4.5).
//!
//! A [`PageTable`] owns every frame mapped in it. It is plain data over a [`FramePool`], so the host tests it as it is;
//! only [`crate::user::User::run`] hands it to a processor.

use crate::frame::{Frame, FramePool, FrameRef, OutOfFrames};
use crate::limits::PAGE_BYTES;

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

/// What the processor may still remember wrongly about a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    Nothing,
    One(Page),
    Everything,
}

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const DIRTY: u64 = 1 << 6;
const NO_EXECUTE: u64 = 1 << 63;
const NUMBER: u64 = 0x000f_ffff_ffff_f000;

/// The page table of one program.
#[derive(Debug)]
pub struct PageTable {
    root: Frame,
    stale: Stale,
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
        let mut table = self.root.physical();
        for level in (1..=3).rev() {
            let entry = read(pool, table, page.index(level));
            table = if entry & PRESENT != 0 {
                entry & NUMBER
            } else {
                let Ok(next) = pool.take_zeroed() else {
                    return Err(frame);
                };
                let next = next.into_number() * PAGE_BYTES as u64;
                write(
                    pool,
                    table,
                    page.index(level),
                    next | PRESENT | WRITABLE | USER,
                );
                next
            };
        }
        let old = read(pool, table, page.index(0));
        let entry = (frame.into_number() * PAGE_BYTES as u64) | bits(protection);
        write(pool, table, page.index(0), entry);
        if old & PRESENT == 0 {
            return Ok(None);
        }
        self.forget(page);
        Ok(Some(token(old)))
    }

    /// Returns how many tables [`PageTable::map`] would have to make for `page`.
    #[must_use]
    pub fn missing_tables(&self, pool: &FramePool, page: Page) -> u64 {
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

    /// Returns the first mapped page at or behind `from` and before `until`. Empty tables are stepped over whole.
    #[must_use]
    pub fn next_mapped(&self, pool: &FramePool, from: Page, until: Page) -> Option<Page> {
        let mut number = from.0;
        'pages: while number < until.0 {
            let page = Page(number);
            let mut table = self.root.physical();
            for level in (0..=3).rev() {
                let entry = read(pool, table, page.index(level));
                if entry & PRESENT == 0 {
                    let step = 1 << (9 * level);
                    number = (number & !(step - 1)) + step;
                    continue 'pages;
                }
                table = entry & NUMBER;
            }
            return Some(page);
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
            }
            cut(pool, way[level as usize], page.index(level), &mut 1);
            count += 1;
        }
        count
    }

    /// Gives back up to `budget` tables below the root; returns whether none is left. Every page must have been unmapped
    /// before. A program can make one table for each page it touches, so this is done a bounded part at a time.
    pub fn prune(&mut self, pool: &mut FramePool, budget: usize) -> bool {
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
        let mut table = self.root.physical();
        for level in (1..=3).rev() {
            table = present(pool, table, page.index(level))?;
        }
        let entry = read(pool, table, page.index(0));
        (entry & PRESENT != 0).then_some((table, entry))
    }
}

/// A page without any right stays present, so that its frame is remembered, but is not the program's to touch.
const fn bits(protection: Protection) -> u64 {
    if protection.is_empty() {
        return PRESENT | NO_EXECUTE;
    }
    let mut bits = PRESENT | USER;
    if protection.contains(Protection::WRITE) {
        bits |= WRITABLE;
    }
    if !protection.contains(Protection::EXECUTE) {
        bits |= NO_EXECUTE;
    }
    bits
}

fn token(entry: u64) -> Frame {
    Frame::from_number((entry & NUMBER) / PAGE_BYTES as u64)
}

/// Gives back the table an entry points to, which has nothing below it; false when `left` is used up.
fn cut(pool: &mut FramePool, table: u64, index: usize, left: &mut usize) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    let entry = read(pool, table, index);
    write(pool, table, index, 0);
    pool.release(token(entry));
    true
}

fn is_empty(pool: &FramePool, table: u64) -> bool {
    let bytes = pool.bytes(FrameRef::from_number(table / PAGE_BYTES as u64));
    bytes.iter().all(|&byte| byte == 0)
}

fn present(pool: &FramePool, table: u64, index: usize) -> Option<u64> {
    let entry = read(pool, table, index);
    (entry & PRESENT != 0).then_some(entry & NUMBER)
}

fn read(pool: &FramePool, table: u64, index: usize) -> u64 {
    let bytes = pool.bytes(FrameRef::from_number(table / PAGE_BYTES as u64));
    let entry = bytes[index * 8..]
        .first_chunk()
        .expect("an index is below 512");
    u64::from_le_bytes(*entry)
}

fn write(pool: &mut FramePool, table: u64, index: usize, entry: u64) {
    let bytes = pool.bytes_mut(FrameRef::from_number(table / PAGE_BYTES as u64));
    bytes[index * 8..index * 8 + 8].copy_from_slice(&entry.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::pool_of;

    const RW: Protection = Protection::READ.union(Protection::WRITE);

    fn page(number: u64) -> Page {
        Page::from_number(number).expect("the test stays in the lower half")
    }

    fn space(pool: &mut FramePool) -> PageTable {
        PageTable::new(pool, &KernelHalf::empty()).expect("frames are left")
    }

    /// Maps a fresh frame and returns its address.
    fn map(pool: &mut FramePool, space: &mut PageTable, number: u64) -> u64 {
        let frame = pool.take_zeroed().expect("frames are left");
        let physical = frame.physical();
        let old = space
            .map(pool, page(number), frame, RW)
            .expect("frames are left");
        assert!(old.is_none());
        physical
    }

    #[test]
    fn the_last_page_below_the_hole_and_everything_above_is_no_page() {
        assert!(Page::from_number(Page::END.0 - 1).is_some());
        assert!(Page::from_number(Page::END.0).is_none());
        assert!(Page::containing(0x7fff_ffff_efff).is_some());
        assert!(Page::containing(0x7fff_ffff_f000).is_none());
        assert!(Page::containing(u64::MAX).is_none());
    }

    #[test]
    fn the_upper_half_is_the_kernels() {
        let mut pool = pool_of(&[1], 1);
        let mut half = KernelHalf::empty();
        (half.0[0], half.0[255]) = (0x1003, 0x2003);
        let space = PageTable::new(&mut pool, &half).unwrap();
        assert_eq!(read(&pool, space.root(), 256), 0x1003);
        assert_eq!(read(&pool, space.root(), 511), 0x2003);
        assert!((0..256).all(|index| read(&pool, space.root(), index) == 0));
    }

    #[test]
    fn gives_back_exactly_the_tables_that_are_empty() {
        let mut pool = pool_of(&[16], 16);
        let mut space = space(&mut pool);
        let bare = pool.available();
        for number in [0x400, 0x401, 0x600] {
            map(&mut pool, &mut space, number);
        }
        assert_eq!(space.missing_tables(&pool, page(0x402)), 0);
        assert_eq!(space.missing_tables(&pool, page(0x800)), 1);
        assert_eq!(space.missing_tables(&pool, page(1 << 30)), 3);
        let mut unmap = |space: &mut PageTable, number| {
            let frame = space.unmap(&mut pool, page(number)).expect("it is mapped");
            pool.release(frame);
            space.trim(&mut pool, page(number))
        };
        assert_eq!(unmap(&mut space, 0x400), 0, "its neighbour is left");
        assert_eq!(unmap(&mut space, 0x401), 1);
        assert_eq!(unmap(&mut space, 0x600), 3);
        assert_eq!(space.trim(&mut pool, page(0x600)), 0, "nothing is there");
        assert_eq!(pool.available(), bare);
    }

    #[test]
    fn finds_what_was_mapped_with_its_protection() {
        let mut pool = pool_of(&[8], 8);
        let mut space = space(&mut pool);
        let physical = map(&mut pool, &mut space, 0x400);
        let found = space.lookup(&pool, page(0x400)).unwrap();
        assert_eq!(found.frame.physical(), physical);
        assert_eq!((found.protection, found.dirty), (RW, false));
        assert!(space.lookup(&pool, page(0x401)).is_none());
        assert!(space.lookup(&pool, page(1 << 30)).is_none());
    }

    #[test]
    fn no_page_is_reached_by_the_kernel_bits_and_none_is_executable_unasked() {
        let mut pool = pool_of(&[8], 8);
        let mut space = space(&mut pool);
        map(&mut pool, &mut space, 1);
        let (_, entry) = space.leaf(&pool, page(1)).unwrap();
        assert_eq!(entry & (USER | NO_EXECUTE), USER | NO_EXECUTE);
        assert!(space.protect(&mut pool, page(1), Protection::READ | Protection::EXECUTE));
        let (_, entry) = space.leaf(&pool, page(1)).unwrap();
        assert_eq!(entry & (WRITABLE | NO_EXECUTE), 0);
    }

    #[test]
    fn mapping_over_a_page_gives_the_old_frame_back_and_is_remembered_as_stale() {
        let mut pool = pool_of(&[8], 8);
        let mut space = space(&mut pool);
        let first = map(&mut pool, &mut space, 7);
        assert_eq!(
            space.take_stale(),
            Stale::Nothing,
            "an absent page is never remembered"
        );
        let frame = pool.take_zeroed().unwrap();
        let old = space.map(&mut pool, page(7), frame, RW).unwrap();
        assert_eq!(old.as_ref().map(Frame::physical), Some(first));
        assert_eq!(space.take_stale(), Stale::One(page(7)));
        assert_eq!(space.take_stale(), Stale::Nothing);
        pool.release(old.unwrap());
    }

    #[test]
    fn one_stale_page_stays_one_and_two_are_everything() {
        let mut pool = pool_of(&[8], 8);
        let mut space = space(&mut pool);
        map(&mut pool, &mut space, 1);
        map(&mut pool, &mut space, 2);
        assert!(space.protect(&mut pool, page(1), Protection::READ));
        assert!(space.protect(&mut pool, page(1), RW));
        assert_eq!(space.take_stale(), Stale::One(page(1)));
        assert!(space.protect(&mut pool, page(1), Protection::READ));
        assert!(space.protect(&mut pool, page(2), Protection::READ));
        assert_eq!(space.take_stale(), Stale::Everything);
    }

    #[test]
    fn a_changed_protection_keeps_the_dirty_mark() {
        let mut pool = pool_of(&[8], 8);
        let mut space = space(&mut pool);
        map(&mut pool, &mut space, 1);
        let (table, entry) = space.leaf(&pool, page(1)).unwrap();
        write(&mut pool, table, page(1).index(0), entry | DIRTY);
        assert!(space.protect(&mut pool, page(1), Protection::READ));
        let found = space.lookup(&pool, page(1)).unwrap();
        assert!(found.dirty && found.protection == Protection::READ);
        assert!(!space.protect(&mut pool, page(2), Protection::READ));
    }

    #[test]
    fn running_out_of_frames_for_a_table_gives_the_frame_back() {
        for frames in 2..5 {
            let mut pool = pool_of(&[frames], frames);
            let mut space = space(&mut pool);
            let frame = pool.take_zeroed().unwrap();
            let frame = space.map(&mut pool, page(5), frame, RW).unwrap_err();
            assert!(space.lookup(&pool, page(5)).is_none());
            pool.release(frame);
            space.release(&mut pool);
            assert_eq!(
                pool.available(),
                frames,
                "tables on the way were given back"
            );
        }
    }

    #[test]
    fn steps_from_one_mapped_page_to_the_next_over_any_distance() {
        let mut pool = pool_of(&[40], 40);
        let mut space = space(&mut pool);
        let numbers = [0, 1, 511, 512, (1 << 18) + 3, 1 << 27, Page::END.0 - 1];
        for number in numbers {
            map(&mut pool, &mut space, number);
        }
        let mut from = page(0);
        let mut found = std::vec::Vec::new();
        while let Some(next) = space.next_mapped(&pool, from, Page::END) {
            found.push(next.number());
            from = Page(next.number() + 1);
        }
        assert_eq!(found, numbers);
        assert_eq!(space.next_mapped(&pool, page(2), page(511)), None);
        assert_eq!(
            space.next_mapped(&pool, page(2), page(512)),
            Some(page(511))
        );
        assert_eq!(space.next_mapped(&pool, page(5), page(5)), None);
        assert_eq!(space.next_mapped(&pool, page(600), page(5)), None);
    }

    #[test]
    fn everything_comes_back_when_pages_are_unmapped_and_the_table_is_released() {
        let mut pool = pool_of(&[40], 40);
        let mut space = space(&mut pool);
        let numbers = [0, 1, 512, 1 << 18, 1 << 27, Page::END.0 - 1];
        for number in numbers {
            map(&mut pool, &mut space, number);
        }
        for number in numbers {
            let frame = space.unmap(&mut pool, page(number)).unwrap();
            pool.release(frame);
            assert!(space.unmap(&mut pool, page(number)).is_none());
        }
        space.release(&mut pool);
        assert_eq!(pool.available(), 40);
    }
}
