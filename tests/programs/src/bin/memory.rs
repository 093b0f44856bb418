//! `memory MIB`: maps that much, writes every page and reads it back; then the same by `brk`. Exit code 12 (ENOMEM)
//! when the kernel refuses the memory, which it must do without ending anybody else.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::call::{self, Errno};
use programs::{Arguments, USAGE, complain, entry, expect, say};

const PAGE_BYTES: usize = 4096;
const NO_MEMORY: u8 = 12;

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let Some(bytes) = arguments
        .number(1)
        .and_then(|mib| usize::try_from(mib.checked_mul(1 << 20)?).ok())
    else {
        complain!("usage: memory MIB");
        return USAGE;
    };
    let mapped = match call::map(bytes) {
        Ok(mapped) => mapped,
        Err(Errno::ENOMEM) => return NO_MEMORY,
        Err(error) => {
            complain!("memory: mmap: {error:?}");
            return 1;
        }
    };
    expect!(
        fills(mapped),
        "memory: a mapped page did not keep its bytes"
    );
    let result = call::unmap(mapped);
    expect!(result.is_ok(), "memory: munmap: {result:?}");
    let Some(grown) = call::grow_break(bytes) else {
        return NO_MEMORY;
    };
    expect!(
        fills(grown),
        "memory: a page below the break did not keep its bytes"
    );
    say!("memory: {bytes} bytes, twice");
    0
}

/// Whether every page begins as zeroes and keeps what is written to it.
fn fills(memory: &mut [u8]) -> bool {
    for (number, page) in memory.chunks_mut(PAGE_BYTES).enumerate() {
        if page.iter().any(|&byte| byte != 0) {
            return false;
        }
        let mark = (number as u64).to_le_bytes();
        page[..8].copy_from_slice(&mark);
    }
    memory
        .chunks(PAGE_BYTES)
        .enumerate()
        .all(|(number, page)| page[..8] == (number as u64).to_le_bytes())
}
