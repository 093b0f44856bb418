//! What a task is to the kernel: its ids, its futexes, where it may run, its limits, its name.

use crate::check::{BAD, CLOSED, check, say, sys, works};
use crate::child::apart;

pub(crate) fn run() {
    identity();
    scheduling();
    dropping();
}

fn identity() {
    let own = i64::from(std::process::id());
    check(
        "gettid",
        "the first thread",
        sys!(SYS_gettid).map(|it| i64::from(it == own)),
    );
    check(
        "set_tid_address",
        "nowhere",
        sys!(SYS_set_tid_address, 0).map(|it| i64::from(it == own)),
    );
    let word = 5_u32;
    let at = &raw const word;
    let futex = |case: &str, operation: i32, value: u32, time: *const u64| {
        check("futex", case, sys!(SYS_futex, at, operation, value, time))
    };
    let (zero, little) = ([0_u64, 0], [0_u64, 2_000_000]);
    futex(
        "wait for another value",
        libc::FUTEX_WAIT,
        6,
        std::ptr::null(),
    );
    futex("wait, no time", libc::FUTEX_WAIT, 5, zero.as_ptr());
    futex(
        "wait, 2 ms",
        libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
        5,
        little.as_ptr(),
    );
    futex(
        "wait, a bad time",
        libc::FUTEX_WAIT,
        5,
        [0_u64, 2_000_000_000].as_ptr(),
    );
    futex("wake nobody", libc::FUTEX_WAKE, 1, std::ptr::null());
    check(
        "futex",
        "an odd address",
        sys!(SYS_futex, at as u64 + 1, libc::FUTEX_WAIT, 5, zero.as_ptr()),
    );
    check(
        "futex",
        "wait with no bits",
        sys!(
            SYS_futex,
            at,
            libc::FUTEX_WAIT_BITSET,
            5,
            zero.as_ptr(),
            0,
            0
        ),
    );
    check(
        "futex",
        "wake with no bits",
        sys!(
            SYS_futex,
            at,
            libc::FUTEX_WAKE_BITSET,
            5,
            zero.as_ptr(),
            0,
            0
        ),
    );
    let other = 0_u32;
    check(
        "futex",
        "requeue nobody",
        sys!(
            SYS_futex,
            at,
            libc::FUTEX_CMP_REQUEUE,
            1,
            1,
            &raw const other,
            5
        ),
    );
    check(
        "futex",
        "requeue, another value",
        sys!(
            SYS_futex,
            at,
            libc::FUTEX_CMP_REQUEUE,
            1,
            1,
            &raw const other,
            6
        ),
    );
    check(
        "set_robust_list",
        "another size",
        sys!(SYS_set_robust_list, at, 8),
    );
    let handle = std::thread::spawn(|| {
        // SAFETY: the call has no arguments.
        let tid = unsafe { libc::gettid() };
        i64::from(tid) != i64::from(std::process::id())
    });
    say(
        "clone",
        "a thread has an id of its own",
        handle.join().expect("it ends"),
    );
    check(
        "clone",
        "a thread without its memory",
        sys!(SYS_clone, libc::CLONE_THREAD, 0, 0, 0, 0),
    );
    check(
        "clone",
        "signal actions without memory",
        sys!(SYS_clone, libc::CLONE_SIGHAND, 0, 0, 0, 0),
    );
    check(
        "clone3",
        "too short a structure",
        sys!(SYS_clone3, [0_u64; 11].as_ptr(), 8),
    );
    check(
        "arch_prctl",
        "an unknown operation",
        sys!(SYS_arch_prctl, 0x9999, 0),
    );
    check(
        "arch_prctl",
        "a base in the kernel's half",
        sys!(SYS_arch_prctl, 0x1002, -1_i64),
    );
}

fn scheduling() {
    check("sched_yield", "it comes back", sys!(SYS_sched_yield));
    let mut set = [0_u64; 128];
    check(
        "sched_getaffinity",
        "room for too little",
        sys!(SYS_sched_getaffinity, 0, 4, set.as_mut_ptr()),
    );
    check(
        "sched_getaffinity",
        "nobody",
        sys!(SYS_sched_getaffinity, 4_000_000, 1024, set.as_mut_ptr()),
    );
    check(
        "sched_getaffinity",
        "a bad address",
        sys!(SYS_sched_getaffinity, 0, 1024, BAD),
    );
    works("getpriority", "itself", sys!(SYS_getpriority, 0, 0)).expect("it is told");
    check(
        "getpriority",
        "an unknown kind",
        sys!(SYS_getpriority, 9, 0),
    );
    check("getpriority", "nobody", sys!(SYS_getpriority, 0, 4_000_000));
    let mut limits = [0_u64; 2];
    check(
        "prlimit64",
        "an unknown resource",
        sys!(SYS_prlimit64, 0, CLOSED, 0, limits.as_mut_ptr()),
    );
    check(
        "prlimit64",
        "nobody",
        sys!(
            SYS_prlimit64,
            4_000_000,
            libc::RLIMIT_NOFILE,
            0,
            limits.as_mut_ptr()
        ),
    );
    check(
        "prlimit64",
        "more than at most",
        sys!(
            SYS_prlimit64,
            0,
            libc::RLIMIT_NOFILE,
            [10_u64, 5].as_ptr(),
            0
        ),
    );
    check(
        "getrlimit",
        "an unknown resource",
        sys!(SYS_getrlimit, CLOSED, limits.as_mut_ptr()),
    );
    check(
        "getrlimit",
        "a bad address",
        sys!(SYS_getrlimit, libc::RLIMIT_NOFILE, BAD),
    );
    check(
        "getrusage",
        "itself",
        sys!(SYS_getrusage, 0, [0_u64; 18].as_mut_ptr()),
    );
    check(
        "getrusage",
        "an unknown kind",
        sys!(SYS_getrusage, 9, [0_u64; 18].as_mut_ptr()),
    );
    check("getrusage", "a bad address", sys!(SYS_getrusage, 0, BAD));
    apart(|| {
        check(
            "prlimit64",
            "fewer files",
            sys!(
                SYS_prlimit64,
                0,
                libc::RLIMIT_NOFILE,
                [4_u64, 64].as_ptr(),
                0
            ),
        );
        check(
            "open",
            "one file too many",
            sys!(SYS_dup, 0).and_then(|_| sys!(SYS_dup, 0)),
        );
        check(
            "prlimit64",
            "back",
            sys!(
                SYS_prlimit64,
                0,
                libc::RLIMIT_NOFILE,
                [64_u64, 64].as_ptr(),
                0
            ),
        );
    });
}

fn dropping() {
    check("prctl", "an unknown operation", sys!(SYS_prctl, 9999, 0));
    let mut name = [0_u8; 16];
    check(
        "prctl",
        "a name",
        sys!(SYS_prctl, libc::PR_SET_NAME, c"a name longer than fits"),
    );
    check(
        "prctl",
        "the name",
        sys!(SYS_prctl, libc::PR_GET_NAME, name.as_mut_ptr()),
    );
    say(
        "prctl",
        "it was cut",
        String::from_utf8_lossy(&name).escape_debug(),
    );
    check(
        "prctl",
        "a bad name",
        sys!(SYS_prctl, libc::PR_SET_NAME, BAD),
    );
    check(
        "prctl",
        "no new rights",
        sys!(SYS_prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
    );
    check(
        "prctl",
        "the parent's death",
        sys!(SYS_prctl, libc::PR_SET_PDEATHSIG, 99),
    );
    let mut bytes = [0_u8; 32];
    let at = bytes.as_mut_ptr();
    check("getrandom", "32 bytes", sys!(SYS_getrandom, at, 32, 0));
    check(
        "getrandom",
        "an unknown flag",
        sys!(SYS_getrandom, at, 32, 0x100),
    );
    check(
        "getrandom",
        "a bad address",
        sys!(SYS_getrandom, BAD, 32, 0),
    );
    check("getrandom", "both pools", sys!(SYS_getrandom, at, 32, 6));
    check("uname", "a bad address", sys!(SYS_uname, BAD));
    check("uname", "a name", sys!(SYS_uname, [0_u8; 390].as_mut_ptr()));
    check("sysinfo", "a bad address", sys!(SYS_sysinfo, BAD));
    check("times", "a bad address", sys!(SYS_times, BAD));
    check("getcpu", "which", sys!(SYS_getcpu, at, 0, 0));
    check("personality", "Linux's", sys!(SYS_personality, 0));
    check("personality", "asked", sys!(SYS_personality, u32::MAX));
    check("getcpu", "a bad address", sys!(SYS_getcpu, BAD, 0, 0));
    check("an unknown call", "500 further than there are", {
        // SAFETY: no kernel has this call.
        unsafe { crate::check::call(1000, [0; 6]) }
    });
}
