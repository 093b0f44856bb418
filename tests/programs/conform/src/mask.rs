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
    // SAFETY: the handler does nothing.
    unsafe { install(signal, on_signal, 0) };
}

/// Lets the C library install a handler: it knows how to return from one.
///
/// # Safety
///
/// The handler may run at any moment.
pub(crate) unsafe fn install(signal: i32, handler: extern "C" fn(i32), flags: i32) {
    // SAFETY: all zeroes are a `struct sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = flags;
    // SAFETY: the caller promises it of the handler.
    let set = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0, "it can be handled");
}

/// The set of some signals.
pub(crate) fn set_of(signals: &[i32]) -> u64 {
    signals.iter().map(|signal| 1_u64 << (signal - 1)).sum()
}

/// Changes which signals are blocked, in one of the ways of `rt_sigprocmask`.
pub(crate) fn mask(how: i32, signals: &[i32]) {
    let set = set_of(signals);
    sys!(SYS_rt_sigprocmask, how, &raw const set, 0, SET).expect("a mask");
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
