//! Tables whose entries are named by index and generation, so that a stale name misses.

use crate::errno::Errno;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::num::{NonZeroU32, NonZeroU64};

/// Names an entry of a [`Slab<T>`]. One number that is never 0, so that a name, or none, is passed in one register: the
/// slot in its lower half, the generation, which is never 0, in its upper one.
pub struct Id<T> {
    name: NonZeroU64,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    const fn new(index: u32, generation: NonZeroU32) -> Self {
        let name = (generation.get() as u64) << 32 | index as u64;
        Self {
            // The generation is not 0, so this is not what comes of it.
            name: match NonZeroU64::new(name) {
                Some(name) => name,
                None => NonZeroU64::MIN,
            },
            of: PhantomData,
        }
    }

    /// Returns the slot, which is unique among live entries of one slab.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.name.get() as u32
    }

    /// Returns the name as a number, which is never 0.
    pub(crate) const fn bits(self) -> u64 {
        self.name.get()
    }

    /// Returns the name as it is.
    pub(crate) const fn name(self) -> NonZeroU64 {
        self.name
    }

    /// Takes [`Id::name`] back.
    pub(crate) const fn from_name(name: NonZeroU64) -> Self {
        Self {
            name,
            of: PhantomData,
        }
    }

    /// Takes [`Id::bits`] back; `None` for what is no name.
    pub(crate) const fn from_bits(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(name) => Some(Self {
                name,
                of: PhantomData,
            }),
            None => None,
        }
    }

    const fn generation(self) -> u32 {
        (self.name.get() >> 32) as u32
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<T> Eq for Id<T> {}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index(), self.generation())
    }
}

/// Why there is no room for another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The table's limit was reached.
    Limit,
    /// The heap had no memory for the table to grow.
    Memory,
}

impl Full {
    /// Returns the error for a program: ENOMEM without memory, and `at_limit` at the limit.
    #[must_use]
    pub const fn errno(self, at_limit: Errno) -> Errno {
        match self {
            Self::Limit => at_limit,
            Self::Memory => Errno::ENOMEM,
        }
    }
}

#[derive(Debug)]
enum Slot<T> {
    Taken {
        id: Id<T>,
        value: T,
    },
    Free {
        generation: NonZeroU32,
        next: Option<u32>,
    },
}

/// A table of at most `limit` entries. It grows on demand, fallibly, and never shrinks: once warm, or within what was
/// reserved, it does not allocate.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    taken: usize,
    limit: usize,
}

impl<T> Slab<T> {
    /// Makes an empty table that will hold at most `limit` entries.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: None,
            taken: 0,
            limit,
        }
    }

    /// Makes room for `entries` in all, so that putting them in asks the heap for nothing. Where memory does not suffice the
    /// table grows when it has to.
    pub fn reserve(&mut self, entries: usize) {
        let more = entries.min(self.limit).saturating_sub(self.slots.len());
        // Nothing is lost: growing later is tried again, and refused by then.
        let _ = self.slots.try_reserve_exact(more);
    }

    /// Makes an empty table whose memory is there at once: for `limit` entries or, where memory is short, for half as many
    /// until it suffices. It never grows, so that there is room while [`Slab::room`] says so.
    #[must_use]
    pub fn with_room(mut limit: usize) -> Self {
        let mut slots = Vec::new();
        while slots.try_reserve_exact(limit).is_err() {
            limit /= 2;
        }
        Self {
            slots,
            free: None,
            taken: 0,
            limit,
        }
    }

    /// Returns how many entries more the limit allows.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.limit - self.taken
    }

    /// Returns how many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.taken
    }

    /// Returns whether there is no entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Puts `value` in and returns its name.
    ///
    /// # Errors
    ///
    /// `value` comes back with [`Full`].
    pub fn insert(&mut self, value: T) -> Result<Id<T>, (T, Full)> {
        let index = match self.free.map_or_else(|| self.grow(), Ok) {
            Ok(index) => index,
            Err(full) => return Err((value, full)),
        };
        let slot = &mut self.slots[index as usize];
        let Slot::Free { generation, next } = *slot else {
            unreachable!("the free list names free slots only");
        };
        self.free = next;
        let id = Id::new(index, generation);
        *slot = Slot::Taken { id, value };
        self.taken += 1;
        Ok(id)
    }

    /// Adds a free slot at the end and returns its index; the free list must be empty.
    fn grow(&mut self) -> Result<u32, Full> {
        self.make_room()?;
        let index = self.slots.len() as u32;
        let (generation, next) = (NonZeroU32::MIN, None);
        self.slots.push(Slot::Free { generation, next });
        Ok(index)
    }

    /// Makes sure that one more slot can be added.
    fn make_room(&mut self) -> Result<(), Full> {
        if self.slots.len() >= self.limit {
            return Err(Full::Limit);
        }
        self.slots.try_reserve(1).map_err(|_| Full::Memory)
    }

    /// Makes room for `count` more entries; returns whether there is.
    pub fn has_spare(&mut self, count: usize) -> bool {
        let free = self.slots.len() - self.taken;
        let more = count.saturating_sub(free);
        let fits = self.slots.len() + more <= self.limit;
        more == 0 || fits && self.slots.try_reserve(more).is_ok()
    }

    /// Takes an entry out; `None` for a stale name.
    pub fn remove(&mut self, id: Id<T>) -> Option<T> {
        self.get(id)?;
        let slot = &mut self.slots[id.index() as usize];
        let free = Slot::Free {
            generation: NonZeroU32::new(id.generation().wrapping_add(1)).unwrap_or(NonZeroU32::MIN),
            next: self.free,
        };
        let Slot::Taken { value, .. } = core::mem::replace(slot, free) else {
            unreachable!("`get` found the entry");
        };
        self.free = Some(id.index());
        self.taken -= 1;
        Some(value)
    }

    /// Returns the entry; `None` for a stale name.
    #[must_use]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        match self.slots.get(id.index() as usize)? {
            Slot::Taken { id: own, value } if *own == id => Some(value),
            _ => None,
        }
    }

    /// Returns the entry for changing; `None` for a stale name. It is asked in so many places that a copy of the check in
    /// each costs the image 3 KB; reading does not gain from that.
    #[inline(never)]
    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        self.get_mut_here(id)
    }

    /// The same, copied into its caller: for what every system call goes through.
    #[inline(always)]
    pub fn get_mut_here(&mut self, id: Id<T>) -> Option<&mut T> {
        match self.slots.get_mut(id.index() as usize)? {
            Slot::Taken { id: own, value } if *own == id => Some(value),
            _ => None,
        }
    }

    /// Returns two different entries for changing; `None` when one of the names is stale, or both are the same.
    pub fn pair_mut(&mut self, one: Id<T>, other: Id<T>) -> Option<(&mut T, &mut T)> {
        let indices = [one.index() as usize, other.index() as usize];
        match self.slots.get_disjoint_mut(indices).ok()? {
            [
                Slot::Taken {
                    id: first,
                    value: one_value,
                },
                Slot::Taken {
                    id: second,
                    value: other_value,
                },
            ] if *first == one && *second == other => Some((one_value, other_value)),
            _ => None,
        }
    }

    /// Returns the number of slots, taken or free: every entry's [`Id::index`] is below it.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Returns the entry in a slot with its name; `None` when the slot is free.
    pub fn at_mut(&mut self, index: u32) -> Option<(Id<T>, &mut T)> {
        match self.slots.get_mut(index as usize)? {
            Slot::Taken { id, value } => Some((*id, value)),
            Slot::Free { .. } => None,
        }
    }

    /// Returns all entries with their names, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Taken { id, value } => Some((*id, value)),
            Slot::Free { .. } => None,
        })
    }

    /// Returns all entries for changing, with their names, in slot order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Id<T>, &mut T)> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Taken { id, value } => Some((*id, value)),
            Slot::Free { .. } => None,
        })
    }
}

#[cfg(test)]
mod room_tests {
    use super::*;

    #[test]
    fn tells_a_full_table_from_a_full_heap() {
        let mut table = Slab::new(1);
        assert!(table.insert(0_u8).is_ok());
        assert_eq!(table.insert(1), Err((1, Full::Limit)));
        let mut huge: Slab<[u8; 1 << 60]> = Slab::new(1);
        assert_eq!(huge.make_room(), Err(Full::Memory));
        assert_eq!(Full::Limit.errno(Errno::EAGAIN), Errno::EAGAIN);
        assert_eq!(Full::Memory.errno(Errno::EAGAIN), Errno::ENOMEM);
    }

    #[test]
    fn a_table_with_room_takes_as_many_as_it_said_and_never_grows() {
        let mut slab = Slab::with_room(5);
        let capacity = slab.slots.capacity();
        for taken in 0..5 {
            assert_eq!(slab.room(), 5 - taken);
            slab.insert(taken).expect("there is room");
        }
        assert_eq!((slab.room(), slab.insert(5)), (0, Err((5, Full::Limit))));
        assert_eq!(slab.slots.capacity(), capacity);
    }

    #[test]
    fn a_table_too_large_for_memory_is_made_smaller() {
        let slab = Slab::<[u64; 1 << 20]>::with_room(usize::MAX);
        assert!(slab.room() < usize::MAX >> 20);
    }
}
