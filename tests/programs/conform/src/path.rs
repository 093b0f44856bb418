//! Names: mkdir, rmdir, rename, link, symlink, unlink, readlink, mknod, stat, access, chmod, chown, times, folders.

use crate::check::{Answer, BAD, check, say, sys, works};
use libc::{
    AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, F_OK, O_PATH,
    R_OK, RENAME_EXCHANGE, RENAME_NOREPLACE, S_IFCHR, S_IFIFO, S_IFREG, W_OK, X_OK,
};
use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

fn close(fd: i64) {
    sys!(SYS_close, fd).expect("it was open");
}

fn opened(path: &CStr, flags: i32) -> i64 {
    sys!(SYS_open, path, flags, 0o644).expect("it opens")
}

/// A path of one name of so many bytes.
fn long(bytes: usize) -> CString {
    CString::new(vec![b'n'; bytes]).expect("no NUL")
}

pub(crate) fn run() {
    folders();
    renames();
    links();
    reading_links();
    nodes();
    stats();
    rights();
    times();
    listings();
    places();
    attributes();
}

fn folders() {
    fs::write("file", b"x").expect("new");
    let make = |case: &str, path: &CStr| check("mkdir", case, sys!(SYS_mkdir, path, 0o777));
    make("a folder", c"folder");
    make("a folder that is there", c"folder");
    make("with a slash", c"slashed/");
    make("where a file is", c"file");
    make("below a file", c"file/x");
    make("in no folder", c"no/x");
    make("an empty name", c"");
    make("this folder", c".");
    make("the root", c"/");
    make("a name of 256 bytes", &long(256));
    make("deeper", c"folder/deeper");
    check("mkdir", "a bad address", sys!(SYS_mkdir, BAD, 0o777));
    check("mkdirat", "not open", sys!(SYS_mkdirat, 99, c"x", 0o777));
    check(
        "mkdirat",
        "an absolute path does not care",
        sys!(SYS_mkdirat, 99, c"/", 0o777),
    );
    say(
        "mkdir",
        "its mode",
        format!("{:o}", fs::metadata("folder").expect("there").mode()),
    );
    let remove = |case: &str, path: &CStr| check("rmdir", case, sys!(SYS_rmdir, path));
    remove("not empty", c"folder");
    remove("a file", c"file");
    remove("no folder", c"nothing");
    remove("an empty name", c"");
    remove("ends with a dot", c"folder/.");
    remove("ends with two dots", c"folder/deeper/..");
    remove("the root", c"/");
    remove("below a file", c"file/x");
    remove("with a slash", c"slashed/");
    remove("empty", c"folder/deeper");
    check("rmdir", "a bad address", sys!(SYS_rmdir, BAD));
    let unlink = |case: &str, path: &CStr| check("unlink", case, sys!(SYS_unlink, path));
    unlink("a folder", c"folder");
    unlink("no file", c"nothing");
    unlink("a file with a slash", c"file/");
    unlink("an empty name", c"");
    unlink("below a file", c"file/x");
    unlink("a file", c"file");
    unlink("a file that is gone", c"file");
    check("unlink", "a bad address", sys!(SYS_unlink, BAD));
    check(
        "unlinkat",
        "an unknown flag",
        sys!(SYS_unlinkat, AT_FDCWD, c"folder", 1),
    );
    check(
        "unlinkat",
        "a folder as a file",
        sys!(SYS_unlinkat, AT_FDCWD, c"folder", 0),
    );
    check(
        "unlinkat",
        "a folder",
        sys!(SYS_unlinkat, AT_FDCWD, c"folder", AT_REMOVEDIR),
    );
    check("unlinkat", "not open", sys!(SYS_unlinkat, 99, c"x", 0));
    fs::write("gone", b"still here").expect("new");
    let fd = opened(c"gone", 0);
    fs::remove_file("gone").expect("there");
    let mut bytes = [0_u8; 16];
    check(
        "read",
        "a file without a name",
        sys!(SYS_read, fd, bytes.as_mut_ptr(), 16),
    );
    let mut stat = [0_u64; 18];
    check(
        "fstat",
        "a file without a name",
        sys!(SYS_fstat, fd, stat.as_mut_ptr()),
    );
    say("fstat", "links of a file without a name", stat[2]);
    close(fd);
}

fn renames() {
    fs::write("a", b"a").expect("new");
    fs::write("b", b"b").expect("new");
    fs::create_dir_all("d/inner").expect("new");
    fs::create_dir("e").expect("new");
    let rename =
        |case: &str, from: &CStr, to: &CStr| check("rename", case, sys!(SYS_rename, from, to));
    rename("to a new name", c"a", c"c");
    rename("over a file", c"c", c"b");
    say(
        "rename",
        "the file that stayed",
        fs::read_to_string("b").expect("there"),
    );
    rename("what is not there", c"a", c"c");
    rename("to itself", c"b", c"b");
    rename("a file over a folder", c"b", c"d");
    rename("a folder over a file", c"e", c"b");
    rename("a folder over a full one", c"e", c"d");
    rename("a folder into itself", c"d", c"d/inner/d");
    rename("a folder into its own child", c"d", c"d/x");
    rename("over a folder above", c"d/inner", c"d");
    rename("a folder over an empty one", c"d", c"e");
    rename("into no folder", c"b", c"no/b");
    rename("below a file", c"b", c"b/x");
    rename("an empty name", c"", c"x");
    rename("to an empty name", c"b", c"");
    rename("a dot", c".", c"x");
    rename("to a dot", c"b", c".");
    rename("two dots", c"e/..", c"x");
    rename("a file to a name with a slash", c"b", c"x/");
    rename("a folder to a name with a slash", c"e", c"f/");
    rename("a long name", c"b", &long(256));
    check("rename", "a bad address", sys!(SYS_rename, BAD, c"x"));
    check("rename", "to a bad address", sys!(SYS_rename, c"b", BAD));
    check(
        "renameat",
        "not open",
        sys!(SYS_renameat, 99, c"b", AT_FDCWD, c"x"),
    );
    let two = |case: &str, from: &CStr, to: &CStr, flags: u32| {
        check(
            "renameat2",
            case,
            sys!(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags),
        );
    };
    fs::write("x", b"x").expect("new");
    two("must be new and is not", c"b", c"x", RENAME_NOREPLACE);
    two("must be new", c"b", c"y", RENAME_NOREPLACE);
    two(
        "two that exclude each other",
        c"y",
        c"x",
        RENAME_NOREPLACE | RENAME_EXCHANGE,
    );
    two("an unknown flag", c"y", c"x", 1 << 20);
    two("exchange with nothing", c"y", c"nothing", RENAME_EXCHANGE);
    for name in ["x", "y"] {
        fs::remove_file(name).expect("there");
    }
    fs::remove_dir_all("f").expect("there");
}

fn links() {
    fs::write("first", b"one").expect("new");
    fs::create_dir("dir").expect("new");
    let link = |case: &str, from: &CStr, to: &CStr| check("link", case, sys!(SYS_link, from, to));
    link("a second name", c"first", c"second");
    link("a name in use", c"first", c"second");
    link("no file", c"nothing", c"third");
    link("a folder", c"dir", c"dir2");
    link("into no folder", c"first", c"no/x");
    link("below a file", c"first", c"first/x");
    link("an empty name", c"first", c"");
    link("of an empty name", c"", c"x");
    check("link", "a bad address", sys!(SYS_link, BAD, c"x"));
    say(
        "link",
        "names of the file",
        fs::metadata("first").expect("there").nlink(),
    );
    fs::write("second", b"changed").expect("there");
    say(
        "link",
        "one file under both",
        fs::read_to_string("first").expect("there"),
    );
    fs::remove_file("first").expect("there");
    say(
        "link",
        "names once one is gone",
        fs::metadata("second").expect("there").nlink(),
    );
    symlink("second", "symbolic").expect("new");
    check(
        "linkat",
        "a symbolic link itself",
        sys!(SYS_linkat, AT_FDCWD, c"symbolic", AT_FDCWD, c"s2", 0),
    );
    say(
        "linkat",
        "it is a link",
        fs::symlink_metadata("s2").expect("there").is_symlink(),
    );
    check(
        "linkat",
        "what a symbolic link means",
        sys!(
            SYS_linkat,
            AT_FDCWD,
            c"symbolic",
            AT_FDCWD,
            c"s3",
            AT_SYMLINK_FOLLOW
        ),
    );
    say(
        "linkat",
        "it is a file",
        fs::symlink_metadata("s3").expect("there").is_file(),
    );
    check(
        "linkat",
        "an unknown flag",
        sys!(SYS_linkat, AT_FDCWD, c"symbolic", AT_FDCWD, c"s4", 1),
    );
    check(
        "linkat",
        "not open",
        sys!(SYS_linkat, 99, c"symbolic", AT_FDCWD, c"s4", 0),
    );
    check(
        "symlink",
        "to nothing",
        sys!(SYS_symlink, c"nothing", c"sym"),
    );
    check(
        "symlink",
        "a name in use",
        sys!(SYS_symlink, c"nothing", c"sym"),
    );
    check(
        "symlink",
        "an empty target",
        sys!(SYS_symlink, c"", c"sym2"),
    );
    check("symlink", "an empty name", sys!(SYS_symlink, c"x", c""));
    check(
        "symlink",
        "in no folder",
        sys!(SYS_symlink, c"x", c"no/sym"),
    );
    check("symlink", "a bad address", sys!(SYS_symlink, BAD, c"sym2"));
    check(
        "symlinkat",
        "not open",
        sys!(SYS_symlinkat, c"x", 99, c"sym2"),
    );
    let deep = CString::new(b"x/".repeat(3000)).expect("no NUL");
    check(
        "symlink",
        "a target of 6000 bytes",
        sys!(SYS_symlink, &*deep, c"sym2"),
    );
    for name in ["second", "symbolic", "s2", "s3", "sym"] {
        fs::remove_file(name).expect("there");
    }
    fs::remove_dir("dir").expect("there");
    for nth in 0..42 {
        symlink(
            if nth == 0 {
                "end".to_owned()
            } else {
                format!("c{}", nth - 1)
            },
            format!("c{nth}"),
        )
        .expect("new");
    }
    fs::write("end", b"").expect("new");
    check(
        "stat",
        "through 40 links",
        sys!(SYS_stat, c"c39", [0_u64; 18].as_mut_ptr()),
    );
    check(
        "stat",
        "through 41 links",
        sys!(SYS_stat, c"c40", [0_u64; 18].as_mut_ptr()),
    );
}

fn reading_links() {
    symlink("a target", "link").expect("new");
    fs::write("plain", b"").expect("new");
    let mut bytes = [0_u8; 32];
    let at = bytes.as_mut_ptr();
    check("readlink", "a link", sys!(SYS_readlink, c"link", at, 32));
    say(
        "readlink",
        "its target",
        String::from_utf8_lossy(&bytes[..8]),
    );
    check("readlink", "cut", sys!(SYS_readlink, c"link", at, 3));
    check("readlink", "no room", sys!(SYS_readlink, c"link", at, 0));
    check(
        "readlink",
        "negative room",
        sys!(SYS_readlink, c"link", at, -1),
    );
    check("readlink", "a file", sys!(SYS_readlink, c"plain", at, 32));
    check("readlink", "a folder", sys!(SYS_readlink, c".", at, 32));
    check(
        "readlink",
        "nothing",
        sys!(SYS_readlink, c"nothing", at, 32),
    );
    check("readlink", "an empty name", sys!(SYS_readlink, c"", at, 32));
    check("readlink", "a bad name", sys!(SYS_readlink, BAD, at, 32));
    check(
        "readlink",
        "a bad buffer",
        sys!(SYS_readlink, c"link", BAD, 32),
    );
    check(
        "readlinkat",
        "a link",
        sys!(SYS_readlinkat, AT_FDCWD, c"link", at, 32),
    );
    check(
        "readlinkat",
        "not open",
        sys!(SYS_readlinkat, 99, c"link", at, 32),
    );
    let fd = opened(c"link", O_PATH | libc::O_NOFOLLOW);
    check(
        "readlinkat",
        "an open link",
        sys!(SYS_readlinkat, fd, c"", at, 32),
    );
    close(fd);
    fs::remove_file("link").expect("there");
}

fn nodes() {
    let mode = |path: &str| format!("{:o}", fs::symlink_metadata(path).expect("there").mode());
    check(
        "mknod",
        "a fifo",
        sys!(SYS_mknod, c"fifo", S_IFIFO | 0o666, 0),
    );
    say("mknod", "its mode", mode("fifo"));
    check(
        "mknod",
        "a file",
        sys!(SYS_mknod, c"regular", S_IFREG | 0o666, 0),
    );
    say("mknod", "its mode", mode("regular"));
    check(
        "mknod",
        "without a type",
        sys!(SYS_mknod, c"untyped", 0o600, 0),
    );
    say("mknod", "its mode", mode("untyped"));
    check(
        "mknod",
        "a name in use",
        sys!(SYS_mknod, c"fifo", S_IFIFO | 0o666, 0),
    );
    check(
        "mknod",
        "a folder",
        sys!(SYS_mknod, c"dir", libc::S_IFDIR | 0o777, 0),
    );
    check(
        "mknod",
        "an unknown type",
        sys!(SYS_mknod, c"unknown", 0o030_000, 0),
    );
    check(
        "mknod",
        "in no folder",
        sys!(SYS_mknod, c"no/x", S_IFIFO, 0),
    );
    check("mknod", "a bad address", sys!(SYS_mknod, BAD, S_IFIFO, 0));
    check(
        "mknodat",
        "not open",
        sys!(SYS_mknodat, 99, c"x", S_IFIFO, 0),
    );
    check(
        "mknodat",
        "null's device",
        sys!(SYS_mknodat, AT_FDCWD, c"null", S_IFCHR | 0o666, 0x103),
    );
    say(
        "mknodat",
        "its number",
        fs::metadata("null").expect("there").rdev(),
    );
    for name in ["fifo", "regular", "untyped", "null"] {
        fs::remove_file(name).expect("there");
    }
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
    check("fstat", "not open", sys!(SYS_fstat, 99, at));
    check(
        "newfstatat",
        "not open",
        sys!(SYS_newfstatat, 99, c"stat", at, 0),
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
        sys!(SYS_statx, 99, c"", AT_EMPTY_PATH, 0x7ff, into),
    );
    close(file);
    let mut buffer = [0_u64; 16];
    let into = buffer.as_mut_ptr();
    check("statfs", "a folder", sys!(SYS_statfs, c".", into));
    check("statfs", "nothing", sys!(SYS_statfs, c"nothing", into));
    check("statfs", "a bad buffer", sys!(SYS_statfs, c".", BAD));
    check("fstatfs", "not open", sys!(SYS_fstatfs, 99, into));
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
    check("faccessat", "not open", sys!(SYS_faccessat, 99, c"x", F_OK));
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
    say("chmod", "its mode", mode());
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
        sys!(SYS_fchmodat, 99, c"rights", 0o600),
    );
    let fd = opened(c"rights", 0);
    check("fchmod", "a file", sys!(SYS_fchmod, fd, 0o755));
    say("fchmod", "its mode", mode());
    check("fchmod", "not open", sys!(SYS_fchmod, 99, 0o600));
    let owner = || {
        let it = fs::symlink_metadata("rights").expect("there");
        format!("{} {}", it.uid(), it.gid())
    };
    check("chown", "a file", sys!(SYS_chown, c"rights", 7, 8));
    say("chown", "its owner", owner());
    check("chown", "only its group", sys!(SYS_chown, c"rights", -1, 9));
    say("chown", "its owner", owner());
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
    check("fchown", "not open", sys!(SYS_fchown, 99, 1, 1));
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
    say("utimensat", "the times", shown());
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
        sys!(SYS_utimensat, 99, c"times", 0, 0),
    );
    let fd = opened(c"times", 0);
    check(
        "utimensat",
        "an open file",
        sys!(SYS_utimensat, fd, 0, 0, 0),
    );
    close(fd);
}

fn listings() {
    for (folder, name) in [
        ("/proc/self", "fd"),
        ("/proc/self/fd", "0"),
        ("/proc", "self"),
    ] {
        let names = fs::read_dir(folder).expect("it is there");
        let is_there = names.flatten().any(|entry| entry.file_name() == name);
        say("getdents64", &format!("{folder} has {name}"), is_there);
    }
    fs::create_dir("list").expect("new");
    for name in ["one", "two", "three"] {
        fs::write(format!("list/{name}"), b"").expect("new");
    }
    fs::create_dir("list/folder").expect("new");
    symlink("one", "list/link").expect("new");
    let fd = opened(c"list", libc::O_DIRECTORY);
    let mut bytes = [0_u8; 1024];
    let mut names = Vec::new();
    loop {
        let count =
            sys!(SYS_getdents64, fd, bytes.as_mut_ptr(), bytes.len()).expect("a folder") as usize;
        if count == 0 {
            break;
        }
        let mut at = 0;
        while at < count {
            let length = usize::from(u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]));
            let kind = bytes[at + 18];
            let name = &bytes[at + 19..at + length];
            let end = name.iter().position(|&it| it == 0).expect("it ends");
            names.push(format!("{}:{kind}", String::from_utf8_lossy(&name[..end])));
            at += length;
        }
    }
    names.sort();
    say("getdents64", "names and types", names.join(" "));
    check(
        "getdents64",
        "the end again",
        sys!(SYS_getdents64, fd, bytes.as_mut_ptr(), 1024),
    );
    check(
        "lseek",
        "back to a folder's start",
        sys!(SYS_lseek, fd, 0, 0),
    );
    check(
        "getdents64",
        "room for nothing",
        sys!(SYS_getdents64, fd, bytes.as_mut_ptr(), 8),
    );
    check(
        "getdents64",
        "a bad buffer",
        sys!(SYS_getdents64, fd, BAD, 1024),
    );
    close(fd);
    check(
        "getdents64",
        "not open",
        sys!(SYS_getdents64, 99, bytes.as_mut_ptr(), 1024),
    );
    let file = opened(c"list/one", 0);
    check(
        "getdents64",
        "a file",
        sys!(SYS_getdents64, file, bytes.as_mut_ptr(), 1024),
    );
    close(file);
    let fd = opened(c"list", libc::O_DIRECTORY);
    fs::remove_dir_all("list").expect("there");
    check(
        "getdents64",
        "a folder that is gone",
        sys!(SYS_getdents64, fd, bytes.as_mut_ptr(), 1024),
    );
    check(
        "openat",
        "a file in a folder that is gone",
        sys!(SYS_openat, fd, c"x", libc::O_CREAT | libc::O_RDWR, 0o600),
    );
    close(fd);
}

fn places() {
    fs::create_dir("place").expect("new");
    fs::write("no-place", b"").expect("new");
    let mut bytes = [0_u8; 256];
    let at = bytes.as_mut_ptr();
    let here = std::env::current_dir().expect("it is there");
    works("getcwd", "this folder", sys!(SYS_getcwd, at, 256)).expect("it has a name");
    check("getcwd", "too little room", sys!(SYS_getcwd, at, 2));
    check("getcwd", "no room", sys!(SYS_getcwd, at, 0));
    check("getcwd", "a bad address", sys!(SYS_getcwd, BAD, 256));
    check("chdir", "a folder", sys!(SYS_chdir, c"place"));
    check("chdir", "nothing", sys!(SYS_chdir, c"nothing"));
    check("chdir", "back", sys!(SYS_chdir, c".."));
    check("chdir", "a file", sys!(SYS_chdir, c"no-place"));
    check("chdir", "an empty name", sys!(SYS_chdir, c""));
    check("chdir", "a bad address", sys!(SYS_chdir, BAD));
    let (file, folder) = (opened(c"no-place", 0), opened(c"place", 0));
    check("fchdir", "a file", sys!(SYS_fchdir, file));
    check("fchdir", "not open", sys!(SYS_fchdir, 99));
    check("fchdir", "a folder", sys!(SYS_fchdir, folder));
    fs::remove_dir(here.join("place")).expect("there");
    check("getcwd", "a folder that is gone", sys!(SYS_getcwd, at, 256));
    check(
        "mkdir",
        "in a folder that is gone",
        sys!(SYS_mkdir, c"x", 0o777),
    );
    check(
        "stat",
        "a folder that is gone",
        sys!(SYS_stat, c".", [0_u64; 18].as_mut_ptr()),
    );
    std::env::set_current_dir(&here).expect("it is there");
    close(file);
    close(folder);
    check("chroot", "nothing", sys!(SYS_chroot, c"nothing"));
    check("chroot", "a file", sys!(SYS_chroot, c"no-place"));
    check("chroot", "a bad address", sys!(SYS_chroot, BAD));
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
        sys!(SYS_fgetxattr, 99, c"user.x", at, 64),
    );
    check(
        "listxattr",
        "nothing",
        sys!(SYS_listxattr, c"nothing", at, 64),
    );
    check("flistxattr", "not open", sys!(SYS_flistxattr, 99, at, 64));
}
