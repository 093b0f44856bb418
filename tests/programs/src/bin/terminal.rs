//! Makes a terminal, sits on both sides of it, and checks that it does what Linux's do.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::ffi::CStr;
use programs::call::{self, Descriptor, Errno, Open};
use programs::{Arguments, complain, entry, say};

const TCGETS: u32 = 0x5401;
const TCSETS: u32 = 0x5402;
const TCSETSF: u32 = 0x5404;
const TCFLSH: u32 = 0x540b;
const TIOCGPGRP: u32 = 0x540f;
const TIOCGWINSZ: u32 = 0x5413;
const TIOCSWINSZ: u32 = 0x5414;
const FIONREAD: u32 = 0x541b;
const FIONBIO: u32 = 0x5421;
const TIOCGPTN: u32 = 0x8004_5430;
const TIOCSPTLCK: u32 = 0x4004_5431;

/// Bytes of `struct termios`, and where in it the flags and characters are.
const TERMIOS_BYTES: usize = 36;
const LOCAL: usize = 12;
const TIME: usize = 17 + 5;
const MINIMUM: usize = 17 + 6;

/// ICANON and ECHO.
const LINES: u8 = 0o12;

/// A check that did not hold, and the error where there was one.
struct Broken(&'static str, Option<Errno>);

type Try = Result<(), Broken>;

entry!(run);

fn run(_: &Arguments) -> u8 {
    match try_terminal() {
        Ok(()) => {
            say!("terminal: made, typed into, read, resized, hung up");
            0
        }
        Err(Broken(what, error)) => {
            complain!("terminal: {what}: {error:?}");
            1
        }
    }
}

fn check(holds: bool, what: &'static str) -> Try {
    if holds {
        Ok(())
    } else {
        Err(Broken(what, None))
    }
}

fn step(what: &'static str) -> impl Fn(Errno) -> Broken {
    move |error| Broken(what, Some(error))
}

/// Checks that the next read gives exactly this.
fn expect(terminal: Descriptor, bytes: &[u8], what: &'static str) -> Try {
    let mut found = [0; 256];
    let count = call::read(terminal, &mut found).map_err(step(what))?;
    check(found[..count] == *bytes, what)
}

fn settings(terminal: Descriptor) -> Result<[u8; TERMIOS_BYTES], Broken> {
    let mut bytes = [0; TERMIOS_BYTES];
    call::control_bytes(terminal, TCGETS, &mut bytes).map_err(step("TCGETS"))?;
    Ok(bytes)
}

fn readable(terminal: Descriptor) -> Result<u32, Broken> {
    let mut count = [0; 4];
    call::control_bytes(terminal, FIONREAD, &mut count).map_err(step("FIONREAD"))?;
    Ok(u32::from_le_bytes(count))
}

fn try_terminal() -> Try {
    let master = call::open(c"/dev/ptmx", Open::BOTH).map_err(step("open /dev/ptmx"))?;
    let mut number = [0; 4];
    call::control_bytes(master, TIOCGPTN, &mut number).map_err(step("TIOCGPTN"))?;
    let mut path = *b"/dev/pts/\0\0\0\0";
    let slave_path = name(&mut path, u32::from_le_bytes(number))?;
    check(
        call::open(slave_path, Open::BOTH) == Err(Errno::EIO),
        "a locked slave can be opened",
    )?;
    call::control_bytes(master, TIOCSPTLCK, &mut [0; 4]).map_err(step("TIOCSPTLCK"))?;
    let slave = call::open(slave_path, Open::BOTH).map_err(step("open the slave"))?;
    try_lines(master, slave)?;
    try_raw(master, slave)?;
    try_window(master, slave)?;
    let group = call::control_bytes(slave, TIOCGPGRP, &mut [0; 4]);
    check(
        group == Err(Errno::ENOTTY),
        "a terminal that is not ours has a foreground",
    )?;
    call::close(master).map_err(step("close"))?;
    expect(slave, b"", "a terminal that was hung up has no end")?;
    check(
        call::write(slave, b"x") == Err(Errno::EIO),
        "a terminal that was hung up takes bytes",
    )?;
    call::close(slave).map_err(step("close"))
}

/// Completes the path of a slave.
fn name(path: &mut [u8], number: u32) -> Result<&CStr, Broken> {
    let mut at = path.len() - 4;
    for unit in [100, 10, 1] {
        if number >= unit || unit == 1 {
            path[at] = b'0' + (number / unit % 10) as u8;
            at += 1;
        }
    }
    CStr::from_bytes_until_nul(path).map_err(|_| Broken("the number is too long", None))
}

fn try_lines(master: Descriptor, slave: Descriptor) -> Try {
    call::write_all(master, b"one\x7fe\rtwo\x04").map_err(step("type"))?;
    expect(master, b"one\x08 \x08e\r\ntwo", "echo")?;
    check(readable(slave)? == 7, "FIONREAD counts lines")?;
    expect(slave, b"one\n", "a line")?;
    expect(slave, b"two", "a line ended by ^D")?;
    call::write_all(master, b"\x04").map_err(step("type"))?;
    expect(slave, b"", "^D alone")?;
    let mut piece = [0; 3];
    call::write_all(master, b"abcdef\n").map_err(step("type"))?;
    check(
        call::read(slave, &mut piece) == Ok(3) && piece == *b"abc",
        "a piece of a line",
    )?;
    expect(slave, b"def\n", "the rest of the line")?;
    call::write_all(slave, b"out\n").map_err(step("write"))?;
    expect(master, b"abcdef\r\nout\r\n", "output")?;
    call::write_all(master, b"forgotten\n").map_err(step("type"))?;
    call::control(slave, TCFLSH, 0).map_err(step("TCFLSH"))?;
    check(readable(slave)? == 0, "flushed input can be read")
}

fn try_raw(master: Descriptor, slave: Descriptor) -> Try {
    let before = settings(slave)?;
    let mut raw = before;
    raw[LOCAL] &= !LINES;
    (raw[MINIMUM], raw[TIME]) = (0, 1);
    call::control_bytes(slave, TCSETSF, &mut raw).map_err(step("TCSETSF"))?;
    check(
        settings(master)? == raw,
        "both sides have the same settings",
    )?;
    expect(slave, b"", "VTIME ends a read")?;
    (raw[MINIMUM], raw[TIME]) = (3, 0);
    call::control_bytes(slave, TCSETS, &mut raw).map_err(step("TCSETS"))?;
    call::write_all(master, b"ab").map_err(step("type"))?;
    call::write_all(master, b"\x04cd").map_err(step("type"))?;
    expect(slave, b"ab\x04cd", "VMIN bytes, and what else is there")?;
    (raw[MINIMUM], raw[TIME]) = (1, 0);
    call::control_bytes(slave, TCSETS, &mut raw).map_err(step("TCSETS"))?;
    call::control_bytes(slave, FIONBIO, &mut [1, 0, 0, 0]).map_err(step("FIONBIO"))?;
    check(
        call::read(slave, &mut [0; 8]) == Err(Errno::EAGAIN),
        "a read that must not wait",
    )?;
    call::control_bytes(slave, FIONBIO, &mut [0; 4]).map_err(step("FIONBIO"))?;
    call::control_bytes(slave, TCSETS, &mut before.clone()).map_err(step("TCSETS"))?;
    // Echo of what was typed while it was switched off never came.
    call::write_all(master, b"x\n").map_err(step("type"))?;
    expect(slave, b"x\n", "a line again")?;
    let mut seen = [0; 64];
    let count = call::read(master, &mut seen).map_err(step("read"))?;
    check(seen[..count].ends_with(b"x\r\n"), "echo again")
}

fn try_window(master: Descriptor, slave: Descriptor) -> Try {
    let mut window = [0xff; 8];
    call::control_bytes(slave, TIOCGWINSZ, &mut window).map_err(step("TIOCGWINSZ"))?;
    check(window == [0; 8], "a new window has a size")?;
    let mut wanted = [24, 0, 80, 0, 0, 0, 0, 0];
    call::control_bytes(master, TIOCSWINSZ, &mut wanted).map_err(step("TIOCSWINSZ"))?;
    call::control_bytes(slave, TIOCGWINSZ, &mut window).map_err(step("TIOCGWINSZ"))?;
    check(window == wanted, "the window has another size")
}
