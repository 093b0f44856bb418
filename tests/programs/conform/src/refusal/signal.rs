//! Signals that there is no room to keep, and the stack of a handler that runs.

use crate::check::{check, say, sys};
use crate::child::apart;
use crate::mask::{install, mask};
use libc::{RLIMIT_SIGPENDING, SIGUSR1};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

pub(super) fn run() {
    apart(signals);
    stacks();
}

/// Signals that there is no room to keep.
fn signals() {
    const REAL_TIME: i32 = 40;
    mask(libc::SIG_BLOCK, &[REAL_TIME]);
    let (pid, tid) = (
        sys!(SYS_getpid).expect("one"),
        sys!(SYS_gettid).expect("one"),
    );
    let mut limit = [0_u64; 2];
    sys!(SYS_getrlimit, RLIMIT_SIGPENDING, limit.as_mut_ptr()).expect("told");
    limit[0] = 0;
    sys!(SYS_setrlimit, RLIMIT_SIGPENDING, limit.as_ptr()).expect("lower");
    let mut info = [0_i32; 32];
    info[2] = libc::SI_QUEUE;
    let at = info.as_ptr();
    let case = "no room to keep it";
    check("tkill", case, sys!(SYS_tkill, tid, REAL_TIME));
    check("tgkill", case, sys!(SYS_tgkill, pid, tid, REAL_TIME));
    check(
        "rt_sigqueueinfo",
        case,
        sys!(SYS_rt_sigqueueinfo, pid, REAL_TIME, at),
    );
    let to = sys!(SYS_rt_tgsigqueueinfo, pid, tid, REAL_TIME, at);
    check("rt_tgsigqueueinfo", case, to);
    check("kill", case, sys!(SYS_kill, pid, REAL_TIME));
    let mut timer = 0_i32;
    check(
        "timer_create",
        case,
        sys!(SYS_timer_create, 1, 0, &raw mut timer),
    );
}

static ON_STACK: AtomicI32 = AtomicI32::new(0);

extern "C" fn change_stack(_: i32) {
    let none = [0_u64, libc::SS_DISABLE as u64, 0];
    let answer = sys!(SYS_sigaltstack, none.as_ptr(), 0);
    ON_STACK.store(answer.map_or_else(|errno| errno, |_| 0), SeqCst);
}

/// A stack that is in use cannot be changed; a handler returns by a call.
fn stacks() {
    apart(|| {
        let mut stack = vec![0_u8; 65_536];
        let new = [stack.as_mut_ptr() as u64, 0, 65_536];
        check(
            "sigaltstack",
            "one to be used",
            sys!(SYS_sigaltstack, new.as_ptr(), 0),
        );
        // SAFETY: the handler makes a call and sets a number.
        unsafe { install(SIGUSR1, change_stack, libc::SA_ONSTACK) };
        sys!(SYS_kill, std::process::id(), SIGUSR1).expect("sent");
        check(
            "sigaltstack",
            "one in use",
            match ON_STACK.load(SeqCst) {
                0 => Ok(0),
                errno => Err(errno),
            },
        );
        say("rt_sigreturn", "a handler returns", "0");
    });
}
