//! The random generator: ChaCha20 with fast key erasure, fed by the processor and by the host.
//!
//! Every request takes a fresh block of key stream; its first half becomes the next key before anything is handed out,
//! so that what was given earlier cannot be computed from what the generator holds now. The block function is fifty
//! lines and has published vectors (RFC 8439), which is less to trust than a crate that chooses among vector units.

use crate::wait::{Stall, WakeKey};

/// Bytes of a key, and of the entropy that makes the generator usable.
pub(crate) const SEED_BYTES: usize = 32;

/// Bytes of one block of key stream.
const BLOCK_BYTES: usize = 64;

/// The words every ChaCha state begins with (RFC 8439 §2.3).
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

impl crate::fs::Random for Random {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Stall> {
        if !self.is_seeded() {
            return Err(Stall::wait(WakeKey::Seed));
        }
        Self::fill(self, bytes);
        Ok(())
    }
}

/// A generator of random bytes.
#[derive(Clone)]
pub(crate) struct Random {
    key: [u32; 8],
    /// Blocks made; the nonce, so that a key that stays the same by accident does not repeat itself.
    blocks: u64,
    /// Bytes of entropy that came in, up to [`SEED_BYTES`].
    entropy: usize,
}

impl core::fmt::Debug for Random {
    /// Says whether it is seeded; the key is a secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Random({} of {SEED_BYTES} bytes)", self.entropy)
    }
}

impl Random {
    /// Makes a generator that knows nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            key: [0; 8],
            blocks: 0,
            entropy: 0,
        }
    }

    /// Mixes entropy in.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(SEED_BYTES) {
            for (index, &byte) in chunk.iter().enumerate() {
                self.key[index / 4] ^= u32::from(byte) << (8 * (index % 4));
            }
            self.block();
            self.entropy = (self.entropy + chunk.len()).min(SEED_BYTES);
        }
    }

    /// Returns whether enough entropy came in for bytes that nobody can guess.
    pub(crate) const fn is_seeded(&self) -> bool {
        self.entropy >= SEED_BYTES
    }

    /// Fills `into` with random bytes, the best there are.
    pub(crate) fn fill(&mut self, into: &mut [u8]) {
        for chunk in into.chunks_mut(BLOCK_BYTES - SEED_BYTES) {
            let fresh = self.block();
            chunk.copy_from_slice(&fresh[..chunk.len()]);
        }
    }

    /// Returns a random number.
    pub(crate) fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Replaces the key and returns the other half of the block.
    fn block(&mut self) -> [u8; BLOCK_BYTES - SEED_BYTES] {
        let nonce = [0, self.blocks as u32, (self.blocks >> 32) as u32];
        self.blocks = self.blocks.wrapping_add(1);
        let words = chacha20(&self.key, 0, nonce);
        self.key.copy_from_slice(&words[..8]);
        let mut bytes = [0; BLOCK_BYTES - SEED_BYTES];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(&words[8..]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// The ChaCha20 block function (RFC 8439 §2.3).
fn chacha20(key: &[u32; 8], counter: u32, nonce: [u32; 3]) -> [u32; 16] {
    let mut start = [0; 16];
    start[..4].copy_from_slice(&CONSTANTS);
    start[4..12].copy_from_slice(key);
    start[12] = counter;
    start[13..].copy_from_slice(&nonce);
    let mut state = start;
    for _ in 0..10 {
        for column in 0..4 {
            quarter(&mut state, [column, column + 4, column + 8, column + 12]);
        }
        for diagonal in 0..4 {
            let at = |row: usize| 4 * row + (diagonal + row) % 4;
            quarter(&mut state, [at(0), at(1), at(2), at(3)]);
        }
    }
    for (word, start) in state.iter_mut().zip(start) {
        *word = word.wrapping_add(start);
    }
    state
}

/// The quarter round (RFC 8439 §2.1).
fn quarter(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    for (first, second, third, left) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        state[first] = state[first].wrapping_add(state[second]);
        state[third] = (state[third] ^ state[first]).rotate_left(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_the_block_of_rfc_8439() {
        // RFC 8439 §2.3.2.
        let mut key = [0; 8];
        for (index, word) in key.iter_mut().enumerate() {
            let first = 4 * index as u32;
            *word = first | (first + 1) << 8 | (first + 2) << 16 | (first + 3) << 24;
        }
        let block = chacha20(&key, 1, [0x0900_0000, 0x4a00_0000, 0]);
        assert_eq!(
            block,
            [
                0xe4e7_f110,
                0x1559_3bd1,
                0x1fdd_0f50,
                0xc471_20a3,
                0xc7f4_d1c7,
                0x0368_c033,
                0x9aaa_2204,
                0x4e6c_d4c3,
                0x4664_82d2,
                0x09aa_9f07,
                0x05d7_c214,
                0xa202_8bd9,
                0xd19c_12b5,
                0xb94e_16de,
                0xe883_d0cb,
                0x4e3c_50a2,
            ]
        );
    }

    #[test]
    fn is_seeded_by_exactly_the_seed_s_length() {
        let mut random = Random::new();
        random.add(&[7; SEED_BYTES - 1]);
        assert!(!random.is_seeded());
        random.add(&[7]);
        assert!(random.is_seeded());
    }

    #[test]
    fn never_gives_the_same_bytes_twice() {
        let mut random = Random::new();
        let mut first = [0; 100];
        let mut second = [0; 100];
        random.fill(&mut first);
        random.fill(&mut second);
        assert_ne!(first, second);
        assert_ne!(first[..32], first[32..64]);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
        let bytes = |seed: &[u8]| {
            let mut random = Random::new();
            random.add(seed);
            random.next_u64()
        };
        assert_eq!(bytes(&[1; 32]), bytes(&[1; 32]));
        assert_ne!(bytes(&[1; 32]), bytes(&[2; 32]));
    }
}
