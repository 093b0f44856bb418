//! Frames on their way out: written in place, whole or not at all, and sent in pieces.

use crate::frame::{Header, Sequence};
use crate::limits::{HEADER_BYTES, MAX_FRAME_BYTES};
use crate::message::MessageType;

/// A frame does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Frames on their way out, in a buffer its owner lends to each call.
#[derive(Debug)]
pub struct Outbox {
    start: usize,
    end: usize,
}

impl Outbox {
    /// Returns an empty outbox.
    #[must_use]
    pub const fn new() -> Self {
        Self { start: 0, end: 0 }
    }

    /// Returns whether everything has left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns whether `bytes` more fit.
    #[must_use]
    pub const fn has_room(&self, buffer: &[u8], bytes: usize) -> bool {
        buffer.len() - (self.end - self.start) >= bytes
    }

    /// Queues a frame. `write_body` gets room for at most `room` bytes of frame less the header, and returns how many it
    /// wrote; when it reports `Full`, nothing is queued.
    ///
    /// # Errors
    ///
    /// [`Full`] when `write_body` says so, or there is no room.
    pub fn push(
        &mut self,
        buffer: &mut [u8],
        message: MessageType,
        sequence: Sequence,
        write_body: impl FnOnce(&mut [u8]) -> Result<usize, Full>,
    ) -> Result<(), Full> {
        if buffer.len() - self.end < MAX_FRAME_BYTES && self.start > 0 {
            buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let limit = buffer.len().min(self.end + MAX_FRAME_BYTES);
        let (header, body) = buffer[self.end..limit]
            .split_at_mut_checked(HEADER_BYTES)
            .ok_or(Full)?;
        let size = HEADER_BYTES + write_body(body)?;
        header.copy_from_slice(
            &Header {
                message,
                size: u32::try_from(size).or(Err(Full))?,
                sequence,
            }
            .encode(),
        );
        self.end += size;
        Ok(())
    }

    /// Returns the bytes that are to leave next.
    #[must_use]
    pub fn pending<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        &buffer[self.start..self.end]
    }

    /// Takes note that `count` bytes have left.
    pub const fn advance(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            self.clear();
        }
    }

    /// Forgets everything: the connection it was meant for is gone.
    pub const fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const NEGOTIATE: MessageType = MessageType(0x1010_0b01);

    fn frame(sequence: u64, body: &[u8]) -> Vec<u8> {
        let header = Header {
            message: NEGOTIATE,
            size: (HEADER_BYTES + body.len()) as u32,
            sequence: Sequence(sequence),
        };
        [&header.encode()[..], body].concat()
    }

    #[test]
    fn the_outbox_keeps_frames_in_order_while_it_is_written_and_drained() {
        let mut buffer = vec![0; MAX_FRAME_BYTES];
        let mut outbox = Outbox::new();
        let mut sent = Vec::new();
        let mut expected = Vec::new();
        for sequence in 0..50 {
            let body = vec![b'x'; 4000 + sequence];
            expected.extend(frame(sequence as u64, &body));
            while !outbox.has_room(&buffer, body.len() + HEADER_BYTES) {
                let part = outbox.pending(&buffer).len().min(777);
                sent.extend_from_slice(&outbox.pending(&buffer)[..part]);
                outbox.advance(part);
            }
            outbox
                .push(&mut buffer, NEGOTIATE, Sequence(sequence as u64), |room| {
                    room[..body.len()].copy_from_slice(&body);
                    Ok(body.len())
                })
                .unwrap();
        }
        sent.extend_from_slice(outbox.pending(&buffer));
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_frame_is_never_given_more_room_than_the_host_accepts() {
        let mut buffer = vec![0; 2 * MAX_FRAME_BYTES];
        let mut outbox = Outbox::new();
        outbox
            .push(&mut buffer, NEGOTIATE, Sequence(0), |room| {
                assert_eq!(room.len(), MAX_FRAME_BYTES - HEADER_BYTES);
                Ok(room.len())
            })
            .unwrap();
        assert_eq!(outbox.pending(&buffer).len(), MAX_FRAME_BYTES);
    }

    #[test]
    fn a_frame_that_does_not_fit_leaves_no_trace() {
        let mut buffer = vec![0; MAX_FRAME_BYTES];
        let mut outbox = Outbox::new();
        let refused = outbox.push(&mut buffer, NEGOTIATE, Sequence(0), |_| Err(Full));
        assert_eq!(refused, Err(Full));
        assert!(outbox.is_empty());
    }
}
