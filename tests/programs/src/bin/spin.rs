//! Takes the processor and never asks the kernel for anything: only preemption and a signal end it.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, entry};

entry!(run);

fn run(_: &Arguments) -> u8 {
    loop {
        core::hint::spin_loop();
    }
}
