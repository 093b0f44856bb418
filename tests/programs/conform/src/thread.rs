//! Threads: futexes, thread ids, barriers, waiting for signals, and what a process knows of its tasks.

use crate::check::{BAD, check, say, sys};
use libc::{SIGCHLD, SIGUSR1, SIGUSR2, timespec};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const WAIT: i32 = libc::FUTEX_WAIT;
const WAKE: i32 = libc::FUTEX_WAKE;
const PRIVATE: i32 = libc::FUTEX_PRIVATE_FLAG;

static SOON: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 2_000_000,
};

pub(crate) fn run() {
    refusals();
    waits();
    requeues();
    operations();
    shared();
    tasks();
    signals();
}

fn refusals() {
    let word = AtomicU32::new(5);
    let at = word.as_ptr();
    let futex = |case: &str, operation: i32, value: u32| {
        check(
            "futex",
            case,
            sys!(SYS_futex, at, operation, value, 0, 0, 0),
        );
    };
    futex("another value", WAIT, 4);
    futex("another value, private", WAIT | PRIVATE, 4);
    futex("an unknown operation", 99, 0);
    futex("a descriptor (gone since Linux 2.6.26)", 2, 0);
    futex("nobody to wake", WAKE, 1);
    futex("nobody to wake, all", WAKE, i32::MAX as u32);
    futex("no bits to wait for", libc::FUTEX_WAIT_BITSET, 5);
    futex("no bits to wake", libc::FUTEX_WAKE_BITSET, 1);
    futex("waking by a clock", WAKE | libc::FUTEX_CLOCK_REALTIME, 1);
    let odd = at.wrapping_byte_add(1);
    check(
        "futex",
        "not aligned",
        sys!(SYS_futex, odd, WAIT, 5, 0, 0, 0),
    );
    check(
        "futex",
        "to wake, not aligned",
        sys!(SYS_futex, odd, WAKE, 1, 0, 0, 0),
    );
    check(
        "futex",
        "a bad address",
        sys!(SYS_futex, 4096, WAIT, 5, 0, 0, 0),
    );
    check(
        "futex",
        "a bad address, private",
        sys!(SYS_futex, 4096, WAIT | PRIVATE, 5, 0, 0, 0),
    );
    check(
        "futex",
        "a bad time",
        sys!(SYS_futex, at, WAIT, 5, BAD, 0, 0),
    );
    let wrong = timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000_000,
    };
    check(
        "futex",
        "a second of nanoseconds",
        sys!(SYS_futex, at, WAIT, 5, &raw const wrong, 0, 0),
    );
    let wrong = timespec {
        tv_sec: -1,
        tv_nsec: 0,
    };
    check(
        "futex",
        "a negative time",
        sys!(SYS_futex, at, WAIT, 5, &raw const wrong, 0, 0),
    );
}

fn waits() {
    let word = AtomicU32::new(0);
    let at = word.as_ptr();
    let soon = &raw const SOON;
    check(
        "futex",
        "until a time",
        sys!(SYS_futex, at, WAIT, 0, soon, 0, 0),
    );
    let past = timespec {
        tv_sec: 0,
        tv_nsec: 1,
    };
    let past = &raw const past;
    let bitset = libc::FUTEX_WAIT_BITSET;
    check(
        "futex",
        "until a time that is over",
        sys!(SYS_futex, at, bitset, 0, past, 0, u32::MAX),
    );
    let realtime = bitset | libc::FUTEX_CLOCK_REALTIME;
    check(
        "futex",
        "the same by the wall clock",
        sys!(SYS_futex, at, realtime, 0, past, 0, u32::MAX),
    );
    let woken = thread::scope(|scope| {
        let waiter = scope.spawn(|| sys!(SYS_futex, word.as_ptr(), WAIT | PRIVATE, 0, 0, 0, 0));
        while sys!(SYS_futex, at, WAKE | PRIVATE, 1, 0, 0, 0) == Ok(0) {
            thread::yield_now();
        }
        waiter.join().expect("no panic")
    });
    check("futex", "woken", woken);
    let woken = thread::scope(|scope| {
        let (bits, place) = (0b110, at as usize);
        let waiter =
            scope.spawn(move || sys!(SYS_futex, place, libc::FUTEX_WAIT_BITSET, 0, 0, 0, bits));
        let wake = |bits: u32| sys!(SYS_futex, at, libc::FUTEX_WAKE_BITSET, 9, 0, 0, bits);
        let mut others = 0;
        while wake(0b010) == Ok(0) {
            others += wake(0b001).unwrap_or(0);
            thread::yield_now();
        }
        say("futex", "woken by other bits", others);
        waiter.join().expect("no panic")
    });
    check("futex", "woken by a bit of its own", woken);
}

fn requeues() {
    let words = [AtomicU32::new(0), AtomicU32::new(0)];
    let [first, second] = [words[0].as_ptr() as usize, words[1].as_ptr() as usize];
    let compare = libc::FUTEX_CMP_REQUEUE;
    check(
        "futex",
        "to move from another value",
        sys!(SYS_futex, first, compare, 0, 1, second, 1),
    );
    check(
        "futex",
        "to move a negative number",
        sys!(SYS_futex, first, compare, 0, -1, second, 0),
    );
    check(
        "futex",
        "nobody to move",
        sys!(SYS_futex, first, compare, 1, 1, second, 0),
    );
    let woken = thread::scope(|scope| {
        let waiter = scope.spawn(move || sys!(SYS_futex, first, WAIT, 0, 0, 0, 0));
        while sys!(SYS_futex, first, compare, 0, 1, second, 0) == Ok(0) {
            thread::yield_now();
        }
        check(
            "futex",
            "nobody is left where it was",
            sys!(SYS_futex, first, WAKE, 1, 0, 0, 0),
        );
        check(
            "futex",
            "somebody is where it was moved",
            sys!(SYS_futex, second, WAKE, 1, 0, 0, 0),
        );
        waiter.join().expect("no panic")
    });
    check("futex", "moved and woken", woken);
}

fn operations() {
    let words = [AtomicU32::new(0), AtomicU32::new(6)];
    let [first, second] = [words[0].as_ptr(), words[1].as_ptr()];
    // FUTEX_OP(operation, argument, comparison, compared).
    let wake_op = |case: &str, operation: u32, argument: u32, comparison: u32| {
        let code = operation << 28 | comparison << 24 | argument << 12 | 6;
        let answer = sys!(SYS_futex, first, libc::FUTEX_WAKE_OP, 1, 1, second, code);
        check("futex", case, answer);
        say(
            "futex",
            &format!("{case}, the word"),
            words[1].load(Ordering::Relaxed),
        );
        words[1].store(6, Ordering::Relaxed);
    };
    wake_op("set", 0, 9, 0);
    wake_op("add", 1, 9, 1);
    wake_op("or", 2, 9, 2);
    wake_op("and not", 3, 2, 3);
    wake_op("exclusive or", 4, 9, 4);
    wake_op("or, shifted", 2 | 8, 4, 5);
    wake_op("an unknown operation on it", 5, 0, 0);
}

/// A word that two processes have.
fn shared() {
    // SAFETY: new memory for one word.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(page, libc::MAP_FAILED);
    let pid = sys!(SYS_fork).expect("a child");
    if pid == 0 {
        let answer = sys!(SYS_futex, page, WAIT, 0, 0, 0, 0);
        let _ = sys!(SYS_exit_group, i32::from(answer == Ok(0)));
    }
    check(
        "futex",
        "private, of another process",
        sys!(SYS_futex, page, WAKE | PRIVATE, 9, 0, 0, 0),
    );
    while sys!(SYS_futex, page, WAKE, 1, 0, 0, 0) == Ok(0) {
        thread::yield_now();
    }
    let mut status = 0_i32;
    let _ = sys!(SYS_wait4, pid, &raw mut status, 0, 0);
    say("futex", "a word of two processes", format!("{status:#x}"));
}

fn tasks() {
    let pid = sys!(SYS_getpid).expect("a number");
    say("gettid", "of the first thread", sys!(SYS_gettid) == Ok(pid));
    let other = thread::spawn(move || (sys!(SYS_gettid) == Ok(pid), sys!(SYS_getpid) == Ok(pid)));
    say(
        "gettid",
        "of another",
        format!("{:?}", other.join().expect("no panic")),
    );
    say(
        "set_tid_address",
        "returns the number",
        sys!(SYS_set_tid_address, 0) == Ok(pid),
    );
    check(
        "set_robust_list",
        "another length",
        sys!(SYS_set_robust_list, 0, 23),
    );
    check(
        "tgkill",
        "nothing, to oneself",
        sys!(SYS_tgkill, pid, pid, 0),
    );
    check("tgkill", "a negative thread", sys!(SYS_tgkill, pid, -1, 0));
    check(
        "tgkill",
        "another process's",
        sys!(SYS_tgkill, pid + 1_000_000, pid, 0),
    );
    check(
        "tgkill",
        "no such thread",
        sys!(SYS_tgkill, pid, 4_000_000, 0),
    );
    check("tgkill", "no such signal", sys!(SYS_tgkill, pid, pid, 65));
    check("tkill", "no such thread", sys!(SYS_tkill, 4_000_000, 0));
    check("membarrier", "with flags", sys!(SYS_membarrier, 0, 1, 0));
    check(
        "membarrier",
        "an unknown command",
        sys!(SYS_membarrier, 1 << 20, 0, 0),
    );
    check("membarrier", "of everybody", sys!(SYS_membarrier, 1, 0, 0));
    check("sched_yield", "always", sys!(SYS_sched_yield));
    let mask = [1_u64; 16];
    check(
        "sched_setaffinity",
        "the first processor",
        sys!(SYS_sched_setaffinity, 0, 8, &raw const mask),
    );
    let mask = [0_u64; 16];
    check(
        "sched_setaffinity",
        "none",
        sys!(SYS_sched_setaffinity, 0, 8, &raw const mask),
    );
    check(
        "sched_setaffinity",
        "a bad address",
        sys!(SYS_sched_setaffinity, 0, 8, BAD),
    );
    check(
        "sched_getaffinity",
        "too short",
        sys!(SYS_sched_getaffinity, 0, 4, BAD),
    );
}

fn signals() {
    let wanted = crate::mask::set_of(&[SIGUSR1, SIGUSR2, SIGCHLD]);
    let (all, soon) = (&raw const wanted, &raw const SOON);
    let _ = sys!(SYS_rt_sigprocmask, libc::SIG_BLOCK, all, 0, 8);
    let pid = sys!(SYS_getpid).expect("a number");
    check(
        "rt_sigtimedwait",
        "nothing came",
        sys!(SYS_rt_sigtimedwait, all, 0, soon, 8),
    );
    check(
        "rt_sigtimedwait",
        "a wrong size",
        sys!(SYS_rt_sigtimedwait, all, 0, soon, 4),
    );
    check(
        "rt_sigtimedwait",
        "a bad set",
        sys!(SYS_rt_sigtimedwait, BAD, 0, soon, 8),
    );
    let _ = sys!(SYS_kill, pid, SIGUSR2);
    let _ = sys!(SYS_kill, pid, SIGUSR1);
    let mut info = [0_i32; 32];
    check(
        "rt_sigtimedwait",
        "the lower of two",
        sys!(SYS_rt_sigtimedwait, all, &raw mut info, soon, 8),
    );
    say(
        "rt_sigtimedwait",
        "what it tells",
        format!("{} {} {}", info[0], info[1], info[2]),
    );
    check(
        "rt_sigtimedwait",
        "the other",
        sys!(SYS_rt_sigtimedwait, all, 0, 0, 8),
    );
    check(
        "rt_sigtimedwait",
        "no more",
        sys!(SYS_rt_sigtimedwait, all, 0, soon, 8),
    );
    let child = sys!(SYS_fork).expect("a child");
    if child == 0 {
        let _ = sys!(SYS_exit_group, 0);
    }
    check(
        "rt_sigtimedwait",
        "a child's end",
        sys!(SYS_rt_sigtimedwait, all, 0, 0, 8),
    );
    let _ = sys!(SYS_wait4, child, 0, 0, 0);
    let _ = sys!(SYS_rt_sigprocmask, libc::SIG_UNBLOCK, all, 0, 8);
}
