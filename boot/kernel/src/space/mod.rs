//! Address spaces: areas, the page table under them, and the frames both cost.

mod area;
mod fault;

use crate::account::AccountId;
use crate::slab::Id;
pub(crate) use area::{Area, AreaList, Backing};
pub(crate) use fault::Denial;
use hal::page_table::PageTable;

/// Names an address space.
pub(crate) type SpaceId = Id<AddressSpace>;

/// What a program's addresses mean. Tasks of one process share it.
#[derive(Debug)]
pub(crate) struct AddressSpace {
    /// Pages that are there.
    pub(crate) table: PageTable,
    /// Pages that may be there.
    pub(crate) areas: AreaList,
    /// Who pays.
    pub(crate) account: AccountId,
    /// Frames charged to `account`: one for each mapped page, shared or not, and the tables.
    pub(crate) charged: u64,
    /// Processes that use it.
    pub(crate) users: u32,
    /// First byte of the heap that `brk` moves the end of.
    pub(crate) break_start: u64,
    /// The heap's end.
    pub(crate) break_end: u64,
    /// Page below which `mmap` places what has no address of its own.
    pub(crate) map_top: u64,
}
