//! Prints its arguments, its environment and its auxiliary vector, and checks what the kernel promises of them.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::text::Shown;
use programs::{Arguments, call, entry, expect, instruction, say};

entry!(run);

// Kinds of the auxiliary vector (`include/uapi/linux/auxvec.h`).
const PROGRAM_HEADERS: u64 = 3;
const PROGRAM_HEADER_BYTES: u64 = 4;
const PROGRAM_HEADER_COUNT: u64 = 5;
const PAGE_BYTES: u64 = 6;
const ENTRY: u64 = 9;
const RANDOM: u64 = 25;
const EXECUTED_FILE: u64 = 31;

fn run(arguments: &Arguments) -> u8 {
    say!("argc={}", arguments.count());
    for (index, argument) in arguments.arguments().enumerate() {
        say!("argv[{index}]={}", Shown(argument.to_bytes()));
    }
    for variable in arguments.environment() {
        say!("env {}", Shown(variable.to_bytes()));
    }
    for (kind, value) in arguments.auxiliary() {
        say!("auxv {kind}={value:#x}");
    }

    let value = |kind| arguments.auxiliary_value(kind);
    let listed = arguments.arguments().count() as u64;
    expect!(
        arguments.count() == listed,
        "argc is {}, but argv has {listed}",
        arguments.count()
    );
    expect!(
        arguments.stack_address().is_multiple_of(16),
        "the stack is not aligned to 16 bytes"
    );
    expect!(
        value(PAGE_BYTES) == Some(4096),
        "a page has {:?} bytes",
        value(PAGE_BYTES)
    );
    expect!(
        value(ENTRY) == Some(instruction::entry_address()),
        "the entry is said to be at {:x?}",
        value(ENTRY)
    );
    expect!(
        value(PROGRAM_HEADER_BYTES) == Some(56),
        "a program header has {:?} bytes",
        value(PROGRAM_HEADER_BYTES)
    );
    expect!(
        matches!(value(PROGRAM_HEADER_COUNT), Some(1..=16)),
        "{:?} headers",
        value(PROGRAM_HEADER_COUNT)
    );
    for kind in [PROGRAM_HEADERS, RANDOM, EXECUTED_FILE] {
        let is_readable = value(kind).is_some_and(is_readable);
        expect!(is_readable, "auxv {kind}: there is no such memory");
    }
    0
}

/// Whether the kernel can read there on our behalf: it takes what stands there for a path, and says EFAULT when it cannot.
fn is_readable(address: u64) -> bool {
    call::open_from(address) != Err(call::Errno::EFAULT)
}
