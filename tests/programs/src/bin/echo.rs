//! Copies the standard input to the standard output in blocks of 64 KiB.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, call, complain, entry};

const BLOCK_BYTES: usize = 64 << 10;

entry!(run);

fn run(_: &Arguments) -> u8 {
    match copy() {
        Ok(()) => 0,
        Err(error) => {
            complain!("echo: {error:?}");
            1
        }
    }
}

fn copy() -> Result<(), call::Errno> {
    let block = call::map(BLOCK_BYTES)?;
    loop {
        let count = call::read(0, block)?;
        if count == 0 {
            return Ok(());
        }
        call::write_all(1, &block[..count])?;
    }
}
