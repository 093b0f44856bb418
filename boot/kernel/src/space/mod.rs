//! Address spaces: areas, the page table under them, and the frames both cost.
//!
//! ```text
//! 0x7fff_ffff_f000  Page::END
//!                   a random gap
//!                   stack, growing down as far as its limit     Backing::Stack
//!                   room for it, guard pages, a random gap
//! map_top           what mmap places, downwards
//!                   heap, growing up from break_start, a random gap behind the program
//!                   the program: ET_EXEC where it wants, ET_DYN near PROGRAM_BASE
//! 0x1_0000          LOWEST_ADDRESS
//! ```

mod area;
mod fault;
mod file;
mod fork;
mod map;
mod teardown;

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::limits::{STACK_BYTES, STACK_GUARD_PAGES};
use crate::rlimit::Bounds;
use crate::slab::Id;
use crate::system::System;
use crate::task::TaskId;
pub(crate) use area::{Area, AreaList, Backing, Withheld};
pub(crate) use fault::Denial;
pub(crate) use file::{FileId, ShownFile};
use hal::block::Block;
use hal::limits::PAGE_BYTES;
use hal::page_table::{Page, PageTable, Protection};
pub(crate) use map::Wish;

/// Names an address space.
pub(crate) type SpaceId = Id<AddressSpace>;

/// Lowest address a program can have (Linux `vm.mmap_min_addr`), so that null pointers fault.
pub(crate) const LOWEST_ADDRESS: u64 = 0x1_0000;

/// Where programs begin that can be anywhere: two thirds up, as Linux's `ELF_ET_DYN_BASE`.
pub(crate) const PROGRAM_BASE: u64 = 0x5555_5555_4000;

/// Pages by which such a program is moved at random. Linux uses 28 bits; 2^24 pages keep it 64 GiB from the maps.
pub(crate) const PROGRAM_SPREAD_PAGES: u64 = 1 << 24;

/// Pages between a program's end and its heap, at random (Linux: up to 32 MiB).
pub(crate) const BREAK_SPREAD_PAGES: u64 = 1 << 13;

/// Pages by which stack and maps are moved at random (Linux: 22 bits for the stack, 28 for maps).
const STACK_SPREAD_PAGES: u64 = 1 << 22;
const MAP_SPREAD_PAGES: u64 = 1 << 24;

/// Fewest pages of room for a stack, and most: five sixths of all there are (Linux `mmap_base`).
pub(crate) const STACK_PAGES: u64 = STACK_BYTES / PAGE_BYTES as u64;
const MOST_STACK_PAGES: u64 = Page::END.number() / 6 * 5;

/// Page tables that mapping one page can need, below the root (Intel SDM vol. 3, 4.5).
const TABLES: u64 = 3;

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
    /// The task that makes a child with its pages; no other may change them meanwhile.
    pub(crate) forker: Option<TaskId>,
    /// The page a disk is read for.
    pub(crate) awaited: Option<Page>,
    /// Processes that use it.
    pub(crate) users: u32,
    /// First byte of the heap that `brk` moves the end of.
    pub(crate) break_start: u64,
    /// The heap's end.
    pub(crate) break_end: u64,
    /// Page below which `mmap` places what has no address of its own.
    pub(crate) map_top: u64,
    /// Address behind the stack.
    pub(crate) stack_top: u64,
    /// Where the argument strings lie, where the environment follows them, and where that ends.
    pub(crate) strings: [u64; 3],
    /// How many pages it may have.
    pub(crate) bounds: Bounds,
    /// Whether its threads have asked for barriers among themselves (membarrier(2)).
    pub(crate) has_barriers: bool,
}

impl<B: Block> System<B> {
    /// Makes an address space with nothing but a stack, for one user.
    ///
    /// # Errors
    ///
    /// ENOMEM; EAGAIN at the limit.
    pub(crate) fn new_space(
        &mut self,
        account: AccountId,
        bounds: Bounds,
    ) -> Result<SpaceId, Errno> {
        let room = bounds.stack.clamp(STACK_PAGES, MOST_STACK_PAGES) + STACK_GUARD_PAGES;
        let stack_end = Page::END.number() - self.random.next_u64() % STACK_SPREAD_PAGES;
        let map_top = stack_end - room - self.random.next_u64() % MAP_SPREAD_PAGES;
        let mut space = self.empty_space(account, bounds)?;
        space.map_top = map_top;
        space.stack_top = stack_end * PAGE_BYTES as u64;
        let stack = space.areas.insert(Area {
            first: stack_end - 1,
            end: stack_end,
            protection: Protection::READ | Protection::WRITE,
            backing: Backing::Stack,
            withheld: Withheld::empty(),
        });
        self.keep_space(space, stack)
    }

    /// Makes an address space without areas that is not in the table yet.
    fn empty_space(&mut self, account: AccountId, bounds: Bounds) -> Result<AddressSpace, Errno> {
        // The list comes back here when the space is taken down, so room for it is made now.
        let lists = self.spaces.len() + 1;
        self.spare_areas
            .try_reserve(lists)
            .map_err(|_| Errno::ENOMEM)?;
        self.charge(account, 1)?;
        let Ok(table) = PageTable::new(&mut self.pool, &self.kernel_half) else {
            self.refund(account, 1);
            return Err(Errno::ENOMEM);
        };
        let spare = self
            .spare_areas
            .pop()
            .unwrap_or_else(AreaList::ready_memory);
        Ok(AddressSpace {
            table,
            areas: AreaList::reusing(spare),
            account,
            charged: 1,
            forker: None,
            awaited: None,
            users: 1,
            break_start: 0,
            break_end: 0,
            map_top: 0,
            stack_top: 0,
            strings: [0; 3],
            has_barriers: false,
            bounds,
        })
    }

    /// Puts an address space into the table if it was `filled`; else, and without room, gives it back.
    fn keep_space(
        &mut self,
        space: AddressSpace,
        filled: Result<(), Errno>,
    ) -> Result<SpaceId, Errno> {
        let (space, errno) = match filled {
            Ok(()) => match self.spaces.insert(space) {
                Ok(id) => return Ok(id),
                Err((space, full)) => (space, full.errno(Errno::EAGAIN)),
            },
            Err(errno) => (space, errno),
        };
        space.table.release(&mut self.pool);
        if let Some(spare) = space.areas.into_spare() {
            self.spare_areas.push(spare);
        }
        self.refund(space.account, 1);
        Err(errno)
    }

    fn charge(&mut self, account: AccountId, frames: u64) -> Result<(), Errno> {
        self.accounts
            .get_mut(account)
            .ok_or(Errno::ENOMEM)?
            .charge(Resource::Frames, frames)
    }

    fn refund(&mut self, account: AccountId, frames: u64) {
        // An account that is gone took its charges with it.
        if let Some(account) = self.accounts.get_mut(account) {
            account.refund(Resource::Frames, frames);
        }
    }
}
