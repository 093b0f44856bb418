//! Capabilities that are given up one by one: what cannot be done then, and what programs that are executed have of them.
//!
//! Root itself may lack some on the machine this runs on: every check begins with those it names, in a child.

use crate::check::{Answer, check, say, sys};
use crate::child::{apart, child, status_of};
use std::os::unix::fs::PermissionsExt;

const USER: u32 = 1000;

const CHOWN: u32 = 0;
const DAC_OVERRIDE: u32 = 1;
const FOWNER: u32 = 3;
const FSETID: u32 = 4;
const KILL: u32 = 5;
const SETGID: u32 = 6;
const SETUID: u32 = 7;
const SETPCAP: u32 = 8;
const SYS_CHROOT: u32 = 18;

pub(crate) fn run() {
    sets();
    bounds();
    ambient();
    secure();
    kept();
    files();
    processes();
    programs();
}

/// Effective, permitted and inheritable ones of the caller.
fn own() -> [u64; 3] {
    let header = [0x2008_0522_u32, 0];
    let mut words = [0_u32; 6];
    sys!(SYS_capget, header.as_ptr(), words.as_mut_ptr()).expect("told");
    [0, 1, 2].map(|nth| u64::from(words[nth]) | u64::from(words[nth + 3]) << 32)
}

fn set(sets: [u64; 3]) -> Answer {
    let header = [0x2008_0522_u32, 0];
    let mut words = [0_u32; 6];
    for (nth, set) in sets.into_iter().enumerate() {
        words[nth] = set as u32;
        words[nth + 3] = (set >> 32) as u32;
    }
    sys!(SYS_capset, header.as_ptr(), words.as_ptr())
}

fn one(capability: u32) -> u64 {
    1 << capability
}

/// Leaves the caller these capabilities alone, and none to inherit.
fn only(capabilities: &[u32]) {
    let set_of = capabilities.iter().map(|&nth| one(nth)).sum();
    set([set_of, set_of, 0]).expect("it has them");
}

/// Leaves the caller all but one.
fn without(capability: u32) {
    let [effective, permitted, inheritable] = own();
    let rest = !one(capability);
    set([effective & rest, permitted & rest, inheritable & rest]).expect("less");
}

/// Says which of some capabilities the caller has: effective, permitted, inheritable.
fn told(case: &str, capabilities: &[u32]) {
    let has = own().map(|set| {
        let one = |nth: &u32| if set & one(*nth) == 0 { '-' } else { '+' };
        capabilities.iter().map(one).collect::<String>()
    });
    say("capget", case, has.join(" "));
}

fn prctl(case: &str, arguments: [i64; 5]) {
    let [a, b, c, d, e] = arguments;
    check("prctl", case, sys!(SYS_prctl, a, b, c, d, e));
}

fn sets() {
    apart(|| {
        only(&[CHOWN, KILL]);
        let (first, second) = (one(CHOWN), one(KILL));
        let both = first | second;
        check("capset", "one effective of two", set([first, both, 0]));
        told("one effective of two", &[CHOWN, KILL]);
        check("capset", "both again", set([both, both, 0]));
        check("capset", "one given up", set([first, first, 0]));
        check(
            "capset",
            "what was given up, permitted",
            set([first, both, 0]),
        );
        check(
            "capset",
            "what was given up, effective",
            set([both, first, 0]),
        );
        check(
            "capset",
            "what was given up, inheritable",
            set([first, first, second]),
        );
        check(
            "capset",
            "inherited of what is permitted",
            set([first, first, first]),
        );
        check(
            "capset",
            "inherited without being permitted",
            set([0, 0, first]),
        );
        check(
            "capset",
            "a capability there is not",
            set([1 << 50, 1 << 50, 0]),
        );
        check("capset", "none", set([0, 0, 0]));
        told("none", &[CHOWN, KILL]);
        let header = [0x1998_0330_u32, 0];
        check(
            "capset",
            "version 1",
            sys!(SYS_capset, header.as_ptr(), [0_u32; 3].as_ptr()),
        );
        let heir = child(|| i32::from(own() == [0; 3]));
        say("capset", "a child has none either", status_of(heir) >> 8);
    });
    apart(|| {
        only(&[KILL, SETPCAP]);
        let both = one(KILL) | one(SETPCAP);
        check(
            "capset",
            "inherited of what is in bounds",
            set([both, both, one(CHOWN)]),
        );
    });
}

fn bounds() {
    apart(|| {
        prctl("the bound of one that is in it", [23, KILL.into(), 0, 0, 0]);
        prctl("the bound of none there is", [23, 63, 0, 0, 0]);
        prctl("a bound given up", [24, KILL.into(), 0, 0, 0]);
        prctl("a bound given up, asked", [23, KILL.into(), 0, 0, 0]);
        prctl("a bound given up twice", [24, KILL.into(), 0, 0, 0]);
        prctl("a bound of none there is, given up", [24, 99, 0, 0, 0]);
        told("what was given up as a bound alone", &[KILL]);
        let all = own();
        check(
            "capset",
            "inherited out of bounds",
            set([all[0], all[1], one(KILL)]),
        );
        without(SETPCAP);
        prctl(
            "a bound given up without a right to",
            [24, CHOWN.into(), 0, 0, 0],
        );
        prctl("of none there is, without a right to", [24, 99, 0, 0, 0]);
    });
}

fn ambient() {
    apart(|| {
        only(&[KILL, SETUID, SETPCAP]);
        let kill = i64::from(KILL);
        prctl("ambient, asked", [47, 1, kill, 0, 0]);
        prctl("ambient without being inherited", [47, 2, kill, 0, 0]);
        let [effective, permitted, _] = own();
        set([effective, permitted, one(KILL) | one(CHOWN)]).expect("in bounds");
        prctl("ambient", [47, 2, kill, 0, 0]);
        prctl("ambient now", [47, 1, kill, 0, 0]);
        prctl(
            "ambient without being permitted",
            [47, 2, CHOWN.into(), 0, 0],
        );
        prctl("ambient, one there is not", [47, 2, 99, 0, 0]);
        prctl("ambient, in an unknown way", [47, 9, kill, 0, 0]);
        prctl("ambient, with more", [47, 2, kill, 1, 0]);
        prctl("ambient, all cleared with more", [47, 4, kill, 0, 0]);
        prctl("ambient, lowered", [47, 3, kill, 0, 0]);
        prctl("ambient, not any more", [47, 1, kill, 0, 0]);
        prctl("ambient once more", [47, 2, kill, 0, 0]);
        set([effective, permitted, 0]).expect("less");
        prctl("ambient, inherited no more", [47, 1, kill, 0, 0]);
        set([effective, permitted, one(KILL)]).expect("in bounds");
        prctl("ambient a third time", [47, 2, kill, 0, 0]);
        prctl("ambient, all cleared", [47, 4, 0, 0, 0]);
        prctl("ambient, cleared", [47, 1, kill, 0, 0]);
        prctl("ambient a fourth time", [47, 2, kill, 0, 0]);
        sys!(SYS_setresuid, USER, USER, USER).expect("permitted");
        prctl("ambient, of a user", [47, 1, kill, 0, 0]);
    });
}

fn secure() {
    apart(|| {
        prctl("bits of security", [27, 0, 0, 0, 0]);
        prctl("those set", [28, 0x4, 0, 0, 0]);
        prctl("those that are set", [27, 0, 0, 0, 0]);
        sys!(SYS_setresuid, USER, USER, USER).expect("root");
        told("a user's whose ids change nothing", &[KILL, CHOWN]);
    });
    apart(|| {
        prctl("an unknown bit of security", [28, 0x1_0000, 0, 0, 0]);
        prctl("a locked bit of security", [28, 0x20, 0, 0, 0]);
        prctl("kept, locked", [8, 1, 0, 0, 0]);
        prctl("a lock taken off", [28, 0, 0, 0, 0]);
        prctl("what is locked, changed", [28, 0x30, 0, 0, 0]);
        without(SETPCAP);
        prctl("bits of security without a right to", [28, 0x20, 0, 0, 0]);
    });
}

fn kept() {
    apart(|| {
        only(&[KILL, SETUID]);
        prctl("kept", [8, 1, 0, 0, 0]);
        prctl("kept, asked", [7, 0, 0, 0, 0]);
        sys!(SYS_setresuid, USER, USER, USER).expect("permitted");
        told("kept by a user", &[KILL, SETUID]);
        check(
            "capset",
            "kept, effective again",
            set([one(KILL), one(KILL), 0]),
        );
        check(
            "setresuid",
            "with what was given up",
            sys!(SYS_setresuid, 0, 0, 0),
        );
    });
    apart(|| {
        only(&[KILL, SETUID]);
        sys!(SYS_setresuid, -1, USER, -1).expect("permitted");
        told("while acting for a user", &[KILL, SETUID]);
        sys!(SYS_setresuid, -1, 0, -1).expect("it is the real one");
        told("acting for itself again", &[KILL, SETUID]);
        sys!(SYS_setresuid, USER, USER, USER).expect("permitted");
        told("of a user", &[KILL, SETUID]);
    });
    apart(|| {
        only(&[KILL, DAC_OVERRIDE, SETUID]);
        sys!(SYS_setfsuid, USER).expect("done");
        told("with files asked for as a user", &[KILL, DAC_OVERRIDE]);
        sys!(SYS_setfsuid, 0).expect("done");
        told("with files asked for as root", &[KILL, DAC_OVERRIDE]);
    });
}

fn open(path: &std::ffi::CStr, flags: i32) -> Answer {
    let answer = sys!(SYS_open, path, flags);
    if let Ok(fd) = answer {
        sys!(SYS_close, fd).expect("open");
    }
    answer.map(|_| 0)
}

fn files() {
    std::fs::create_dir("closed").expect("new");
    std::fs::write("closed/in", b"x").expect("new");
    std::fs::write("other", b"x").expect("new");
    std::fs::write("own", b"x").expect("new");
    std::fs::create_dir("sticky").expect("new");
    std::fs::write("sticky/in", b"x").expect("new");
    std::fs::set_permissions("sticky", PermissionsExt::from_mode(0o1777)).expect("there");
    std::fs::set_permissions("own", PermissionsExt::from_mode(0o000)).expect("there");
    for path in ["closed", "other", "sticky/in", "sticky"] {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).expect("root");
    }
    std::fs::set_permissions("closed", PermissionsExt::from_mode(0o700)).expect("there");
    std::fs::set_permissions("other", PermissionsExt::from_mode(0o600)).expect("there");
    let all: [(&str, &[u32]); 3] = [
        ("nothing", &[]),
        ("the right to pass over permissions", &[DAC_OVERRIDE]),
        ("the rights of owners", &[FOWNER]),
    ];
    for (who, capabilities) in all {
        apart(|| {
            only(capabilities);
            let case = |what: &str| format!("{what}, with {who}");
            check(
                "open",
                &case("another's to read"),
                open(c"other", libc::O_RDONLY),
            );
            check(
                "open",
                &case("another's to write"),
                open(c"other", libc::O_WRONLY),
            );
            check(
                "open",
                &case("in another's folder"),
                open(c"closed/in", libc::O_RDONLY),
            );
            check(
                "open",
                &case("its own without permissions"),
                open(c"own", libc::O_RDONLY),
            );
            check(
                "access",
                &case("another's to read"),
                sys!(SYS_access, c"other", libc::R_OK),
            );
            check(
                "chmod",
                &case("another's"),
                sys!(SYS_chmod, c"other", 0o600),
            );
            let name = c"sticky/in";
            let moved = sys!(SYS_rename, name, c"sticky/moved");
            check("rename", &case("another's in a sticky folder"), moved);
            if moved.is_ok() {
                sys!(SYS_rename, c"sticky/moved", name).expect("there");
            }
        });
    }
    owners();
}

fn owners() {
    std::fs::write("given", b"x").expect("new");
    apart(|| {
        without(CHOWN);
        check(
            "chown",
            "away, without a right to",
            sys!(SYS_chown, c"given", USER, -1),
        );
        check(
            "chown",
            "to a strange group, without",
            sys!(SYS_chown, c"given", -1, 3000),
        );
        check(
            "chown",
            "to its own group, without",
            sys!(SYS_chown, c"given", 0, 0),
        );
    });
    apart(|| {
        only(&[CHOWN]);
        check(
            "chown",
            "away, with nothing else",
            sys!(SYS_chown, c"given", USER, USER),
        );
        check(
            "chown",
            "back, with nothing else",
            sys!(SYS_chown, c"given", 0, 0),
        );
    });
    for (who, capabilities) in [
        ("with a right to", &[FSETID, FOWNER][..]),
        ("without", &[FOWNER]),
    ] {
        std::os::unix::fs::chown("given", Some(0), Some(3000)).expect("root");
        std::fs::set_permissions("given", PermissionsExt::from_mode(0o755)).expect("there");
        apart(|| {
            only(capabilities);
            sys!(SYS_chmod, c"given", 0o2755).expect("its own");
        });
        let mode = std::fs::metadata("given")
            .expect("there")
            .permissions()
            .mode();
        say(
            "chmod",
            &format!("a strange group's program, {who}"),
            format!("{mode:o}"),
        );
        std::os::unix::fs::chown("given", Some(0), Some(0)).expect("root");
        std::fs::set_permissions("given", PermissionsExt::from_mode(0o4755)).expect("there");
        apart(|| {
            only(capabilities);
            let fd = sys!(SYS_open, c"given", libc::O_WRONLY).expect("its own");
            sys!(SYS_write, fd, b"y".as_ptr(), 1).expect("open");
        });
        let mode = std::fs::metadata("given")
            .expect("there")
            .permissions()
            .mode();
        say(
            "write",
            &format!("to a program that acts for its owner, {who}"),
            format!("{mode:o}"),
        );
    }
    apart(|| {
        without(SYS_CHROOT);
        check("chroot", "without a right to", sys!(SYS_chroot, c"/"));
    });
}

fn processes() {
    apart(|| {
        without(SETUID);
        check(
            "setresuid",
            "without a right to",
            sys!(SYS_setresuid, USER, USER, USER),
        );
        check("setuid", "its own, without a right to", sys!(SYS_setuid, 0));
        check(
            "setresgid",
            "with the right alone to",
            sys!(SYS_setresgid, USER, USER, USER),
        );
    });
    apart(|| {
        without(SETGID);
        check(
            "setresgid",
            "without a right to",
            sys!(SYS_setresgid, USER, USER, USER),
        );
        let groups = [USER];
        check(
            "setgroups",
            "without a right to",
            sys!(SYS_setgroups, 1, groups.as_ptr()),
        );
    });
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    let target = child(|| {
        sys!(SYS_setresuid, USER, USER, USER).expect("root");
        sys!(SYS_write, pipe[1], [1_u8].as_ptr(), 1).expect("open");
        let _ = sys!(SYS_pause);
        0
    });
    sys!(SYS_read, pipe[0], [0_u8].as_mut_ptr(), 1).expect("open");
    apart(|| {
        without(KILL);
        check(
            "kill",
            "a user's, without a right to",
            sys!(SYS_kill, target, 0),
        );
    });
    apart(|| {
        only(&[KILL]);
        check(
            "kill",
            "a user's, with nothing else",
            sys!(SYS_kill, target, 0),
        );
    });
    sys!(SYS_kill, target, libc::SIGKILL).expect("it lives");
    status_of(target);
}

/// Executes this program, which tells what it has by its exit code: a bit each for KILL effective, permitted, inheritable.
fn execute(prepare: impl FnOnce()) -> i32 {
    let program = sys!(SYS_open, c"/proc/self/exe", libc::O_RDONLY).expect("there");
    let pid = child(|| {
        prepare();
        let list = [c"conform".as_ptr(), c"--can".as_ptr(), std::ptr::null()];
        let none = [std::ptr::null::<u8>()];
        let answer = sys!(
            SYS_execveat,
            program,
            c"",
            list.as_ptr(),
            none.as_ptr(),
            libc::AT_EMPTY_PATH
        );
        answer.map_or_else(|errno| errno, |_| 0)
    });
    sys!(SYS_close, program).expect("open");
    status_of(pid) >> 8
}

/// What an executed program has.
pub(crate) fn tell() {
    let [effective, permitted, inheritable] = own().map(|set| i32::from(set & one(KILL) != 0));
    let kept = sys!(SYS_prctl, 7).expect("told") as i32;
    std::process::exit(effective | permitted << 1 | inheritable << 2 | kept << 3);
}

fn programs() {
    let become_user = || {
        sys!(SYS_setresuid, USER, USER, USER).expect("root");
    };
    let inherit = || {
        let [effective, permitted, _] = own();
        set([effective, permitted, one(KILL)]).expect("in bounds");
    };
    let tell = |case: &str, prepare: &dyn Fn()| {
        say("execve", case, format!("{:04b}", execute(prepare)));
    };
    tell("root's program", &|| {});
    tell("a user's program", &become_user);
    tell("root's program after giving up one", &|| without(KILL));
    tell("root's program that is out of bounds", &|| {
        sys!(SYS_prctl, 24, KILL).expect("root");
    });
    tell(
        "root's program that inherits what is out of bounds",
        &|| {
            inherit();
            sys!(SYS_prctl, 24, KILL).expect("root");
        },
    );
    tell("a user's program that inherits", &|| {
        inherit();
        become_user();
    });
    tell("a user's program with one that is ambient", &|| {
        inherit();
        sys!(SYS_prctl, 8, 1).expect("done");
        become_user();
        sys!(SYS_prctl, 47, 2, KILL, 0, 0).expect("permitted");
    });
    tell("a user's program after keeping one", &|| {
        sys!(SYS_prctl, 8, 1).expect("done");
        become_user();
    });
    tell("root's program without the ways of root", &|| {
        sys!(SYS_prctl, 28, 1).expect("root");
    });
    tell("a program of root that acts for a user", &|| {
        sys!(SYS_setresuid, -1, USER, -1).expect("root");
    });
    tell("a program of a user that acts for root", &|| {
        sys!(SYS_setresuid, USER, 0, 0).expect("root");
    });
    tell(
        "root's program, without new privileges, after giving up one",
        &|| {
            without(KILL);
            sys!(SYS_prctl, 38, 1, 0, 0, 0).expect("done");
        },
    );
}
