//! `sleep MS`: sleeps, and checks that it was not less.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, USAGE, call, complain, entry, expect, say};

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let Some(milliseconds) = arguments.number(1) else {
        complain!("usage: sleep MS");
        return USAGE;
    };
    let started = call::nanoseconds();
    let result = call::sleep(milliseconds);
    let slept = (call::nanoseconds() - started) / 1_000_000;
    expect!(result.is_ok(), "sleep: {result:?}");
    expect!(slept >= milliseconds, "sleep: only {slept} ms");
    say!("slept {slept} ms");
    0
}
