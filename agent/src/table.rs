//! A fixed table whose keys know when their entry is gone.

use core::marker::PhantomData;
use core::num::NonZeroU32;

/// Names an entry: slot plus generation, so the key of a removed entry misses. One number that is never 0, so that a key, or
/// none, is passed in one register: the slot plus one in its lower half, the generation in its upper one.
pub(crate) struct Key<T> {
    name: NonZeroU32,
    entry: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    const fn index(self) -> usize {
        (self.name.get() as u16 - 1) as usize
    }

    const fn generation(self) -> u16 {
        (self.name.get() >> 16) as u16
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A slot. Its layout is fixed so that an empty table is all zeros and takes no room in the image.
#[repr(u8)]
enum Slot<T> {
    Free = 0,
    Used(T) = 1,
}

/// Up to `N` entries.
pub(crate) struct Table<T, const N: usize> {
    slots: [Slot<T>; N],
    generations: [u16; N],
    /// Every slot from here on is free and was never looked at since.
    high: usize,
}

impl<T, const N: usize> Table<T, N> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { Slot::Free }; N],
            generations: [0; N],
            high: 0,
        }
    }

    /// Puts an entry into the first free slot; `None` when there is none.
    pub(crate) fn insert(&mut self, entry: T) -> Option<Key<T>> {
        let index = self
            .slots
            .iter()
            .position(|slot| matches!(slot, Slot::Free))?;
        self.slots[index] = Slot::Used(entry);
        self.high = self.high.max(index + 1);
        self.key_at(index)
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.get(key)?;
        let index = key.index();
        let slot = core::mem::replace(&mut self.slots[index], Slot::Free);
        self.generations[index] = self.generations[index].wrapping_add(1);
        while self.high > 0 && matches!(self.slots[self.high - 1], Slot::Free) {
            self.high -= 1;
        }
        match slot {
            Slot::Used(entry) => Some(entry),
            Slot::Free => None,
        }
    }

    pub(crate) fn get(&self, key: Key<T>) -> Option<&T> {
        let index = key.index();
        match self.slots.get(index)? {
            Slot::Used(entry) if self.generations[index] == key.generation() => Some(entry),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        let index = key.index();
        match self.slots.get_mut(index)? {
            Slot::Used(entry) if self.generations[index] == key.generation() => Some(entry),
            _ => None,
        }
    }

    /// Returns the key of the entry in slot `index`, for loops that change the table as they go.
    pub(crate) fn key_at(&self, index: usize) -> Option<Key<T>> {
        match self.slots.get(index)? {
            Slot::Used(_) => Some(Key {
                name: NonZeroU32::new(
                    u32::from(self.generations[index]) << 16 | (index as u32 + 1),
                )?,
                entry: PhantomData,
            }),
            Slot::Free => None,
        }
    }

    /// Returns a bound for [`Table::key_at`]: no entry is at or above it.
    pub(crate) const fn high(&self) -> usize {
        self.high
    }

    /// Returns the entries with their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        (0..self.high).filter_map(|index| {
            let key = self.key_at(index)?;
            Some((key, self.get(key)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_as_many_as_it_has_slots_and_refuses_one_more() {
        let mut table = Table::<u32, 3>::new();
        let keys = [1, 2, 3].map(|entry| table.insert(entry).unwrap());
        assert!(table.insert(4).is_none());
        assert_eq!(table.remove(keys[1]), Some(2));
        assert!(table.insert(4).is_some());
    }

    #[test]
    fn the_key_of_a_removed_entry_misses_its_successor() {
        let mut table = Table::<u32, 1>::new();
        let old = table.insert(1).unwrap();
        table.remove(old);
        let new = table.insert(2).unwrap();
        assert_eq!(table.get(old), None);
        assert_eq!(table.remove(old), None);
        assert_eq!(table.get(new), Some(&2));
    }

    #[test]
    fn loops_end_behind_the_last_entry() {
        let mut table = Table::<u32, 8>::new();
        let keys = [1, 2, 3].map(|entry| table.insert(entry).unwrap());
        assert_eq!(table.high(), 3);
        table.remove(keys[1]);
        assert_eq!(table.high(), 3);
        table.remove(keys[2]);
        assert_eq!(table.high(), 1);
        assert_eq!(table.iter().count(), 1);
    }
}
