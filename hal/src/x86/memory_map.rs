//! Which physical memory is RAM we may use: the VMM's list, sorted, clipped and cut into whole frames.

use crate::frame::Region;
use crate::limits::{MAX_MEMORY_RANGES, PAGE_BYTES};

/// A range of physical addresses, `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
}

impl Range {
    /// Makes the range of `bytes` bytes from `start`, clipped at the end of the address space.
    #[must_use]
    pub const fn new(start: u64, bytes: u64) -> Self {
        Self {
            start,
            end: start.saturating_add(bytes),
        }
    }

    /// Returns how many bytes the range has.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Returns whether there is nothing in the range.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Returns the smallest range of whole pages that contains this one.
    #[must_use]
    pub const fn outward(self) -> Self {
        let page = PAGE_BYTES as u64;
        Self {
            start: self.start / page * page,
            end: self.end.div_ceil(page).saturating_mul(page),
        }
    }

    /// Returns the largest range of whole pages inside this one; possibly empty.
    #[must_use]
    pub const fn inward(self) -> Self {
        let page = PAGE_BYTES as u64;
        Self {
            start: self.start.div_ceil(page).saturating_mul(page),
            end: self.end / page * page,
        }
    }

    /// Returns what two ranges have in common; possibly empty.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self {
            start: if self.start > other.start {
                self.start
            } else {
                other.start
            },
            end: if self.end < other.end {
                self.end
            } else {
                other.end
            },
        }
    }
}

impl From<Range> for Region {
    /// Takes the whole frames inside the range.
    fn from(range: Range) -> Self {
        let range = range.inward();
        Self {
            first: range.start / PAGE_BYTES as u64,
            frames: range.bytes() / PAGE_BYTES as u64,
        }
    }
}

/// There are more separate ranges than [`MAX_MEMORY_RANGES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRanges;

/// Ranges of RAM: sorted, disjoint, not touching, none empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryMap {
    ranges: heapless::Vec<Range, MAX_MEMORY_RANGES>,
}

impl MemoryMap {
    /// Makes a map without RAM.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ranges: heapless::Vec::new(),
        }
    }

    /// Returns the ranges, lowest first.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Returns the sum of all ranges.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.bytes()).sum()
    }

    /// Adds RAM; what it shares with RAM that is there already is counted once.
    ///
    /// # Errors
    ///
    /// [`TooManyRanges`]; the map is unchanged then.
    pub fn add(&mut self, range: Range) -> Result<(), TooManyRanges> {
        if range.is_empty() {
            return Ok(());
        }
        let mut whole = range;
        let touches = |known: &Range| known.start <= range.end && range.start <= known.end;
        for known in self.ranges.iter().filter(|known| touches(known)) {
            whole.start = whole.start.min(known.start);
            whole.end = whole.end.max(known.end);
        }
        let merges = self.ranges.iter().any(touches);
        if !merges && self.ranges.is_full() {
            return Err(TooManyRanges);
        }
        self.ranges.retain(|known| !touches(known));
        let place = self
            .ranges
            .iter()
            .take_while(|known| known.start < whole.start)
            .count();
        self.ranges.insert(place, whole).map_err(|_| TooManyRanges)
    }

    /// Takes `range` out, in whatever RAM it lies.
    ///
    /// # Errors
    ///
    /// [`TooManyRanges`] when a hole would need one range more than fit; the map is unchanged then.
    pub fn remove(&mut self, range: Range) -> Result<(), TooManyRanges> {
        if range.is_empty() {
            return Ok(());
        }
        let mut rest = Self::new();
        for &known in &self.ranges {
            let before = Range {
                start: known.start,
                end: known.end.min(range.start),
            };
            let after = Range {
                start: known.start.max(range.end),
                end: known.end,
            };
            rest.add(before)?;
            rest.add(after)?;
        }
        *self = rest;
        Ok(())
    }

    /// Keeps whole pages only, and only those below `limit`.
    pub fn clip(&mut self, limit: u64) {
        let below = Range {
            start: 0,
            end: limit,
        };
        for range in &mut self.ranges {
            *range = range.intersection(below).inward();
        }
        self.ranges.retain(|range| !range.is_empty());
    }

    /// Keeps the `count` largest ranges only.
    pub fn keep_largest(&mut self, count: usize) {
        while self.ranges.len() > count {
            let numbered = self.ranges.iter().enumerate();
            let Some((smallest, _)) = numbered.min_by_key(|(_, range)| range.bytes()) else {
                return;
            };
            self.ranges.remove(smallest);
        }
    }

    /// Takes `bytes` out of the lowest place at or above `from` that has them in one piece and ends at or below
    /// `until`, aligned to `align` (a power of two). `None` when there is no such place.
    pub fn carve(&mut self, bytes: u64, align: u64, from: u64, until: u64) -> Option<Range> {
        let place = self.ranges.iter().find_map(|range| {
            let start = range.start.max(from).checked_next_multiple_of(align)?;
            let end = start.checked_add(bytes)?;
            (end <= range.end && end <= until).then_some(Range { start, end })
        })?;
        self.remove(place).ok()?;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const fn range(start: u64, end: u64) -> Range {
        Range { start, end }
    }

    fn map(ranges: &[Range]) -> MemoryMap {
        let mut map = MemoryMap::new();
        for &range in ranges {
            map.add(range).expect("the test stays below the limit");
        }
        map
    }

    #[test]
    fn sorts_what_comes_unordered_and_joins_what_touches() {
        let map = map(&[
            range(0x5000, 0x6000),
            range(0, 0x1000),
            range(0x1000, 0x2000),
        ]);
        assert_eq!(map.ranges(), [range(0, 0x2000), range(0x5000, 0x6000)]);
        assert_eq!(map.bytes(), 0x3000);
    }

    #[test]
    fn overlapping_ram_counts_once() {
        let map = map(&[
            range(0x1000, 0x4000),
            range(0x6000, 0x9000),
            range(0x2000, 0x7000),
        ]);
        assert_eq!(map.ranges(), [range(0x1000, 0x9000)]);
    }

    #[test]
    fn drops_empty_ranges() {
        assert!(
            map(&[range(0, 0), range(0x2000, 0x1000)])
                .ranges()
                .is_empty()
        );
    }

    #[test]
    fn a_hole_splits_a_range() {
        let mut map = map(&[range(0, 0x9000)]);
        map.remove(range(0x3000, 0x4000)).unwrap();
        assert_eq!(map.ranges(), [range(0, 0x3000), range(0x4000, 0x9000)]);
    }

    #[test]
    fn a_hole_over_everything_leaves_nothing() {
        let mut map = map(&[range(0x1000, 0x2000), range(0x3000, 0x4000)]);
        map.remove(range(0, u64::MAX)).unwrap();
        assert!(map.ranges().is_empty());
    }

    #[test]
    fn keeps_the_largest_ranges_in_their_order() {
        let ranges = [
            range(0, 0x3000),
            range(0x4000, 0x5000),
            range(0x6000, 0x8000),
        ];
        for (count, kept) in [
            (4, &ranges[..]),
            (3, &ranges[..]),
            (2, &[ranges[0], ranges[2]][..]),
            (1, &ranges[..1]),
            (0, &[]),
        ] {
            let mut map = map(&ranges);
            map.keep_largest(count);
            assert_eq!(map.ranges(), kept, "{count}");
        }
    }

    #[test]
    fn clips_to_whole_pages_below_the_limit() {
        let mut map = map(&[
            range(0, 0x9fc00),
            range(0x10_0000, 0x10_0fff),
            range(0x20_0000, u64::MAX),
        ]);
        map.clip(0x40_0000);
        assert_eq!(
            map.ranges(),
            [range(0, 0x9f000), range(0x20_0000, 0x40_0000)]
        );
    }

    #[test]
    fn a_range_at_the_end_of_the_address_space_does_not_wrap() {
        let wild = Range::new(u64::MAX - 0x10, 0x1000);
        assert_eq!(wild.end, u64::MAX);
        assert!(wild.inward().is_empty());
        assert_eq!(Range::new(1, u64::MAX).outward().start, 0);
    }

    #[test]
    fn refuses_one_range_more_than_fit() {
        let many: Vec<Range> = (0..MAX_MEMORY_RANGES as u64)
            .map(|n| range(n * 0x4000, n * 0x4000 + 0x3000))
            .collect();
        let mut full = map(&many);
        let next = MAX_MEMORY_RANGES as u64 * 0x4000;
        assert_eq!(full.add(range(next, next + 0x1000)), Err(TooManyRanges));
        assert_eq!(full.remove(range(0x1000, 0x2000)), Err(TooManyRanges));
        assert_eq!(full.ranges(), &many[..]);
        assert_eq!(
            full.add(range(0x2000, 0x5000)),
            Ok(()),
            "this one only joins"
        );
    }

    #[test]
    fn carves_from_the_lowest_place_that_fits() {
        let mut map = map(&[range(0x1000, 0x3000), range(0x5000, 0x2_0000)]);
        assert_eq!(
            map.carve(0x4000, 0x4000, 0, u64::MAX),
            Some(range(0x8000, 0xc000))
        );
        assert_eq!(
            map.carve(0x1000, 0x1000, 0x2000, u64::MAX),
            Some(range(0x2000, 0x3000))
        );
        assert_eq!(
            map.ranges(),
            [
                range(0x1000, 0x2000),
                range(0x5000, 0x8000),
                range(0xc000, 0x2_0000)
            ]
        );
        assert_eq!(map.carve(0x2_0000, 0x1000, 0, u64::MAX), None);
        assert_eq!(
            map.carve(0x1000, 0x1000, 0x5000, 0x5fff),
            None,
            "ends behind `until`"
        );
        assert_eq!(map.carve(u64::MAX, 0x1000, 0, u64::MAX), None);
    }
}
