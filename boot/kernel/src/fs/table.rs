//! Descriptor tables: small numbers to open file descriptions. Tasks share a table or have a copy.

use crate::errno::Errno;
use crate::fs::description::DescriptionId;
use crate::limits::{MAX_DESCRIPTORS, READY_DESCRIPTORS, SPARE_DESCRIPTORS};
use crate::slab::Id;
use alloc::vec::Vec;

/// Names a descriptor table.
pub type TableId = Id<Table>;

/// A descriptor that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it refers to.
    pub description: DescriptionId,
    /// Whether it is closed by execve.
    pub close_on_exec: bool,
}

/// A table's memory.
pub(super) type Slots = Vec<Option<Descriptor>>;

/// One descriptor table.
#[derive(Debug)]
pub struct Table {
    slots: Slots,
    /// RLIMIT_NOFILE: descriptors at or above it cannot be made.
    limit: usize,
    pub(super) sharers: u32,
    /// Once nobody uses it, the next table that is to be closed.
    pub(super) next_abandoned: Option<TableId>,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// Makes an empty table with one owner.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: Vec::new(),
            limit: MAX_DESCRIPTORS,
            sharers: 1,
            next_abandoned: None,
        }
    }

    /// Returns memory for as many descriptors as programs usually have; less where there is none.
    pub(super) fn ready_memory() -> Slots {
        let mut slots = Vec::new();
        // The table grows when it has to.
        let _ = slots.try_reserve_exact(READY_DESCRIPTORS);
        slots
    }

    /// Makes an empty table with one owner that uses the memory of `spare`.
    pub(super) fn reusing(spare: Slots) -> Self {
        Self {
            slots: spare,
            ..Self::new()
        }
    }

    /// Returns the table's memory for the next one, unless it is more than programs usually need.
    pub(super) fn into_spare(mut self) -> Option<Slots> {
        self.slots.clear();
        (self.slots.capacity() <= SPARE_DESCRIPTORS).then_some(self.slots)
    }

    /// Returns what a descriptor refers to.
    ///
    /// # Errors
    ///
    /// EBADF when it is not in use.
    pub fn get(&self, fd: i32) -> Result<Descriptor, Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        self.slots.get(index).copied().flatten().ok_or(Errno::EBADF)
    }

    /// Sets or clears FD_CLOEXEC.
    pub(super) fn set_close_on_exec(&mut self, fd: i32, on: bool) -> Result<(), Errno> {
        self.get(fd)?;
        if let Some(Some(descriptor)) = self.slots.get_mut(fd as usize) {
            descriptor.close_on_exec = on;
        }
        Ok(())
    }

    /// Sets FD_CLOEXEC of the descriptors in a range.
    pub(crate) fn set_all_close_on_exec(&mut self, range: core::ops::RangeInclusive<usize>) {
        for (fd, slot) in self.slots.iter_mut().enumerate() {
            if let Some(descriptor) = slot
                && range.contains(&fd)
            {
                descriptor.close_on_exec = true;
            }
        }
    }

    /// Returns the lowest free descriptor at or above `minimum`, with room for it made.
    ///
    /// # Errors
    ///
    /// EMFILE at the limit, ENOMEM when the table cannot grow.
    pub(super) fn reserve(&mut self, minimum: usize) -> Result<usize, Errno> {
        let free = (minimum..self.slots.len())
            .find(|&index| self.slots[index].is_none())
            .unwrap_or_else(|| self.slots.len().max(minimum));
        if free >= self.limit {
            return Err(Errno::EMFILE);
        }
        self.grow(free + 1)?;
        Ok(free)
    }

    /// Makes room for descriptor `index`.
    ///
    /// # Errors
    ///
    /// EBADF at or above the limit, ENOMEM.
    pub(super) fn reserve_exactly(&mut self, index: usize) -> Result<(), Errno> {
        if index >= self.limit {
            return Err(Errno::EBADF);
        }
        self.grow(index + 1)
    }

    fn grow(&mut self, len: usize) -> Result<(), Errno> {
        if len > self.slots.len() {
            let more = len - self.slots.len();
            self.slots.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
            self.slots.resize(len, None);
        }
        Ok(())
    }

    /// Puts a descriptor into a reserved place and returns what was there.
    pub(super) fn put(&mut self, index: usize, descriptor: Descriptor) -> Option<Descriptor> {
        self.slots[index].replace(descriptor)
    }

    /// Takes a descriptor out.
    pub(super) fn take(&mut self, fd: i32) -> Result<Descriptor, Errno> {
        self.get(fd)?;
        self.slots[fd as usize].take().ok_or(Errno::EBADF)
    }

    /// Takes some descriptor out at or above `first`.
    pub(super) fn take_next(&mut self, first: usize) -> Option<Descriptor> {
        let (index, _) = self.next_used(first)?;
        self.slots[index].take()
    }

    /// Returns the descriptor with the smallest number that is at least `from`.
    #[must_use]
    pub fn next_used(&self, from: usize) -> Option<(usize, Descriptor)> {
        self.slots
            .iter()
            .enumerate()
            .skip(from)
            .find_map(|(index, slot)| slot.map(|known| (index, known)))
    }

    /// Returns the first descriptor that execve closes.
    pub(super) fn next_closing(&self) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.is_some_and(|known| known.close_on_exec))
    }

    /// Returns whether several processes use it.
    pub(crate) const fn is_shared(&self) -> bool {
        self.sharers > 1
    }

    /// Returns RLIMIT_NOFILE.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Sets RLIMIT_NOFILE, at most [`MAX_DESCRIPTORS`]. Descriptors above it stay.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MAX_DESCRIPTORS);
    }

    /// Takes over the descriptors and the limit of another table; this one must be empty.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(super) fn copy_from(&mut self, other: &Self) -> Result<(), Errno> {
        self.slots
            .try_reserve(other.slots.len())
            .map_err(|_| Errno::ENOMEM)?;
        self.slots.extend_from_slice(&other.slots);
        self.limit = other.limit;
        Ok(())
    }
}
