//! The way that was gone last: where the tables lie in which a program's pages were looked up, so that one more look need not
//! walk there. A table stays where it is until it is given back; then all is forgotten.

use super::Page;
use core::cell::Cell;

/// How many last tables are remembered: a program works in its stack, heap, data and code by turns.
const WAYS: usize = 4;

/// The last tables that were looked into last.
#[derive(Debug)]
pub(super) struct Ways([Cell<Way>; WAYS]);

/// Where a last table lies: the number its pages have in common, and its address.
#[derive(Clone, Copy, Debug)]
struct Way {
    region: u64,
    table: u64,
}

impl Ways {
    const NONE: Way = Way {
        region: u64::MAX,
        table: 0,
    };

    /// Remembers none.
    pub(super) const fn new() -> Self {
        Self([const { Cell::new(Self::NONE) }; WAYS])
    }

    #[inline(always)]
    fn place(&self, page: Page) -> (&Cell<Way>, u64) {
        let region = page.number() >> 9;
        // Stack, libraries and heap begin in regions that differ in a few bits only, and not always the lowest.
        let slot = (region ^ region >> 2 ^ region >> 9) as usize % WAYS;
        (&self.0[slot], region)
    }

    /// Returns the address of the last table on the way to `page`, if it is remembered.
    #[inline(always)]
    pub(super) fn find(&self, page: Page) -> Option<u64> {
        let (place, region) = self.place(page);
        let way = place.get();
        (way.region == region).then_some(way.table)
    }

    /// Takes `table` as the last one on the way to `page`.
    pub(super) fn remember(&self, page: Page, table: u64) {
        let (place, region) = self.place(page);
        place.set(Way { region, table });
    }

    /// Forgets all: a table is about to be given back.
    pub(super) fn forget(&self) {
        for place in &self.0 {
            place.set(Self::NONE);
        }
    }
}
