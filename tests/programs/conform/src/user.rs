//! On whose behalf a process runs, and what a user may not do.

use crate::check::{Answer, BAD, check, say, sys};
use crate::child::apart;

pub(crate) fn run() {
    users();
}

/// Lets this process act for a user that has nothing.
pub(crate) fn become_user() {
    const USER: u32 = 54_321;
    sys!(SYS_setgroups, 0, 0).expect("root");
    sys!(SYS_setresgid, USER, USER, USER).expect("root");
    sys!(SYS_setresuid, USER, USER, USER).expect("root");
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
        check("getgroups", "a bad address", sys!(SYS_getgroups, 4, BAD));
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
