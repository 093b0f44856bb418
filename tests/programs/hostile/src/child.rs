//! A process that does something, and how it ended.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

/// Seconds after which a child that hangs is ended.
const PATIENCE_SECONDS: u32 = 30;

/// Does something in a child and returns what it said, with the signal that ended it, if one did.
#[must_use]
pub fn end_of(act: impl FnOnce() -> String) -> String {
    let mut ends = [0; 2];
    // SAFETY: the array has room for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "a pipe");
    // SAFETY: whoever calls this has one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "a child");
    // SAFETY: the pipe was made above, and nobody else has its ends.
    let mut from = unsafe { File::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    let mut to = unsafe { File::from_raw_fd(ends[1]) };
    if pid == 0 {
        be_plain();
        let said = act();
        let is_written = to.write_all(said.as_bytes()).is_ok();
        // SAFETY: ending takes nothing from under anybody.
        unsafe { libc::_exit(i32::from(!is_written)) }
    }
    drop(to);
    let mut said = String::new();
    from.read_to_string(&mut said).expect("readable");
    said + &end(status_of(pid))
}

/// Takes away what Rust's start-up has made for its own messages, a handler of faults and its stack, and sets the alarm.
fn be_plain() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the default action needs nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none = libc::stack_t {
        ss_sp: std::ptr::null_mut(),
        ss_flags: libc::SS_DISABLE,
        ss_size: 0,
    };
    // SAFETY: nothing runs on the other stack.
    unsafe { libc::sigaltstack(&raw const none, std::ptr::null_mut()) };
    // SAFETY: the alarm's default action ends the child.
    unsafe { libc::alarm(PATIENCE_SECONDS) };
}

/// Waits for a child and returns its status.
fn status_of(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: the status has room.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid, "our child");
    status
}

/// Says how a child ended; nothing when it ended in order.
fn end(status: i32) -> String {
    if libc::WIFSIGNALED(status) {
        signal_name(libc::WTERMSIG(status))
    } else {
        match libc::WEXITSTATUS(status) {
            0 => String::new(),
            code => format!("exit code {code}"),
        }
    }
}

/// Returns a signal's name.
#[must_use]
pub fn signal_name(signal: i32) -> String {
    const NAMES: [(i32, &str); 9] = [
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    NAMES
        .iter()
        .find_map(|(number, name)| (*number == signal).then(|| (*name).to_owned()))
        .unwrap_or_else(|| format!("signal {signal}"))
}
