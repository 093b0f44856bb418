//! Processes: fork, vfork, clone, wait, exec, exit, groups and sessions as children see them.

use crate::check::{Answer, BAD, check, say, sys};
use libc::{
    CLD_EXITED, CLD_KILLED, P_ALL, P_PGID, P_PID, SIGCHLD, SIGKILL, SIGTERM, WEXITED, WNOHANG,
    WNOWAIT,
};
use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// No child, or any.
const ANY: i32 = -1;

/// Makes a child that does something and ends with what that returns.
fn child(act: impl FnOnce() -> i32) -> i32 {
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
fn reap(pid: i32) -> String {
    let mut status = 0_i32;
    match sys!(SYS_wait4, pid, &raw mut status, 0, 0) {
        Ok(found) if found == i64::from(pid) => format!("{status:#06x}"),
        other => format!("{other:?}"),
    }
}

/// An answer without the number that differs from run to run.
fn numbered(answer: Answer, pid: i32) -> Answer {
    answer.map(|value| if value == i64::from(pid) { 1 } else { value })
}

pub(crate) fn run() {
    ends();
    waits();
    waitids();
    clones();
    programs();
    failures();
    scripts();
    families();
    groups();
}

fn ends() {
    let end = |case: &str, pid: i32| say("wait4", case, reap(pid));
    end("exit with 0", child(|| 0));
    end("exit with 255", child(|| 255));
    end("exit with 256 is 0", child(|| 256));
    end("exit with -1", child(|| -1));
    end(
        "killed",
        child(|| sys!(SYS_kill, std::process::id(), SIGKILL).map_or(1, |_| 2)),
    );
    end(
        "terminated",
        child(|| sys!(SYS_kill, std::process::id(), SIGTERM).map_or(1, |_| 2)),
    );
    end(
        "exit of the only thread",
        child(|| {
            let _ = sys!(SYS_exit, 6);
            7
        }),
    );
    end(
        "a bad access",
        child(|| {
            // SAFETY: it is the child's end that is tried.
            unsafe { BAD.read_volatile() }.into()
        }),
    );
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

fn clones() {
    let clone = |case: &str, flags: i64| {
        let answer = sys!(SYS_clone, flags, 0, 0, 0, 0);
        if answer == Ok(0) {
            let _ = sys!(SYS_exit_group, 0);
        }
        if let Ok(pid) = answer {
            let _ = sys!(SYS_wait4, pid, 0, libc::__WALL, 0);
        }
        check("clone", case, answer.map(|_| 1));
    };
    clone("like fork", i64::from(SIGCHLD));
    clone("without a signal", 0);
    clone(
        "signal actions without memory",
        i64::from(libc::CLONE_SIGHAND),
    );
    clone(
        "a thread without signal actions",
        i64::from(libc::CLONE_THREAD | libc::CLONE_VM),
    );
    clone("files shared", i64::from(libc::CLONE_FILES | SIGCHLD));
    clone("directories shared", i64::from(libc::CLONE_FS | SIGCHLD));
    let clone3 = |case: &str, bytes: usize, set: &[(usize, u64)]| {
        let mut arguments = [0_u64; 600];
        arguments[4] = SIGCHLD as u64;
        for &(at, value) in set {
            arguments[at] = value;
        }
        let answer = sys!(SYS_clone3, arguments.as_ptr(), bytes);
        if answer == Ok(0) {
            let _ = sys!(SYS_exit_group, 0);
        }
        if let Ok(pid) = answer {
            let _ = sys!(SYS_wait4, pid, 0, libc::__WALL, 0);
        }
        check("clone3", case, answer.map(|_| 1));
    };
    clone3("the first version", 64, &[]);
    clone3("the latest version", 88, &[]);
    clone3("too short", 63, &[]);
    clone3("longer, with zeroes", 96, &[]);
    clone3("longer, with something", 96, &[(11, 1)]);
    clone3("a page", 4096, &[]);
    clone3("more than a page", 4104, &[]);
    clone3("a stack without a size", 88, &[(5, 4096)]);
    clone3("a size without a stack", 88, &[(6, 4096)]);
    clone3("a signal that is none", 88, &[(4, 65)]);
    clone3("a signal for a thread", 88, &[(0, 0x1_0f00)]);
    clone3("detached", 88, &[(0, 0x40_0000)]);
    clone3(
        "signal actions kept and forgotten",
        88,
        &[(0, 0x1_0000_0900)],
    );
    clone3("signal actions forgotten", 88, &[(0, 0x1_0000_0000)]);
    check("clone3", "a bad address", sys!(SYS_clone3, BAD, 88));
    let mut told = 0_i32;
    let flags = libc::CLONE_PARENT_SETTID | SIGCHLD;
    match sys!(SYS_clone, flags, 0, &raw mut told, 0, 0).expect("a child") {
        0 => {
            let _ = sys!(SYS_exit_group, 0);
        }
        pid => {
            say(
                "clone",
                "the parent is told the number",
                i64::from(told) == pid,
            );
            let _ = sys!(SYS_wait4, pid, 0, 0, 0);
        }
    }
    let mut told = 0_i32;
    let flags = libc::CLONE_CHILD_SETTID | SIGCHLD;
    match sys!(SYS_clone, flags, 0, 0, &raw mut told, 0).expect("a child") {
        0 => {
            let is_told = i64::from(unsafe_read(&told)) == sys!(SYS_getpid).unwrap_or(0);
            let _ = sys!(SYS_exit_group, i32::from(is_told));
        }
        pid => {
            let ended = reap(i32::try_from(pid).expect("a number"));
            say("clone", "the child is told its number", ended);
            say("clone", "in its own memory", told);
        }
    }
}

/// Reads what the kernel wrote.
fn unsafe_read(value: &i32) -> i32 {
    // SAFETY: a reference is good to be read.
    unsafe { std::ptr::from_ref(value).read_volatile() }
}

/// Lists of strings as execve takes them.
struct List {
    _strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl List {
    fn of(strings: &[&str]) -> Self {
        let strings: Vec<CString> = strings
            .iter()
            .map(|string| CString::new(*string).expect("no NUL"))
            .collect();
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self {
            _strings: strings,
            pointers,
        }
    }
}

fn execute(path: &CStr, arguments: &List, environment: &List) -> i32 {
    let (arguments, environment) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    match sys!(SYS_execve, path, arguments, environment) {
        Err(errno) => 100 + errno,
        Ok(_) => 99,
    }
}

/// This program again, which exits with how many arguments and variables it has been given (see `main`).
fn own() -> CString {
    let path = std::env::current_exe().expect("/proc is there");
    CString::new(path.into_os_string().into_encoded_bytes()).expect("no NUL")
}

fn programs() {
    let own = own();
    let count = |arguments: &[&str], environment: &[&str]| {
        let (arguments, environment) = (List::of(arguments), List::of(environment));
        reap(child(|| execute(&own, &arguments, &environment)))
    };
    say(
        "execve",
        "two arguments, one variable",
        count(&["--count", "a"], &["A=1"]),
    );
    say("execve", "no variable", count(&["--count"], &[]));
    let many: Vec<String> = (0..2000).map(|nth| format!("argument {nth}")).collect();
    let many: Vec<&str> = std::iter::once("--count")
        .chain(many.iter().map(String::as_str))
        .collect();
    say("execve", "many arguments", count(&many, &["A=1", "B="]));
    let long = "x".repeat(100_000);
    say("execve", "a long argument", count(&["--count", &long], &[]));
    let answer = reap(child(|| match sys!(SYS_execve, own.as_c_str(), 0, 0) {
        Err(errno) => 100 + errno,
        Ok(_) => 99,
    }));
    say("execve", "no lists at all", answer);
    let answer = reap(child(|| {
        let arguments = List::of(&["--count"]);
        let fd = sys!(SYS_open, own.as_c_str(), 0).expect("it is there");
        let list = arguments.pointers.as_ptr();
        let answer = sys!(SYS_execveat, fd, c"", list, 0, libc::AT_EMPTY_PATH);
        answer.map_or_else(|errno| 100 + errno, |_| 99)
    }));
    say("execveat", "an open file", answer);
}

fn failures() {
    let arguments = List::of(&["x"]);
    let list = arguments.pointers.as_ptr();
    fs::write("plain", b"text\n").expect("new");
    fs::write("text", b"text\n").expect("new");
    fs::write("empty", b"").expect("new");
    fs::write("short", b"\x7fELF").expect("new");
    for name in ["text", "empty", "short"] {
        fs::set_permissions(name, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    fs::create_dir("folder").expect("new");
    std::os::unix::fs::symlink("loop", "loop").expect("new");
    std::os::unix::fs::symlink("text", "link").expect("new");
    let fail = |case: &str, path: &CStr| check("execve", case, sys!(SYS_execve, path, list, 0));
    fail("no file", c"none");
    fail("an empty name", c"");
    fail("not executable", c"plain");
    fail("a folder", c"folder");
    fail("below a file", c"plain/x");
    fail("text", c"text");
    fail("nothing in it", c"empty");
    fail("a header that is cut", c"short");
    fail("a link to itself", c"loop");
    check("execve", "a bad path", sys!(SYS_execve, BAD, list, 0));
    check("execve", "a bad list", sys!(SYS_execve, c"text", BAD, 0));
    let bad = [BAD as usize, 0];
    check(
        "execve",
        "a bad string",
        sys!(SYS_execve, c"text", bad.as_ptr(), 0),
    );
    let long = "x".repeat(131_072);
    let too_long = List::of(&["x", &long]);
    let too_long = too_long.pointers.as_ptr();
    check(
        "execve",
        "a string of 128 KiB and its NUL",
        sys!(SYS_execve, c"text", too_long, 0),
    );
    let at = |case: &str, fd: i32, path: &CStr, flags: i32| {
        check(
            "execveat",
            case,
            sys!(SYS_execveat, fd, path, list, 0, flags),
        );
    };
    at("unknown flags", libc::AT_FDCWD, c"text", 1);
    at("not open", 99, c"text", 0);
    at("an empty name", libc::AT_FDCWD, c"", 0);
    at(
        "a link that is not followed",
        libc::AT_FDCWD,
        c"link",
        libc::AT_SYMLINK_NOFOLLOW,
    );
    at("a link that is", libc::AT_FDCWD, c"link", 0);
}

fn scripts() {
    let own = own();
    let own = own.to_str().expect("text");
    let script = |name: &str, line: String| {
        fs::write(name, line).expect("written");
        fs::set_permissions(name, fs::Permissions::from_mode(0o755)).expect("ours");
    };
    let run = |name: &str| {
        let name = CString::new(name).expect("no NUL");
        let (arguments, environment) = (List::of(&["dropped", "own"]), List::of(&["V=1"]));
        reap(child(|| execute(&name, &arguments, &environment)))
    };
    script("counts", format!("#!{own} --count\n"));
    say("script", "an interpreter and its argument", run("./counts"));
    script("blanks", format!("#! \t{own}\t --count two words \t\n"));
    say("script", "blanks around them", run("./blanks"));
    script("unended", format!("#!{own} --count"));
    say("script", "a line without an end", run("./unended"));
    script("nothing", "#!\n".to_owned());
    say("script", "no interpreter", run("./nothing"));
    script("blank", "#!  \t\n".to_owned());
    say("script", "only blanks", run("./blank"));
    script("missing", "#!/no/such/interpreter\n".to_owned());
    say(
        "script",
        "an interpreter that is not there",
        run("./missing"),
    );
    script("folder-run", "#!/\n".to_owned());
    say("script", "a folder as interpreter", run("./folder-run"));
    script("long", format!("#!/{}\n", "x".repeat(300)));
    say(
        "script",
        "a path longer than what is looked at",
        run("./long"),
    );
    script(
        "long-argument",
        format!("#!{own} --count {}\n", "y".repeat(300)),
    );
    say(
        "script",
        "an argument longer than that",
        run("./long-argument"),
    );
    script("self", "#!./self\n".to_owned());
    say("script", "its own interpreter", run("./self"));
    let mut before = format!("{own} --count");
    for depth in 1..=7 {
        let name = format!("./depth{depth}");
        script(&name, format!("#!{before}\n"));
        say("script", &format!("{depth} deep"), run(&name));
        before = name;
    }
}

fn families() {
    let same = |case: &str, answer: bool| say("fork", case, answer);
    let own = sys!(SYS_getpid).expect("a number");
    let told = reap(child(|| i32::from(sys!(SYS_getppid) == Ok(own))));
    say("getppid", "of a child", told);
    same(
        "a child is its first thread",
        reap(child(|| i32::from(sys!(SYS_gettid) == sys!(SYS_getpid)))) == "0x0100",
    );
    let mut ends = [0_i32; 2];
    sys!(SYS_pipe, &raw mut ends).expect("a pipe");
    let pid = child(|| {
        let grandchild = child(|| {
            // Until the parent has ended.
            while sys!(SYS_getppid) == Ok(sys!(SYS_getpid).unwrap_or(0)) {}
            let _ = sys!(SYS_write, ends[1], c"grandchild", 10);
            0
        });
        i32::from(grandchild < 0)
    });
    say("fork", "a child that leaves a child", reap(pid));
    let _ = sys!(SYS_close, ends[1]);
    let mut text = [0_u8; 16];
    let length = sys!(SYS_read, ends[0], &raw mut text, 16).expect("it is written");
    say(
        "fork",
        "the orphan works on",
        String::from_utf8_lossy(&text[..length as usize]),
    );
    let _ = sys!(SYS_close, ends[0]);
    // A subreaper gets it instead.
    let adopted = reap(child(|| {
        let _ = sys!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        let middle = child(|| {
            child(|| 7);
            0
        });
        let first = reap(middle);
        let mut status = 0_i32;
        let _ = sys!(SYS_wait4, ANY, &raw mut status, 0, 0);
        i32::from(first == "0x0000" && status == 0x700)
    }));
    say("prctl", "a subreaper reaps", adopted);
    let died = reap(child(|| {
        let mut ends = [0_i32; 2];
        sys!(SYS_pipe, &raw mut ends).expect("a pipe");
        let middle = child(|| {
            child(|| {
                let _ = sys!(SYS_prctl, libc::PR_SET_PDEATHSIG, SIGKILL);
                let _ = sys!(SYS_write, ends[1], c"x", 1);
                let _ = sys!(SYS_pause);
                0
            });
            let mut byte = [0_u8; 1];
            let _ = sys!(SYS_read, ends[0], &raw mut byte, 1);
            0
        });
        reap(middle);
        let _ = sys!(SYS_close, ends[1]);
        let mut byte = [0_u8; 1];
        i32::from(sys!(SYS_read, ends[0], &raw mut byte, 1) == Ok(0))
    }));
    say("prctl", "a signal when the parent ends", died);
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
