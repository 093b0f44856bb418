//! Switches its terminal to raw mode, says so, and sends back what it reads.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::{Arguments, call, complain, entry};

const TCGETS: u32 = 0x5401;
const TCSETSF: u32 = 0x5404;

entry!(run);

fn run(_: &Arguments) -> u8 {
    // c_iflag, c_oflag and c_lflag without any flag; one byte ends a read.
    let mut settings = [0; 36];
    let mut raw = call::control_bytes(0, TCGETS, &mut settings);
    settings[..8].fill(0);
    settings[12..16].fill(0);
    (settings[17 + 6], settings[17 + 5]) = (1, 0);
    raw = raw.and_then(|_| call::control_bytes(0, TCSETSF, &mut settings));
    if let Err(error) = raw {
        complain!("raw: {error:?}");
        return 1;
    }
    let mut block = [0; 4096];
    let mut sent = call::write_all(1, b"raw\n");
    while sent.is_ok() {
        sent = match call::read(0, &mut block) {
            Ok(0) => break,
            Ok(count) => call::write_all(1, &block[..count]),
            Err(error) => Err(error),
        };
    }
    0
}
