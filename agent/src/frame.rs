//! Frames: a 16-byte header and a JSON body, in both directions (gcs-protocol §3, hcsshim
//! `internal/guest/prot/protocol.go` `MessageHeader`).
//!
//! ```text
//! 0      4      8              16             Size
//! ├ Type ┼ Size ┼ Sequence id ─┼ body, UTF-8 ──┤      all little endian; Size counts the header
//! ```
//!
//! [`Decoder`] takes the stream in any pieces: it says where the next bytes are wanted ([`Decoder::wanted`]), so that they
//! are copied once, from the receive ring to where they will be read. Frames on their way out are the matter of
//! [`outbox`](crate::outbox).

use crate::limits::HEADER_BYTES;
use crate::message::MessageType;
use core::fmt;
use core::ops::Range;

/// Number of a request, repeated by its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence(pub u64);

const TYPE: Range<usize> = 0..4;
const SIZE: Range<usize> = 4..8;
const SEQUENCE: Range<usize> = 8..16;

/// What stands before every body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What kind of message follows.
    pub message: MessageType,
    /// Bytes of the whole frame, header included.
    pub size: u32,
    /// Which request this is or answers.
    pub sequence: Sequence,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    ///
    /// [`FrameError`] when the size does not even cover the header.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let header = Self {
            message: MessageType(u32::from_le_bytes(field(bytes, TYPE))),
            size: u32::from_le_bytes(field(bytes, SIZE)),
            sequence: Sequence(u64::from_le_bytes(field(bytes, SEQUENCE))),
        };
        if (header.size as usize) < HEADER_BYTES {
            return Err(FrameError { size: header.size });
        }
        Ok(header)
    }

    /// Writes the header.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[TYPE].copy_from_slice(&self.message.0.to_le_bytes());
        bytes[SIZE].copy_from_slice(&self.size.to_le_bytes());
        bytes[SEQUENCE].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes
    }

    /// Returns the bytes behind the header.
    const fn body_bytes(&self) -> usize {
        self.size as usize - HEADER_BYTES
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], range: Range<usize>) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[range]);
    field
}

/// The peer broke framing: where the next frame begins is unknown, so the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// The size the header claims.
    pub size: u32,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "frame of {} bytes is shorter than its header of {HEADER_BYTES}",
            self.size
        )
    }
}

impl core::error::Error for FrameError {}

/// A frame that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A whole frame; this many bytes at the front of the body buffer are its body.
    Frame(Header, usize),
    /// A frame whose body is longer than the buffer. It was drained; the next frame can follow.
    Oversized(Header),
}

/// Where in a frame the stream is.
#[derive(Clone, Copy, Debug)]
enum State {
    Header { filled: usize },
    Body { header: Header, filled: usize },
    Drain { header: Header, left: usize },
}

/// Puts frames together.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    header: [u8; HEADER_BYTES],
}

impl Decoder {
    /// Returns a decoder at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Header { filled: 0 },
            header: [0; HEADER_BYTES],
        }
    }

    /// Returns where the next bytes of the stream belong; never empty. `body` is always the same buffer.
    pub fn wanted<'b>(&'b mut self, body: &'b mut [u8]) -> &'b mut [u8] {
        match self.state {
            State::Header { filled } => &mut self.header[filled..],
            State::Body { header, filled } => &mut body[filled..header.body_bytes()],
            State::Drain { left, .. } => {
                let scrap = left.min(body.len());
                &mut body[..scrap]
            }
        }
    }

    /// Takes note that `count` bytes were put where they were wanted, and returns the frame they complete.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; the stream is of no more use.
    pub fn advance(&mut self, count: usize, body: &[u8]) -> Result<Option<Arrival>, FrameError> {
        match &mut self.state {
            State::Header { filled } => {
                *filled += count;
                if *filled < HEADER_BYTES {
                    return Ok(None);
                }
                let header = Header::parse(&self.header)?;
                let left = header.body_bytes();
                self.state = if left > body.len() {
                    State::Drain { header, left }
                } else {
                    State::Body { header, filled: 0 }
                };
            }
            State::Body { filled, .. } => *filled += count,
            State::Drain { left, .. } => *left -= count,
        }
        let arrival = match self.state {
            State::Body { header, filled } if filled == header.body_bytes() => {
                Arrival::Frame(header, filled)
            }
            State::Drain { header, left: 0 } => Arrival::Oversized(header),
            _ => return Ok(None),
        };
        self.state = State::Header { filled: 0 };
        Ok(Some(arrival))
    }
}

impl Default for Decoder {
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

    /// Feeds `stream` in pieces of `chunk` bytes through a body buffer of `room` bytes.
    fn decode(
        stream: &[u8],
        chunk: usize,
        room: usize,
    ) -> Result<Vec<(Arrival, Vec<u8>)>, FrameError> {
        let mut decoder = Decoder::new();
        let mut body = vec![0; room];
        let mut arrivals = Vec::new();
        for mut piece in stream.chunks(chunk) {
            while !piece.is_empty() {
                let wanted = decoder.wanted(&mut body);
                let count = wanted.len().min(piece.len());
                wanted[..count].copy_from_slice(&piece[..count]);
                piece = &piece[count..];
                if let Some(arrival) = decoder.advance(count, &body)? {
                    let length = match arrival {
                        Arrival::Frame(_, length) => length,
                        Arrival::Oversized(_) => 0,
                    };
                    arrivals.push((arrival, body[..length].to_vec()));
                }
            }
        }
        Ok(arrivals)
    }

    fn frame(sequence: u64, body: &[u8]) -> Vec<u8> {
        let header = Header {
            message: NEGOTIATE,
            size: (HEADER_BYTES + body.len()) as u32,
            sequence: Sequence(sequence),
        };
        [&header.encode()[..], body].concat()
    }

    #[test]
    fn the_first_message_of_every_session_has_the_documented_header() {
        // gcs-protocol §3.
        let bytes = [
            0x01, 0x0b, 0x10, 0x10, 0x7d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(
            (header.message, header.size, header.sequence),
            (NEGOTIATE, 125, Sequence(0))
        );
        assert_eq!(header.encode(), bytes);
    }

    #[test]
    fn frames_come_out_whole_however_they_are_cut() {
        let stream = [
            frame(1, b"{}"),
            frame(2, b""),
            frame(u64::MAX, b"{\"a\":1}"),
        ]
        .concat();
        for chunk in 1..=stream.len() {
            let arrivals = decode(&stream, chunk, 8).unwrap();
            let bodies: Vec<_> = arrivals.iter().map(|(_, body)| &body[..]).collect();
            assert_eq!(bodies, [&b"{}"[..], b"", b"{\"a\":1}"], "chunks of {chunk}");
        }
    }

    #[test]
    fn refuses_a_frame_shorter_than_its_header() {
        for size in [0_u32, 1, 15] {
            let mut stream = frame(0, b"");
            stream[4..8].copy_from_slice(&size.to_le_bytes());
            assert_eq!(decode(&stream, 16, 8), Err(FrameError { size }));
        }
    }

    #[test]
    fn a_body_fits_below_and_at_the_buffer_and_is_drained_above() {
        for (length, fits) in [(7, true), (8, true), (9, false), (100, false)] {
            let stream = [frame(1, &vec![b' '; length]), frame(2, b"null")].concat();
            for chunk in [1, 5, 16, stream.len()] {
                let arrivals = decode(&stream, chunk, 8).unwrap();
                assert_eq!(arrivals.len(), 2);
                assert_eq!(
                    matches!(arrivals[0].0, Arrival::Frame(..)),
                    fits,
                    "{length}"
                );
                assert_eq!(arrivals[1].1, b"null");
            }
        }
    }

    #[test]
    fn a_frame_of_four_gib_is_drained_piece_by_piece() {
        let header = Header {
            message: NEGOTIATE,
            size: u32::MAX,
            sequence: Sequence(1),
        };
        assert_eq!(decode(&header.encode(), 16, 8), Ok(vec![]));
    }
}
