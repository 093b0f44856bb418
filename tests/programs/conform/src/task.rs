//! What a task is to the kernel: how it ends, its groups and users, its threads' ids, its limits and its name.

use crate::check::{Answer, BAD, check, say, sys, works};
use libc::{WEXITED, WNOHANG, WNOWAIT, WSTOPPED};

pub(crate) fn run() {
    ending();
    waiting();
    replacing();
    groups();
    users();
    threads();
    scheduling();
    dropping();
}

/// Makes a process that does something and ends with its answer.
fn child(act: impl FnOnce() -> i32) -> i64 {
    // SAFETY: this program has one thread.
    match unsafe { libc::fork() } {
        0 => {
            let code = act();
            // SAFETY: ending takes nothing from under anybody.
            unsafe { libc::_exit(code) }
        }
        pid => pid.into(),
    }
}

fn status_of(pid: i64) -> i32 {
    let mut status = 0_i32;
    sys!(SYS_wait4, pid, &raw mut status, 0, 0).expect("a child");
    status
}

/// Runs checks in a process of their own, whose lines come through this one's standard output.
fn apart(act: impl FnOnce()) {
    let pid = child(|| {
        act();
        0
    });
    assert_eq!(status_of(pid), 0, "a process of checks failed");
}

fn ending() {
    let ends = |case: &str, act: &dyn Fn() -> i32| {
        say("wait4", case, format!("{:#x}", status_of(child(act))))
    };
    ends("exit code 0", &|| 0);
    ends("exit code 7", &|| 7);
    ends("exit code 256 + 3", &|| 259);
    let raise = |signal: i32| {
        sys!(SYS_kill, std::process::id(), signal).expect("sent");
        0
    };
    for (case, signal) in [
        ("SIGKILL", libc::SIGKILL),
        ("SIGTERM", libc::SIGTERM),
        ("SIGUSR1", libc::SIGUSR1),
        ("SIGALRM", libc::SIGALRM),
    ] {
        ends(case, &|| {
            // SAFETY: the action is a constant of the C library.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            raise(signal)
        });
    }
    ends("SIGCHLD does nothing", &|| raise(libc::SIGCHLD));
    ends("exit", &|| sys!(SYS_exit, 5).map_or(1, |_| 1));
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    let pid = child(|| sys!(SYS_write, pipe[1], b"from the child".as_ptr(), 14).map_or(1, |_| 0));
    sys!(SYS_close, pipe[1]).expect("open");
    let mut bytes = [0_u8; 32];
    check(
        "read",
        "what the child wrote",
        sys!(SYS_read, pipe[0], bytes.as_mut_ptr(), 32),
    );
    check("read", "the end once it has ended", {
        status_of(pid);
        sys!(SYS_read, pipe[0], bytes.as_mut_ptr(), 32)
    });
    sys!(SYS_close, pipe[0]).expect("open");
    let mut memory = vec![1_u8; 3 * 4096];
    let pid = child(|| {
        memory.fill(2);
        i32::from(memory[5000])
    });
    say(
        "fork",
        "the child's memory is its own",
        format!("{:#x} {}", status_of(pid), memory[5000]),
    );
    let pid =
        child(|| i32::from(sys!(SYS_getppid).is_ok_and(|it| it != i64::from(std::process::id()))));
    say("getppid", "is the parent", status_of(pid));
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
        "nothing to wait for",
        sys!(SYS_waitid, 0, 0, info.as_mut_ptr(), 0, 0),
    );
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
    check(
        "waitid",
        "process 0",
        sys!(SYS_waitid, 1, 0, info.as_mut_ptr(), WEXITED, 0),
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
            i64::from(info[3]) == pid,
            info[5]
        ),
    );
    check("kill", "an ended child", sys!(SYS_kill, pid, 0));
    let mut usage = [0_u64; 18];
    check(
        "wait4",
        "an ended child",
        sys!(SYS_wait4, pid, at, 0, usage.as_mut_ptr()).map(|it| i64::from(it == pid)),
    );
    say("wait4", "its status", format!("{status:#x}"));
    check("wait4", "a second time", sys!(SYS_wait4, pid, at, 0, 0));
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

fn replacing() {
    let none: [*const u8; 1] = [std::ptr::null()];
    let exec = |case: &str, path: &std::ffi::CStr| {
        check(
            "execve",
            case,
            sys!(SYS_execve, path, none.as_ptr(), none.as_ptr()),
        )
    };
    exec("nothing", c"nothing");
    exec("an empty name", c"");
    exec("a folder", c"/");
    std::fs::write("text", b"no program\n").expect("new");
    exec("a file nobody may execute", c"text");
    exec("below a file", c"text/x");
    let allow = |path: &str| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).expect("there");
    };
    allow("text");
    exec("a file that is no program", c"text");
    std::fs::write("empty", b"").expect("new");
    allow("empty");
    exec("an empty file", c"empty");
    std::fs::write("script", b"#!/no/such/shell\n").expect("new");
    allow("script");
    exec("a script without its shell", c"script");
    std::fs::write("cut", b"\x7fELF\x02\x01\x01").expect("new");
    allow("cut");
    exec("a program cut short", c"cut");
    check(
        "execve",
        "a bad name",
        sys!(SYS_execve, BAD, none.as_ptr(), none.as_ptr()),
    );
    check(
        "execve",
        "bad arguments",
        sys!(SYS_execve, c"/proc/self/exe", BAD, none.as_ptr()),
    );
    check(
        "execveat",
        "nothing",
        sys!(
            SYS_execveat,
            libc::AT_FDCWD,
            c"nothing",
            none.as_ptr(),
            none.as_ptr(),
            0
        ),
    );
    check(
        "execveat",
        "not open",
        sys!(SYS_execveat, 99, c"x", none.as_ptr(), none.as_ptr(), 0),
    );
    check(
        "execveat",
        "an unknown flag",
        sys!(
            SYS_execveat,
            libc::AT_FDCWD,
            c"text",
            none.as_ptr(),
            none.as_ptr(),
            1
        ),
    );
}

fn groups() {
    apart(|| {
        let own = i64::from(std::process::id());
        let same = |answer: Answer, wanted: i64| answer.map(|it| i64::from(it == wanted));
        check("setpgid", "a group of its own", sys!(SYS_setpgid, 0, 0));
        check("getpgid", "itself", same(sys!(SYS_getpgid, 0), own));
        check("getpgrp", "itself", same(sys!(SYS_getpgrp), own));
        check("getpgid", "nobody", sys!(SYS_getpgid, 4_000_000));
        check("getpgid", "a negative process", sys!(SYS_getpgid, -1));
        check("setpgid", "a negative group", sys!(SYS_setpgid, 0, -1));
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
        check("getpgid", "the child", same(sys!(SYS_getpgid, pid), pid));
        check(
            "kill",
            "the child's group",
            sys!(SYS_kill, -pid, libc::SIGKILL),
        );
        say(
            "kill",
            "it ended the child",
            format!("{:#x}", status_of(pid)),
        );
    });
}

fn users() {
    apart(|| {
        let three = |call: &str, answer: Answer, ids: [u32; 3]| match answer {
            Ok(_) => say(call, "three ids", format!("{ids:?}")),
            error => check(call, "three ids", error),
        };
        let mut ids = [9_u32; 3];
        let [a, b, c] = [0, 1, 2].map(|nth| &raw mut ids[nth]);
        let answer = sys!(SYS_getresuid, a, b, c);
        three("getresuid", answer, ids);
        check(
            "getresuid",
            "a bad address",
            sys!(SYS_getresuid, BAD, BAD, BAD),
        );
        check(
            "setgroups",
            "two",
            sys!(SYS_setgroups, 2, [5_u32, 6].as_ptr()),
        );
        let mut groups = [0_u32; 4];
        check("getgroups", "how many", sys!(SYS_getgroups, 0, 0));
        check(
            "getgroups",
            "too little room",
            sys!(SYS_getgroups, 1, groups.as_mut_ptr()),
        );
        check(
            "getgroups",
            "room",
            sys!(SYS_getgroups, 4, groups.as_mut_ptr()),
        );
        say("getgroups", "which", format!("{groups:?}"));
        check(
            "getgroups",
            "a negative number",
            sys!(SYS_getgroups, -1, groups.as_mut_ptr()),
        );
        check(
            "setgroups",
            "too many",
            sys!(SYS_setgroups, 65_537, groups.as_ptr()),
        );
        check("setgroups", "a bad address", sys!(SYS_setgroups, 2, BAD));
        check("setresgid", "three", sys!(SYS_setresgid, 70, 70, 70));
        check("setresuid", "nothing", sys!(SYS_setresuid, -1, -1, -1));
        check("setuid", "-1", sys!(SYS_setuid, -1));
        check("getuid", "before", sys!(SYS_getuid));
        check("setresuid", "a user", sys!(SYS_setresuid, 1000, 1000, 1000));
        for (case, answer) in [
            ("getuid", sys!(SYS_getuid)),
            ("geteuid", sys!(SYS_geteuid)),
            ("getgid", sys!(SYS_getgid)),
            ("getegid", sys!(SYS_getegid)),
        ] {
            check(case, "a user", answer);
        }
        check("setuid", "back to root", sys!(SYS_setuid, 0));
        check("setuid", "to itself", sys!(SYS_setuid, 1000));
        check("setgid", "another group", sys!(SYS_setgid, 0));
        check("setgroups", "not root", sys!(SYS_setgroups, 0, 0));
        check("setreuid", "back to root", sys!(SYS_setreuid, 0, 0));
        check("setregid", "back to root", sys!(SYS_setregid, 0, 0));
        check("setresgid", "back to root", sys!(SYS_setresgid, 0, 0, 0));
        check("chroot", "not root", sys!(SYS_chroot, c"/"));
        check(
            "mknod",
            "a device, not root",
            sys!(SYS_mknod, c"/tmp/device", libc::S_IFCHR, 0x103),
        );
        check(
            "kill",
            "the parent, who is root",
            sys!(SYS_kill, sys!(SYS_getppid).expect("one"), 0),
        );
        check("sethostname", "not root", sys!(SYS_sethostname, c"x", 1));
    });
    std::fs::write("secret", b"x").expect("new");
    std::fs::create_dir("closed").expect("new");
    for (path, mode) in [("secret", 0o600), ("closed", 0o700)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("there");
    }
    apart(|| {
        sys!(SYS_setresgid, 1000, 1000, 1000).expect("root");
        sys!(SYS_setresuid, 1000, 1000, 1000).expect("root");
        check(
            "open",
            "root's file as a user",
            sys!(SYS_open, c"secret", 0),
        );
        check(
            "stat",
            "root's file as a user",
            sys!(SYS_stat, c"secret", [0_u64; 18].as_mut_ptr()),
        );
        check(
            "open",
            "in root's folder as a user",
            sys!(SYS_open, c"closed/x", 0),
        );
        check(
            "access",
            "root's file as a user",
            sys!(SYS_access, c"secret", libc::R_OK),
        );
        check(
            "creat",
            "in a folder of root's as a user",
            sys!(SYS_creat, c"mine", 0o600),
        );
        check(
            "chmod",
            "root's file as a user",
            sys!(SYS_chmod, c"secret", 0o666),
        );
        check(
            "chown",
            "root's file as a user",
            sys!(SYS_chown, c"secret", 1000, 1000),
        );
        check(
            "unlink",
            "root's file as a user",
            sys!(SYS_unlink, c"secret"),
        );
        check(
            "rename",
            "root's file as a user",
            sys!(SYS_rename, c"secret", c"mine"),
        );
        check(
            "mkdir",
            "in a folder of root's as a user",
            sys!(SYS_mkdir, c"mine", 0o700),
        );
        check(
            "rmdir",
            "root's folder as a user",
            sys!(SYS_rmdir, c"closed"),
        );
        check(
            "chdir",
            "root's folder as a user",
            sys!(SYS_chdir, c"closed"),
        );
        check(
            "truncate",
            "root's file as a user",
            sys!(SYS_truncate, c"secret", 0),
        );
        check(
            "utimensat",
            "root's file as a user",
            sys!(SYS_utimensat, libc::AT_FDCWD, c"secret", 0, 0),
        );
    });
}

fn threads() {
    let own = i64::from(std::process::id());
    check(
        "gettid",
        "the first thread",
        sys!(SYS_gettid).map(|it| i64::from(it == own)),
    );
    check(
        "set_tid_address",
        "nowhere",
        sys!(SYS_set_tid_address, 0).map(|it| i64::from(it == own)),
    );
    let word = 5_u32;
    let at = &raw const word;
    let futex = |case: &str, operation: i32, value: u32, time: *const u64| {
        check("futex", case, sys!(SYS_futex, at, operation, value, time))
    };
    let (zero, little) = ([0_u64, 0], [0_u64, 2_000_000]);
    futex(
        "wait for another value",
        libc::FUTEX_WAIT,
        6,
        std::ptr::null(),
    );
    futex("wait, no time", libc::FUTEX_WAIT, 5, zero.as_ptr());
    futex(
        "wait, 2 ms",
        libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
        5,
        little.as_ptr(),
    );
    futex(
        "wait, a bad time",
        libc::FUTEX_WAIT,
        5,
        [0_u64, 2_000_000_000].as_ptr(),
    );
    futex("wake nobody", libc::FUTEX_WAKE, 1, std::ptr::null());
    futex("an unknown operation", 99, 1, std::ptr::null());
    check(
        "futex",
        "an odd address",
        sys!(SYS_futex, at as u64 + 1, libc::FUTEX_WAIT, 5, zero.as_ptr()),
    );
    check(
        "futex",
        "a bad address",
        sys!(SYS_futex, 0x1000_u64, libc::FUTEX_WAIT, 5, zero.as_ptr()),
    );
    check(
        "futex",
        "wait with no bits",
        sys!(
            SYS_futex,
            at,
            libc::FUTEX_WAIT_BITSET,
            5,
            zero.as_ptr(),
            0,
            0
        ),
    );
    check(
        "futex",
        "wake with no bits",
        sys!(
            SYS_futex,
            at,
            libc::FUTEX_WAKE_BITSET,
            5,
            zero.as_ptr(),
            0,
            0
        ),
    );
    let other = 0_u32;
    check(
        "futex",
        "requeue nobody",
        sys!(
            SYS_futex,
            at,
            libc::FUTEX_CMP_REQUEUE,
            1,
            1,
            &raw const other,
            5
        ),
    );
    check(
        "futex",
        "requeue, another value",
        sys!(
            SYS_futex,
            at,
            libc::FUTEX_CMP_REQUEUE,
            1,
            1,
            &raw const other,
            6
        ),
    );
    check(
        "set_robust_list",
        "another size",
        sys!(SYS_set_robust_list, at, 8),
    );
    let handle = std::thread::spawn(|| {
        // SAFETY: the call has no arguments.
        let tid = unsafe { libc::gettid() };
        i64::from(tid) != i64::from(std::process::id())
    });
    say(
        "clone",
        "a thread has an id of its own",
        handle.join().expect("it ends"),
    );
    check(
        "clone",
        "a thread without its memory",
        sys!(SYS_clone, libc::CLONE_THREAD, 0, 0, 0, 0),
    );
    check(
        "clone",
        "signal actions without memory",
        sys!(SYS_clone, libc::CLONE_SIGHAND, 0, 0, 0, 0),
    );
    check(
        "clone3",
        "too short a structure",
        sys!(SYS_clone3, [0_u64; 11].as_ptr(), 8),
    );
    check(
        "arch_prctl",
        "an unknown operation",
        sys!(SYS_arch_prctl, 0x9999, 0),
    );
    check(
        "arch_prctl",
        "a base in the kernel's half",
        sys!(SYS_arch_prctl, 0x1002, -1_i64),
    );
}

fn scheduling() {
    check("sched_yield", "it comes back", sys!(SYS_sched_yield));
    let mut set = [0_u64; 128];
    check(
        "sched_getaffinity",
        "room for too little",
        sys!(SYS_sched_getaffinity, 0, 4, set.as_mut_ptr()),
    );
    check(
        "sched_getaffinity",
        "nobody",
        sys!(SYS_sched_getaffinity, 4_000_000, 1024, set.as_mut_ptr()),
    );
    check(
        "sched_getaffinity",
        "a bad address",
        sys!(SYS_sched_getaffinity, 0, 1024, BAD),
    );
    works("getpriority", "itself", sys!(SYS_getpriority, 0, 0)).expect("it is told");
    check(
        "getpriority",
        "an unknown kind",
        sys!(SYS_getpriority, 9, 0),
    );
    check("getpriority", "nobody", sys!(SYS_getpriority, 0, 4_000_000));
    let mut limits = [0_u64; 2];
    check(
        "prlimit64",
        "an unknown resource",
        sys!(SYS_prlimit64, 0, 99, 0, limits.as_mut_ptr()),
    );
    check(
        "prlimit64",
        "nobody",
        sys!(
            SYS_prlimit64,
            4_000_000,
            libc::RLIMIT_NOFILE,
            0,
            limits.as_mut_ptr()
        ),
    );
    check(
        "prlimit64",
        "more than at most",
        sys!(
            SYS_prlimit64,
            0,
            libc::RLIMIT_NOFILE,
            [10_u64, 5].as_ptr(),
            0
        ),
    );
    check(
        "getrlimit",
        "an unknown resource",
        sys!(SYS_getrlimit, 99, limits.as_mut_ptr()),
    );
    check(
        "getrlimit",
        "a bad address",
        sys!(SYS_getrlimit, libc::RLIMIT_NOFILE, BAD),
    );
    check(
        "getrusage",
        "itself",
        sys!(SYS_getrusage, 0, [0_u64; 18].as_mut_ptr()),
    );
    check(
        "getrusage",
        "an unknown kind",
        sys!(SYS_getrusage, 9, [0_u64; 18].as_mut_ptr()),
    );
    check("getrusage", "a bad address", sys!(SYS_getrusage, 0, BAD));
    apart(|| {
        check(
            "prlimit64",
            "fewer files",
            sys!(
                SYS_prlimit64,
                0,
                libc::RLIMIT_NOFILE,
                [4_u64, 1024].as_ptr(),
                0
            ),
        );
        check(
            "open",
            "one file too many",
            sys!(SYS_dup, 0).and_then(|_| sys!(SYS_dup, 0)),
        );
        check(
            "prlimit64",
            "back",
            sys!(
                SYS_prlimit64,
                0,
                libc::RLIMIT_NOFILE,
                [64_u64, 1024].as_ptr(),
                0
            ),
        );
    });
}

fn dropping() {
    check("prctl", "an unknown operation", sys!(SYS_prctl, 9999, 0));
    let mut name = [0_u8; 16];
    check(
        "prctl",
        "a name",
        sys!(SYS_prctl, libc::PR_SET_NAME, c"a name longer than fits"),
    );
    check(
        "prctl",
        "the name",
        sys!(SYS_prctl, libc::PR_GET_NAME, name.as_mut_ptr()),
    );
    say(
        "prctl",
        "it was cut",
        String::from_utf8_lossy(&name).escape_debug(),
    );
    check(
        "prctl",
        "a bad name",
        sys!(SYS_prctl, libc::PR_SET_NAME, BAD),
    );
    check(
        "prctl",
        "no new rights",
        sys!(SYS_prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
    );
    check(
        "prctl",
        "the parent's death",
        sys!(SYS_prctl, libc::PR_SET_PDEATHSIG, 99),
    );
    let mut bytes = [0_u8; 32];
    let at = bytes.as_mut_ptr();
    check("getrandom", "32 bytes", sys!(SYS_getrandom, at, 32, 0));
    check(
        "getrandom",
        "an unknown flag",
        sys!(SYS_getrandom, at, 32, 0x100),
    );
    check(
        "getrandom",
        "a bad address",
        sys!(SYS_getrandom, BAD, 32, 0),
    );
    check("getrandom", "both pools", sys!(SYS_getrandom, at, 32, 6));
    check("uname", "a bad address", sys!(SYS_uname, BAD));
    check("uname", "a name", sys!(SYS_uname, [0_u8; 390].as_mut_ptr()));
    check("sysinfo", "a bad address", sys!(SYS_sysinfo, BAD));
    check("times", "a bad address", sys!(SYS_times, BAD));
    check("getcpu", "which", sys!(SYS_getcpu, at, 0, 0));
    check("getcpu", "a bad address", sys!(SYS_getcpu, BAD, 0, 0));
    check("an unknown call", "500 further than there are", {
        // SAFETY: no kernel has this call.
        unsafe { crate::check::call(1000, [0; 6]) }
    });
}
