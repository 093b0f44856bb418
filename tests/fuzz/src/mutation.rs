//! From a good example to a hostile one.
//!
//! Most mutations keep most of the example, because what is broken everywhere is refused at the first byte. The kinds are
//! those that have found bugs in parsers: numbers at their limits, words of the format in wrong places, pieces repeated,
//! removed, swapped between two examples, and cut ends.

use crate::random::Random;

/// The most mutations of one input.
const MAX_ROUNDS: usize = 8;
/// The longest piece that is repeated or removed at once.
const MAX_PIECE_BYTES: usize = 256;

/// Numbers that sit on an edge of some field.
const EDGES: [u64; 18] = [
    0,
    1,
    2,
    15,
    16,
    17,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// What a mutation may draw on.
pub struct Source<'a> {
    /// Good examples, and earlier inputs that were worth keeping.
    pub corpus: &'a [Vec<u8>],
    /// Words of the format.
    pub words: &'a [&'a [u8]],
    /// The longest input to make.
    pub max_bytes: usize,
}

/// Makes a new input from the source.
pub fn input(source: &Source<'_>, random: &mut Random) -> Vec<u8> {
    let mut bytes = random.choose(source.corpus).cloned().unwrap_or_default();
    for _ in 0..1 + random.below(MAX_ROUNDS) {
        mutate(&mut bytes, source, random);
    }
    bytes.truncate(source.max_bytes);
    bytes
}

fn mutate(bytes: &mut Vec<u8>, source: &Source<'_>, random: &mut Random) {
    match random.below(10) {
        0 => flip_bit(bytes, random),
        1 => set_byte(bytes, random),
        2 | 3 => set_number(bytes, random),
        4 => remove_piece(bytes, random),
        5 => repeat_piece(bytes, random),
        6 => insert_word(bytes, source.words, random),
        7 => cut(bytes, random),
        8 => splice(bytes, source.corpus, random),
        _ => insert_noise(bytes, random),
    }
}

fn flip_bit(bytes: &mut [u8], random: &mut Random) {
    let place = random.below(bytes.len());
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 1 << random.below(8);
    }
}

fn set_byte(bytes: &mut [u8], random: &mut Random) {
    let place = random.below(bytes.len());
    if let Some(byte) = bytes.get_mut(place) {
        *byte = random.word() as u8;
    }
}

/// Writes an edge number of 1, 2, 4 or 8 bytes, aligned as often as not.
fn set_number(bytes: &mut [u8], random: &mut Random) {
    let width = 1 << random.below(4);
    let mut place = random.below(bytes.len());
    if random.is_once_in(2) {
        place -= place % width;
    }
    let edge = EDGES[random.below(EDGES.len())];
    let nearby = match random.below(4) {
        0 => edge.wrapping_add(1),
        1 => edge.wrapping_sub(1),
        _ => edge,
    };
    if let Some(field) = bytes.get_mut(place..place + width) {
        field.copy_from_slice(&nearby.to_le_bytes()[..width]);
    }
}

fn remove_piece(bytes: &mut Vec<u8>, random: &mut Random) {
    let (start, end) = piece(bytes, random);
    bytes.drain(start..end);
}

fn repeat_piece(bytes: &mut Vec<u8>, random: &mut Random) {
    let (start, end) = piece(bytes, random);
    let copy = bytes[start..end].repeat(1 + random.below(4));
    bytes.splice(end..end, copy);
}

fn insert_word(bytes: &mut Vec<u8>, words: &[&[u8]], random: &mut Random) {
    let place = random.below(bytes.len() + 1);
    let word = random.choose(words).copied().unwrap_or_default();
    // In the place of something, as often as between two things.
    let end = if random.is_once_in(2) {
        place
    } else {
        bytes.len().min(place + word.len())
    };
    bytes.splice(place..end, word.iter().copied());
}

fn cut(bytes: &mut Vec<u8>, random: &mut Random) {
    bytes.truncate(random.below(bytes.len() + 1));
}

/// The beginning of this input and the end of another.
fn splice(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let Some(other) = random.choose(corpus) else {
        return;
    };
    bytes.truncate(random.below(bytes.len() + 1));
    bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
}

fn insert_noise(bytes: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(bytes.len() + 1);
    let noise: Vec<u8> = (0..1 + random.below(16))
        .map(|_| random.word() as u8)
        .collect();
    bytes.splice(place..place, noise);
}

fn piece(bytes: &[u8], random: &mut Random) -> (usize, usize) {
    let start = random.below(bytes.len() + 1);
    let end = bytes.len().min(start + random.below(MAX_PIECE_BYTES + 1));
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(seed: u64) -> Vec<Vec<u8>> {
        let corpus = [b"a good example".to_vec(), Vec::new()];
        let source = Source {
            corpus: &corpus,
            words: &[b"null", b"{"],
            max_bytes: 40,
        };
        let mut random = Random::new(seed);
        (0..2000).map(|_| input(&source, &mut random)).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
    }

    #[test]
    fn no_input_is_longer_than_allowed() {
        assert!(inputs(9).iter().all(|input| input.len() <= 40));
    }

    #[test]
    fn without_a_corpus_there_are_still_inputs() {
        let source = Source {
            corpus: &[],
            words: &[],
            max_bytes: 40,
        };
        let mut random = Random::new(3);
        assert!((0..200).any(|_| !input(&source, &mut random).is_empty()));
    }
}
