//! What no other family refuses: files and pipes, sockets, memory, processes, signals and clocks asked for what cannot be.

mod file;
mod process;
mod signal;
mod socket;

use crate::check::{BAD, CLOSED, check, say, sys};
use crate::child::apart;
use crate::mask::SET;

pub(crate) fn run() {
    file::run();
    socket::run();
    memory();
    process::run();
    signal::run();
    times();
}

fn memory() {
    const PAGE: i64 = 4096;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let at = sys!(SYS_mmap, 0, 3 * PAGE, libc::PROT_READ, flags, -1, 0).expect("memory");
    let remap = |size: i64, to: i64, how: i32| sys!(SYS_mremap, at, size, to, how, 0);
    check("mremap", "no room behind it", remap(PAGE, 2 * PAGE, 0));
    sys!(SYS_munmap, at, 3 * PAGE).expect("mapped");
    // Only what is mapped from then on: what there is may be more than a user may lock.
    apart(|| {
        check(
            "mlockall",
            "what comes",
            sys!(SYS_mlockall, libc::MCL_FUTURE),
        );
        check("munlockall", "no more", sys!(SYS_munlockall));
    });
    let mut base = 0_u64;
    check(
        "arch_prctl",
        "where a thread's memory is",
        sys!(SYS_arch_prctl, 0x1003, &raw mut base),
    );
    say("arch_prctl", "it is somewhere", base != 0);
    let head = [0_u64; 3];
    // What the C library has told it is told again before the list is gone.
    apart(|| {
        check(
            "set_robust_list",
            "a list",
            sys!(SYS_set_robust_list, head.as_ptr(), 24),
        );
    });
    check(
        "sysinfo",
        "all of it",
        sys!(SYS_sysinfo, [0_u64; 14].as_mut_ptr()),
    );
}

fn times() {
    let soon = [0_u64, 1];
    for clock in [libc::CLOCK_MONOTONIC_RAW, libc::CLOCK_REALTIME_COARSE] {
        let case = format!("clock {clock}, which nobody can wait for");
        check(
            "clock_nanosleep",
            &case,
            sys!(SYS_clock_nanosleep, clock, 0, soon.as_ptr(), 0),
        );
    }
    check(
        "rt_sigsuspend",
        "another size",
        sys!(SYS_rt_sigsuspend, BAD, SET / 2),
    );
    check(
        "fcntl",
        "F_GETLK, not open",
        sys!(SYS_fcntl, CLOSED, libc::F_GETLK, 0),
    );
}
