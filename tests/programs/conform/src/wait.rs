//! Waiting for children: wait4, waitid.

use crate::check::{BAD, check, say, sys};
use crate::child::{ANY, child, numbered, status_of};
use libc::{
    CLD_EXITED, CLD_KILLED, P_ALL, P_PGID, P_PID, SIGKILL, SIGTERM, WEXITED, WNOHANG, WNOWAIT,
    WSTOPPED,
};

pub(crate) fn run() {
    waits();
    waitids();
    waiting();
}

fn waits() {
    check("wait4", "no children", sys!(SYS_wait4, ANY, 0, 0, 0));
    check(
        "wait4",
        "no children, no waiting",
        sys!(SYS_wait4, ANY, 0, WNOHANG, 0),
    );
    check(
        "wait4",
        "unknown options",
        sys!(SYS_wait4, ANY, 0, 0x100, 0),
    );
    check(
        "wait4",
        "an option of waitid",
        sys!(SYS_wait4, ANY, 0, WEXITED, 0),
    );
    check(
        "wait4",
        "the smallest number",
        sys!(SYS_wait4, i32::MIN, 0, 0, 0),
    );
    check(
        "wait4",
        "oneself",
        sys!(SYS_wait4, std::process::id(), 0, 0, 0),
    );
    check("wait4", "the parent", sys!(SYS_wait4, 1, 0, 0, 0));
    let pid = child(|| {
        let _ = sys!(SYS_pause);
        0
    });
    let one = |answer| numbered(answer, pid);
    check(
        "wait4",
        "it lives",
        one(sys!(SYS_wait4, pid, 0, WNOHANG, 0)),
    );
    check(
        "wait4",
        "any lives",
        one(sys!(SYS_wait4, ANY, 0, WNOHANG, 0)),
    );
    check(
        "wait4",
        "one of its group",
        one(sys!(SYS_wait4, 0, 0, WNOHANG, 0)),
    );
    check(
        "wait4",
        "of another group",
        one(sys!(SYS_wait4, -pid, 0, WNOHANG, 0)),
    );
    check(
        "wait4",
        "only clone children",
        one(sys!(SYS_wait4, ANY, 0, WNOHANG | libc::__WCLONE, 0)),
    );
    check(
        "wait4",
        "all children",
        one(sys!(SYS_wait4, ANY, 0, WNOHANG | libc::__WALL, 0)),
    );
    check("kill", "a child, with nothing", sys!(SYS_kill, pid, 0));
    check("kill", "a child", sys!(SYS_kill, pid, SIGTERM));
    check(
        "wait4",
        "with nowhere to tell",
        one(sys!(SYS_wait4, pid, 0, 0, 0)),
    );
    check("wait4", "a second time", one(sys!(SYS_wait4, pid, 0, 0, 0)));
    check("kill", "one that is gone", sys!(SYS_kill, pid, 0));
    let pid = child(|| 3);
    let one = |answer| numbered(answer, pid);
    let mut usage = [0xff_u8; 144];
    let mut status = 0_i32;
    check(
        "wait4",
        "with usage",
        one(sys!(SYS_wait4, pid, &raw mut status, 0, &raw mut usage)),
    );
    say("wait4", "usage is there", usage[140..] == [0; 4]);
    let pid = child(|| 4);
    let mut status = 0_i32;
    // A zombie can be signalled.
    let _ = sys!(SYS_waitid, P_PID, pid, 0, WEXITED | WNOWAIT, 0);
    check("kill", "a zombie", sys!(SYS_kill, pid, SIGKILL));
    let answer = sys!(SYS_wait4, pid, &raw mut status, 0, 0);
    check("wait4", "a zombie that was killed", numbered(answer, pid));
    say("wait4", "its status is what it was", format!("{status:#x}"));
}

fn waitids() {
    let none = [0_i32; 32];
    check(
        "waitid",
        "no children",
        sys!(SYS_waitid, P_ALL, 0, 0, WEXITED, 0),
    );
    check(
        "waitid",
        "nothing to wait for",
        sys!(SYS_waitid, P_ALL, 0, 0, WNOHANG, 0),
    );
    check(
        "waitid",
        "unknown options",
        sys!(SYS_waitid, P_ALL, 0, 0, WEXITED | 0x100, 0),
    );
    check(
        "waitid",
        "an unknown sort",
        sys!(SYS_waitid, 9, 0, 0, WEXITED, 0),
    );
    check(
        "waitid",
        "process 0",
        sys!(SYS_waitid, P_PID, 0, 0, WEXITED, 0),
    );
    check(
        "waitid",
        "a negative process",
        sys!(SYS_waitid, P_PID, -5, 0, WEXITED, 0),
    );
    check(
        "waitid",
        "a negative group",
        sys!(SYS_waitid, P_PGID, -5, 0, WEXITED, 0),
    );
    let pid = child(|| 9);
    let mut info = none;
    check(
        "waitid",
        "to look only",
        sys!(SYS_waitid, P_PID, pid, &raw mut info, WEXITED | WNOWAIT, 0),
    );
    let shown = |info: &[i32; 32], pid: i32| {
        format!(
            "{} {} {} {} {}",
            info[0],
            info[1],
            info[2] == CLD_EXITED,
            info[4] == pid,
            info[6]
        )
    };
    say("waitid", "what it tells", shown(&info, pid));
    check(
        "waitid",
        "of the caller's group",
        sys!(SYS_waitid, P_PGID, 0, &raw mut info, WEXITED, 0),
    );
    say("waitid", "what it tells of that", shown(&info, pid));
    let pid = child(|| {
        let _ = sys!(SYS_pause);
        0
    });
    let mut info = [7_i32; 32];
    check(
        "waitid",
        "it lives",
        sys!(SYS_waitid, P_PID, pid, &raw mut info, WEXITED | WNOHANG, 0),
    );
    say("waitid", "nothing to tell", format!("{:?}", &info[..7]));
    check(
        "waitid",
        "a bad address",
        sys!(SYS_waitid, P_PID, pid, BAD, WEXITED | WNOHANG, 0),
    );
    check("kill", "it", sys!(SYS_kill, pid, SIGKILL));
    let mut info = none;
    check(
        "waitid",
        "killed",
        sys!(SYS_waitid, P_ALL, 0, &raw mut info, WEXITED, 0),
    );
    say(
        "waitid",
        "by what",
        format!("{} {}", info[2] == CLD_KILLED, info[6]),
    );
}

fn waiting() {
    let mut status = 0_i32;
    let at = &raw mut status;
    check("wait4", "without a child", sys!(SYS_wait4, -1, at, 0, 0));
    check(
        "wait4",
        "an unknown option",
        sys!(SYS_wait4, -1, at, 0x100, 0),
    );
    check(
        "wait4",
        "nobody's child",
        sys!(SYS_wait4, 4_000_000, at, 0, 0),
    );
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    let pid = child(|| {
        sys!(SYS_close, pipe[1]).expect("open");
        sys!(SYS_read, pipe[0], [0_u8; 1].as_mut_ptr(), 1).map_or(1, |_| 4)
    });
    check(
        "wait4",
        "a child that runs",
        sys!(SYS_wait4, -1, at, WNOHANG, 0),
    );
    check(
        "wait4",
        "a child of another group",
        sys!(SYS_wait4, -4_000_000, at, WNOHANG, 0),
    );
    let mut info = [0_u32; 32];
    check(
        "waitid",
        "a child that runs",
        sys!(SYS_waitid, 0, 0, info.as_mut_ptr(), WEXITED | WNOHANG, 0),
    );
    say("waitid", "nothing is told", format!("{:?}", &info[..6]));
    check(
        "waitid",
        "an unknown kind",
        sys!(SYS_waitid, 9, 0, info.as_mut_ptr(), WEXITED, 0),
    );
    check(
        "waitid",
        "an unknown option",
        sys!(SYS_waitid, 0, 0, info.as_mut_ptr(), WEXITED | 0x100, 0),
    );
    check(
        "waitid",
        "nobody's child",
        sys!(SYS_waitid, 1, 4_000_000, info.as_mut_ptr(), WEXITED, 0),
    );
    sys!(SYS_close, pipe[1]).expect("open");
    check(
        "waitid",
        "an ended child, left as it is",
        sys!(SYS_waitid, 1, pid, info.as_mut_ptr(), WEXITED | WNOWAIT, 0),
    );
    say(
        "waitid",
        "what is told",
        format!(
            "{} {} {} {}",
            info[0],
            info[2],
            info[3] as i32 == pid,
            info[5]
        ),
    );
    check("kill", "an ended child", sys!(SYS_kill, pid, 0));
    let mut usage = [0_u64; 18];
    check(
        "wait4",
        "an ended child",
        sys!(SYS_wait4, pid, at, 0, usage.as_mut_ptr()).map(|it| i64::from(it == i64::from(pid))),
    );
    say("wait4", "its status", format!("{status:#x}"));
    check(
        "wait4",
        "a second time with usage",
        sys!(SYS_wait4, pid, at, 0, 0),
    );
    check("kill", "a child that is gone", sys!(SYS_kill, pid, 0));
    sys!(SYS_close, pipe[0]).expect("open");
    let pid = child(|| {
        sys!(SYS_kill, std::process::id(), libc::SIGSTOP).expect("sent");
        6
    });
    check(
        "waitid",
        "a stopped child",
        sys!(SYS_waitid, 1, pid, info.as_mut_ptr(), WSTOPPED, 0),
    );
    say(
        "waitid",
        "what is told of it",
        format!("{} {} {}", info[0], info[2], info[5]),
    );
    check(
        "wait4",
        "it is still there",
        sys!(SYS_wait4, pid, at, WNOHANG, 0),
    );
    check("kill", "let it go on", sys!(SYS_kill, pid, libc::SIGCONT));
    say(
        "wait4",
        "a child that was stopped",
        format!("{:#x}", status_of(pid)),
    );
    let pid = child(|| 0);
    check("wait4", "a bad status", {
        sys!(SYS_waitid, 1, pid, 0, WEXITED | WNOWAIT, 0).expect("a child");
        sys!(SYS_wait4, pid, BAD, 0, 0)
    });
    check("wait4", "then it is gone", sys!(SYS_wait4, pid, at, 0, 0));
    // SAFETY: the action is a constant of the C library.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let pid = child(|| 0);
    check(
        "wait4",
        "children whose end is ignored",
        sys!(SYS_wait4, pid, at, 0, 0),
    );
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}
