//! A program's calls, found by its frame pointers (System V ABI AMD64, 3.2.2): each frame begins with the caller's `rbp`, and
//! the address to return to stands above it.
//!
//! All of it is an allegation. Only frames the address space owns are read, none is brought in, and a chain that does not
//! go up ends.

use crate::limits::BACKTRACE_FRAMES;
use crate::space::AddressSpace;
use hal::frame::FramePool;
use hal::page_table::Page;

/// Returns the return addresses above the frame at `rbp`, innermost first, at most [`BACKTRACE_FRAMES`].
pub(crate) fn callers<'a>(
    space: &'a AddressSpace,
    pool: &'a FramePool,
    rbp: u64,
) -> impl Iterator<Item = u64> + 'a {
    let mut next = rbp;
    core::iter::from_fn(move || {
        let frame = next;
        let address = word(space, pool, frame.checked_add(8)?)?;
        let above = word(space, pool, frame)?;
        // The outermost frame leads nowhere; below it nothing is followed.
        next = if above > frame { above } else { 0 };
        (address != 0).then_some(address)
    })
    .take(BACKTRACE_FRAMES)
}

/// Reads an aligned word of a program, if its page is there.
fn word(space: &AddressSpace, pool: &FramePool, address: u64) -> Option<u64> {
    if !address.is_multiple_of(8) {
        return None;
    }
    let page = Page::containing(address)?;
    let frame = space.table.lookup(pool, page)?.frame;
    let offset = (address - page.address()) as usize;
    let bytes = pool.bytes(frame).get(offset..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}
