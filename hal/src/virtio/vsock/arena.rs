//! Hands out the memory that the layer was given at construction: nothing is allocated later.

/// The rest of the memory. What stands in it means nothing.
#[derive(Debug)]
pub(crate) struct Arena {
    rest: &'static mut [u8],
}

/// The memory that was handed in is smaller than the budget needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Arena {
    pub(crate) const fn new(memory: &'static mut [u8]) -> Self {
        Self { rest: memory }
    }

    /// Takes `count` bytes, aligned to `align`. They hold anything: setting megabytes to zero would cost a start several
    /// milliseconds, most of them the VMM's, which backs guest memory with its own when it is first touched.
    pub(crate) fn bytes(
        &mut self,
        count: usize,
        align: usize,
    ) -> Result<&'static mut [u8], Exhausted> {
        self.part(count, align)
    }

    /// Takes room for one value and moves it there. It lives for ever; it is never dropped.
    pub(crate) fn place<T>(&mut self, value: T) -> Result<&'static mut T, Exhausted> {
        let part = self.part(size_of::<T>(), align_of::<T>())?;
        let place = part.as_mut_ptr().cast::<T>();
        // SAFETY: `part` has room for a `T`, is aligned for it and is borrowed for ever by nobody else.
        unsafe { place.write(value) };
        // SAFETY: it was written just now; `part` is `'static` and not used any more.
        Ok(unsafe { &mut *place })
    }

    /// Takes a table of `count` entries, built in place by `make`, which is given each entry's index. The entries live
    /// for ever; they are never dropped.
    pub(crate) fn table<T>(
        &mut self,
        count: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<&'static mut [T], Exhausted> {
        let bytes = count.checked_mul(size_of::<T>()).ok_or(Exhausted)?;
        let part = self.part(bytes, align_of::<T>())?;
        let start = part.as_mut_ptr().cast::<T>();
        for index in 0..count {
            // SAFETY: `part` has room for `count` entries and `index` is below that.
            let place = unsafe { start.add(index) };
            // SAFETY: `place` lies in `part`, which is borrowed for ever by nobody else, and is aligned for `T`.
            unsafe { place.write(make(index)) };
        }
        // SAFETY: all `count` entries were written just now; `part` is `'static` and not used any more.
        Ok(unsafe { core::slice::from_raw_parts_mut(start, count) })
    }

    fn part(&mut self, count: usize, align: usize) -> Result<&'static mut [u8], Exhausted> {
        let skip = self.rest.as_ptr().align_offset(align);
        let end = skip.checked_add(count).ok_or(Exhausted)?;
        if end > self.rest.len() {
            return Err(Exhausted);
        }
        let (part, rest) = core::mem::take(&mut self.rest).split_at_mut(end);
        self.rest = rest;
        Ok(&mut part[skip..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn arena(bytes: usize) -> Arena {
        Arena::new(vec![7; bytes].leak())
    }

    #[test]
    fn hands_out_aligned_bytes_untouched_until_there_are_none() {
        let mut arena = arena(256);
        let first = arena.bytes(3, 1).expect("room");
        assert_eq!(first, [7; 3]);
        let second = arena.bytes(64, 64).expect("room");
        assert_eq!(second.as_ptr().align_offset(64), 0);
        assert_eq!(arena.bytes(256, 1), Err(Exhausted));
        assert_eq!(arena.bytes(usize::MAX, 1), Err(Exhausted));
    }

    #[test]
    fn builds_tables_in_place() {
        let mut arena = arena(100);
        let table = arena.table(10, |index| index as u64).expect("room");
        assert_eq!(table, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(arena.table::<u64>(10, |_| 0).is_err());
        assert!(arena.table::<u64>(usize::MAX, |_| 0).is_err());
    }
}
