//! One table in its frame: entries as the processor reads them (Intel SDM vol. 3, tables 4-15 to 4-20), and how many of them
//! are present.

use super::Protection;
use crate::frame::{Frame, FramePool, FrameRef};
use crate::limits::PAGE_BYTES;

/// Entries of a table.
const ENTRIES: usize = PAGE_BYTES / 8;

// Bits of an entry, and the place of the page or table it points to.
pub(super) const PRESENT: u64 = 1;
pub(super) const WRITABLE: u64 = 1 << 1;
pub(super) const USER: u64 = 1 << 2;
pub(super) const DIRTY: u64 = 1 << 6;
pub(super) const NO_EXECUTE: u64 = 1 << 63;
pub(super) const NUMBER: u64 = 0x000f_ffff_ffff_f000;

/// Bits of a table's first entry that the processor ignores, present or not (Intel SDM vol. 3, table 4-20; protection keys
/// are off). They count the table's present entries, so that an empty one is known without a look at all of them.
const COUNT: u64 = 0x3ff << 52;
/// One more entry in [`COUNT`].
const ONE: u64 = 1 << 52;

/// A page without any right stays present, so that its frame is remembered, but is not the program's to touch.
pub(super) const fn bits(protection: Protection) -> u64 {
    if protection.is_empty() {
        return PRESENT | NO_EXECUTE;
    }
    let mut bits = PRESENT | USER;
    if protection.contains(Protection::WRITE) {
        bits |= WRITABLE;
    }
    if !protection.contains(Protection::EXECUTE) {
        bits |= NO_EXECUTE;
    }
    bits
}

/// Turns the entry of a page, or of a table, into the token of its frame, which it is no more.
pub(super) fn token(entry: u64) -> Frame {
    Frame::from_number((entry & NUMBER) / PAGE_BYTES as u64)
}

/// Gives back the table an entry points to, which has nothing below it; false when `left` is used up.
pub(super) fn cut(pool: &mut FramePool, table: u64, index: usize, left: &mut usize) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    let entry = read(pool, table, index);
    write(pool, table, index, 0);
    pool.release(token(entry));
    true
}

/// Returns whether no entry of a table is present.
pub(super) fn is_empty(pool: &FramePool, table: u64) -> bool {
    word(pool.bytes(frame_of(table)), 0) & COUNT == 0
}

/// Returns the address of the table that an entry points to, `None` when there is none.
pub(super) fn present(pool: &FramePool, table: u64, index: usize) -> Option<u64> {
    let entry = read(pool, table, index);
    (entry & PRESENT != 0).then_some(entry & NUMBER)
}

/// Returns the index of the first present entry from `index` on, 512 when there is none.
pub(super) fn next_present(pool: &FramePool, table: u64, index: usize) -> usize {
    let bytes = pool.bytes(frame_of(table));
    let mut entries = bytes[index * 8..].chunks_exact(8);
    let found = entries.position(|entry| u64::from(entry[0]) & PRESENT != 0);
    found.map_or(512, |ahead| index + ahead)
}

/// Returns an entry.
#[inline(always)]
pub(super) fn read(pool: &FramePool, table: u64, index: usize) -> u64 {
    word(pool.bytes(frame_of(table)), index) & !COUNT
}

/// Sets an entry, and counts it in the table's first.
pub(super) fn write(pool: &mut FramePool, table: u64, index: usize, entry: u64) {
    let bytes = pool.bytes_mut(frame_of(table));
    let old = word(bytes, index);
    set_word(bytes, index, entry | old & COUNT);
    if (old ^ entry) & PRESENT != 0 {
        let first = word(bytes, 0);
        let counted = if entry & PRESENT != 0 {
            first.wrapping_add(ONE)
        } else {
            first.wrapping_sub(ONE)
        };
        set_word(bytes, 0, counted);
    }
}

const fn frame_of<'a>(table: u64) -> FrameRef<'a> {
    FrameRef::from_number(table / PAGE_BYTES as u64)
}

#[inline(always)]
fn word(bytes: &[u8; PAGE_BYTES], index: usize) -> u64 {
    let (entries, _) = bytes.as_chunks();
    u64::from_le_bytes(entries[index % ENTRIES])
}

fn set_word(bytes: &mut [u8; PAGE_BYTES], index: usize, entry: u64) {
    bytes[index * 8..index * 8 + 8].copy_from_slice(&entry.to_le_bytes());
}
