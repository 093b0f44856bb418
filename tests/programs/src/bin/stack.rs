//! `stack KIB`: uses that much stack, level by level; the stack must grow under it.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, USAGE, complain, entry, instruction, say};

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let Some(levels) = arguments.number(1) else {
        complain!("usage: stack KIB");
        return USAGE;
    };
    instruction::deepen(levels);
    say!("stack: {levels} KiB");
    0
}
