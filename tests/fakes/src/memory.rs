//! Frames in host memory.

use hal::frame::{FramePool, Region};
use hal::limits::PAGE_BYTES;

/// Makes a pool of `frames` frames out of the host's heap. The memory is never given back: tests are short.
///
/// "Physical" addresses are host addresses, so the pool's offset is zero and a mock device finds a frame at its
/// physical address.
#[must_use]
pub fn frame_pool(frames: usize) -> FramePool {
    let memory = vec![0_u8; (frames + 1) * PAGE_BYTES].leak();
    let start = memory
        .as_mut_ptr()
        .expose_provenance()
        .next_multiple_of(PAGE_BYTES);
    let region = Region {
        first: (start / PAGE_BYTES) as u64,
        frames: frames as u64,
    };
    let table = vec![0_u32; frames].leak();
    // SAFETY: the region lies inside `memory`, which was leaked just now and is reached by nothing else; offset zero
    // is right because the region's address is a host address.
    unsafe { FramePool::new(0, &[region], table) }
}
