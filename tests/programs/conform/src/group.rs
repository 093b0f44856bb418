//! Groups of processes, and sessions.

use crate::check::{Answer, check, say, sys};
use crate::child::{apart, child, reap, status_of};
use libc::SIGTERM;

pub(crate) fn run() {
    groups();
    sessions();
}

fn groups() {
    let own = sys!(SYS_getpid).expect("a number");
    check("setpgid", "a negative number", sys!(SYS_setpgid, -1, 0));
    check("setpgid", "a negative group", sys!(SYS_setpgid, 0, -1));
    check(
        "setpgid",
        "no such process",
        sys!(SYS_setpgid, 4_000_000, 0),
    );
    check("getpgid", "no such process", sys!(SYS_getpgid, 4_000_000));
    check("getsid", "no such process", sys!(SYS_getsid, 4_000_000));
    let pid = child(|| {
        let _ = sys!(SYS_pause);
        0
    });
    check(
        "setpgid",
        "a child, to its own",
        sys!(SYS_setpgid, pid, pid),
    );
    say(
        "getpgid",
        "of the child",
        sys!(SYS_getpgid, pid) == Ok(i64::from(pid)),
    );
    check(
        "setpgid",
        "to no group of this session",
        sys!(SYS_setpgid, pid, 4_000_000),
    );
    check("kill", "the child's group", sys!(SYS_kill, -pid, SIGTERM));
    say("wait4", "of that group", {
        let mut status = 0_i32;
        let answer = sys!(SYS_wait4, -pid, &raw mut status, 0, 0);
        format!("{} {status}", answer == Ok(i64::from(pid)))
    });
    check("kill", "a group that is gone", sys!(SYS_kill, -pid, 0));
    let session = reap(child(|| {
        let new = sys!(SYS_setsid);
        let is_own = new == sys!(SYS_getpid) && sys!(SYS_getsid, 0) == new;
        let again = sys!(SYS_setsid) == Err(libc::EPERM);
        i32::from(is_own && again && sys!(SYS_getpgrp) == new)
    }));
    say("setsid", "a child's own session", session);
    say("getpid", "it is what it was", sys!(SYS_getpid) == Ok(own));
}

fn sessions() {
    apart(|| {
        let own = i64::from(std::process::id());
        let same = |answer: Answer, wanted: i64| answer.map(|it| i64::from(it == wanted));
        check("setpgid", "a group of its own", sys!(SYS_setpgid, 0, 0));
        check("getpgid", "itself", same(sys!(SYS_getpgid, 0), own));
        check("getpgrp", "itself", same(sys!(SYS_getpgrp), own));
        check("getpgid", "nobody", sys!(SYS_getpgid, 4_000_000));
        check("getpgid", "a negative process", sys!(SYS_getpgid, -1));
        check("setpgid", "a negative process", sys!(SYS_setpgid, -1, 0));
        check("setpgid", "nobody", sys!(SYS_setpgid, 4_000_000, 0));
        check(
            "setpgid",
            "a group nobody is in",
            sys!(SYS_setpgid, 0, 4_000_000),
        );
        check("setsid", "the leader of a group", sys!(SYS_setsid));
        check("getsid", "nobody", sys!(SYS_getsid, 4_000_000));
        apart(|| {
            let own = i64::from(std::process::id());
            check(
                "setsid",
                "a process that leads nobody",
                same(sys!(SYS_setsid), own),
            );
            check("getsid", "itself", same(sys!(SYS_getsid, 0), own));
            check(
                "getpgid",
                "the new session's group",
                same(sys!(SYS_getpgid, 0), own),
            );
            check(
                "setpgid",
                "the leader of a session",
                sys!(SYS_setpgid, 0, 0),
            );
            check("setsid", "a second time", sys!(SYS_setsid));
        });
        let pid = child(|| sys!(SYS_pause).map_or(0, |_| 0));
        check(
            "setpgid",
            "a child to the own group",
            sys!(SYS_setpgid, pid, own),
        );
        check(
            "setpgid",
            "a child to its own group",
            sys!(SYS_setpgid, pid, pid),
        );
        check(
            "getpgid",
            "the child",
            same(sys!(SYS_getpgid, pid), pid.into()),
        );
        sys!(SYS_kill, -pid, libc::SIGKILL).expect("a group");
        say(
            "kill",
            "it ended the child",
            format!("{:#x}", status_of(pid)),
        );
    });
}
