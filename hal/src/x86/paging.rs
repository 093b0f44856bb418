//! The kernel's own page tables: the upper half that every program's table shares (Intel SDM vol. 3, 4.5).
//!
//! The builder is plain arithmetic over [`Tables`], which is the direct map on the machine and a vector in tests.

use super::layout::{DIRECT_MAP, Image, KERNEL_BASE};
use super::memory_map::{MemoryMap, Range};
use crate::limits::PAGE_BYTES;
use core::fmt;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const WRITE_THROUGH: u64 = 1 << 3;
const CACHE_DISABLE: u64 = 1 << 4;
const LARGE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Bytes that one entry of a page directory maps when it is not a table.
const LARGE_BYTES: u64 = 2 << 20;

/// Physical addresses have at most 52 bits (Intel SDM vol. 3, 4.1.4).
const PHYSICAL_LIMIT: u64 = 1 << 52;

/// What the kernel may do with a range. There is no kind that is both writable and executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Loads.
    Read,
    /// Loads and instruction fetches.
    Execute,
    /// Loads and stores.
    Write,
    /// Loads and stores of a device's registers, not cached.
    Device,
}

impl Access {
    const fn bits(self) -> u64 {
        let bits = PRESENT | GLOBAL;
        match self {
            Self::Read => bits | NO_EXECUTE,
            Self::Execute => bits,
            Self::Write => bits | WRITABLE | NO_EXECUTE,
            Self::Device => bits | WRITABLE | NO_EXECUTE | WRITE_THROUGH | CACHE_DISABLE,
        }
    }
}

/// Where tables live.
pub trait Tables {
    /// Returns the physical address of a fresh table, all zero; `None` when there is no more.
    fn take(&mut self) -> Option<u64>;

    /// Returns entry `index` of the table at physical address `table`.
    fn read(&self, table: u64, index: usize) -> u64;

    /// Sets entry `index` of the table at physical address `table`.
    fn write(&mut self, table: u64, index: usize, entry: u64);
}

/// Why a range could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// There is no memory for another table.
    OutOfTables,
    /// Something is mapped there already.
    Occupied(u64),
    /// The range is not made of whole pages, or leaves the address space.
    Misplaced,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfTables => f.write_str("no memory for page tables"),
            Self::Occupied(address) => write!(f, "{address:#x} is mapped already"),
            Self::Misplaced => f.write_str("not whole pages of the address space"),
        }
    }
}

/// Makes the tables of the image and of all RAM, and returns the physical address of their root.
///
/// # Errors
///
/// [`MapError`], when the image is misplaced or tables run out.
pub fn build(tables: &mut impl Tables, image: &Image, ram: &MemoryMap) -> Result<u64, MapError> {
    if !image.is_well_formed() {
        return Err(MapError::Misplaced);
    }
    let root = tables.take().ok_or(MapError::OutOfTables)?;
    let rodata = Range {
        start: image.start,
        end: image.text,
    };
    let text = Range {
        start: image.text,
        end: image.data,
    };
    let mut upper = |range: Range, access| {
        let bytes = range.bytes();
        map(
            tables,
            root,
            KERNEL_BASE.wrapping_add(range.start),
            range.start,
            bytes,
            access,
        )
    };
    upper(rodata, Access::Read)?;
    upper(text, Access::Execute)?;
    let mut start = image.data;
    for &guard in image.guards.iter().chain([&image.end]) {
        upper(Range { start, end: guard }, Access::Write)?;
        start = guard.saturating_add(PAGE_BYTES as u64);
    }

    let constant = Range {
        start: image.start,
        end: image.data,
    };
    for range in ram.ranges() {
        let below = Range {
            start: range.start,
            end: range.end.min(constant.start),
        };
        let above = Range {
            start: range.start.max(constant.end),
            end: range.end,
        };
        for (part, access) in [
            (below, Access::Write),
            (range.intersection(constant), Access::Read),
            (above, Access::Write),
        ] {
            if !part.is_empty() {
                let at = DIRECT_MAP.wrapping_add(part.start);
                map(tables, root, at, part.start, part.bytes(), access)?;
            }
        }
    }
    Ok(root)
}

/// Maps `bytes` bytes at `physical` to `virt`, with 2 MiB pages wherever both addresses allow it.
///
/// # Errors
///
/// [`MapError`]; what was mapped before the error stays mapped.
pub fn map(
    tables: &mut impl Tables,
    root: u64,
    virt: u64,
    physical: u64,
    bytes: u64,
    access: Access,
) -> Result<(), MapError> {
    let page = PAGE_BYTES as u64;
    let whole = (virt | physical | bytes).is_multiple_of(page);
    let within = physical
        .checked_add(bytes)
        .is_some_and(|end| end <= PHYSICAL_LIMIT)
        && (bytes == 0 || virt.checked_add(bytes - 1).is_some());
    if !whole || !within {
        return Err(MapError::Misplaced);
    }
    let mut done = 0;
    while done < bytes {
        let (virt, physical) = (virt + done, physical + done);
        let directory = descend(tables, root, virt, 2)?;
        let slot = index(virt, 1);
        let large = (virt | physical) % LARGE_BYTES == 0 && bytes - done >= LARGE_BYTES;
        if large && tables.read(directory, slot) == 0 {
            tables.write(directory, slot, physical | access.bits() | LARGE);
            done += LARGE_BYTES;
            continue;
        }
        let table = descend(tables, root, virt, 1)?;
        if tables.read(table, index(virt, 0)) != 0 {
            return Err(MapError::Occupied(virt));
        }
        tables.write(table, index(virt, 0), physical | access.bits());
        done += page;
    }
    Ok(())
}

/// Returns the table of `level` on the way to `virt`, making those that are missing.
fn descend(tables: &mut impl Tables, root: u64, virt: u64, level: u32) -> Result<u64, MapError> {
    let mut table = root;
    for above in (level..=3).rev() {
        let slot = index(virt, above);
        let entry = tables.read(table, slot);
        table = if entry & PRESENT == 0 {
            let fresh = tables.take().ok_or(MapError::OutOfTables)?;
            tables.write(table, slot, fresh | PRESENT | WRITABLE);
            fresh
        } else if entry & LARGE != 0 {
            return Err(MapError::Occupied(virt));
        } else {
            entry & ADDRESS
        };
    }
    Ok(table)
}

const fn index(virt: u64, level: u32) -> usize {
    ((virt >> (12 + 9 * level)) & 511) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x86::layout::MMIO_WINDOW;
    use std::vec::Vec;

    struct Heap {
        tables: Vec<[u64; 512]>,
        limit: usize,
    }

    impl Heap {
        fn new(limit: usize) -> Self {
            Self {
                tables: Vec::new(),
                limit,
            }
        }

        /// Walks like the processor: the address, and whether it may be written and executed.
        fn walk(&self, root: u64, virt: u64) -> Option<(u64, bool, bool)> {
            let (mut table, mut writable, mut executable) = (root, true, true);
            for level in (0..=3).rev() {
                let entry = self.read(table, index(virt, level));
                if entry & PRESENT == 0 {
                    return None;
                }
                writable &= entry & WRITABLE != 0;
                executable &= entry & NO_EXECUTE == 0;
                if level == 0 || entry & LARGE != 0 {
                    let span = 1_u64 << (12 + 9 * level);
                    return Some(((entry & ADDRESS) + virt % span, writable, executable));
                }
                table = entry & ADDRESS;
            }
            unreachable!("level 0 always returns")
        }
    }

    impl Tables for Heap {
        fn take(&mut self) -> Option<u64> {
            (self.tables.len() < self.limit).then(|| {
                self.tables.push([0; 512]);
                self.tables.len() as u64 * PAGE_BYTES as u64
            })
        }

        fn read(&self, table: u64, index: usize) -> u64 {
            self.tables[table as usize / PAGE_BYTES - 1][index]
        }

        fn write(&mut self, table: u64, index: usize, entry: u64) {
            self.tables[table as usize / PAGE_BYTES - 1][index] = entry;
        }
    }

    fn image() -> Image {
        Image {
            start: 0x10_0000,
            text: 0x12_0000,
            data: 0x15_0000,
            end: 0x17_0000,
            guards: heapless::Vec::from_slice(&[0x16_0000, 0x16_4000]).unwrap(),
        }
    }

    fn ram(ranges: &[(u64, u64)]) -> MemoryMap {
        let mut map = MemoryMap::new();
        for &(start, end) in ranges {
            map.add(Range { start, end }).unwrap();
        }
        map
    }

    fn built(ranges: &[(u64, u64)]) -> (Heap, u64) {
        let mut heap = Heap::new(64);
        let root = build(&mut heap, &image(), &ram(ranges)).unwrap();
        (heap, root)
    }

    #[test]
    fn the_image_has_constants_code_and_data_and_none_is_writable_code() {
        let (heap, root) = built(&[(0, 0x40_0000)]);
        let at = |physical: u64| heap.walk(root, KERNEL_BASE + physical);
        assert_eq!(at(0x10_0000), Some((0x10_0000, false, false)));
        assert_eq!(at(0x12_0fff), Some((0x12_0fff, false, true)));
        assert_eq!(at(0x15_0000), Some((0x15_0000, true, false)));
        assert_eq!(at(0x0f_f000), None);
        assert_eq!(at(0x17_0000), None);
    }

    #[test]
    fn the_page_under_a_stack_is_not_mapped_and_its_neighbours_are() {
        let (heap, root) = built(&[(0, 0x40_0000)]);
        for guard in [0x16_0000, 0x16_4000] {
            let at = |physical: u64| heap.walk(root, KERNEL_BASE + physical);
            assert_eq!(at(guard), None);
            assert!(at(guard - 1).is_some_and(|(_, writable, _)| writable));
            assert!(at(guard + 0x1000).is_some_and(|(_, writable, _)| writable));
        }
    }

    #[test]
    fn no_address_of_the_direct_map_is_executable_and_constants_cannot_be_written_there() {
        let (heap, root) = built(&[(0, 0x9f000), (0x10_0000, 0x80_0000)]);
        for page in 0..0x800 {
            let physical = page * 0x1000;
            let expected = match physical {
                0..0x9f000 => Some((physical, true, false)),
                0x9f000..0x10_0000 => None,
                0x10_0000..0x15_0000 => Some((physical, false, false)),
                _ => Some((physical, true, false)),
            };
            assert_eq!(
                heap.walk(root, DIRECT_MAP + physical),
                expected,
                "{physical:#x}"
            );
        }
    }

    #[test]
    fn ram_above_4_gib_costs_one_directory_for_each_gib() {
        let (small, _) = built(&[(0, 0x40_0000)]);
        let (heap, root) = built(&[(0, 0x40_0000), (4 << 30, 6 << 30)]);
        assert_eq!(heap.tables.len(), small.tables.len() + 2);
        let last = (6 << 30) - 1;
        assert_eq!(
            heap.walk(root, DIRECT_MAP + last),
            Some((last, true, false))
        );
    }

    #[test]
    fn nothing_is_mapped_in_the_lower_half() {
        let (heap, root) = built(&[(0, 0x40_0000)]);
        assert!((0..256).all(|slot| heap.read(root, slot) == 0));
    }

    #[test]
    fn a_window_just_below_the_physical_limit_can_be_mapped_and_one_above_cannot() {
        let (mut heap, root) = built(&[(0, 0x40_0000)]);
        let mut window = |physical, at| {
            map(
                &mut heap,
                root,
                MMIO_WINDOW + at,
                physical,
                0x1000,
                Access::Device,
            )
        };
        assert_eq!(window(PHYSICAL_LIMIT - 0x1000, 0), Ok(()));
        assert_eq!(window(PHYSICAL_LIMIT, 0x1000), Err(MapError::Misplaced));
        assert_eq!(window(u64::MAX - 0xfff, 0x2000), Err(MapError::Misplaced));
        assert_eq!(window(0xfee0_0800, 0x3000), Err(MapError::Misplaced));
        assert_eq!(window(0xfee0_0000, 0), Err(MapError::Occupied(MMIO_WINDOW)));
    }

    #[test]
    fn a_small_page_inside_a_large_one_is_refused() {
        let (mut heap, root) = built(&[(0, 0x40_0000)]);
        let inside = DIRECT_MAP + 0x20_1000;
        assert_eq!(
            map(&mut heap, root, inside, 0, 0x1000, Access::Write),
            Err(MapError::Occupied(inside))
        );
    }

    #[test]
    fn running_out_of_tables_is_an_error() {
        let mut heap = Heap::new(3);
        let result = build(&mut heap, &image(), &ram(&[(0, 0x40_0000)]));
        assert_eq!(result, Err(MapError::OutOfTables));
    }

    #[test]
    fn an_image_out_of_order_is_refused() {
        let mut wrong = image();
        wrong.text = wrong.end + 0x1000;
        let result = build(&mut Heap::new(64), &wrong, &ram(&[(0, 0x40_0000)]));
        assert_eq!(result, Err(MapError::Misplaced));
    }
}
