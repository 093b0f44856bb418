//! A position-independent program: says where it was put, and checks that the kernel told it the truth.
//!
//! It has no C library that would apply relocations at its start, so it must need none: no formatting here, whose tables
//! hold absolute addresses. (`std-hello-pie` is one that relocates itself.)
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, call, entry, instruction};

/// `AT_PHDR` and `AT_ENTRY` of the auxiliary vector.
const PROGRAM_HEADERS: u64 = 3;
const ENTRY: u64 = 9;
/// Where the program headers stand in a file linked by us: behind the ELF header.
const HEADER_BYTES: u64 = 64;

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let base = arguments
        .auxiliary_value(PROGRAM_HEADERS)
        .unwrap_or(0)
        .wrapping_sub(HEADER_BYTES);
    if base.trailing_zeros() < 12 || base == 0 {
        return say(b"pie: not put at the start of a page: ", base, 1);
    }
    if arguments.auxiliary_value(ENTRY) != Some(instruction::entry_address()) {
        return say(
            b"pie: the entry is elsewhere than the kernel says, at ",
            base,
            1,
        );
    }
    say(b"pie: put at 0x", base, 0)
}

/// Writes a line that ends in a hexadecimal number and passes `code` on.
fn say(text: &[u8], number: u64, code: u8) -> u8 {
    let mut digits = [b'\n'; 17];
    for (place, digit) in digits.iter_mut().take(16).enumerate() {
        let value = (number >> (60 - 4 * place)) as u8 & 0xf;
        *digit = if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        };
    }
    // A closed output is not what this program is about.
    let _ = call::write_all(1, text).and_then(|()| call::write_all(1, &digits));
    code
}
