//! Device windows: physical ranges outside RAM, mapped on demand and for good.
//!
//! A BAR may lie anywhere up to the last physical address (Cloud Hypervisor puts them just below 2^phys_bits), so each
//! range gets the next free piece of one virtual window instead of an address computed from its own.

use super::exclusive::Exclusive;
use super::layout::MMIO_WINDOW;
use super::memory::{read_entry, write_entry};
use super::memory_map::Range;
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
    /// Start-up has not come to it yet.
    NotOpen,
}

impl fmt::Display for MmioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRanges => write!(f, "more than {MAX_MMIO_RANGES} device windows"),
            Self::Map(error) => write!(f, "device window cannot be mapped: {error}"),
            Self::NotOpen => f.write_str("device windows are not open yet"),
        }
    }
}

#[derive(Debug)]
struct Window {
    root: u64,
    reserve: heapless::Vec<u64, MAX_MMIO_TABLES>,
    known: heapless::Vec<(Range, u64), MAX_MMIO_RANGES>,
    next: u64,
}

static WINDOW: Exclusive<Option<Window>> = Exclusive::new(None);

/// Opens the window on the kernel's page tables.
///
/// # Safety
///
/// `root` is the loaded root of the kernel's tables; the pages in `reserve` are zeroed RAM that belongs to nobody else.
pub(crate) unsafe fn open(root: u64, reserve: heapless::Vec<u64, MAX_MMIO_TABLES>) {
    let window = Window {
        root,
        reserve,
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

// SAFETY: `map` maps exactly the range, uncached, for good. That it is not RAM that anything uses is a matter of the
// address, which drivers take from firmware tables and BARs only.
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
