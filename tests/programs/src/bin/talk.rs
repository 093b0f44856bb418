//! `talk SEED BYTES CODE`: writes that many bytes, which the seed decides, and ends with that exit code.
//!
//! Byte `i` is the top byte of `(SEED + i) * 2654435761`, modulo 2^32.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, USAGE, call, complain, entry};

const BLOCK_BYTES: usize = 1024;

/// Knuth's multiplier: neighbours differ.
const FACTOR: u32 = 2_654_435_761;

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let (Some(seed), Some(bytes), Some(code)) = (
        arguments.number(1),
        arguments.number(2),
        arguments.number(3),
    ) else {
        complain!("usage: talk SEED BYTES CODE");
        return USAGE;
    };
    let mut block = [0; BLOCK_BYTES];
    let mut next = seed as u32;
    let mut left = bytes;
    while left > 0 {
        let count = left.min(BLOCK_BYTES as u64);
        for byte in &mut block {
            *byte = (next.wrapping_mul(FACTOR) >> 24) as u8;
            next = next.wrapping_add(1);
        }
        if let Err(error) = call::write_all(1, &block[..count as usize]) {
            complain!("talk: {error:?}");
            return 1;
        }
        left -= count;
    }
    code as u8
}
