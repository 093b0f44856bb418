//! Frames as the scatter list of one device request.

use crate::block::Buffer;
use crate::frame::{Frame, FramePool};
use crate::limits::{MAX_REQUEST_FRAMES, PAGE_BYTES};
use core::ptr::NonNull;
use heapless::Vec;

/// What one device request may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Pieces of data, at least 1. A device that does not say (virtio 1.2 §5.2.3 `SEG_MAX`) gets 1: Firecracker takes
    /// exactly one.
    pub(super) pieces: usize,
    /// Bytes of a piece, at least a frame.
    pub(super) piece_bytes: usize,
}

/// The pieces of memory of one device request, in order.
pub(super) type Pieces = Vec<NonNull<[u8]>, MAX_REQUEST_FRAMES>;

/// What a device request covers.
#[derive(Debug)]
pub(super) struct Scatter {
    pub(super) pieces: Pieces,
    /// Frames used from the front.
    pub(super) frames: usize,
    /// Sum of the pieces.
    pub(super) bytes: usize,
}

/// Gathers as many of `frames` as `shape` allows, `bytes` bytes at most. Frames that follow each other in memory become
/// one piece. The same arguments give the same answer.
pub(super) fn gather(pool: &FramePool, frames: &[Frame], bytes: usize, shape: Shape) -> Scatter {
    let mut scatter = Scatter {
        pieces: Pieces::new(),
        frames: 0,
        bytes: 0,
    };
    for frame in frames {
        let count = (bytes - scatter.bytes).min(PAGE_BYTES);
        if count == 0 || !push(&mut scatter.pieces, pool, frame, count, shape) {
            break;
        }
        scatter.frames += 1;
        scatter.bytes += count;
    }
    scatter
}

/// Appends the first `count` bytes of `frame`; `false` when the shape has no room for them.
fn push(pieces: &mut Pieces, pool: &FramePool, frame: &Frame, count: usize, shape: Shape) -> bool {
    let Some(start) = NonNull::new(pool.address(frame.by_ref()).cast::<u8>()) else {
        return false;
    };
    if let Some(last) = pieces.last_mut() {
        let follows = last.cast::<u8>().addr().get() + last.len() == start.addr().get();
        if follows && last.len() + count <= shape.piece_bytes {
            *last = NonNull::slice_from_raw_parts(last.cast(), last.len() + count);
            return true;
        }
    }
    pieces.len() < shape.pieces
        && pieces
            .push(NonNull::slice_from_raw_parts(start, count))
            .is_ok()
}

/// Returns whether every frame has one token only, so that nobody can look while the device writes.
pub(super) fn is_exclusive(pool: &FramePool, buffer: &Buffer) -> bool {
    buffer.iter().all(|frame| pool.tokens(frame.by_ref()) == 1)
}

/// The slices of one device request, in the form `VirtQueue` takes; a plain array, because `pop_used` borrows it for as
/// long as it lives.
pub(super) struct Lent<'a, const N: usize> {
    slices: [&'a mut [u8]; N],
    count: usize,
}

impl<'a, const N: usize> Lent<'a, N> {
    /// Lends `pieces`, `N` at most.
    ///
    /// # Safety
    ///
    /// Every piece is mapped, reached by nobody else while the slices live, and overlaps no other piece.
    pub(super) unsafe fn new(pieces: impl IntoIterator<Item = NonNull<[u8]>>) -> Self {
        let mut lent = Self {
            slices: core::array::from_fn(|_| Default::default()),
            count: 0,
        };
        for (slice, mut piece) in lent.slices.iter_mut().zip(pieces) {
            // SAFETY: the caller's promise.
            *slice = unsafe { piece.as_mut() };
            lent.count += 1;
        }
        lent
    }

    /// Returns the slices.
    pub(super) fn as_mut_slices(&mut self) -> &mut [&'a mut [u8]] {
        &mut self.slices[..self.count]
    }
}
