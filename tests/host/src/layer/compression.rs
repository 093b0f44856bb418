//! What compresses tars: gzip and zstd, known by their first bytes and not by a name or a media type.

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

/// First bytes of what compresses tars. A frame of zstd that holds no data may stand before the first one that does; its
/// number has sixteen forms (RFC 8878, 3.1.2).
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const ZSTD_SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];

/// Most memory a frame may ask for to look back into: what zstd(1) itself takes unless told otherwise (`--long`).
const LARGEST_WINDOW_BYTES: u64 = 128 << 20;

/// Bytes read from a file, and out of a decoder, at once.
const FILE_CHUNK_BYTES: usize = 1 << 20;
const DECODED_CHUNK_BYTES: usize = 1 << 18;

/// Opens a file that may be compressed; what is read is what was before.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    (&mut file)
        .take(ZSTD.len() as u64)
        .read_to_end(&mut magic)?;
    file.rewind()?;
    let file = BufReader::with_capacity(FILE_CHUNK_BYTES, file);
    Ok(if magic.starts_with(&GZIP) {
        Box::new(buffered(MultiGzDecoder::new(file)))
    } else if magic == ZSTD || is_skipped(&magic) {
        Box::new(buffered(Zstd::new(file)))
    } else {
        Box::new(file)
    })
}

fn buffered<R: Read>(decoder: R) -> BufReader<R> {
    BufReader::with_capacity(DECODED_CHUNK_BYTES, decoder)
}

fn is_skipped(magic: &[u8]) -> bool {
    matches!(magic, [first, rest @ ..] if first & 0xf0 == 0x50 && rest == ZSTD_SKIPPED)
}

/// The content of all frames of a zstd file, one after the other.
struct Zstd<R: BufRead> {
    source: R,
    /// The frame that is being read.
    frame: Option<FrameDecoder>,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            frame: None,
        }
    }

    /// Begins the next frame; `None` where there is none. Frames without data are passed over.
    fn next_frame(&mut self) -> io::Result<Option<FrameDecoder>> {
        while !self.source.fill_buf()?.is_empty() {
            let mut frame = FrameDecoder::new();
            frame.set_max_window_size(LARGEST_WINDOW_BYTES);
            match frame.init(&mut self.source) {
                Ok(()) => return Ok(Some(frame)),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = &mut (&mut self.source).take(length);
                    if io::copy(skipped, &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(named(error)),
            }
        }
        Ok(None)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = &mut self.frame else {
                self.frame = self.next_frame()?;
                if self.frame.is_none() {
                    return Ok(0);
                }
                continue;
            };
            while frame.can_collect() == 0 && !frame.is_finished() {
                frame
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(named)?;
            }
            let count = frame.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            check(frame)?;
            self.frame = None;
        }
    }
}

fn named(error: FrameDecoderError) -> io::Error {
    io::Error::other(format!("zstd: {error}"))
}

/// Compares the checksum of a frame that carries one.
fn check(decoder: &FrameDecoder) -> io::Result<()> {
    match decoder.get_checksum_from_data() {
        Some(said) if Some(said) != decoder.get_calculated_checksum() => {
            Err(io::Error::other("zstd: a frame's checksum is wrong"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write;

    /// A frame without data of so many bytes.
    fn skipped(length: u32) -> Vec<u8> {
        let mut frame = vec![0x5a];
        frame.extend(ZSTD_SKIPPED);
        frame.extend(length.to_le_bytes());
        frame.resize(frame.len() + length as usize, 7);
        frame
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn content(file: &[u8]) -> io::Result<Vec<u8>> {
        let mut place = tempfile::NamedTempFile::new().expect("made");
        place.write_all(file).expect("written");
        let mut content = Vec::new();
        open(place.path())?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn sample() -> Vec<u8> {
        (0..700_000_u32)
            .map(|at| (at % 251 + at / 9_000) as u8)
            .collect()
    }

    #[test]
    fn what_was_compressed_comes_back_and_what_was_not_stays() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&sample()).expect("taken");
        let gzip = gzip.finish().expect("finished");
        for file in [sample(), gzip, zstd(&sample())] {
            assert!(content(&file).expect("readable") == sample());
        }
        for short in [&b""[..], b"P", b"\x28\xb5\x2f"] {
            assert_eq!(content(short).expect("readable"), short);
        }
    }

    #[test]
    fn frames_of_zstd_follow_each_other_and_those_without_data_are_passed_over() {
        let file = [
            skipped(0),
            zstd(b"one "),
            skipped(70_000),
            zstd(b""),
            zstd(b"two"),
            skipped(3),
        ];
        assert_eq!(content(&file.concat()).expect("readable"), b"one two");
    }

    #[test]
    fn zstd_that_ends_early_or_is_changed_is_refused() {
        let whole = zstd(&sample());
        for end in [4, 5, 9, whole.len() / 2, whole.len() - 1] {
            assert!(content(&whole[..end]).is_err(), "cut at {end}");
        }
        let mut changed = whole.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        let error = content(&changed).expect_err("its checksum is another one");
        assert!(error.to_string().contains("checksum"), "{error}");
        let cut = [zstd(b"x"), skipped(9)[..12].to_vec()].concat();
        assert!(content(&cut).is_err());
        assert!(content(&[zstd(b"x"), b"no frame".to_vec()].concat()).is_err());
    }

    #[test]
    fn a_frame_that_wants_to_look_back_too_far_is_refused() {
        // No content size, no checksum; the window's exponent above 2^10 in the upper five bits.
        for (exponent, is_taken) in [(17, true), (18, false)] {
            // An empty last block of raw bytes behind the header.
            let frame = [&ZSTD[..], &[0, exponent << 3, 1, 0, 0]].concat();
            assert_eq!(content(&frame).is_ok(), is_taken, "2^{}", exponent + 10);
        }
    }
}
