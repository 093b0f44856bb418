//! `clock [spoil | watch]`: the functions with which a program tells the time by itself say what the system calls say.
//!
//! Each reading of a function lies between two readings by call. `spoil` then writes over this
//! program's own copy of them. `watch` reads the clock a thousand times and waits for its input to end, so that one can look
//! which system calls it has made.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::ffi::CStr;
use programs::call::{self, Errno, Open};
use programs::vdso::{Time, Vdso};
use programs::{Arguments, entry, expect};

entry!(run);

const GETTIME: &CStr = c"__vdso_clock_gettime";
const GETRES: &CStr = c"__vdso_clock_getres";
/// REALTIME, MONOTONIC, PROCESS_CPUTIME_ID, THREAD_CPUTIME_ID, MONOTONIC_RAW, BOOTTIME, TAI: those that are no coarser than
/// the call's on any kernel.
const CLOCKS: [i32; 7] = [0, 1, 2, 3, 4, 7, 11];

fn run(arguments: &Arguments) -> u8 {
    let Some(vdso) = Vdso::find(arguments) else {
        programs::complain!("no vDSO");
        return 1;
    };
    if arguments.text(1) == Some("watch") {
        return watch(&vdso);
    }
    for clock in CLOCKS {
        for _ in 0..100 {
            let before = call::read_clock(clock);
            let found = vdso.clock(GETTIME, clock);
            let after = call::read_clock(clock);
            let (Ok(before), Some((0, time)), Ok(after)) = (before, found, after) else {
                programs::complain!("clock {clock}: {before:?} {found:?} {after:?}");
                return 1;
            };
            let in_order = before <= time && time <= after;
            expect!(in_order, "clock {clock}: {before:?} {time:?} {after:?}");
        }
        let (told, found) = (call::resolution(clock), vdso.clock(GETRES, clock));
        let is_same = matches!((told, found), (Ok(told), Some((0, found))) if told == found);
        expect!(is_same, "resolution {clock}: {told:?} {found:?}");
    }
    for unknown in [10, 12, 31, 33, 64, i32::MAX] {
        for name in [GETTIME, GETRES] {
            let refusal = vdso.clock(name, unknown).map(|(result, _)| result);
            expect!(refusal == Some(-22), "clock {unknown}: {refusal:?}");
        }
        let refusal = call::read_clock(unknown);
        expect!(
            refusal == Err(Errno::EINVAL),
            "clock {unknown}: {refusal:?}"
        );
    }
    let whole = |time: Time| (time.seconds, time.rest / 1000);
    let before = call::read_clock(0).map(whole);
    let (day, seconds) = (vdso.time_of_day(), vdso.time());
    let after = call::read_clock(0).map(whole);
    let (Ok(before), Some(day), Some(seconds), Ok(after)) = (before, day, seconds, after) else {
        programs::complain!("time of day: {before:?} {day:?} {seconds:?} {after:?}");
        return 1;
    };
    let day = (day.seconds, day.rest);
    let in_order = before <= day && day <= after;
    expect!(in_order, "time of day: {before:?} {day:?} {after:?}");
    // Linux tells the second of its last tick here, which may be the one before.
    let is_this_second = (before.0 - 1..=after.0).contains(&seconds);
    expect!(is_this_second, "time: {before:?} {seconds} {after:?}");
    expect!(vdso.processor().is_some(), "no processor");
    if arguments.text(1) == Some("spoil") {
        // Whoever runs next finds the functions whole. (Linux does not let a program change the page's rights.)
        let spoiled = call::open(c"/dev/zero", Open::READ).and_then(|zeroes| vdso.spoil(zeroes));
        let expected = Ok((Errno::EFAULT, 64));
        expect!(spoiled == expected, "written over: {spoiled:?}");
    }
    0
}

fn watch(vdso: &Vdso) -> u8 {
    for clock in (0..1000).map(|turn| CLOCKS[turn % 2]) {
        let found = vdso.clock(GETTIME, clock);
        expect!(matches!(found, Some((0, _))), "clock {clock}: {found:?}");
    }
    programs::say!("read");
    let end = call::read(0, &mut [0]);
    u8::from(end != Ok(0))
}
