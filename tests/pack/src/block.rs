//! One block of LZ4's block format: made, walked through, ended as the stub wants it, and the sum over that.

use crate::PackError;
use crate::plan::ALIGN_BYTES;
use lz4::block::{CompressionMode, compress as lz4_compress};

/// LZ4's strongest, which tries all parsings: this is done once per build, and unpacking takes no longer.
const LEVEL: i32 = 12;
/// The shortest match (lz4 `doc/lz4_Block_format.md`).
const MIN_MATCH: usize = 4;
/// As in `boot/src/bin/unpack.rs`: odd, so that no difference in one word is lost.
const SUM_MULTIPLIER: u32 = 0x9e37_79b1;
/// What stands behind a block: the offset of a match that no block has (lz4 `doc/lz4_Block_format.md`).
const END: [u8; 2] = [0; 2];

/// Compresses `bytes` to one block.
///
/// # Errors
///
/// What LZ4 said.
pub fn compress(bytes: &[u8]) -> Result<Vec<u8>, PackError> {
    Ok(lz4_compress(
        bytes,
        Some(CompressionMode::HIGHCOMPRESSION(LEVEL)),
        false,
    )?)
}

/// Returns what the stub reads: the block, its end, and zeros up to a multiple of 16 bytes.
pub(crate) fn ended(block: &[u8]) -> Vec<u8> {
    let mut bytes = [block, &END].concat();
    bytes.resize(bytes.len().next_multiple_of(ALIGN_BYTES as usize), 0);
    bytes
}

/// Returns the sum that the stub makes of what it is about to unpack. A change inside of one word of four bytes always shows,
/// one of several does with all but one in 2³² chances.
///
/// # Panics
///
/// When the length is no multiple of 4.
#[must_use]
pub fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "a sum of whole words");
    words.iter().fold(0, |sum, word| {
        sum.wrapping_add(u32::from_le_bytes(*word))
            .wrapping_mul(SUM_MULTIPLIER)
            .swap_bytes()
    })
}

/// How much of a block has been read and how much was written by then: after one of its sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) struct Progress {
    pub(crate) read: usize,
    pub(crate) written: usize,
}

/// Walks through a block and returns where each of its sequences ends.
///
/// # Errors
///
/// Where the block ends inside of a sequence, or has a match that begins before what it unpacks to.
pub(crate) fn sequences(block: &[u8]) -> Result<Vec<Progress>, PackError> {
    let mut ends = Vec::new();
    let mut at = Progress {
        read: 0,
        written: 0,
    };
    loop {
        let token = byte(block, &mut at.read)?;
        let literals = length(block, &mut at.read, token >> 4)?;
        at.read += literals;
        at.written += literals;
        if at.read >= block.len() {
            break;
        }
        let offset = usize::from(u16::from_le_bytes([
            byte(block, &mut at.read)?,
            byte(block, &mut at.read)?,
        ]));
        if !(1..=at.written).contains(&offset) {
            return Err(PackError::Block(at.read));
        }
        at.written += MIN_MATCH + length(block, &mut at.read, token & 15)?;
        ends.push(at);
    }
    if at.read > block.len() {
        return Err(PackError::Block(block.len()));
    }
    ends.push(at);
    Ok(ends)
}

/// A length of four bits, and the bytes that follow when these are all set.
fn length(block: &[u8], read: &mut usize, bits: u8) -> Result<usize, PackError> {
    let mut length = usize::from(bits);
    if bits == 15 {
        loop {
            let more = byte(block, read)?;
            length += usize::from(more);
            if more != u8::MAX {
                break;
            }
        }
    }
    Ok(length)
}

fn byte(block: &[u8], read: &mut usize) -> Result<u8, PackError> {
    let byte = *block.get(*read).ok_or(PackError::Block(*read))?;
    *read += 1;
    Ok(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walking_through_a_block_ends_at_its_end_and_at_that_of_its_bytes() {
        let text: Vec<u8> = (0..100_000_u32)
            .flat_map(|number| (number / 7).to_le_bytes())
            .collect();
        let block = compress(&text).expect("it compresses");
        let end = sequences(&block).expect("it is whole").pop();
        assert_eq!(
            end,
            Some(Progress {
                read: block.len(),
                written: text.len()
            })
        );
    }

    #[test]
    fn a_block_cut_anywhere_but_behind_literals_is_refused() {
        let block = compress(b"abcabcabcabcabcabcabcabcabc and so on").expect("it compresses");
        let whole = sequences(&block).expect("it is whole");
        for cut in 0..block.len() {
            // What ends behind literals is a whole block, of fewer bytes.
            if let Ok(ends) = sequences(&block[..cut]) {
                assert!(
                    ends.len() <= whole.len() && ends.last() < whole.last(),
                    "{cut}"
                );
            }
        }
        assert!(matches!(sequences(&[]), Err(PackError::Block(0))));
        assert!(matches!(sequences(&[0x50, 1, 2]), Err(PackError::Block(3))));
        assert!(matches!(sequences(&[0xf0, 255]), Err(PackError::Block(2))));
    }

    #[test]
    fn a_match_of_nothing_or_of_what_is_before_the_first_byte_is_refused() {
        for (offset, is_good) in [(0, false), (1, true), (3, true), (4, false), (255, false)] {
            let walked = sequences(&[0x30, 1, 2, 3, offset, 0, 0x50, 1, 2, 3, 4, 5]);
            assert_eq!(walked.is_ok(), is_good, "{offset}");
        }
    }

    #[test]
    fn behind_a_block_stands_the_offset_that_no_match_has_and_all_is_whole_lines() {
        for bytes in 1..40 {
            let block = vec![0xff; bytes];
            let ended = ended(&block);
            assert!(ended.starts_with(&block) && ended[bytes..].iter().all(|byte| *byte == 0));
            assert_eq!(ended.len(), (bytes + 2).next_multiple_of(16));
        }
    }

    #[test]
    fn a_sum_tells_each_bit_and_each_exchange_of_words() {
        let bytes: Vec<u8> = (0..64).collect();
        let right = sum(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum(&other), right, "bit {bit}");
        }
        for word in 0..15 {
            let mut other = bytes.clone();
            other[word * 4..word * 4 + 8].rotate_left(4);
            assert_ne!(sum(&other), right, "words {word} and the next");
        }
    }
}
