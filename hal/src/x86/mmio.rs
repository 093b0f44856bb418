//! Device windows: physical ranges outside RAM, mapped on demand and for good.
//!
//! A BAR may lie anywhere up to the last physical address (Cloud Hypervisor puts them just below 2^phys_bits), so each
//! range gets the next free piece of one virtual window instead of an address computed from its own.

use super::exclusive::Exclusive;
use super::layout::MMIO_WINDOW;
use super::memory::{read_entry, write_entry};
use super::memory_map::{MemoryMap, Range};
use super::paging::{self, Access, MapError, Tables};
use crate::limits::{MAX_MMIO_RANGES, MAX_MMIO_TABLES, PAGE_BYTES};
use crate::platform::registers::MapRegisters;
use core::fmt;
use core::ptr::NonNull;

/// Why a window could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmioError {
    /// All [`MAX_MMIO_RANGES`] ranges are in use.
    TooManyRanges,
    /// The range cannot be mapped.
    Map(MapError),
    /// The range is RAM, at least in part: what stands there is a program's or ours, not a device's.
    Ram,
    /// Start-up has not come to it yet.
    NotOpen,
}

impl fmt::Display for MmioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRanges => write!(f, "more than {MAX_MMIO_RANGES} device windows"),
            Self::Map(error) => write!(f, "device window cannot be mapped: {error}"),
            Self::Ram => f.write_str("device window lies in RAM"),
            Self::NotOpen => f.write_str("device windows are not open yet"),
        }
    }
}

#[derive(Debug)]
struct Window {
    root: u64,
    reserve: heapless::Vec<u64, MAX_MMIO_TABLES>,
    /// All RAM, where no device can be.
    ram: MemoryMap,
    known: heapless::Vec<(Range, u64), MAX_MMIO_RANGES>,
    next: u64,
}

static WINDOW: Exclusive<Option<Window>> = Exclusive::new(None);

/// Opens the window on the kernel's page tables.
///
/// # Safety
///
/// `root` is the loaded root of the kernel's tables; the pages in `reserve` are zeroed RAM that belongs to nobody else;
/// `ram` is all memory that anything uses.
pub(crate) unsafe fn open(
    root: u64,
    reserve: heapless::Vec<u64, MAX_MMIO_TABLES>,
    ram: &MemoryMap,
) {
    let window = Window {
        root,
        reserve,
        ram: ram.clone(),
        known: heapless::Vec::new(),
        next: MMIO_WINDOW,
    };
    // Nothing else borrows the window: this runs once, at start-up.
    let _ = WINDOW.with(|slot| *slot = Some(window));
}

/// Returns where the `bytes` bytes at `physical` are seen, mapping them on first use, uncached and never executable.
/// A range that was asked for before, or lies within one, is found again.
///
/// # Errors
///
/// [`MmioError`].
pub fn map(physical: u64, bytes: usize) -> Result<NonNull<u8>, MmioError> {
    WINDOW
        .with(|window| match window {
            Some(window) => window.map(Range::new(physical, bytes as u64)),
            None => Err(MmioError::NotOpen),
        })
        .unwrap_or(Err(MmioError::NotOpen))
}

/// The page tables as the drivers ask for them.
#[derive(Clone, Copy, Debug)]
pub struct Windows;

// SAFETY: `map` maps exactly the range, uncached, for good, and refuses ranges that touch RAM: drivers take their
// addresses from firmware tables and base address registers, which can say anything.
unsafe impl MapRegisters for Windows {
    fn map(&mut self, physical: u64, bytes: usize) -> Option<NonNull<u8>> {
        map(physical, bytes)
            .inspect_err(|error| log::error!("registers at {physical:#x}: {error}"))
            .ok()
    }
}

impl Window {
    fn map(&mut self, range: Range) -> Result<NonNull<u8>, MmioError> {
        let pages = range.outward();
        let found = self
            .known
            .iter()
            .find(|(known, _)| known.intersection(pages) == pages)
            .map(|&(known, at)| at + (range.start - known.start));
        let address = match found {
            Some(address) => address,
            None => self.map_pages(pages)? + (range.start - pages.start),
        };
        let pointer = core::ptr::with_exposed_provenance_mut(address as usize);
        NonNull::new(pointer).ok_or(MmioError::Map(MapError::Misplaced))
    }

    fn map_pages(&mut self, pages: Range) -> Result<u64, MmioError> {
        let touches = |ram: &Range| !ram.intersection(pages).is_empty();
        if self.ram.ranges().iter().any(touches) {
            return Err(MmioError::Ram);
        }
        if self.known.is_full() {
            return Err(MmioError::TooManyRanges);
        }
        let (root, at) = (self.root, self.next);
        let mut tables = Reserve(&mut self.reserve);
        let result = paging::map(
            &mut tables,
            root,
            at,
            pages.start,
            pages.bytes(),
            Access::Device,
        );
        // Also after a failure: part of the range may be mapped.
        self.next = at
            .saturating_add(pages.bytes())
            .saturating_add(PAGE_BYTES as u64);
        result.map_err(MmioError::Map)?;
        self.known
            .push((pages, at))
            .map_err(|_| MmioError::TooManyRanges)?;
        Ok(at)
    }
}

struct Reserve<'a>(&'a mut heapless::Vec<u64, MAX_MMIO_TABLES>);

impl Tables for Reserve<'_> {
    fn take(&mut self) -> Option<u64> {
        self.0.pop()
    }

    fn read(&self, table: u64, index: usize) -> u64 {
        read_entry(table, index)
    }

    fn write(&mut self, table: u64, index: usize, entry: u64) {
        write_entry(table, index, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window whose tables are out of reach: only what is refused before that can be asked for.
    fn window() -> Window {
        let mut ram = MemoryMap::new();
        for (start, end) in [(0x1000, 0x9_f000), (0x10_0000, 0x400_0000)] {
            ram.add(Range { start, end }).expect("two ranges fit");
        }
        Window {
            root: 0,
            reserve: heapless::Vec::new(),
            ram,
            // As if it were mapped, so that the tables are not looked at.
            known: heapless::Vec::from_iter([
                (Range::new(0x9_f000, 0x6_1000), MMIO_WINDOW),
                (Range::new(0x400_0000, 0x1000), MMIO_WINDOW),
                (Range::new(0, 0x1000), MMIO_WINDOW),
            ]),
            next: MMIO_WINDOW,
        }
    }

    #[test]
    fn refuses_a_range_that_touches_ram_by_name() {
        let mut window = window();
        for (start, bytes) in [
            (0x1000, 4),
            (0xfff, 2),
            (0x9_effc, 4),
            (0x9_effc, 8),
            (0xf_f000, 0x1001),
            (0x10_0000, 0x1000),
            (0x3ff_fffc, 4),
            (0x3ff_ffff, 2),
            (0x9_f000, 0x10_0000),
            (0, u64::MAX),
        ] {
            let refused = window.map(Range::new(start, bytes));
            assert_eq!(refused, Err(MmioError::Ram), "{start:#x}");
        }
    }

    #[test]
    fn takes_the_ranges_beside_ram() {
        let mut window = window();
        for (start, bytes) in [
            (0xffc, 4),
            (0x9_f000, 0x1000),
            (0xf_fffc, 4),
            (0x400_0000, 4),
        ] {
            assert!(window.map(Range::new(start, bytes)).is_ok(), "{start:#x}");
        }
    }
}
