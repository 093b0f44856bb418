//! Frames on their way out: written in place, whole or not at all, and sent in pieces.
//!
//! A connection may be lost before it has taken all of them. Which of the bytes it took the host has read, nobody knows, but
//! of a frame that was not taken to its end the host has read no whole one: such frames can be *kept* for the host's next
//! connection, where they leave behind that one's own when they are released.
//!
//! ```text
//! 0          kept        start      next        end
//! ├─ kept ─────┤ (free)    ├─ left ───┼─ to leave ─┤ (free)
//! ```

use crate::frame::{Header, Sequence};
use crate::limits::{HEADER_BYTES, MAX_FRAME_BYTES, SMALL_RESPONSE_BYTES};
use crate::message::MessageType;

/// What the answer to NegotiateProtocol begins with.
const NEGOTIATED: [u8; 4] = MessageType::NEGOTIATE_PROTOCOL.response().0.to_le_bytes();

/// A frame does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Frames on their way out, in a buffer its owner lends to each call.
#[derive(Debug)]
pub struct Outbox {
    /// End of the frames that are kept.
    kept: usize,
    /// The first frame that has not left to its end.
    start: usize,
    /// What leaves next, somewhere in that frame.
    next: usize,
    end: usize,
}

impl Outbox {
    /// Returns an empty outbox.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            kept: 0,
            start: 0,
            next: 0,
            end: 0,
        }
    }

    /// Returns whether everything has left that may.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// Returns whether `bytes` more fit.
    #[must_use]
    pub const fn has_room(&self, buffer: &[u8], bytes: usize) -> bool {
        buffer.len() - self.kept - (self.end - self.start) >= bytes
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
        if buffer.len() - self.end < MAX_FRAME_BYTES {
            buffer.copy_within(self.start..self.end, self.kept);
            let back = self.start - self.kept;
            self.start -= back;
            self.next -= back;
            self.end -= back;
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
        &buffer[self.next..self.end]
    }

    /// Takes note that `count` bytes have left.
    pub fn advance(&mut self, buffer: &[u8], count: usize) {
        self.next += count;
        while self.start < self.end && self.start + frame_bytes(buffer, self.start) <= self.next {
            self.start += frame_bytes(buffer, self.start);
        }
        if self.is_empty() {
            self.clear();
        }
    }

    /// Keeps what the connection, which is gone, has not taken to its end, as far as there is room beside a small answer;
    /// returns how many frames there was no room for. That it has agreed on a version concerns no other connection.
    pub fn keep(&mut self, buffer: &mut [u8]) -> usize {
        let room = buffer.len() - SMALL_RESPONSE_BYTES;
        let mut dropped = 0;
        while self.start < self.end {
            let frame = self.start..self.start + frame_bytes(buffer, self.start);
            self.start = frame.end;
            if buffer[frame.start..].starts_with(&NEGOTIATED) {
                continue;
            }
            if self.kept + frame.len() <= room {
                let kept = self.kept;
                self.kept += frame.len();
                buffer.copy_within(frame, kept);
            } else {
                dropped += 1;
            }
        }
        self.clear();
        dropped
    }

    /// Lets what was kept leave, once everything else has left.
    pub const fn release(&mut self) {
        if self.is_empty() {
            self.end = self.kept;
            self.kept = 0;
            self.start = 0;
            self.next = 0;
        }
    }

    /// Forgets what was kept: the host it was meant for is gone.
    pub const fn forget_kept(&mut self) {
        self.kept = 0;
    }

    /// Forgets everything that was not kept: the connection it was meant for is gone.
    pub const fn clear(&mut self) {
        self.start = self.kept;
        self.next = self.kept;
        self.end = self.kept;
    }
}

/// Returns the length of the frame at `start`, which was written here.
fn frame_bytes(buffer: &[u8], start: usize) -> usize {
    let header = buffer.get(start..).and_then(<[u8]>::first_chunk);
    let header = header.and_then(|header| Header::parse(header).ok());
    header.map_or(HEADER_BYTES, |header| header.size as usize)
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
                outbox.advance(&buffer, part);
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

    /// Queues a frame of `bytes` bytes.
    fn push(outbox: &mut Outbox, buffer: &mut [u8], sequence: u64, bytes: usize) -> Vec<u8> {
        let body = vec![sequence as u8; bytes - HEADER_BYTES];
        outbox
            .push(buffer, NEGOTIATE, Sequence(sequence), |room| {
                room[..body.len()].copy_from_slice(&body);
                Ok(body.len())
            })
            .unwrap();
        frame(sequence, &body)
    }

    #[test]
    fn frames_a_connection_has_not_taken_whole_are_kept_and_leave_behind_the_next_one_s_own() {
        let sizes = [16, 100, 3000];
        for taken in 0..=sizes.iter().sum() {
            let mut buffer = vec![0; 2 * MAX_FRAME_BYTES];
            let mut outbox = Outbox::new();
            let mut expected = Vec::new();
            let mut end = 0;
            for (sequence, bytes) in (0..).zip(sizes) {
                let frame = push(&mut outbox, &mut buffer, sequence, bytes);
                end += bytes;
                if end > taken {
                    expected.extend(frame);
                }
            }
            // In two pieces, which must not matter.
            outbox.advance(&buffer, taken / 2);
            outbox.advance(&buffer, taken - taken / 2);
            assert_eq!(outbox.keep(&mut buffer), 0);
            assert!(outbox.is_empty(), "what is kept does not leave by itself");
            // A connection that is lost before it was understood takes nothing along.
            push(&mut outbox, &mut buffer, 7, 50);
            outbox.clear();
            let own = push(&mut outbox, &mut buffer, 8, 60);
            outbox.release();
            assert_eq!(outbox.pending(&buffer), own);
            outbox.advance(&buffer, own.len());
            outbox.release();
            assert_eq!(outbox.pending(&buffer), expected, "{taken}");
            outbox.advance(&buffer, expected.len());
            assert!(outbox.is_empty() && outbox.has_room(&buffer, buffer.len()));
        }
    }

    #[test]
    fn what_is_kept_leaves_room_for_a_small_answer_and_what_is_beyond_is_counted() {
        for (bytes, kept) in [(0, true), (1, false)] {
            let mut buffer = vec![0; 2 * MAX_FRAME_BYTES];
            let mut outbox = Outbox::new();
            let rest = 2 * MAX_FRAME_BYTES - SMALL_RESPONSE_BYTES - MAX_FRAME_BYTES + bytes;
            push(&mut outbox, &mut buffer, 1, MAX_FRAME_BYTES);
            push(&mut outbox, &mut buffer, 2, rest);
            assert_eq!(outbox.keep(&mut buffer), usize::from(!kept));
            assert!(outbox.has_room(&buffer, SMALL_RESPONSE_BYTES));
            push(&mut outbox, &mut buffer, 3, SMALL_RESPONSE_BYTES);
            outbox.forget_kept();
            outbox.advance(&buffer, SMALL_RESPONSE_BYTES);
            outbox.release();
            assert!(outbox.is_empty(), "what was forgotten does not leave");
        }
    }

    #[test]
    fn frames_are_kept_over_any_number_of_connections() {
        let mut buffer = vec![0; 2 * MAX_FRAME_BYTES];
        let mut outbox = Outbox::new();
        let mut expected = Vec::new();
        for sequence in 0..10 {
            expected.extend(push(&mut outbox, &mut buffer, sequence, 5000));
            assert_eq!(outbox.keep(&mut buffer), 0);
        }
        outbox.release();
        assert_eq!(outbox.pending(&buffer), expected);
        // Lost once more, in the middle of the third one.
        outbox.advance(&buffer, 12_000);
        assert_eq!(outbox.keep(&mut buffer), 0);
        outbox.release();
        assert_eq!(outbox.pending(&buffer), &expected[10_000..]);
    }

    #[test]
    fn the_answer_to_a_negotiation_goes_with_its_connection() {
        let mut buffer = vec![0; MAX_FRAME_BYTES];
        let mut outbox = Outbox::new();
        let answer = NEGOTIATE.response();
        outbox
            .push(&mut buffer, answer, Sequence(1), |_| Ok(9))
            .unwrap();
        let other = push(&mut outbox, &mut buffer, 2, 20);
        assert_eq!(outbox.keep(&mut buffer), 0);
        outbox.release();
        assert_eq!(outbox.pending(&buffer), other);
    }
}
