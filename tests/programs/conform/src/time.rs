//! Time: clocks, sleeping, the time of day.

use crate::check::{BAD, check, say, sys};
use libc::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW,
    CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_THREAD_CPUTIME_ID,
    TIMER_ABSTIME,
};

pub(crate) fn run() {
    let mut time = [0_u64; 2];
    for (case, clock) in [
        ("real time", CLOCK_REALTIME),
        ("monotonic", CLOCK_MONOTONIC),
        ("the process's", CLOCK_PROCESS_CPUTIME_ID),
        ("the thread's", CLOCK_THREAD_CPUTIME_ID),
        ("raw", CLOCK_MONOTONIC_RAW),
        ("coarse real time", CLOCK_REALTIME_COARSE),
        ("coarse monotonic", CLOCK_MONOTONIC_COARSE),
        ("since boot", CLOCK_BOOTTIME),
        ("an unknown clock", 99),
    ] {
        check(
            "clock_gettime",
            case,
            sys!(SYS_clock_gettime, clock, time.as_mut_ptr()),
        );
        say(
            "clock_gettime",
            &format!("{case}: nanoseconds are below a second"),
            time[1] < 1_000_000_000,
        );
        check(
            "clock_getres",
            case,
            sys!(SYS_clock_getres, clock, time.as_mut_ptr()),
        );
    }
    check(
        "clock_gettime",
        "a bad address",
        sys!(SYS_clock_gettime, CLOCK_REALTIME, BAD),
    );
    check(
        "clock_getres",
        "nowhere",
        sys!(SYS_clock_getres, CLOCK_REALTIME, 0),
    );
    let (mut before, mut after) = ([0_u64; 2], [0_u64; 2]);
    sys!(SYS_clock_gettime, CLOCK_MONOTONIC, before.as_mut_ptr()).expect("a clock");
    let little = [0_u64, 3_000_000];
    check("nanosleep", "3 ms", sys!(SYS_nanosleep, little.as_ptr(), 0));
    sys!(SYS_clock_gettime, CLOCK_MONOTONIC, after.as_mut_ptr()).expect("a clock");
    let nanos = |time: [u64; 2]| time[0] * 1_000_000_000 + time[1];
    say(
        "nanosleep",
        "not less than 3 ms",
        nanos(after) - nanos(before) >= 3_000_000,
    );
    let sleep = |case: &str, time: [u64; 2]| {
        check("nanosleep", case, sys!(SYS_nanosleep, time.as_ptr(), 0))
    };
    sleep("no time", [0, 0]);
    sleep("too many nanoseconds", [0, 1_000_000_000]);
    sleep("negative seconds", [-1_i64 as u64, 0]);
    check("nanosleep", "a bad address", sys!(SYS_nanosleep, BAD, 0));
    let clock = |case: &str, clock: i32, flags: i32, time: [u64; 2]| {
        check(
            "clock_nanosleep",
            case,
            sys!(SYS_clock_nanosleep, clock, flags, time.as_ptr(), 0),
        )
    };
    clock(
        "a moment that has passed",
        CLOCK_MONOTONIC,
        TIMER_ABSTIME,
        [0, 5],
    );
    clock(
        "a moment of real time that has passed",
        CLOCK_REALTIME,
        TIMER_ABSTIME,
        [5, 5],
    );
    clock("1 ms", CLOCK_MONOTONIC, 0, [0, 1_000_000]);
    clock("1 ms since boot", CLOCK_BOOTTIME, 0, [0, 1_000_000]);
    clock(
        "too many nanoseconds",
        CLOCK_MONOTONIC,
        0,
        [0, 1_000_000_000],
    );
    clock("an unknown clock", 99, 0, [0, 1]);
    clock("the thread's own clock", CLOCK_THREAD_CPUTIME_ID, 0, [0, 1]);
    check(
        "clock_nanosleep",
        "a bad address",
        sys!(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, BAD, 0),
    );
    let mut day = [0_u64; 2];
    check(
        "gettimeofday",
        "now",
        sys!(SYS_gettimeofday, day.as_mut_ptr(), 0),
    );
    say(
        "gettimeofday",
        "as the clock",
        day[0].abs_diff(sys!(SYS_time, 0).expect("told") as u64) <= 1,
    );
    check(
        "gettimeofday",
        "a bad address",
        sys!(SYS_gettimeofday, BAD, 0),
    );
    check("time", "a bad address", sys!(SYS_time, BAD));
}
