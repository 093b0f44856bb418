//! Which numbers of system calls the kernel has handlers for, found by asking.

use hostile::call::call;
use hostile::sys;

/// Numbers from here on are nobody's.
pub(crate) const END: i64 = 480;

/// Asks for every number, each in a child, which need not live through it; returns those that are not ENOSYS.
pub(crate) fn known() -> Vec<i64> {
    (0..END).filter(|&number| is_known(number)).collect()
}

fn is_known(number: i64) -> bool {
    // Calls that take everybody with them, or come back twice.
    if [libc::SYS_kill, libc::SYS_fork, libc::SYS_vfork].contains(&number) {
        return true;
    }
    const UNKNOWN: i32 = 77;
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // What waits for ever is ended.
        let soon = [0, 0, 0, 20_000_i64];
        let _ = sys!(SYS_setitimer, libc::ITIMER_REAL, soon.as_ptr(), 0);
        // SAFETY: whatever it does is done to this child.
        let answer = unsafe { call(number, [-1; 6]) };
        let code = if answer == Err(libc::ENOSYS) {
            UNKNOWN
        } else {
            0
        };
        // SAFETY: ending takes nothing from under anybody.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the status has room.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    !(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == UNKNOWN)
}
