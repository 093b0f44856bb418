//! Succeeds. The smallest program there is: what it costs to run, any program costs.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, entry};

entry!(run);

fn run(_: &Arguments) -> u8 {
    0
}
