//! All physical memory: from the VMM's map to its owners.
//!
//! At start-up RAM is cut up once: page tables, the heap, the devices' DMA region, the agent's buffers, the reference
//! counts of frames; the [`FramePool`] gets all the rest. Nothing is ever moved between owners afterwards, so no two
//! owners can starve each other.

use super::layout::{DIRECT_MAP, DIRECT_MAP_BYTES, ENTRY_MAPPED_BYTES, Image, direct};
use super::memory_map::{MemoryMap, Range};
use super::paging::{self, MapError, Tables};
use super::pvh::{PhysicalMemory, StartInfo};
use super::{mmio, processor};
use crate::frame::{FramePool, Region};
use crate::limits::{
    MAX_MMIO_TABLES, MAX_POOL_REGIONS, MIN_MMIO_TABLES, MMIO_TABLE_SHARE_BYTES, PAGE_BYTES,
};
use core::fmt;
use core::mem::MaybeUninit;

/// A piece of RAM that belongs to one owner for good. Its content is whatever was there.
#[derive(Debug)]
pub struct Carved {
    /// Physical address of the first byte.
    pub physical: u64,
    /// The bytes, in the direct map.
    pub bytes: &'static mut [u8],
}

impl Carved {
    /// Turns the bytes into memory that nothing is known of.
    #[must_use]
    pub fn into_uninit(self) -> &'static mut [MaybeUninit<u8>] {
        let (start, bytes) = (self.bytes.as_mut_ptr(), self.bytes.len());
        // SAFETY: the same bytes, borrowed as long; whoever gets them cannot reach the old borrow any more.
        unsafe { core::slice::from_raw_parts_mut(start.cast(), bytes) }
    }
}

/// The memory that the entry code maps, for reading what the VMM left there.
#[derive(Debug)]
pub struct EntryMemory(());

impl EntryMemory {
    /// Makes the reader.
    ///
    /// # Safety
    ///
    /// The entry code's tables are loaded, or later ones that map all RAM; nothing that is read through this is
    /// borrowed mutably at that time.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl PhysicalMemory for EntryMemory {
    fn read(&self, physical: u64, into: &mut [u8]) -> Option<()> {
        let end = physical.checked_add(into.len() as u64)?;
        if end > ENTRY_MAPPED_BYTES {
            return None;
        }
        let from = core::ptr::with_exposed_provenance::<u8>(direct(physical) as usize);
        // SAFETY: the range lies in what the entry code maps, checked above; nobody writes to it meanwhile.
        unsafe { core::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
        Some(())
    }
}

/// RAM that has no owner yet, and the page tables that show all of it.
#[derive(Debug)]
pub struct Memory {
    unowned: MemoryMap,
    all: MemoryMap,
    module: Option<Range>,
}

/// Why memory could not be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// The page tables could not be made.
    Map(MapError),
    /// The VMM's map, without image and module, has too many pieces.
    TooManyRanges,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => error.fmt(f),
            Self::TooManyRanges => f.write_str("too many pieces of RAM"),
        }
    }
}

impl Memory {
    /// Takes over all RAM and moves to the kernel's final page tables.
    ///
    /// # Errors
    ///
    /// [`MemoryError`]; the machine then still stands on the entry code's tables.
    ///
    /// # Safety
    ///
    /// Called once, on the entry code's tables; `image` tells where this code really lies, and everything else that
    /// `start.ram` lists is free to be taken.
    pub unsafe fn take_over(start: &StartInfo, image: &Image) -> Result<Self, MemoryError> {
        let mut all = start.ram.clone();
        all.clip(DIRECT_MAP_BYTES);
        let mut unowned = all.clone();
        let module = start.module.filter(|module| {
            all.ranges()
                .iter()
                .any(|ram| ram.intersection(*module) == *module)
        });
        let taken = [
            // Address 0 is "no address" to more than one device and library.
            Range::new(0, PAGE_BYTES as u64),
            Range {
                start: image.start,
                end: image.end,
            },
            module.map_or(Range::new(0, 0), Range::outward),
        ];
        for range in taken {
            unowned
                .remove(range)
                .map_err(|_| MemoryError::TooManyRanges)?;
        }
        let mut tables = FreshTables {
            unowned: &mut unowned,
        };
        let root = paging::build(&mut tables, image, &all).map_err(MemoryError::Map)?;
        let spare = (all.bytes() / MMIO_TABLE_SHARE_BYTES) as usize;
        let mut reserve = heapless::Vec::<u64, MAX_MMIO_TABLES>::new();
        for _ in 0..spare.clamp(MIN_MMIO_TABLES, MAX_MMIO_TABLES) {
            let table = tables
                .take()
                .ok_or(MemoryError::Map(MapError::OutOfTables))?;
            // The clamp keeps the count within the vector.
            let _ = reserve.push(table);
        }
        // SAFETY: the tables just built map this code, its data and its stack where they are, and all RAM where the
        // entry code's tables do.
        unsafe { processor::load_kernel_root(root) };
        // SAFETY: the root is loaded now, the reserve was taken out of RAM above, and `all` is all RAM.
        unsafe { mmio::open(root, reserve, &all) };
        Ok(Self {
            unowned,
            all,
            module,
        })
    }

    /// Returns how much RAM there is in all.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.all.bytes()
    }

    /// Takes `bytes` bytes, whole pages in one piece, for good; `None` when there is no such piece.
    pub fn carve(&mut self, bytes: usize) -> Option<Carved> {
        let whole = bytes.checked_next_multiple_of(PAGE_BYTES)?;
        let page = PAGE_BYTES as u64;
        let range = self
            .unowned
            .carve(whole as u64, page, page, DIRECT_MAP_BYTES)?;
        let start = core::ptr::with_exposed_provenance_mut::<u8>(direct(range.start) as usize);
        // SAFETY: the range was unowned RAM until the line above and is mapped writable in the direct map.
        let bytes = unsafe { core::slice::from_raw_parts_mut(start, bytes) };
        Some(Carved {
            physical: range.start,
            bytes,
        })
    }

    /// Lends the first module's bytes (the initial RAM disk); `None` when there is none, or it is not in RAM.
    #[must_use]
    pub fn module(&self) -> Option<&'static [u8]> {
        let module = self.module?;
        let start = core::ptr::with_exposed_provenance::<u8>(direct(module.start) as usize);
        // SAFETY: the module lies in mapped RAM, was taken out of what can be carved, and is never written.
        Some(unsafe { core::slice::from_raw_parts(start, module.bytes() as usize) })
    }

    /// Gives everything that is left to a pool of frames; `None` when not even its table fits.
    #[must_use]
    pub fn into_pool(mut self) -> Option<FramePool> {
        let frames = usize::try_from(self.unowned.bytes()).ok()? / PAGE_BYTES;
        let table = self.carve(frames.checked_mul(size_of::<u32>())?)?;
        let counts = table.bytes.as_mut_ptr().cast::<u32>();
        // SAFETY: the piece is aligned to a page, has `frames` counts, and every bit pattern is a count.
        let table = unsafe { core::slice::from_raw_parts_mut(counts, frames) };
        // Should there be more pieces than the pool holds, the smallest are left alone.
        self.unowned.keep_largest(MAX_POOL_REGIONS);
        let ranges = self.unowned.ranges().iter().copied();
        let regions: heapless::Vec<Region, MAX_POOL_REGIONS> = ranges.map(Region::from).collect();
        // SAFETY: the regions are RAM without another owner, disjoint, and mapped writable in the direct map.
        Some(unsafe { FramePool::new(DIRECT_MAP, &regions, table) })
    }
}

/// Takes tables out of RAM that has no owner; only from what the entry code's tables show.
struct FreshTables<'a> {
    unowned: &'a mut MemoryMap,
}

impl Tables for FreshTables<'_> {
    fn take(&mut self) -> Option<u64> {
        let page = PAGE_BYTES as u64;
        let table = self.unowned.carve(page, page, page, ENTRY_MAPPED_BYTES)?;
        let bytes = core::ptr::with_exposed_provenance_mut::<u8>(direct(table.start) as usize);
        // SAFETY: the page was unowned RAM until the line above and is mapped by the entry code.
        unsafe { bytes.write_bytes(0, PAGE_BYTES) };
        Some(table.start)
    }

    fn read(&self, table: u64, index: usize) -> u64 {
        read_entry(table, index)
    }

    fn write(&mut self, table: u64, index: usize, entry: u64) {
        write_entry(table, index, entry);
    }
}

/// Reads an entry of a kernel page table.
pub(crate) fn read_entry(table: u64, index: usize) -> u64 {
    let at = core::ptr::with_exposed_provenance::<u64>(direct(table) as usize + (index & 511) * 8);
    // SAFETY: `table` was taken by `FreshTables` or stands in such a table, so it is a mapped page of ours.
    unsafe { at.read_volatile() }
}

/// Writes an entry of a kernel page table.
pub(crate) fn write_entry(table: u64, index: usize, entry: u64) {
    let address = direct(table) as usize + (index & 511) * 8;
    let at = core::ptr::with_exposed_provenance_mut::<u64>(address);
    // SAFETY: as in `read_entry`; volatile, because the processor reads it too.
    unsafe { at.write_volatile(entry) };
}
