//! Children: made, waited for, and told of without the numbers that differ from run to run.

use crate::check::{Answer, sys};

/// No child, or any.
pub(crate) const ANY: i32 = -1;

/// Makes a child that does something and ends with what that returns.
pub(crate) fn child(act: impl FnOnce() -> i32) -> i32 {
    match sys!(SYS_fork).expect("a child") {
        0 => {
            let status = act();
            let _ = sys!(SYS_exit_group, status);
            unreachable!("it has ended")
        }
        pid => i32::try_from(pid).expect("a number"),
    }
}

/// Waits for a child and says how it ended.
pub(crate) fn reap(pid: i32) -> String {
    let mut status = 0_i32;
    match sys!(SYS_wait4, pid, &raw mut status, 0, 0) {
        Ok(found) if found == i64::from(pid) => format!("{status:#06x}"),
        other => format!("{other:?}"),
    }
}

/// An answer without the number that differs from run to run.
pub(crate) fn numbered(answer: Answer, pid: i32) -> Answer {
    answer.map(|value| if value == i64::from(pid) { 1 } else { value })
}

pub(crate) fn status_of(pid: i32) -> i32 {
    let mut status = 0_i32;
    sys!(SYS_wait4, pid, &raw mut status, 0, 0).expect("a child");
    status
}

/// Runs checks in a process of their own, whose lines come through this one's standard output.
pub(crate) fn apart(act: impl FnOnce()) {
    let pid = child(|| {
        act();
        0
    });
    assert_eq!(status_of(pid), 0, "a process of checks failed");
}
