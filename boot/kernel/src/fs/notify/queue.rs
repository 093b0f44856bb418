//! What waits to be read of an inotify instance, as `struct inotify_event`s one behind the other in memory that was taken when
//! the instance was made: an event takes nothing from the heap.

use crate::errno::Errno;
use crate::limits::{NAME_BYTES, NOTIFY_QUEUE_BYTES};
use alloc::vec::Vec;

/// Bytes of an event without its name; the name's room is a multiple of it.
pub(super) const EVENT_BYTES: usize = 16;

/// Bytes of the longest event.
pub const LONGEST_EVENT_BYTES: usize = EVENT_BYTES + (NAME_BYTES + 1).next_multiple_of(EVENT_BYTES);

/// IN_Q_OVERFLOW: events were lost.
const OVERFLOW: u32 = 0x4000;

const _: () = assert!(NOTIFY_QUEUE_BYTES >= 2 * LONGEST_EVENT_BYTES);

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    /// Where the oldest event begins, and the newest one.
    first: usize,
    newest: usize,
}

impl Queue {
    /// Makes an empty queue.
    pub(super) fn new() -> Result<Self, Errno> {
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(NOTIFY_QUEUE_BYTES)
            .map_err(|_| Errno::ENOMEM)?;
        Ok(Self {
            bytes,
            first: 0,
            newest: 0,
        })
    }

    /// Returns how many bytes of events wait.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len() - self.first
    }

    /// Puts an event in, unless the newest one is the same; returns whether something is new. When there is no room, that is
    /// the last event until some were read.
    pub(super) fn push(&mut self, watch: i32, events: u32, cookie: u32, name: &[u8]) -> bool {
        let room = match name.len() {
            0 => 0,
            length => (length + 1).next_multiple_of(EVENT_BYTES),
        };
        // An event of an overflow always finds room.
        if self.len() + EVENT_BYTES + room + EVENT_BYTES > NOTIFY_QUEUE_BYTES {
            return self.put(-1, OVERFLOW, 0, &[], 0);
        }
        self.put(watch, events, cookie, name, room)
    }

    fn put(&mut self, watch: i32, events: u32, cookie: u32, name: &[u8], room: usize) -> bool {
        let mut head = [0; EVENT_BYTES];
        let words = [watch as u32, events, cookie, room as u32];
        for (bytes, word) in head.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let is_same = self.len() > 0
            && self.bytes[self.newest..]
                .strip_prefix(&head[..])
                .is_some_and(|rest| {
                    rest.strip_prefix(name)
                        .is_some_and(|rest| rest.first().is_none_or(|&byte| byte == 0))
                });
        if is_same {
            return false;
        }
        let end = self.bytes.len() + EVENT_BYTES + room;
        if end > NOTIFY_QUEUE_BYTES {
            self.bytes.drain(..self.first);
            self.first = 0;
        }
        self.newest = self.bytes.len();
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(name);
        self.bytes.resize(self.newest + EVENT_BYTES + room, 0);
        true
    }

    /// Lends the oldest event.
    pub(super) fn peek(&self) -> Option<&[u8]> {
        let rest = &self.bytes[self.first..];
        let (_, room) = rest.get(..EVENT_BYTES)?.split_at(EVENT_BYTES - 4);
        let room = u32::from_le_bytes(room.try_into().ok()?) as usize;
        rest.get(..EVENT_BYTES + room)
    }

    /// Takes the oldest event out.
    pub(super) fn pop(&mut self) {
        self.first += self.peek().map_or(0, <[u8]>::len);
        if self.len() == 0 {
            self.bytes.clear();
            (self.first, self.newest) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn words(event: &[u8]) -> [u32; 4] {
        core::array::from_fn(|nth| {
            let word = event[4 * nth..4 * nth + 4].try_into().unwrap();
            u32::from_le_bytes(word)
        })
    }

    #[test]
    fn events_come_out_as_programs_read_them() {
        let mut queue = Queue::new().unwrap();
        assert!(queue.push(1, 2, 3, b""));
        assert!(queue.push(4, 5, 6, b"fifteen bytes.."));
        assert!(queue.push(4, 5, 6, b"sixteen bytes..."));
        assert_eq!(queue.len(), 16 + 32 + 48);
        assert_eq!(words(queue.peek().unwrap()), [1, 2, 3, 0]);
        queue.pop();
        let event = queue.peek().unwrap();
        assert_eq!(words(event), [4, 5, 6, 16]);
        assert_eq!(event[16..], *b"fifteen bytes..\0");
        queue.pop();
        assert_eq!(words(queue.peek().unwrap()), [4, 5, 6, 32]);
        queue.pop();
        assert_eq!((queue.peek(), queue.len()), (None, 0));
    }

    #[test]
    fn an_event_that_is_the_newest_already_is_not_put_in_again() {
        let mut queue = Queue::new().unwrap();
        assert!(queue.push(1, 2, 0, b"name"));
        assert!(!queue.push(1, 2, 0, b"name"));
        for other in [&b"nam"[..], b"names", b""] {
            assert!(queue.push(1, 2, 0, other), "{other:?}");
        }
        assert!(!queue.push(1, 2, 0, b""));
        assert!(queue.push(1, 2, 9, b""));
        queue.pop();
        assert!(queue.push(1, 2, 0, b"name"), "it was read");
    }

    #[test]
    fn the_event_that_finds_no_room_says_so_once_and_asks_the_heap_for_nothing() {
        let mut queue = Queue::new().unwrap();
        let fits = (NOTIFY_QUEUE_BYTES - EVENT_BYTES) / EVENT_BYTES;
        let mut seen = vec![0; 3 * fits];
        let before = fakes::alloc::calls();
        for nth in 0..fits {
            assert!(queue.push(nth as i32, 1, 0, b""), "{nth}");
        }
        assert!(queue.push(-5, 1, 0, b""));
        assert!(!queue.push(-6, 1, 0, b""));
        assert_eq!(queue.len(), NOTIFY_QUEUE_BYTES);
        // Round and round: what was read makes room.
        for (round, seen) in seen.iter_mut().enumerate() {
            *seen = words(queue.peek().unwrap())[0] as i32;
            queue.pop();
            queue.push(10_000 + round as i32, 1, 0, b"");
        }
        assert_eq!(fakes::alloc::calls(), before);
        assert_eq!(seen[fits], -1, "the overflow");
        assert!(seen.iter().filter(|&&watch| watch == -1).count() <= 2);
    }
}
