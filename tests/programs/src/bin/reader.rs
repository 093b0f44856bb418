//! Reads the standard input to its end and prints how many bytes there were.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, call, complain, entry, say};

const BLOCK_BYTES: usize = 64 << 10;

entry!(run);

fn run(_: &Arguments) -> u8 {
    let block = match call::map(BLOCK_BYTES) {
        Ok(block) => block,
        Err(error) => {
            complain!("reader: {error:?}");
            return 1;
        }
    };
    let mut bytes = 0;
    loop {
        match call::read(0, block) {
            Ok(0) => break,
            Ok(count) => bytes += count,
            Err(error) => {
                complain!("reader: {error:?} after {bytes} bytes");
                return 1;
            }
        }
    }
    say!("{bytes}");
    0
}
