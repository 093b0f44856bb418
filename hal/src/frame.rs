//! Physical memory in frames of 4 KiB: owned tokens, reference counts, bytes by borrow.
//!
//! A [`Frame`] is the right to one frame. It is neither `Copy` nor `Clone`: [`FramePool::share`] makes a second token
//! to the same frame and counts it, [`FramePool::release`] gives one back. A token that is dropped without being
//! released leaks its frame, which is wasteful but never unsound.
//!
//! Bytes are reached through the pool: `&FramePool` lends shared slices, `&mut FramePool` an exclusive one. The
//! exclusive borrow covers *all* frames, so two tokens of one frame can never give overlapping mutable slices; and as
//! [`crate::user::User::run`] takes `&mut FramePool`, no slice can be alive while a program or page table changes it.

use crate::limits::{MAX_POOL_REGIONS, PAGE_BYTES};

/// The right to one frame of physical memory. Give it back with [`FramePool::release`].
#[must_use = "a frame that is dropped is lost; give it back with `FramePool::release`"]
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    number: u64,
}

/// A borrowed [`Frame`]: names its frame, owns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef<'a> {
    number: u64,
    owner: core::marker::PhantomData<&'a Frame>,
}

/// No frame is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

/// A run of usable physical memory, whole frames only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Number of the first frame (physical address / 4096).
    pub first: u64,
    /// How many frames.
    pub frames: u64,
}

/// End of the free list, and the largest reference count plus one.
const NONE: u32 = u32::MAX;

/// All frames that may be handed out, and the count of tokens of each.
///
/// The table has one entry for each frame: the number of tokens while it is out, the next free frame's index while it
/// is not. Frames above a region's high-water mark were never out and have no valid entry yet, so start-up cost does
/// not grow with RAM.
#[derive(Debug)]
pub struct FramePool {
    /// Virtual address of a frame's first byte minus its physical address.
    offset: u64,
    regions: heapless::Vec<Span, MAX_POOL_REGIONS>,
    table: &'static mut [u32],
    free: u32,
    available: usize,
    total: usize,
}

/// A region with its part of the table.
#[derive(Clone, Copy, Debug)]
struct Span {
    region: Region,
    /// Table index of the region's first frame.
    base: u32,
    /// Frames of the region that were handed out at least once.
    touched: u32,
}

impl Frame {
    /// Returns a borrowed name for this frame.
    #[must_use]
    pub const fn by_ref(&self) -> FrameRef<'_> {
        FrameRef {
            number: self.number,
            owner: core::marker::PhantomData,
        }
    }

    /// Returns the physical address of the frame's first byte.
    #[must_use]
    pub const fn physical(&self) -> u64 {
        self.number * PAGE_BYTES as u64
    }

    /// Turns the token into its number, which only a page table entry may hold.
    pub(crate) const fn into_number(self) -> u64 {
        self.number
    }

    /// Turns a number from [`Frame::into_number`] back into the token; at most once for each.
    pub(crate) const fn from_number(number: u64) -> Self {
        Self { number }
    }
}

impl FrameRef<'_> {
    /// Returns the physical address of the frame's first byte.
    #[must_use]
    pub const fn physical(self) -> u64 {
        self.number * PAGE_BYTES as u64
    }

    pub(crate) const fn from_number(number: u64) -> Self {
        Self {
            number,
            owner: core::marker::PhantomData,
        }
    }
}

impl<'a> From<&'a Frame> for FrameRef<'a> {
    fn from(frame: &'a Frame) -> Self {
        frame.by_ref()
    }
}

impl FramePool {
    /// Makes a pool of `regions`, whose frames are reached at physical address + `offset` (wrapping).
    ///
    /// Regions beyond [`MAX_POOL_REGIONS`] and frames beyond `table.len()` are left unused.
    ///
    /// # Safety
    ///
    /// For as long as the pool lives, every byte of every region is mapped readable and writable at its physical
    /// address + `offset`, belongs to the pool alone, and no two regions overlap.
    ///
    /// A machine has one pool: the safe methods take a [`Frame`] or [`FrameRef`] as one of their own, so nobody hands
    /// this pool a token of another one. (Tests on the host make a pool each and keep them apart.)
    pub unsafe fn new(offset: u64, regions: &[Region], table: &'static mut [u32]) -> Self {
        let mut spans = heapless::Vec::new();
        let mut base = 0_u32;
        for region in regions {
            let room = (table.len() as u64 - u64::from(base)).min(u64::from(NONE - 1 - base));
            let frames = region.frames.min(room);
            let span = Span {
                region: Region {
                    first: region.first,
                    frames,
                },
                base,
                touched: 0,
            };
            if frames == 0 || spans.push(span).is_err() {
                continue;
            }
            base += frames as u32;
        }
        Self {
            offset,
            regions: spans,
            table,
            free: NONE,
            available: base as usize,
            total: base as usize,
        }
    }

    /// Returns how many frames are not out.
    #[must_use]
    pub const fn available(&self) -> usize {
        self.available
    }

    /// Returns how many frames the pool was made of.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// Takes a frame with unspecified content.
    ///
    /// # Errors
    ///
    /// [`OutOfFrames`] when none is left.
    pub fn take(&mut self) -> Result<Frame, OutOfFrames> {
        if self.free != NONE {
            let index = self.free;
            self.free = self.table[index as usize];
            return Ok(self.hand_out(index));
        }
        let fresh = self
            .regions
            .iter_mut()
            .find(|span| u64::from(span.touched) < span.region.frames)
            .ok_or(OutOfFrames)?;
        let index = fresh.base + fresh.touched;
        fresh.touched += 1;
        Ok(self.hand_out(index))
    }

    /// Takes a frame filled with zeroes.
    ///
    /// # Errors
    ///
    /// [`OutOfFrames`] when none is left.
    pub fn take_zeroed(&mut self) -> Result<Frame, OutOfFrames> {
        let frame = self.take()?;
        self.bytes_mut(&frame).fill(0);
        Ok(frame)
    }

    fn hand_out(&mut self, index: u32) -> Frame {
        self.table[index as usize] = 1;
        self.available -= 1;
        let number = self.number_of(index);
        Frame { number }
    }

    /// Makes a second token of the same frame; `None` when it has `u32::MAX - 1` tokens already.
    pub fn share(&mut self, frame: FrameRef<'_>) -> Option<Frame> {
        let index = self.index_of(frame.number);
        let count = self.table[index]
            .checked_add(1)
            .filter(|&count| count != NONE)?;
        self.table[index] = count;
        Some(Frame {
            number: frame.number,
        })
    }

    /// Returns how many tokens of this frame are out; 1 means its owner is alone.
    #[must_use]
    pub fn tokens(&self, frame: FrameRef<'_>) -> u32 {
        self.table[self.index_of(frame.number)]
    }

    /// Gives a token back; with the last one the frame is free again.
    pub fn release(&mut self, frame: Frame) {
        let index = self.index_of(frame.into_number());
        self.table[index] -= 1;
        if self.table[index] == 0 {
            self.table[index] = self.free;
            self.free = index as u32;
            self.available += 1;
        }
    }

    /// Lends the frame's bytes.
    #[must_use]
    pub fn bytes<'a>(&'a self, frame: impl Into<FrameRef<'a>>) -> &'a [u8; PAGE_BYTES] {
        let pointer = self.pointer(frame.into().number);
        // SAFETY: a token's frame lies in a region that `new` was promised; it is mapped at `pointer`, aligned to a
        // page, and shared borrows of the pool exclude every exclusive one.
        unsafe { &*pointer }
    }

    /// Lends the frame's bytes for writing. The borrow excludes every other borrow of any frame.
    #[must_use]
    pub fn bytes_mut<'a>(&'a mut self, frame: impl Into<FrameRef<'a>>) -> &'a mut [u8; PAGE_BYTES] {
        let pointer = self.pointer(frame.into().number);
        // SAFETY: as in `bytes`, and the exclusive borrow of the pool excludes every other slice.
        unsafe { &mut *pointer }
    }

    /// Copies `count` bytes from one frame to another (or within one, where the ranges may overlap).
    ///
    /// # Panics
    ///
    /// When a range leaves its frame.
    pub fn copy(
        &mut self,
        from: FrameRef<'_>,
        from_offset: usize,
        to: FrameRef<'_>,
        to_offset: usize,
        count: usize,
    ) {
        assert!(from_offset <= PAGE_BYTES && count <= PAGE_BYTES - from_offset);
        assert!(to_offset <= PAGE_BYTES && count <= PAGE_BYTES - to_offset);
        let source = self.pointer(from.number).cast::<u8>();
        let target = self.pointer(to.number).cast::<u8>();
        // SAFETY: `from_offset` is at most the frame's length, checked above.
        let source = unsafe { source.add(from_offset) };
        // SAFETY: `to_offset` is at most the frame's length, checked above.
        let target = unsafe { target.add(to_offset) };
        // SAFETY: both ranges lie inside frames of this pool, which is borrowed exclusively; `copy` allows overlap.
        unsafe { core::ptr::copy(source, target, count) };
    }

    /// Returns where the frame's bytes are, for a device that is going to write them. The holder of the only token may
    /// lend them so until it takes them back; there must be no second token meanwhile.
    pub(crate) fn address(&self, frame: FrameRef<'_>) -> *mut [u8; PAGE_BYTES] {
        self.pointer(frame.number)
    }

    fn pointer(&self, number: u64) -> *mut [u8; PAGE_BYTES] {
        let address = (number * PAGE_BYTES as u64).wrapping_add(self.offset);
        core::ptr::with_exposed_provenance_mut(address as usize)
    }

    fn number_of(&self, index: u32) -> u64 {
        self.regions
            .iter()
            .find(|span| index >= span.base && u64::from(index - span.base) < span.region.frames)
            .map(|span| span.region.first + u64::from(index - span.base))
            .expect("an index below `total` lies in a region")
    }

    fn index_of(&self, number: u64) -> usize {
        self.regions
            .iter()
            .find(|span| {
                number >= span.region.first && number - span.region.first < span.region.frames
            })
            .map(|span| span.base as usize + (number - span.region.first) as usize)
            .expect("a token's frame lies in a region")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::vec;
    use std::vec::Vec;

    /// Makes a pool of host memory in several regions with gaps between them. The memory is never given back.
    pub(crate) fn pool_of(regions: &[usize], table: usize) -> FramePool {
        let frames: usize = regions.iter().sum();
        let memory = vec![0xa5_u8; (frames + regions.len() + 1) * PAGE_BYTES].leak();
        let start = memory.as_mut_ptr().expose_provenance();
        let mut first = start.div_ceil(PAGE_BYTES) as u64;
        let regions: Vec<Region> = regions
            .iter()
            .map(|&frames| {
                let region = Region {
                    first,
                    frames: frames as u64,
                };
                first += frames as u64 + 1;
                region
            })
            .collect();
        // SAFETY: the regions lie in leaked host memory that nothing else reaches, apart from each other.
        unsafe { FramePool::new(0, &regions, vec![0; table].leak()) }
    }

    fn take_all(pool: &mut FramePool) -> Vec<Frame> {
        core::iter::from_fn(|| pool.take().ok()).collect()
    }

    #[test]
    fn hands_out_every_frame_of_every_region_once_and_then_none() {
        let mut pool = pool_of(&[3, 1, 4], 8);
        assert_eq!((pool.total(), pool.available()), (8, 8));
        let frames = take_all(&mut pool);
        let addresses: HashSet<u64> = frames.iter().map(Frame::physical).collect();
        assert_eq!(addresses.len(), 8);
        assert_eq!(pool.available(), 0);
        assert_eq!(pool.take(), Err(OutOfFrames));
        for frame in frames {
            pool.release(frame);
        }
        assert_eq!(pool.available(), 8);
        let again: HashSet<u64> = take_all(&mut pool).iter().map(Frame::physical).collect();
        assert_eq!(again, addresses);
    }

    #[test]
    fn frames_that_the_table_has_no_count_for_are_left_unused() {
        assert_eq!(pool_of(&[3, 4], 5).total(), 5);
        assert_eq!(pool_of(&[3, 4], 0).total(), 0);
        assert_eq!(pool_of(&[3, 4], 9).total(), 7);
        assert_eq!(pool_of(&[], 9).take(), Err(OutOfFrames));
    }

    #[test]
    fn regions_beyond_the_limit_are_left_unused() {
        let many = [1; MAX_POOL_REGIONS + 1];
        assert_eq!(pool_of(&many, 100).total(), MAX_POOL_REGIONS);
    }

    #[test]
    fn a_shared_frame_is_free_only_when_its_last_token_is_back() {
        let mut pool = pool_of(&[2], 2);
        let first = pool.take().unwrap();
        let second = pool.share(first.by_ref()).unwrap();
        assert_eq!(pool.tokens(first.by_ref()), 2);
        pool.release(first);
        assert_eq!((pool.available(), pool.tokens(second.by_ref())), (1, 1));
        pool.release(second);
        assert_eq!(pool.available(), 2);
    }

    #[test]
    fn a_frame_with_the_largest_count_of_tokens_is_not_shared_again() {
        let mut pool = pool_of(&[1], 1);
        let frame = pool.take().unwrap();
        pool.table[0] = NONE - 2;
        let last = pool.share(frame.by_ref());
        assert!(last.is_some());
        assert!(pool.share(frame.by_ref()).is_none());
        assert_eq!(pool.tokens(frame.by_ref()), NONE - 1);
    }

    #[test]
    fn a_zeroed_frame_is_zero_also_when_it_was_used_before() {
        let mut pool = pool_of(&[1], 1);
        let frame = pool.take().unwrap();
        pool.bytes_mut(&frame).fill(7);
        pool.release(frame);
        let frame = pool.take_zeroed().unwrap();
        assert!(pool.bytes(&frame).iter().all(|&byte| byte == 0));
    }

    #[test]
    fn copies_between_frames_and_within_one_where_ranges_overlap() {
        let mut pool = pool_of(&[2], 2);
        let (one, two) = (pool.take_zeroed().unwrap(), pool.take_zeroed().unwrap());
        pool.bytes_mut(&one)[..4].copy_from_slice(b"mote");
        pool.copy(one.by_ref(), 0, two.by_ref(), PAGE_BYTES - 4, 4);
        assert_eq!(&pool.bytes(&two)[PAGE_BYTES - 4..], b"mote");
        pool.copy(one.by_ref(), 0, one.by_ref(), 1, 4);
        assert_eq!(&pool.bytes(&one)[..5], b"mmote");
        pool.copy(one.by_ref(), PAGE_BYTES, two.by_ref(), PAGE_BYTES, 0);
    }

    #[test]
    #[should_panic(expected = "PAGE_BYTES - to_offset")]
    fn a_copy_that_would_leave_its_frame_panics() {
        let mut pool = pool_of(&[2], 2);
        let (one, two) = (pool.take().unwrap(), pool.take().unwrap());
        pool.copy(one.by_ref(), 0, two.by_ref(), 1, PAGE_BYTES);
    }
}
