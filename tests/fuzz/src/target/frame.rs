//! Frames: any stream of bytes, in any pieces, gives what reading it in one piece gives.

use super::Target;
use crate::script::Script;
use agent::frame::{Arrival, Decoder};
use agent::limits::HEADER_BYTES;

pub(super) const FRAME: Target = Target {
    name: "frame",
    about: "the frame decoder gives the same frames however the stream is cut",
    corpus,
    words: &[
        b"\x10\0\0\0",
        b"\x0f\0\0\0",
        b"\x11\0\0\0",
        b"\x50\0\0\0",
        b"\x51\0\0\0",
        b"\xff\xff\xff\xff",
    ],
    weight: 1,
    max_bytes: 1024,
    run,
};

/// Room for a body: small, so that oversized frames are drained by inputs of some hundred bytes.
const BODY_BYTES: usize = 64;

/// A frame as it came: type, size and body, the body absent when it did not fit.
type Seen = (u32, u32, Option<Vec<u8>>);

fn corpus() -> Vec<Vec<u8>> {
    let frame = |body: &[u8]| {
        let size = (HEADER_BYTES + body.len()) as u32;
        [
            &0x1010_0b01_u32.to_le_bytes(),
            &size.to_le_bytes(),
            &7_u64.to_le_bytes()[..],
            body,
        ]
        .concat()
    };
    let stream = [
        frame(b"{}"),
        frame(b""),
        frame(&[b'x'; BODY_BYTES]),
        frame(&[b'y'; BODY_BYTES + 1]),
        frame(b"{}"),
    ]
    .concat();
    vec![
        [vec![1, 2, 3, 200], stream.clone()].concat(),
        [vec![0; 4], stream].concat(),
    ]
}

fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let pieces = script.bytes(4);
    let stream = script.all();
    assert_eq!(decode(stream, pieces), read(stream));
}

/// Through the decoder, in pieces of `pieces[i] + 1` bytes in turn.
fn decode(stream: &[u8], pieces: &[u8]) -> (Vec<Seen>, bool) {
    let mut decoder = Decoder::new();
    let mut body = [0; BODY_BYTES];
    let mut seen = Vec::new();
    let mut rest = stream;
    let mut sizes = pieces.iter().cycle();
    while !rest.is_empty() {
        let limit = sizes.next().map_or(1, |&size| usize::from(size) + 1);
        let place = decoder.wanted(&mut body);
        assert!(
            !place.is_empty(),
            "nothing is wanted, but the stream goes on"
        );
        let count = limit.min(place.len()).min(rest.len());
        place[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        match decoder.advance(count, &body) {
            Ok(None) => {}
            Ok(Some(Arrival::Frame(header, length))) => {
                seen.push((header.message.0, header.size, Some(body[..length].to_vec())))
            }
            Ok(Some(Arrival::Oversized(header))) => {
                seen.push((header.message.0, header.size, None))
            }
            Err(_) => return (seen, false),
        }
    }
    (seen, true)
}

/// The same by the book, from one slice.
fn read(mut stream: &[u8]) -> (Vec<Seen>, bool) {
    let mut seen = Vec::new();
    while let Some((header, rest)) = stream.split_at_checked(HEADER_BYTES) {
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (kind, size) = (number(0), number(4));
        let Some(length) = (size as usize).checked_sub(HEADER_BYTES) else {
            return (seen, false);
        };
        let Some((body, rest)) = rest.split_at_checked(length) else {
            break;
        };
        seen.push((kind, size, (length <= BODY_BYTES).then(|| body.to_vec())));
        stream = rest;
    }
    (seen, true)
}
