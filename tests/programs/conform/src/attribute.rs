//! What files have beside their content: stat, statx, statfs, access, chmod, chown, times, extended attributes.

use crate::check::{Answer, BAD, CLOSED, check, say, sys};
use crate::handle::{close, opened};
use crate::path::long;
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, F_OK, R_OK, W_OK, X_OK};
use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;

pub(crate) fn run() {
    stats();
    rights();
    times();
    attributes();
}

fn stats() {
    fs::write("stat", b"0123456789").expect("new");
    symlink("stat", "to-stat").expect("new");
    let mut stat = [0_u64; 18];
    let at = stat.as_mut_ptr();
    check("stat", "a file", sys!(SYS_stat, c"stat", at));
    // st_nlink, st_mode and st_uid, st_size, st_blksize (struct stat of x86-64).
    say(
        "stat",
        "links, mode, size",
        format!("{} {:o} {}", stat[2], stat[3] as u32, stat[6]),
    );
    let at = stat.as_mut_ptr();
    check("lstat", "a link", sys!(SYS_lstat, c"to-stat", at));
    say(
        "lstat",
        "mode, size",
        format!("{:o} {}", stat[3] as u32, stat[6]),
    );
    let at = stat.as_mut_ptr();
    for (case, path) in [
        ("nothing", c"nothing"),
        ("an empty name", c""),
        ("below a file", c"stat/x"),
        ("a file with a slash", c"stat/"),
        ("a link with a slash", c"to-stat/"),
    ] {
        check("stat", case, sys!(SYS_stat, path, at));
        check("lstat", case, sys!(SYS_lstat, path, at));
    }
    check("stat", "a bad name", sys!(SYS_stat, BAD, at));
    check("stat", "a bad buffer", sys!(SYS_stat, c"stat", BAD));
    check("stat", "a long name", sys!(SYS_stat, &*long(256), at));
    check("fstat", "not open", sys!(SYS_fstat, CLOSED, at));
    check(
        "newfstatat",
        "not open",
        sys!(SYS_newfstatat, CLOSED, c"stat", at, 0),
    );
    check(
        "newfstatat",
        "an unknown flag",
        sys!(SYS_newfstatat, AT_FDCWD, c"stat", at, 1),
    );
    check(
        "newfstatat",
        "a link itself",
        sys!(
            SYS_newfstatat,
            AT_FDCWD,
            c"to-stat",
            at,
            AT_SYMLINK_NOFOLLOW
        ),
    );
    check(
        "newfstatat",
        "an empty name",
        sys!(SYS_newfstatat, AT_FDCWD, c"", at, 0),
    );
    check(
        "newfstatat",
        "this folder by an empty name",
        sys!(SYS_newfstatat, AT_FDCWD, c"", at, AT_EMPTY_PATH),
    );
    let file = opened(c"stat", 0);
    check(
        "newfstatat",
        "an open file by an empty name",
        sys!(SYS_newfstatat, file, c"", at, AT_EMPTY_PATH),
    );
    check(
        "newfstatat",
        "below a file",
        sys!(SYS_newfstatat, file, c"x", at, 0),
    );
    let mut statx = [0_u32; 64];
    let into = statx.as_mut_ptr();
    check(
        "statx",
        "a file",
        sys!(
            SYS_statx,
            AT_FDCWD,
            c"stat",
            0,
            libc::STATX_BASIC_STATS,
            into
        ),
    );
    say(
        "statx",
        "links and mode",
        format!("{} {:o}", statx[4], statx[7] as u16),
    );
    say("statx", "size", statx[10]);
    let into = statx.as_mut_ptr();
    check(
        "statx",
        "nothing",
        sys!(SYS_statx, AT_FDCWD, c"nothing", 0, 0x7ff, into),
    );
    check(
        "statx",
        "an unknown flag",
        sys!(SYS_statx, AT_FDCWD, c"stat", 1, 0x7ff, into),
    );
    check(
        "statx",
        "the reserved mask",
        sys!(SYS_statx, AT_FDCWD, c"stat", 0, 0x8000_0000_u32, into),
    );
    check(
        "statx",
        "both ways to sync",
        sys!(SYS_statx, AT_FDCWD, c"stat", 0x6000, 0x7ff, into),
    );
    check(
        "statx",
        "a bad buffer",
        sys!(SYS_statx, AT_FDCWD, c"stat", 0, 0x7ff, BAD),
    );
    check(
        "statx",
        "an open file",
        sys!(SYS_statx, file, c"", AT_EMPTY_PATH, 0x7ff, into),
    );
    check(
        "statx",
        "not open",
        sys!(SYS_statx, CLOSED, c"", AT_EMPTY_PATH, 0x7ff, into),
    );
    close(file);
    let mut buffer = [0_u64; 16];
    let into = buffer.as_mut_ptr();
    check("statfs", "a folder", sys!(SYS_statfs, c".", into));
    check("statfs", "nothing", sys!(SYS_statfs, c"nothing", into));
    check("statfs", "a bad buffer", sys!(SYS_statfs, c".", BAD));
    check("fstatfs", "not open", sys!(SYS_fstatfs, CLOSED, into));
    say("statfs", "longest name", buffer[8]);
}

fn rights() {
    fs::write("rights", b"x").expect("new");
    let mode = || format!("{:o}", fs::metadata("rights").expect("there").mode());
    let access = |case: &str, path: &CStr, wanted: i32| {
        check("access", case, sys!(SYS_access, path, wanted))
    };
    access("is there", c"rights", F_OK);
    access("readable", c"rights", R_OK | W_OK);
    access("executable, which nobody may", c"rights", X_OK);
    access("nothing", c"nothing", F_OK);
    access("an unknown right", c"rights", 8);
    access("a folder", c".", R_OK | W_OK | X_OK);
    access("below a file", c"rights/x", F_OK);
    check("access", "a bad address", sys!(SYS_access, BAD, F_OK));
    check(
        "faccessat",
        "not open",
        sys!(SYS_faccessat, CLOSED, c"x", F_OK),
    );
    check(
        "faccessat2",
        "an unknown flag",
        sys!(SYS_faccessat2, AT_FDCWD, c"rights", F_OK, 1),
    );
    check(
        "faccessat2",
        "a link itself",
        sys!(
            SYS_faccessat2,
            AT_FDCWD,
            c"rights",
            R_OK,
            AT_SYMLINK_NOFOLLOW
        ),
    );
    check("chmod", "a file", sys!(SYS_chmod, c"rights", 0o4711));
    say("chmod", "its mode", mode());
    check(
        "chmod",
        "more bits than there are",
        sys!(SYS_chmod, c"rights", 0o777_640),
    );
    say("chmod", "its mode then", mode());
    check("chmod", "nothing", sys!(SYS_chmod, c"nothing", 0o600));
    check("chmod", "a bad address", sys!(SYS_chmod, BAD, 0o600));
    check(
        "fchmodat",
        "a file",
        sys!(SYS_fchmodat, AT_FDCWD, c"rights", 0o600),
    );
    check(
        "fchmodat",
        "not open",
        sys!(SYS_fchmodat, CLOSED, c"rights", 0o600),
    );
    let fd = opened(c"rights", 0);
    check("fchmod", "a file", sys!(SYS_fchmod, fd, 0o755));
    say("fchmod", "its mode", mode());
    check("fchmod", "not open", sys!(SYS_fchmod, CLOSED, 0o600));
    let owner = || {
        let it = fs::symlink_metadata("rights").expect("there");
        format!("{} {}", it.uid(), it.gid())
    };
    check("chown", "a file", sys!(SYS_chown, c"rights", 7, 8));
    say("chown", "its owner", owner());
    check("chown", "only its group", sys!(SYS_chown, c"rights", -1, 9));
    say("chown", "its owner then", owner());
    check("fchown", "a file", sys!(SYS_fchown, fd, 5, -1));
    say("fchown", "its owner", owner());
    check("lchown", "a file", sys!(SYS_lchown, c"rights", 0, 0));
    check(
        "fchownat",
        "a file",
        sys!(SYS_fchownat, AT_FDCWD, c"rights", 1, 1, 0),
    );
    check(
        "fchownat",
        "an unknown flag",
        sys!(SYS_fchownat, AT_FDCWD, c"rights", 1, 1, 1),
    );
    check(
        "fchownat",
        "an open file",
        sys!(SYS_fchownat, fd, c"", 2, 2, AT_EMPTY_PATH),
    );
    check("chown", "nothing", sys!(SYS_chown, c"nothing", 1, 1));
    check("fchown", "not open", sys!(SYS_fchown, CLOSED, 1, 1));
    close(fd);
    check(
        "chmod",
        "a set-user-id bit",
        sys!(SYS_chmod, c"rights", 0o6755),
    );
    check("chown", "takes it away", sys!(SYS_chown, c"rights", 3, 3));
    say("chown", "its mode then", mode());
    check("umask", "a mask", sys!(SYS_umask, 0o077));
    check("umask", "the mask before", sys!(SYS_umask, 0o7_022));
    check("umask", "only permissions", sys!(SYS_umask, 0o022));
}

fn times() {
    fs::write("times", b"x").expect("new");
    let shown = || {
        let it = fs::metadata("times").expect("there");
        format!(
            "{}.{} {}.{}",
            it.atime(),
            it.atime_nsec(),
            it.mtime(),
            it.mtime_nsec()
        )
    };
    let set = |case: &str, times: [[i64; 2]; 2]| {
        check(
            "utimensat",
            case,
            sys!(SYS_utimensat, AT_FDCWD, c"times", times.as_ptr(), 0),
        )
    };
    const NOW: i64 = 0x3fff_ffff;
    const OMIT: i64 = 0x3fff_fffe;
    set("two times", [[1_000_000, 5], [2_000_000, 999_999_999]]);
    say("utimensat", "the times", shown());
    set("one time", [[0, OMIT], [3, 4]]);
    say("utimensat", "the times then", shown());
    set("neither", [[0, OMIT], [0, OMIT]]);
    set("too many nanoseconds", [[1, 1_000_000_000], [1, 0]]);
    set("negative nanoseconds", [[1, -1], [1, 0]]);
    set("now", [[0, NOW], [0, NOW]]);
    say(
        "utimensat",
        "now is later",
        fs::metadata("times").expect("there").mtime() > 1_000_000_000,
    );
    check(
        "utimensat",
        "no times",
        sys!(SYS_utimensat, AT_FDCWD, c"times", 0, 0),
    );
    check(
        "utimensat",
        "nothing",
        sys!(SYS_utimensat, AT_FDCWD, c"nothing", 0, 0),
    );
    check(
        "utimensat",
        "an unknown flag",
        sys!(SYS_utimensat, AT_FDCWD, c"times", 0, 1),
    );
    check(
        "utimensat",
        "a bad address",
        sys!(SYS_utimensat, AT_FDCWD, c"times", BAD, 0),
    );
    check(
        "utimensat",
        "not open",
        sys!(SYS_utimensat, CLOSED, c"times", 0, 0),
    );
    let fd = opened(c"times", 0);
    check(
        "utimensat",
        "an open file",
        sys!(SYS_utimensat, fd, 0, 0, 0),
    );
    close(fd);
}

/// Extended attributes of a name that a file has none of.
fn attributes() {
    fs::write("attributes", b"").expect("new");
    let mut bytes = [0_u8; 64];
    let at = bytes.as_mut_ptr();
    let answer: Answer = sys!(SYS_getxattr, c"nothing", c"user.x", at, 64);
    check("getxattr", "nothing", answer);
    check(
        "getxattr",
        "a bad address",
        sys!(SYS_getxattr, BAD, c"user.x", at, 64),
    );
    check(
        "fgetxattr",
        "not open",
        sys!(SYS_fgetxattr, CLOSED, c"user.x", at, 64),
    );
    check(
        "listxattr",
        "nothing",
        sys!(SYS_listxattr, c"nothing", at, 64),
    );
    check(
        "flistxattr",
        "not open",
        sys!(SYS_flistxattr, CLOSED, at, 64),
    );
}
