//! Signals that are blocked, raised and let through.

use crate::check::{Answer, check, sys};

/// A set of signals, as the kernel has it.
pub(crate) const USR1: u64 = 1 << 9;

pub(crate) const USR2: u64 = 1 << 11;

/// Bytes of that set.
pub(crate) const SET: usize = 8;

/// A handler that does nothing.
pub(crate) extern "C" fn on_signal(_: i32) {}

/// Lets a signal interrupt calls: it has a handler, which asks for no restart.
pub(crate) fn interrupt_by(signal: i32) {
    // SAFETY: all zeroes are a `struct sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    // SAFETY: the handler does nothing.
    let set = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0, "it can be handled");
}

/// Blocks a signal, with a handler that does nothing.
pub(crate) fn block(set: u64) {
    sys!(
        SYS_rt_sigprocmask,
        libc::SIG_BLOCK,
        &raw const set,
        std::ptr::null::<u8>(),
        SET
    )
    .expect("it can be blocked");
}

pub(crate) fn unblock(set: u64) {
    sys!(
        SYS_rt_sigprocmask,
        libc::SIG_UNBLOCK,
        &raw const set,
        std::ptr::null::<u8>(),
        SET
    )
    .expect("it can be let through");
}

pub(crate) fn raise(signal: i32) {
    let own = sys!(SYS_getpid).expect("it has one");
    let task = sys!(SYS_gettid).expect("it has one");
    sys!(SYS_tgkill, own, task, signal).expect("it lives");
}

pub(crate) fn is_blocked(set: u64) -> bool {
    let mut old = 0_u64;
    sys!(
        SYS_rt_sigprocmask,
        libc::SIG_BLOCK,
        std::ptr::null::<u8>(),
        &raw mut old,
        SET
    )
    .expect("it can be read");
    old & set != 0
}

/// Makes a call that nothing but a signal ends, and prints what it answered. The timer goes off again and again: a signal
/// that comes before the call waits is not the only one.
pub(crate) fn interrupted(call: &str, case: &str, act: impl FnOnce() -> Answer) {
    const AGAIN: [u64; 4] = [0, 2000, 0, 2000];
    sys!(SYS_setitimer, 0, AGAIN.as_ptr(), 0).expect("a timer");
    let answer = act();
    sys!(SYS_setitimer, 0, [0_u64; 4].as_ptr(), 0).expect("a timer");
    check(call, case, answer);
}
