//! On whose behalf a process acts: real, effective and saved ids, those of files, capabilities, programs that act for their
//! owner.

use crate::check::{Answer, BAD, check, say, sys};
use crate::child::{apart, child, status_of};
use std::os::unix::fs::PermissionsExt;

/// Some user, and another one.
const USER: u32 = 1000;
const OTHER: u32 = 2000;

pub(crate) fn run() {
    users();
    groups();
    for_files();
    capabilities();
    signals();
    writers();
    programs();
}

/// The three ids of users or groups.
fn three(number: libc::c_long) -> [u32; 3] {
    let mut ids = [9_u32; 3];
    let [a, b, c] = [0, 1, 2].map(|nth| &raw mut ids[nth] as i64);
    // SAFETY: the call writes three numbers.
    unsafe { crate::check::call(number, [a, b, c, 0, 0, 0]) }.expect("told");
    ids
}

fn told(call: &str, case: &str, answer: Answer) {
    check(call, case, answer);
    let ids = (three(libc::SYS_getresuid), three(libc::SYS_getresgid));
    say(call, &format!("{case}: then"), format!("{ids:?}"));
}

fn users() {
    apart(|| {
        told("setreuid", "two", sys!(SYS_setreuid, 0, USER));
        told("setreuid", "back and forth", sys!(SYS_setreuid, USER, 0));
        told(
            "setreuid",
            "the effective one alone",
            sys!(SYS_setreuid, -1, USER),
        );
        told("setreuid", "a stranger", sys!(SYS_setreuid, -1, OTHER));
        told(
            "setreuid",
            "a stranger as the real one",
            sys!(SYS_setreuid, OTHER, -1),
        );
    });
    apart(|| {
        told("setresuid", "three", sys!(SYS_setresuid, USER, OTHER, 0));
        told(
            "setresuid",
            "a stranger among them",
            sys!(SYS_setresuid, -1, 3000, -1),
        );
        told(
            "setresuid",
            "turned round",
            sys!(SYS_setresuid, OTHER, 0, USER),
        );
        told(
            "setresuid",
            "the effective one alone",
            sys!(SYS_setresuid, -1, USER, -1),
        );
    });
    apart(|| {
        sys!(SYS_setresuid, USER, USER, 0).expect("root");
        told("setuid", "a stranger", sys!(SYS_setuid, OTHER));
        told("setuid", "the saved one", sys!(SYS_setuid, 0));
        told("setuid", "all of them, as root", sys!(SYS_setuid, OTHER));
        told("setuid", "not back", sys!(SYS_setuid, 0));
    });
    apart(|| {
        sys!(SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGTERM).expect("set");
        let is_dumpable = || sys!(SYS_prctl, libc::PR_GET_DUMPABLE) == Ok(1);
        say("prctl", "dumpable at first", is_dumpable());
        sys!(SYS_setresuid, -1, USER, -1).expect("root");
        say("prctl", "dumpable as another user", is_dumpable());
        let mut signal = 9;
        sys!(SYS_prctl, libc::PR_GET_PDEATHSIG, &raw mut signal).expect("told");
        say(
            "prctl",
            "a signal of the parent's end, as another user",
            signal,
        );
        check(
            "prctl",
            "dumpable again",
            sys!(SYS_prctl, libc::PR_SET_DUMPABLE, 1),
        );
        say("prctl", "dumpable once it was said", is_dumpable());
        check(
            "prctl",
            "dumpable in a way nobody may ask for",
            sys!(SYS_prctl, libc::PR_SET_DUMPABLE, 2),
        );
    });
}

fn groups() {
    apart(|| {
        told(
            "setresgid",
            "three, as root",
            sys!(SYS_setresgid, USER, OTHER, 0),
        );
        told("setregid", "as root", sys!(SYS_setregid, -1, USER));
        told("setgid", "as root", sys!(SYS_setgid, OTHER));
        sys!(SYS_setresgid, USER, OTHER, 3000).expect("root");
        sys!(SYS_setresuid, USER, USER, USER).expect("root");
        told(
            "setregid",
            "back and forth",
            sys!(SYS_setregid, OTHER, USER),
        );
        told("setregid", "a stranger", sys!(SYS_setregid, 4000, -1));
        told("setgid", "a stranger", sys!(SYS_setgid, 4000));
        told("setgid", "the real one", sys!(SYS_setgid, OTHER));
        told(
            "setresgid",
            "a stranger among them",
            sys!(SYS_setresgid, -1, -1, 4000),
        );
        check("setgid", "no group", sys!(SYS_setgid, -1));
    });
}

fn for_files() {
    apart(asking);
    std::fs::write("only-root", b"x").expect("new");
    std::fs::set_permissions("only-root", PermissionsExt::from_mode(0o600)).expect("there");
    let open = |case: &str| {
        let answer = sys!(SYS_open, c"only-root", libc::O_RDONLY);
        if let Ok(fd) = answer {
            sys!(SYS_close, fd).expect("open");
        }
        check("open", case, answer.map(|_| 0));
    };
    apart(|| {
        check("setfsuid", "a user", sys!(SYS_setfsuid, USER));
        open("root's, for files a user");
        check("setfsuid", "only asked", sys!(SYS_setfsuid, -1));
        check("setfsuid", "back", sys!(SYS_setfsuid, 0));
        open("root's, for files root again");
        check("setfsgid", "a group", sys!(SYS_setfsgid, USER));
        check("setfsgid", "only asked", sys!(SYS_setfsgid, -1));
        sys!(SYS_setresuid, -1, USER, -1).expect("root");
        open("root's, while acting for a user");
        check("setfsuid", "a stranger", sys!(SYS_setfsuid, OTHER));
        check("setfsuid", "it did nothing", sys!(SYS_setfsuid, -1));
        check("setfsuid", "the real one", sys!(SYS_setfsuid, 0));
        open("root's, for files the real user");
        sys!(SYS_setresuid, -1, 0, -1).expect("it was saved");
        open("root's, root again");
    });
}

/// access(2) asks for whose the process is, not for whom it acts.
fn asking() {
    std::fs::write("asked", b"x").expect("new");
    std::fs::set_permissions("asked", PermissionsExt::from_mode(0o600)).expect("there");
    sys!(SYS_setresuid, USER, 0, 0).expect("root");
    let folder = libc::AT_FDCWD;
    let path = c"asked";
    for (case, answer) in [
        (
            "root's, of a user who acts for root",
            sys!(SYS_access, path, libc::R_OK),
        ),
        (
            "root's, of a user, by folder",
            sys!(SYS_faccessat, folder, path, libc::R_OK),
        ),
    ] {
        check("access", case, answer);
    }
    for (case, flags) in [
        ("root's, of whose it is", 0),
        ("root's, of for whom it acts", libc::AT_EACCESS),
    ] {
        let answer = sys!(SYS_faccessat2, folder, path, libc::R_OK, flags);
        check("faccessat2", case, answer);
    }
    check("unlink", "root's, acting for root", sys!(SYS_unlink, path));
}

/// Capabilities of a process: whether there are any, effective and permitted.
fn capabilities_of(pid: i32) -> (Answer, [bool; 2], [u32; 6]) {
    let header = [0x2008_0522_u32, pid as u32];
    let mut sets = [0_u32; 6];
    let answer = sys!(SYS_capget, header.as_ptr(), sets.as_mut_ptr());
    let has = [sets[0] | sets[3] != 0, sets[1] | sets[4] != 0];
    (answer, has, sets)
}

fn capabilities() {
    apart(|| {
        let has = |case: &str| {
            let (answer, has, _) = capabilities_of(0);
            check("capget", case, answer);
            say(
                "capget",
                &format!("{case}: effective, permitted"),
                format!("{has:?}"),
            );
        };
        has("root's");
        for (case, version) in [("version 1", 0x1998_0330_u32), ("version 2", 0x2007_1026)] {
            let header = [version, 0];
            check(
                "capget",
                case,
                sys!(SYS_capget, header.as_ptr(), [0_u32; 6].as_mut_ptr()),
            );
        }
        let mut header = [7_u32, 0];
        let at = header.as_mut_ptr();
        check(
            "capget",
            "an unknown version",
            sys!(SYS_capget, at, [0_u32; 6].as_mut_ptr()),
        );
        say(
            "capget",
            "the version to ask for",
            format!("{:#x}", header[0]),
        );
        let mut header = [7_u32, 0];
        check(
            "capget",
            "only the version",
            sys!(SYS_capget, header.as_mut_ptr(), 0),
        );
        check("capget", "a bad header", sys!(SYS_capget, BAD, 0));
        check("capget", "a negative process", capabilities_of(-5).0);
        check("capget", "nobody's", capabilities_of(4_000_000).0);
        let own = [0x2008_0522_u32, 0];
        check("capget", "bad sets", sys!(SYS_capget, own.as_ptr(), BAD));
        check("capset", "bad sets", sys!(SYS_capset, own.as_ptr(), BAD));
        check("capset", "a bad header", sys!(SYS_capset, BAD, 0));
        let set = |case: &str, sets: &[u32; 6]| {
            check(
                "capset",
                case,
                sys!(SYS_capset, own.as_ptr(), sets.as_ptr()),
            );
        };
        set("those there are", &capabilities_of(0).2);
        let parent = [0x2008_0522_u32, sys!(SYS_getppid).expect("one") as u32];
        let sets = capabilities_of(0).2;
        check(
            "capset",
            "another's",
            sys!(SYS_capset, parent.as_ptr(), sets.as_ptr()),
        );
        sys!(SYS_setresuid, -1, USER, -1).expect("root");
        has("of who acts for a user");
        sys!(SYS_setresuid, -1, 0, -1).expect("root");
        has("of root again");
        sys!(SYS_setresuid, USER, USER, USER).expect("root");
        has("a user's");
        set("a user's, none", &[0; 6]);
        set("a user's, one", &[1, 1, 0, 0, 0, 0]);
    });
    let prctl = |case: &str, arguments: [i64; 5]| {
        let [a, b, c, d, e] = arguments;
        check("prctl", case, sys!(SYS_prctl, a, b, c, d, e));
    };
    apart(|| {
        prctl("an unknown capability's bound", [23, 99, 0, 0, 0]);
        prctl("kept capabilities", [7, 0, 0, 0, 0]);
        prctl("kept capabilities in an unknown way", [8, 2, 0, 0, 0]);
        prctl("no new privileges, 0", [38, 0, 0, 0, 0]);
        prctl("no new privileges, with more", [38, 1, 1, 0, 0]);
        prctl("no new privileges, not yet", [39, 0, 0, 0, 0]);
        prctl("no new privileges, asked with more", [39, 1, 0, 0, 0]);
        prctl("no new privileges, said", [38, 1, 0, 0, 0]);
        prctl("no new privileges, from now on", [39, 0, 0, 0, 0]);
        let heir = child(|| i32::from(sys!(SYS_prctl, 39, 0, 0, 0, 0) == Ok(1)));
        say(
            "prctl",
            "no new privileges, of a child",
            status_of(heir) >> 8,
        );
    });
}

/// Who may send a signal to whom.
fn signals() {
    let ask = |case: &str, ids: [u32; 3], signal: i32| {
        let mut pipe = [0; 2];
        sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
        let target = child(|| {
            let [real, effective, saved] = ids;
            sys!(SYS_setresuid, real, effective, saved).expect("root");
            sys!(SYS_write, pipe[1], [1_u8].as_ptr(), 1).expect("open");
            let _ = sys!(SYS_pause);
            0
        });
        sys!(SYS_read, pipe[0], [0_u8].as_mut_ptr(), 1).expect("open");
        apart(|| {
            sys!(SYS_setresuid, USER, USER, USER).expect("root");
            check("kill", case, sys!(SYS_kill, target, signal));
        });
        sys!(SYS_kill, target, libc::SIGKILL).expect("it lives");
        status_of(target);
        for fd in pipe {
            sys!(SYS_close, fd).expect("open");
        }
    };
    ask("root's process, of a user", [0, 0, 0], 0);
    ask("a user's own that acts for root", [USER, 0, 0], 0);
    ask("one that acts for the user", [OTHER, USER, OTHER], 0);
    ask(
        "one that may act for the user again",
        [OTHER, OTHER, USER],
        0,
    );
    ask("root's process, to go on", [0, 0, 0], libc::SIGCONT);
}

/// What a user writes to does not act for its owner any more.
fn writers() {
    let mode = || {
        std::fs::metadata("acts")
            .expect("there")
            .permissions()
            .mode()
            & 0o7777
    };
    let make = || {
        std::fs::write("acts", b"program").expect("new");
        std::fs::set_permissions("acts", PermissionsExt::from_mode(0o6777)).expect("there");
    };
    let write = || {
        let fd = sys!(SYS_open, c"acts", libc::O_WRONLY).expect("there");
        sys!(SYS_write, fd, b"x".as_ptr(), 1).expect("open");
        sys!(SYS_close, fd).expect("open");
    };
    make();
    apart(write);
    say(
        "write",
        "root's to a program that acts for root",
        format!("{:o}", mode()),
    );
    for (case, act) in [
        (
            "a user's to a program that acts for root",
            &write as &dyn Fn(),
        ),
        ("a user's cut of a program that acts for root", &|| {
            sys!(SYS_truncate, c"acts", 3).expect("there");
        }),
    ] {
        make();
        apart(|| {
            sys!(SYS_setresuid, USER, USER, USER).expect("root");
            act();
        });
        say("write", case, format!("{:o}", mode()));
    }
    std::fs::remove_file("acts").expect("there");
}

/// Programs that act on behalf of their owner or its group.
fn programs() {
    // Where temporary files are, programs may be kept from that.
    let folder = std::path::Path::new("/var/tmp").join(format!("conform-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("it can be made");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).expect("there");
    let program = folder.join("program");
    std::fs::copy("/proc/self/exe", &program).expect("it can be copied");
    let script = folder.join("script");
    std::fs::write(&script, format!("#!{}\n", program.display())).expect("new");
    let path = |path: &std::path::Path| {
        std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("no NUL")
    };
    let (program, script) = (path(&program), path(&script));
    let execute = |case: &str, mode: u32, owner: u32, user: u32, prepare: &dyn Fn()| {
        // The owner goes first: a change of it takes the bits away.
        sys!(SYS_chown, program.as_c_str(), owner, owner).expect("root");
        sys!(SYS_chmod, program.as_c_str(), mode).expect("root");
        apart(|| {
            sys!(SYS_setgroups, 0, 0).expect("root");
            sys!(SYS_setresgid, user, user, user).expect("root");
            sys!(SYS_setresuid, user, user, user).expect("root");
            prepare();
            let case = std::ffi::CString::new(case).expect("no NUL");
            let arguments = [
                c"program".as_ptr(),
                c"--ids".as_ptr(),
                case.as_ptr(),
                std::ptr::null(),
            ];
            let environment = [std::ptr::null::<u8>()];
            let answer = sys!(
                SYS_execve,
                program.as_c_str(),
                arguments.as_ptr(),
                environment.as_ptr()
            );
            check("execve", "a program that acts for its owner", answer);
        });
    };
    let nothing = || ();
    execute("a usual program, by a user", 0o755, 0, USER, &nothing);
    execute(
        "root's set-user-ID program, by a user",
        0o4755,
        0,
        USER,
        &nothing,
    );
    execute(
        "root's set-group-ID program, by a user",
        0o2755,
        0,
        USER,
        &nothing,
    );
    execute(
        "root's program with both, by a user",
        0o6755,
        0,
        USER,
        &nothing,
    );
    execute(
        "set-group-ID without the group's right, by a user",
        0o2745,
        0,
        USER,
        &nothing,
    );
    execute(
        "a user's set-user-ID program, by root",
        0o4755,
        USER,
        0,
        &nothing,
    );
    execute(
        "a user's set-user-ID program, by itself",
        0o4755,
        USER,
        USER,
        &nothing,
    );
    execute(
        "root's set-user-ID program, without new privileges",
        0o6755,
        0,
        USER,
        &|| {
            sys!(SYS_prctl, 38, 1, 0, 0, 0).expect("set");
        },
    );
    sys!(SYS_chmod, program.as_c_str(), 0o755).expect("root");
    sys!(SYS_chmod, script.as_c_str(), 0o6755).expect("root");
    apart(|| {
        sys!(SYS_setresuid, USER, USER, USER).expect("root");
        let arguments = [
            c"program".as_ptr(),
            c"--ids".as_ptr(),
            c"a script".as_ptr(),
            std::ptr::null(),
        ];
        let at = [std::ptr::null::<u8>()];
        // The interpreter gets the script's name first, and tells its ids all the same.
        let answer = sys!(
            SYS_execve,
            script.as_c_str(),
            arguments.as_ptr(),
            at.as_ptr()
        );
        check("execve", "a script that acts for its owner", answer);
    });
    std::fs::remove_dir_all(&folder).expect("there");
}

/// Tells on whose behalf a program that was executed acts.
pub(crate) fn tell(case: &str) {
    let ids = (three(libc::SYS_getresuid), three(libc::SYS_getresgid));
    // SAFETY: the call has no preconditions.
    let is_secure = unsafe { libc::getauxval(libc::AT_SECURE) };
    let for_files = (sys!(SYS_setfsuid, -1), sys!(SYS_setfsgid, -1));
    let is_dumpable = sys!(SYS_prctl, libc::PR_GET_DUMPABLE) == Ok(1);
    say(
        "execve",
        case,
        format!("{ids:?} {for_files:?} {is_secure} {is_dumpable}"),
    );
}
