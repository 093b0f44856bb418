//! Where received bytes wait for their reader.
//!
//! An [`Inbox`] is a list of segments. A segment is a chunk of the credit pool, or a whole receive buffer that stays
//! where the device wrote it. Small packets are copied into chunks back to back, so however small a peer makes its
//! packets they need no more chunks than its window reserved. Large ones may keep their buffer, which saves a copy;
//! that is a favour, not a right: when few buffers are left to post they are copied as well.
//!
//! A kept buffer holds at least [`KEEP_BYTES`], so it leaves at least as many chunks of the reservation unused as the
//! partly filled chunks before and behind it can waste: [`chunks_for`](super::window::chunks_for) stays enough.

use super::arena::{Arena, Exhausted};
use super::buffer::Buffers;
use super::window::CHUNK_BYTES;

/// The smallest packet that may keep its buffer.
pub(crate) const KEEP_BYTES: usize = 4 * CHUNK_BYTES;

/// No segment.
const NONE: u16 = u16::MAX;

/// The bytes of one connection that wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inbox {
    first: u16,
    last: u16,
    bytes: usize,
}

/// All chunks, and the lists through chunks and receive buffers.
#[derive(Debug)]
pub(crate) struct Store {
    memory: &'static mut [u8],
    /// One for each chunk, then one for each receive buffer.
    segments: &'static mut [Segment],
    chunks: usize,
    free: u16,
    free_chunks: usize,
}

/// The part of a chunk or buffer that waits to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    start: u32,
    end: u32,
    next: u16,
}

/// Every chunk is in use: the reservations were wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfChunks;

impl Inbox {
    pub(crate) const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
        bytes: 0,
    };

    /// Returns how many bytes wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Store {
    pub(crate) fn new(arena: &mut Arena, chunks: usize, buffers: usize) -> Result<Self, Exhausted> {
        debug_assert!(chunks + buffers < usize::from(NONE));
        let segments = arena.table(chunks + buffers, |index| Segment {
            start: 0,
            end: 0,
            next: if index + 1 < chunks {
                index as u16 + 1
            } else {
                NONE
            },
        })?;
        Ok(Self {
            memory: arena.bytes(chunks * CHUNK_BYTES, 64)?,
            segments,
            chunks,
            free: if chunks > 0 { 0 } else { NONE },
            free_chunks: chunks,
        })
    }

    /// Returns how many chunks hold nothing.
    pub(crate) const fn free_chunks(&self) -> usize {
        self.free_chunks
    }

    /// Appends a copy of a receive buffer's first `count` bytes of data.
    pub(crate) fn append_copy(
        &mut self,
        inbox: &mut Inbox,
        buffers: &Buffers,
        buffer: usize,
        count: usize,
    ) -> Result<(), OutOfChunks> {
        let mut done = 0;
        while done < count {
            let chunk = self.chunk_with_room(inbox)?;
            let segment = &mut self.segments[chunk];
            let at = segment.end as usize;
            let part = (CHUNK_BYTES - at).min(count - done);
            let start = chunk * CHUNK_BYTES + at;
            buffers.read_data(buffer, done, &mut self.memory[start..start + part]);
            segment.end += part as u32;
            inbox.bytes += part;
            done += part;
        }
        Ok(())
    }

    /// Appends a receive buffer whose first `count` bytes of data stay where they are.
    pub(crate) fn append_whole(&mut self, inbox: &mut Inbox, buffer: usize, count: usize) {
        let index = self.chunks + buffer;
        self.segments[index] = Segment {
            start: 0,
            end: count as u32,
            next: NONE,
        };
        self.link(inbox, index);
        inbox.bytes += count;
    }

    /// Lends the bytes at the front: those of the first segment; none when the inbox is empty.
    pub(crate) fn front<'a>(&'a self, inbox: &Inbox, buffers: &'a Buffers) -> &'a [u8] {
        if inbox.first == NONE {
            return &[];
        }
        let index = usize::from(inbox.first);
        let segment = self.segments[index];
        let (start, end) = (segment.start as usize, segment.end as usize);
        if index < self.chunks {
            &self.memory[index * CHUNK_BYTES..][start..end]
        } else {
            // SAFETY: a buffer in an inbox is kept, so it is not posted before `release` was given it, which takes
            // `&mut self` and ends the borrow.
            unsafe { buffers.data(index - self.chunks, start, end) }
        }
    }

    /// Removes `count` bytes, or all there are. Every receive buffer that is empty now is given to `release`. Returns
    /// how many bytes were removed.
    pub(crate) fn consume(
        &mut self,
        inbox: &mut Inbox,
        count: usize,
        mut release: impl FnMut(usize),
    ) -> usize {
        let mut done = 0;
        while done < count && inbox.first != NONE {
            let segment = &mut self.segments[usize::from(inbox.first)];
            let part = ((segment.end - segment.start) as usize).min(count - done);
            segment.start += part as u32;
            done += part;
            if segment.start == segment.end {
                self.drop_first(inbox, &mut release);
            }
        }
        inbox.bytes -= done;
        done
    }

    /// Throws everything away.
    pub(crate) fn clear(&mut self, inbox: &mut Inbox, mut release: impl FnMut(usize)) {
        while inbox.first != NONE {
            self.drop_first(inbox, &mut release);
        }
        inbox.bytes = 0;
    }

    /// Returns the last chunk if it has room, else a fresh one behind it.
    fn chunk_with_room(&mut self, inbox: &mut Inbox) -> Result<usize, OutOfChunks> {
        let last = usize::from(inbox.last);
        if last < self.chunks && (self.segments[last].end as usize) < CHUNK_BYTES {
            return Ok(last);
        }
        if self.free == NONE {
            return Err(OutOfChunks);
        }
        let index = usize::from(self.free);
        self.free = self.segments[index].next;
        self.free_chunks -= 1;
        self.segments[index] = Segment {
            start: 0,
            end: 0,
            next: NONE,
        };
        self.link(inbox, index);
        Ok(index)
    }

    fn link(&mut self, inbox: &mut Inbox, index: usize) {
        let name = index as u16;
        if inbox.last == NONE {
            inbox.first = name;
        } else {
            self.segments[usize::from(inbox.last)].next = name;
        }
        inbox.last = name;
    }

    fn drop_first(&mut self, inbox: &mut Inbox, release: &mut impl FnMut(usize)) {
        let index = usize::from(inbox.first);
        inbox.first = self.segments[index].next;
        if inbox.first == NONE {
            inbox.last = NONE;
        }
        if index < self.chunks {
            self.segments[index].next = self.free;
            self.free = index as u16;
            self.free_chunks += 1;
        } else {
            release(index - self.chunks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn store(chunks: usize) -> (Store, Buffers) {
        let mut arena = Arena::new(vec![0; 1 << 20].leak());
        let mut buffers = Buffers::new(&mut arena, 2, 8192).expect("room");
        let data: Vec<u8> = (0..8192_u32).map(|place| (place % 251) as u8).collect();
        buffers.write_data(0, 0, &data);
        buffers.write_data(1, 0, &data);
        (Store::new(&mut arena, chunks, 2).expect("room"), buffers)
    }

    fn read_all(store: &mut Store, buffers: &Buffers, inbox: &mut Inbox) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut released = Vec::new();
        while inbox.bytes() > 0 {
            let part = store.front(inbox, buffers);
            let count = part.len();
            bytes.extend_from_slice(part);
            store.consume(inbox, count, |buffer| released.push(buffer));
        }
        assert!(store.front(inbox, buffers).is_empty());
        (bytes, released)
    }

    #[test]
    fn gives_back_copied_and_kept_bytes_in_order() {
        let (mut store, buffers) = store(8);
        let mut inbox = Inbox::EMPTY;
        store
            .append_copy(&mut inbox, &buffers, 0, 1500)
            .expect("room");
        store.append_whole(&mut inbox, 1, 8192);
        store.append_copy(&mut inbox, &buffers, 0, 3).expect("room");
        assert_eq!(inbox.bytes(), 1500 + 8192 + 3);

        let (bytes, released) = read_all(&mut store, &buffers, &mut inbox);
        let expected: Vec<u8> = [1500, 8192, 3]
            .into_iter()
            .flat_map(|count| (0..count).map(|place| (place % 251) as u8))
            .collect();
        assert_eq!(bytes, expected);
        assert_eq!(released, [1]);
        assert_eq!((inbox.bytes(), store.free_chunks()), (0, 8));
    }

    #[test]
    fn packs_single_bytes_into_as_few_chunks_as_one_packet() {
        let (mut store, buffers) = store(2);
        let mut inbox = Inbox::EMPTY;
        for _ in 0..2 * CHUNK_BYTES {
            store.append_copy(&mut inbox, &buffers, 0, 1).expect("room");
        }
        assert_eq!(store.free_chunks(), 0);
        assert_eq!(
            store.append_copy(&mut inbox, &buffers, 0, 1),
            Err(OutOfChunks)
        );
    }

    #[test]
    fn reads_one_byte_at_a_time_through_every_kind_of_segment() {
        let (mut store, buffers) = store(8);
        let mut inbox = Inbox::EMPTY;
        store
            .append_copy(&mut inbox, &buffers, 0, 1025)
            .expect("room");
        store.append_whole(&mut inbox, 0, 4096);
        let mut count = 0;
        let mut released = 0;
        while let Some(&byte) = store.front(&inbox, &buffers).first() {
            let place = if count < 1025 { count } else { count - 1025 };
            assert_eq!(usize::from(byte), place % 251);
            assert_eq!(store.consume(&mut inbox, 1, |_| released += 1), 1);
            count += 1;
        }
        assert_eq!(store.consume(&mut inbox, 1, |_| released += 1), 0);
        assert_eq!((count, released), (1025 + 4096, 1));
    }

    #[test]
    fn clearing_returns_chunks_and_buffers() {
        let (mut store, buffers) = store(4);
        let mut inbox = Inbox::EMPTY;
        store
            .append_copy(&mut inbox, &buffers, 0, 2000)
            .expect("room");
        store.append_whole(&mut inbox, 1, 4096);
        let mut released = Vec::new();
        store.clear(&mut inbox, |buffer| released.push(buffer));
        assert_eq!(released, [1]);
        assert_eq!((inbox.bytes(), store.free_chunks()), (0, 4));
    }
}
