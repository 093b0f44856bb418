//! `writer MIB`: writes that many MiB to the standard output as fast as it is taken.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, USAGE, call, complain, entry};

const BLOCK_BYTES: usize = 64 << 10;

/// What is written, over and over: byte `i` of a block is `i % 251`, so that a lost or doubled byte shows.
static BLOCK: [u8; BLOCK_BYTES] = block();

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let Some(blocks) = arguments
        .number(1)
        .and_then(|mib| mib.checked_mul((1 << 20) / BLOCK_BYTES as u64))
    else {
        complain!("usage: writer MIB");
        return USAGE;
    };
    for _ in 0..blocks {
        if let Err(error) = call::write_all(1, &BLOCK) {
            complain!("writer: {error:?}");
            return 1;
        }
    }
    0
}

const fn block() -> [u8; BLOCK_BYTES] {
    let mut bytes = [0; BLOCK_BYTES];
    let mut index = 0;
    while index < bytes.len() {
        bytes[index] = (index % 251) as u8;
        index += 1;
    }
    bytes
}
