//! `exit N`: ends with exit code N, 0 to 255.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, USAGE, complain, entry};

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let Some(code) = arguments.text(1).and_then(|text| text.parse().ok()) else {
        complain!("usage: exit N");
        return USAGE;
    };
    code
}
