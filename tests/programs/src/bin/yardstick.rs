//! `yardstick [ROUNDS [DIVISOR [NAME]]]`: what some things cost that programs do all the time.
//!
//! Prints a line `NAME COUNTS` for each of them in each round, in counts of the time stamp counter, and at last
//! `clock NANOSECONDS COUNTS`: what the kernel's clock and the counter went in between. The counter is the machine's, so
//! that two kernels are compared by the same clock, whatever each makes of it. Each thing is checked to be really done.
//! The numbers of repetitions are divided by `DIVISOR`, for a run that only shows that everything works; with a `NAME` only
//! that thing is done, for a look at what it spends its time on.
//!
//! The same file runs on Linux: `tests/bench` puts the two side by side. Called with the argument `exit` it does nothing.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::ffi::CStr;
use core::sync::atomic::{AtomicU64, Ordering};
use programs::call::{self, Errno, Open};
use programs::instruction::time_stamp;
use programs::task::{self, Poll, Side};
use programs::{Arguments, USAGE, complain, entry, say};

entry!(run);

const PAGE_BYTES: usize = 4096;
const FILE_BYTES: usize = 64 << 10;
const FAULT_PAGES: usize = 512;
const TOUCH_PAGES: usize = 16;
const POLLED: usize = 100;
const SIGUSR1: u8 = 10;

/// Where files are made: a file system in memory on both kernels.
const CACHED: &CStr = c"/tmp/yardstick-cached";
const BRIEF: &CStr = c"/tmp/yardstick-brief";

/// One of the things: its name, how often it is repeated, and the work that many times.
type Thing = (&'static str, u64, fn(u64, &Arguments) -> Result<u64, Errno>);

const THINGS: [Thing; 13] = [
    ("null", 20_000, null),
    ("into", 20_000, into),
    ("getpid", 20_000, getpid),
    ("fork_exit", 200, fork_exit),
    ("fork_exec_exit", 100, fork_exec_exit),
    ("thread", 200, thread),
    ("switch", 2_000, switch),
    ("fault", 4, fault),
    ("map_touch", 200, map_touch),
    ("read_64k", 1_000, read_64k),
    ("create_unlink", 1_000, create_unlink),
    ("signal", 2_000, signal),
    ("poll_100", 1_000, poll_100),
];

fn run(arguments: &Arguments) -> u8 {
    if arguments.text(1) == Some("exit") {
        return 0;
    }
    let number = |index| match arguments.text(index) {
        None => Some(1),
        Some(text) => text.parse().ok().filter(|&number: &u64| number > 0),
    };
    let (Some(rounds), Some(divisor)) = (number(1), number(2)) else {
        complain!("yardstick [ROUNDS [DIVISOR [NAME]]]");
        return USAGE;
    };
    let (began, first) = (call::nanoseconds(), time_stamp());
    for _ in 0..rounds {
        for (name, repetitions, work) in THINGS {
            if arguments.text(3).is_some_and(|wanted| wanted != name) {
                continue;
            }
            match work((repetitions / divisor).max(1), arguments) {
                Ok(counts) => say!("{name} {counts}"),
                Err(errno) => {
                    complain!("{name}: {errno:?}");
                    return 1;
                }
            }
        }
    }
    let (nanoseconds, counts) = (call::nanoseconds() - began, time_stamp() - first);
    say!("clock {nanoseconds} {counts}");
    0
}

/// Counts for one of `times`, after one that is not counted.
fn each(times: u64, mut work: impl FnMut() -> Result<(), Errno>) -> Result<u64, Errno> {
    work()?;
    let started = time_stamp();
    for _ in 0..times {
        work()?;
    }
    Ok((time_stamp() - started) / times)
}

/// Fails with an error that no call of these gives when what a call did is not what it was asked for.
fn check(holds: bool) -> Result<(), Errno> {
    if holds { Ok(()) } else { Err(Errno::EIO) }
}

/// The call that lmbench takes for one that does nothing: getppid.
fn null(times: u64, _: &Arguments) -> Result<u64, Errno> {
    each(times, || check(call::parent_id() != u64::MAX))
}

/// The way into the kernel and back: umask, which has next to nothing to do there, and which no kernel answers on the way.
fn into(times: u64, _: &Arguments) -> Result<u64, Errno> {
    let before = call::umask(0o22);
    let counts = each(times, || check(call::umask(0o22) == 0o22))?;
    call::umask(before);
    Ok(counts)
}

fn getpid(times: u64, _: &Arguments) -> Result<u64, Errno> {
    each(times, || check(call::process_id() != 0))
}

fn fork_exit(times: u64, _: &Arguments) -> Result<u64, Errno> {
    each(times, || match task::fork()? {
        Side::Child => call::exit(7),
        Side::Parent(child) => check(task::wait_for(child)? == 7 << 8),
    })
}

/// The program run is this one, by the name it was called by.
fn fork_exec_exit(times: u64, arguments: &Arguments) -> Result<u64, Errno> {
    let path = arguments.arguments().next().unwrap_or_default();
    each(times, || match task::fork()? {
        Side::Child => {
            task::execute(path, &[c"yardstick", c"exit"]);
            call::exit(1)
        }
        Side::Parent(child) => check(task::wait_for(child)? == 0),
    })
}

static RUN: AtomicU64 = AtomicU64::new(0);

extern "C" fn count() {
    RUN.fetch_add(1, Ordering::Relaxed);
}

fn thread(times: u64, _: &Arguments) -> Result<u64, Errno> {
    let stack = call::map(4 * PAGE_BYTES)?;
    let before = RUN.load(Ordering::Relaxed);
    let counts = each(times, || task::on_a_thread(stack, count))?;
    check(RUN.load(Ordering::Relaxed) == before + times + 1)?;
    call::unmap(stack)?;
    Ok(counts)
}

/// A byte goes to another process and back: two switches.
fn switch(times: u64, _: &Arguments) -> Result<u64, Errno> {
    let (there_read, there_write) = task::pipe()?;
    let (back_read, back_write) = task::pipe()?;
    let mut byte = [0];
    let child = match task::fork()? {
        Side::Child => {
            let closed = call::close(there_write);
            while call::read(there_read, &mut byte) == Ok(1) {
                if call::write(back_write, &byte) != Ok(1) {
                    call::exit(1);
                }
            }
            call::exit(u8::from(closed.is_err()))
        }
        Side::Parent(child) => child,
    };
    let counts = each(times, || {
        check(call::write(there_write, &byte)? == 1)?;
        check(call::read(back_read, &mut byte)? == 1)
    })?;
    for end in [there_read, there_write, back_read, back_write] {
        call::close(end)?;
    }
    check(task::wait_for(child)? == 0)?;
    Ok(counts / 2)
}

/// The first write to a page of fresh memory.
fn fault(times: u64, _: &Arguments) -> Result<u64, Errno> {
    let mut counts = 0;
    for _ in 0..times {
        let memory = call::map(FAULT_PAGES * PAGE_BYTES)?;
        let started = time_stamp();
        task::touch_pages(memory);
        counts += time_stamp() - started;
        call::unmap(memory)?;
    }
    Ok(counts / (times * FAULT_PAGES as u64))
}

/// 64 KiB mapped, each page written to, unmapped.
fn map_touch(times: u64, _: &Arguments) -> Result<u64, Errno> {
    each(times, || {
        let memory = call::map(TOUCH_PAGES * PAGE_BYTES)?;
        task::touch_pages(memory);
        call::unmap(memory)
    })
}

fn read_64k(times: u64, _: &Arguments) -> Result<u64, Errno> {
    let memory = call::map(FILE_BYTES)?;
    memory.fill(0x5a);
    let file = call::open(CACHED, Open::CREATE)?;
    call::write_all(file, memory)?;
    let counts = each(times, || {
        check(task::read_at(file, memory, 0)? == FILE_BYTES)
    })?;
    call::close(file)?;
    call::unlink(CACHED)?;
    call::unmap(memory)?;
    Ok(counts)
}

fn create_unlink(times: u64, _: &Arguments) -> Result<u64, Errno> {
    each(times, || {
        call::close(call::open(BRIEF, Open::CREATE)?)?;
        call::unlink(BRIEF)
    })
}

static CAME: AtomicU64 = AtomicU64::new(0);

extern "C" fn came(_: i32) {
    CAME.fetch_add(1, Ordering::Relaxed);
}

/// A signal sent to oneself, its handler run, and back.
fn signal(times: u64, _: &Arguments) -> Result<u64, Errno> {
    task::on_signal(SIGUSR1, came)?;
    let pid = call::process_id();
    let before = CAME.load(Ordering::Relaxed);
    let counts = each(times, || call::kill(pid, SIGUSR1))?;
    check(CAME.load(Ordering::Relaxed) == before + times + 1)?;
    Ok(counts)
}

/// A hundred empty pipes asked at once.
fn poll_100(times: u64, _: &Arguments) -> Result<u64, Errno> {
    let mut ends = [(0, 0); POLLED];
    for pair in &mut ends {
        *pair = task::pipe()?;
    }
    let mut polls = ends.map(|(read, _)| Poll::readable(read));
    let counts = each(times, || check(task::count_ready(&mut polls)? == 0))?;
    for (read, write) in ends {
        call::close(read)?;
        call::close(write)?;
    }
    Ok(counts)
}
