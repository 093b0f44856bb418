//! Signals: sigaction, masks, pending, kill and its relatives, suspending, waiting, stacks, alarms.

use crate::check::{BAD, check, say, sys};
use crate::mask::{mask, set_of};
use libc::{
    SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGALRM, SIGCHLD, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1,
    SIGUSR2,
};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// How often the handler ran, and for which signal last.
static CALLS: AtomicI32 = AtomicI32::new(0);
static LAST: AtomicI32 = AtomicI32::new(0);

extern "C" fn handler(signal: i32) {
    CALLS.fetch_add(1, SeqCst);
    LAST.store(signal, SeqCst);
}

/// `struct kernel_sigaction`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Action {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

fn caught(case: &str) {
    say(
        "handler",
        case,
        format!("{} {}", CALLS.swap(0, SeqCst), LAST.swap(0, SeqCst)),
    );
}

fn install(signal: i32, flags: i32) {
    // SAFETY: the handler touches atomics only.
    unsafe { crate::mask::install(signal, handler, flags) };
}

pub(crate) fn run() {
    actions();
    masks();
    sending();
    suspending();
    stacks();
    alarms();
}

fn actions() {
    let mut old = Action::default();
    let new = Action {
        handler: 1,
        ..Action::default()
    };
    let act = |case: &str, signal: i32, size: u64| {
        check(
            "rt_sigaction",
            case,
            sys!(SYS_rt_sigaction, signal, &raw const new, 0, size),
        )
    };
    act("to be ignored", SIGUSR1, 8);
    act("SIGKILL", SIGKILL, 8);
    act("SIGSTOP", SIGSTOP, 8);
    act("signal 0", 0, 8);
    act("signal 65", 65, 8);
    act("a negative signal", -1, 8);
    act("a set of another size", SIGUSR1, 4);
    check(
        "rt_sigaction",
        "a bad action",
        sys!(SYS_rt_sigaction, SIGUSR1, BAD, 0, 8),
    );
    check(
        "rt_sigaction",
        "a bad old action",
        sys!(SYS_rt_sigaction, SIGUSR1, 0, BAD, 8),
    );
    check(
        "rt_sigaction",
        "SIGKILL's, only asked",
        sys!(SYS_rt_sigaction, SIGKILL, 0, &raw mut old, 8),
    );
    check(
        "rt_sigaction",
        "the old one",
        sys!(SYS_rt_sigaction, SIGUSR1, 0, &raw mut old, 8),
    );
    say("rt_sigaction", "it was ignored", old.handler);
    check(
        "kill",
        "an ignored signal",
        sys!(SYS_kill, std::process::id(), SIGUSR1),
    );
    install(SIGUSR1, 0);
    check(
        "kill",
        "a handled signal",
        sys!(SYS_kill, std::process::id(), SIGUSR1),
    );
    caught("a handled signal");
    install(SIGUSR1, libc::SA_RESETHAND);
    sys!(SYS_kill, std::process::id(), SIGUSR1).expect("sent");
    caught("once");
    sys!(SYS_rt_sigaction, SIGUSR1, 0, &raw mut old, 8).expect("told");
    say("rt_sigaction", "then the default", old.handler);
}

fn masks() {
    let mut old = 0_u64;
    let set = set_of(&[SIGUSR1, SIGKILL, SIGUSR2]);
    let change = |case: &str, how: i32, size: u64| {
        check(
            "rt_sigprocmask",
            case,
            sys!(SYS_rt_sigprocmask, how, &raw const set, 0, size),
        )
    };
    change("block", SIG_BLOCK, 8);
    check(
        "rt_sigprocmask",
        "asked",
        sys!(SYS_rt_sigprocmask, 77, 0, &raw mut old, 8),
    );
    say(
        "rt_sigprocmask",
        "SIGKILL is never blocked",
        format!("{old:#x}"),
    );
    change("an unknown way", 77, 8);
    change("a set of another size", SIG_BLOCK, 16);
    check(
        "rt_sigprocmask",
        "a bad set",
        sys!(SYS_rt_sigprocmask, SIG_BLOCK, BAD, 0, 8),
    );
    check(
        "rt_sigprocmask",
        "a bad old set",
        sys!(SYS_rt_sigprocmask, SIG_BLOCK, 0, BAD, 8),
    );
    install(SIGUSR1, 0);
    sys!(SYS_kill, std::process::id(), SIGUSR1).expect("sent");
    caught("blocked");
    let mut pending = 0_u64;
    check(
        "rt_sigpending",
        "one",
        sys!(SYS_rt_sigpending, &raw mut pending, 8),
    );
    say("rt_sigpending", "which", format!("{pending:#x}"));
    check(
        "rt_sigpending",
        "too large a set",
        sys!(SYS_rt_sigpending, &raw mut pending, 16),
    );
    check(
        "rt_sigpending",
        "a bad set",
        sys!(SYS_rt_sigpending, BAD, 8),
    );
    sys!(SYS_kill, std::process::id(), SIGUSR1).expect("sent");
    change("unblock", SIG_UNBLOCK, 8);
    caught("sent twice while blocked");
    mask(SIG_SETMASK, &[SIGUSR2]);
    sys!(SYS_rt_sigprocmask, SIG_BLOCK, 0, &raw mut old, 8).expect("told");
    say("rt_sigprocmask", "set", format!("{old:#x}"));
    mask(SIG_SETMASK, &[]);
}

fn sending() {
    let own = std::process::id();
    check("kill", "signal 0 to itself", sys!(SYS_kill, own, 0));
    check("kill", "signal 65", sys!(SYS_kill, own, 65));
    check("kill", "a negative signal", sys!(SYS_kill, own, -1));
    check("kill", "nobody", sys!(SYS_kill, 4_000_000, 0));
    check(
        "kill",
        "nobody, a bad signal",
        sys!(SYS_kill, 4_000_000, 65),
    );
    check("kill", "its own group", sys!(SYS_kill, 0, 0));
    check(
        "kill",
        "a group nobody is in",
        sys!(SYS_kill, -4_000_000, 0),
    );
    // SAFETY: the call has no arguments.
    let tid = unsafe { libc::gettid() };
    check("tkill", "itself", sys!(SYS_tkill, tid, 0));
    check("tkill", "thread 0", sys!(SYS_tkill, 0, 0));
    check("tkill", "a negative thread", sys!(SYS_tkill, -1, 0));
    check("tkill", "nobody", sys!(SYS_tkill, 4_000_000, 0));
    check("tgkill", "itself", sys!(SYS_tgkill, own, tid, 0));
    check(
        "tgkill",
        "of another process",
        sys!(SYS_tgkill, 4_000_000, tid, 0),
    );
    check("tgkill", "process 0", sys!(SYS_tgkill, 0, tid, 0));
    check("tgkill", "a bad signal", sys!(SYS_tgkill, own, tid, 99));
    install(SIGTERM, 0);
    check(
        "tgkill",
        "a handled signal",
        sys!(SYS_tgkill, own, tid, SIGTERM),
    );
    caught("tgkill");
}

fn suspending() {
    mask(SIG_SETMASK, &[SIGUSR1, SIGUSR2]);
    install(SIGUSR1, 0);
    sys!(SYS_kill, std::process::id(), SIGUSR1).expect("sent");
    let open = 0_u64;
    check(
        "rt_sigsuspend",
        "a pending signal",
        sys!(SYS_rt_sigsuspend, &raw const open, 8),
    );
    caught("while suspended");
    let mut old = 0_u64;
    sys!(SYS_rt_sigprocmask, SIG_BLOCK, 0, &raw mut old, 8).expect("told");
    say("rt_sigsuspend", "the mask after it", format!("{old:#x}"));
    check(
        "rt_sigsuspend",
        "a set of another size",
        sys!(SYS_rt_sigsuspend, &raw const open, 4),
    );
    check(
        "rt_sigsuspend",
        "a bad set",
        sys!(SYS_rt_sigsuspend, BAD, 8),
    );
    let wanted = set_of(&[SIGUSR2]);
    let zero = [0_u64; 2];
    let mut info = [0_u32; 32];
    let wait = |case: &str, info: *mut u32, time: *const u64, size: u64| {
        check(
            "rt_sigtimedwait",
            case,
            sys!(SYS_rt_sigtimedwait, &raw const wanted, info, time, size),
        )
    };
    wait("nothing pending", info.as_mut_ptr(), zero.as_ptr(), 8);
    sys!(SYS_kill, std::process::id(), SIGUSR2).expect("sent");
    wait("one pending", info.as_mut_ptr(), zero.as_ptr(), 8);
    say(
        "rt_sigtimedwait",
        "what is known of it",
        format!("{} {}", info[0], info[2] as i32),
    );
    say(
        "rt_sigtimedwait",
        "who sent it",
        info[4] == std::process::id(),
    );
    wait("a set of another size", info.as_mut_ptr(), zero.as_ptr(), 4);
    let bad = [0_u64, 2_000_000_000];
    wait("too many nanoseconds", info.as_mut_ptr(), bad.as_ptr(), 8);
    let little = [0_u64, 2_000_000];
    wait("for 2 ms", info.as_mut_ptr(), little.as_ptr(), 8);
    mask(SIG_SETMASK, &[]);
}

fn stacks() {
    let mut old = [0_u64; 3];
    check(
        "sigaltstack",
        "asked",
        sys!(SYS_sigaltstack, 0, old.as_mut_ptr()),
    );
    let mut memory = vec![0_u8; 16384];
    let at = memory.as_mut_ptr() as u64;
    let set = |case: &str, stack: [u64; 3]| {
        check(
            "sigaltstack",
            case,
            sys!(SYS_sigaltstack, stack.as_ptr(), 0),
        )
    };
    set("a stack", [at, 0, 16384]);
    check(
        "sigaltstack",
        "asked once it is set",
        sys!(SYS_sigaltstack, 0, old.as_mut_ptr()),
    );
    say(
        "sigaltstack",
        "it is set",
        format!("{} {} {}", old[0] == at, old[1] as u32, old[2]),
    );
    set("a small one", [at, 0, 1024]);
    set("an unknown flag", [at, 8, 16384]);
    check(
        "sigaltstack",
        "a bad address",
        sys!(SYS_sigaltstack, BAD, 0),
    );
    check(
        "sigaltstack",
        "a bad old one",
        sys!(SYS_sigaltstack, 0, BAD),
    );
    install(SIGUSR1, libc::SA_ONSTACK);
    sys!(SYS_kill, std::process::id(), SIGUSR1).expect("sent");
    caught("on another stack");
    say(
        "sigaltstack",
        "it was used",
        memory.iter().any(|&byte| byte != 0),
    );
    set("none", [0, 2, 0]);
    check(
        "sigaltstack",
        "asked once it is gone",
        sys!(SYS_sigaltstack, 0, old.as_mut_ptr()),
    );
    say("sigaltstack", "there is none", old[1] as u32);
}

fn alarms() {
    install(SIGALRM, 0);
    check("alarm", "none set", sys!(SYS_alarm, 0));
    check("alarm", "in 100 s", sys!(SYS_alarm, 100));
    let left = sys!(SYS_alarm, 0).map(|left| i64::from((50..=100).contains(&left)));
    check("alarm", "most of it was left", left);
    let timer = [0_u64, 0, 0, 3000];
    check(
        "setitimer",
        "in 3 ms",
        sys!(SYS_setitimer, 0, timer.as_ptr(), 0),
    );
    while CALLS.load(SeqCst) == 0 {
        let _ = sys!(SYS_nanosleep, [0_u64, 1_000_000].as_ptr(), 0);
    }
    caught("an alarm");
    let every = [0_u64, 2000, 0, 1000];
    check(
        "setitimer",
        "every 2 ms",
        sys!(SYS_setitimer, 0, every.as_ptr(), 0),
    );
    while CALLS.load(SeqCst) < 3 {
        let _ = sys!(SYS_nanosleep, [0_u64, 1_000_000].as_ptr(), 0);
    }
    let (none, mut old) = ([0_u64; 4], [9_u64; 4]);
    check(
        "setitimer",
        "no more",
        sys!(SYS_setitimer, 0, none.as_ptr(), old.as_mut_ptr()),
    );
    say("setitimer", "the period there was", old[1]);
    CALLS.store(0, SeqCst);
    let bad = [0_u64, 1_000_000, 0, 1000];
    check(
        "setitimer",
        "too many microseconds between",
        sys!(SYS_setitimer, 0, bad.as_ptr(), 0),
    );
    let bad = [0_u64, 0, 0, 1_000_000];
    check(
        "setitimer",
        "too many microseconds",
        sys!(SYS_setitimer, 0, bad.as_ptr(), 0),
    );
    check(
        "setitimer",
        "an unknown timer",
        sys!(SYS_setitimer, 7, timer.as_ptr(), 0),
    );
    check("setitimer", "a bad address", sys!(SYS_setitimer, 0, BAD, 0));
    let mut left = [9_u64; 4];
    check(
        "getitimer",
        "none set",
        sys!(SYS_getitimer, 0, left.as_mut_ptr()),
    );
    say("getitimer", "what is left", format!("{left:?}"));
    check(
        "getitimer",
        "an unknown timer",
        sys!(SYS_getitimer, 7, left.as_mut_ptr()),
    );
    // SAFETY: the action is a constant of the C library.
    unsafe { libc::signal(SIGCHLD, libc::SIG_DFL) };
}
