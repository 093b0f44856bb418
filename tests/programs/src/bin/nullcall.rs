//! `nullcall [CALLS]`: what a system call costs: nanoseconds per `umask`, which has next to nothing to do in the kernel,
//! and per call that does not exist.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::call::{self, Errno};
use programs::{Arguments, entry, expect, say};

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let calls = arguments
        .number(1)
        .unwrap_or(200_000)
        .clamp(1, u32::MAX.into());
    let known = each(calls, || {
        call::umask(0o22);
    });
    let unknown = each(calls, || {
        // Counted below, once; here only the way there and back matters.
        let _ = call::unknown(0);
    });
    let refusal = call::unknown(0);
    expect!(
        refusal == Err(Errno::ENOSYS),
        "a call that does not exist gave {refusal:?}"
    );
    say!("call_ns={known} unknown_ns={unknown} calls={calls}");
    0
}

fn each(calls: u64, call: impl Fn()) -> u64 {
    let started = call::nanoseconds();
    for _ in 0..calls {
        call();
    }
    (call::nanoseconds() - started) / calls
}
