//! Frames: a 16-byte header and a body (gcs-protocol §3).
//!
//! ```text
//!  0        4        8                 16
//!  | type   | size   | id              | body: size - 16 bytes of JSON
//!    u32 le   u32 le   u64 le
//! ```

use std::io::{self, Read};

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 16;

/// Longest frame a guest may send, header included (hcsshim `internal/gcs/bridge.go`, `maxMsgSize`). A longer one
/// ends the bridge.
pub const MAX_GUEST_FRAME_BYTES: usize = 0x1_0000;

/// A frame's header.
///
/// # Example
///
/// ```
/// use mote_host::frame::Header;
/// let header = Header { message_type: 0x1010_0101, size: 16, id: 7 };
/// assert_eq!(Header::parse(&header.encode()), header);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What kind of message follows.
    pub message_type: u32,
    /// Length of the whole frame, these 16 bytes included.
    pub size: u32,
    /// Ties a response to its request; 0 for notifications, but also for the first request.
    pub id: u64,
}

impl Header {
    /// Reads a header.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::frame::Header;
    /// let header = Header::parse(&[1, 1, 0x10, 0x10, 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    /// assert_eq!((header.message_type, header.size, header.id), (0x1010_0101, 16, 7));
    /// ```
    #[must_use]
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [t0, t1, t2, t3, s0, s1, s2, s3, id @ ..] = *bytes;
        Self {
            message_type: u32::from_le_bytes([t0, t1, t2, t3]),
            size: u32::from_le_bytes([s0, s1, s2, s3]),
            id: u64::from_le_bytes(id),
        }
    }

    /// Writes a header.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::frame::Header;
    /// let bytes = Header { message_type: 0x1010_0101, size: 16, id: 7 }.encode();
    /// assert_eq!(bytes[..4], [1, 1, 0x10, 0x10]);
    /// ```
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.message_type.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.size.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.id.to_le_bytes());
        bytes
    }
}

/// A whole frame.
///
/// # Example
///
/// ```
/// use mote_host::frame::{self, Frame};
/// let bytes = frame::encode(0x1010_0101, 7, b"{}").unwrap();
/// let frame: Frame = frame::read(&mut &bytes[..])?.unwrap();
/// assert_eq!((frame.id, frame.body), (7, b"{}".to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What kind of message it is.
    pub message_type: u32,
    /// Its id.
    pub id: u64,
    /// Its body, JSON by agreement only.
    pub body: Vec<u8>,
}

/// Why the bytes of a peer are not a frame.
///
/// # Example
///
/// ```
/// use mote_host::frame::{self, FrameError};
/// let error = frame::read(&mut &[0; 16][..]).unwrap_err();
/// assert!(matches!(error, FrameError::TooShort { size: 0, .. }));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The size does not even cover the header.
    #[error(
        "frame size {size} is below the 16 bytes of its header (type {message_type:#010x}, id {id})"
    )]
    TooShort {
        /// Size in the header.
        size: u32,
        /// Type in the header.
        message_type: u32,
        /// Id in the header.
        id: u64,
    },
    /// The size is above [`MAX_GUEST_FRAME_BYTES`].
    #[error("frame size {size} is above the limit of 65536 (type {message_type:#010x}, id {id})")]
    TooLong {
        /// Size in the header.
        size: u32,
        /// Type in the header.
        message_type: u32,
        /// Id in the header.
        id: u64,
    },
    /// The stream ended inside a frame.
    #[error("stream ended inside a frame, after {got} of {want} bytes of its {part}")]
    Cut {
        /// Header or body.
        part: &'static str,
        /// Bytes that came.
        got: usize,
        /// Bytes that were announced.
        want: usize,
    },
    /// Reading failed.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
}

/// Returns the bytes of a frame, or `None` when the body is too long for the 32-bit size.
///
/// # Example
///
/// ```
/// let bytes = mote_host::frame::encode(0x1010_0101, 7, b"{}").unwrap();
/// assert_eq!(bytes.len(), 18);
/// ```
#[must_use]
pub fn encode(message_type: u32, id: u64, body: &[u8]) -> Option<Vec<u8>> {
    let header = Header {
        message_type,
        size: u32::try_from(HEADER_BYTES + body.len()).ok()?,
        id,
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&header.encode());
    bytes.extend_from_slice(body);
    Some(bytes)
}

/// Reads the next frame; `None` when the stream ends between two frames.
///
/// # Errors
///
/// [`FrameError`] when what came is not a frame a guest may send.
///
/// # Example
///
/// ```
/// use mote_host::frame;
/// let bytes = frame::encode(0x1010_0101, 7, b"{}").unwrap();
/// let mut stream = &bytes[..];
/// assert!(frame::read(&mut stream)?.is_some());
/// assert!(frame::read(&mut stream)?.is_none(), "it ends between two frames");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(reader: &mut impl Read) -> Result<Option<Frame>, FrameError> {
    let mut bytes = [0; HEADER_BYTES];
    match fill(reader, &mut bytes)? {
        0 => return Ok(None),
        HEADER_BYTES => {}
        got => {
            return Err(FrameError::Cut {
                part: "header",
                got,
                want: HEADER_BYTES,
            });
        }
    }
    let Header {
        message_type,
        size,
        id,
    } = Header::parse(&bytes);
    let length = size as usize;
    if length < HEADER_BYTES {
        return Err(FrameError::TooShort {
            size,
            message_type,
            id,
        });
    }
    if length > MAX_GUEST_FRAME_BYTES {
        return Err(FrameError::TooLong {
            size,
            message_type,
            id,
        });
    }
    let mut body = vec![0; length - HEADER_BYTES];
    let got = fill(reader, &mut body)?;
    if got != body.len() {
        return Err(FrameError::Cut {
            part: "body",
            got,
            want: body.len(),
        });
    }
    Ok(Some(Frame {
        message_type,
        id,
        body,
    }))
}

/// Reads until `buffer` is full or the stream ends; returns how much came.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out its bytes in pieces of one size.
    struct Chunks<'a>(&'a [u8], usize);

    impl Read for Chunks<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len()).min(self.0.len());
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    fn header(size: u32) -> [u8; HEADER_BYTES] {
        Header {
            message_type: 0x2010_0b01,
            size,
            id: 7,
        }
        .encode()
    }

    #[test]
    fn writes_the_first_message_of_every_session_as_the_protocol_shows_it() {
        let body = [b' '; 125 - HEADER_BYTES];
        let bytes = encode(0x1010_0b01, 0, &body).expect("125 bytes fit a 32-bit size");
        assert_eq!(
            bytes[..HEADER_BYTES],
            [
                0x01, 0x0b, 0x10, 0x10, 0x7d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
            ]
        );
    }

    #[test]
    fn reads_what_it_wrote_at_every_chunk_size() {
        let mut bytes = encode(0x2010_0201, 3, b"{\"Result\":0}").expect("short");
        bytes.extend(encode(0x3010_0101, 0, b"").expect("short"));
        for chunk in 1..=bytes.len() {
            let mut reader = Chunks(&bytes, chunk);
            let first = read(&mut reader).expect("a frame").expect("not the end");
            assert_eq!((first.message_type, first.id), (0x2010_0201, 3));
            assert_eq!(first.body, b"{\"Result\":0}");
            let second = read(&mut reader).expect("a frame").expect("not the end");
            assert!(second.body.is_empty());
            assert!(read(&mut reader).expect("the end").is_none());
        }
    }

    #[test]
    fn refuses_a_size_below_the_header_and_takes_the_header_alone() {
        for size in [0, 1, 15] {
            let error = read(&mut header(size).as_slice()).expect_err("too short");
            assert!(matches!(error, FrameError::TooShort { .. }), "{error}");
        }
        assert!(
            read(&mut header(16).as_slice())
                .expect("16 is a frame")
                .is_some()
        );
    }

    #[test]
    fn takes_65535_and_65536_bytes_and_refuses_65537() {
        for size in [65535, 65536] {
            let mut bytes = header(size).to_vec();
            bytes.resize(size as usize, b' ');
            assert!(
                read(&mut bytes.as_slice())
                    .expect("within the limit")
                    .is_some()
            );
        }
        for size in [65537, u32::MAX] {
            let error = read(&mut header(size).as_slice()).expect_err("too long");
            assert!(matches!(error, FrameError::TooLong { .. }), "{error}");
        }
    }

    #[test]
    fn says_where_a_stream_was_cut() {
        let bytes = encode(0x2010_0201, 3, b"{}").expect("short");
        for cut in 1..bytes.len() {
            let error = read(&mut &bytes[..cut]).expect_err("cut");
            let FrameError::Cut { part, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(part, if cut < HEADER_BYTES { "header" } else { "body" });
        }
    }
}
