//! openat2, and what its rules of resolution refuse; close_range with its flags.

use crate::check::{BAD, CLOSED, check, sys, works};
use crate::handle::{close, opened};
use libc::{O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE, O_WRONLY};
use std::ffi::CStr;

const NO_XDEV: u64 = 1;
const NO_MAGICLINKS: u64 = 2;
const NO_SYMLINKS: u64 = 4;
const BENEATH: u64 = 8;
const IN_ROOT: u64 = 0x10;

/// Bytes of `struct open_how`.
const HOW: usize = 24;

pub(crate) fn run() {
    std::fs::create_dir_all("root/below").expect("new");
    std::fs::write("outside", b"outside").expect("new");
    std::fs::write("root/file", b"file").expect("new");
    std::fs::write("root/below/file", b"below").expect("new");
    for (target, name) in [
        ("file", "root/link"),
        ("../outside", "root/out"),
        ("/file", "root/absolute"),
        ("/proc/self/cwd", "root/proc"),
        ("below/../file", "root/around"),
        ("/..", "root/top"),
    ] {
        std::os::unix::fs::symlink(target, name).expect("new");
    }
    arguments();
    rules();
    ranges();
}

fn how(flags: i32, mode: u64, resolve: u64) -> [u64; 4] {
    [flags as u32 as u64, mode, resolve, 0]
}

fn tried(case: &str, folder: i64, path: &CStr, how: [u64; 4], size: usize) {
    if let Ok(fd) = works(
        "openat2",
        case,
        sys!(SYS_openat2, folder, path, how.as_ptr(), size),
    ) {
        close(fd);
    }
}

fn arguments() {
    let here = i64::from(libc::AT_FDCWD);
    let file = c"root/file";
    let plain = how(O_RDONLY, 0, 0);
    tried("a file", here, file, plain, HOW);
    tried("too short", here, file, plain, HOW - 1);
    tried("nothing", here, file, plain, 0);
    tried("longer, with zeroes", here, file, plain, HOW + 8);
    tried("longer, with more", here, file, [0, 0, 0, 1], HOW + 8);
    tried("far too long", here, file, plain, 5000);
    check(
        "openat2",
        "a bad address",
        sys!(SYS_openat2, here, file, BAD, HOW),
    );
    check(
        "openat2",
        "a bad path",
        sys!(SYS_openat2, here, BAD, plain.as_ptr(), HOW),
    );
    tried("no file", here, c"root/none", plain, HOW);
    tried("not open", CLOSED, c"file", plain, HOW);
    tried("unknown flags", here, file, [1 << 40, 0, 0, 0], HOW);
    tried("unknown flags below", here, file, [1 << 30, 0, 0, 0], HOW);
    tried("unknown rules", here, file, how(O_RDONLY, 0, 0x4000), HOW);
    tried(
        "both scopes",
        here,
        file,
        how(O_RDONLY, 0, BENEATH | IN_ROOT),
        HOW,
    );
    tried(
        "a mode for what is not made",
        here,
        file,
        how(O_RDONLY, 0o644, 0),
        HOW,
    );
    tried(
        "a new file",
        here,
        c"root/new",
        how(O_RDWR | O_CREAT, 0o600, 0),
        HOW,
    );
    tried(
        "a mode that cannot be",
        here,
        c"root/new",
        how(O_RDWR | O_CREAT, 0o10_000, 0),
        HOW,
    );
    tried(
        "a file without a name",
        here,
        c"root",
        how(O_RDWR | O_TMPFILE, 0o600, 0),
        HOW,
    );
    tried("a path only", here, file, how(O_PATH, 0, 0), HOW);
    tried(
        "a path only, for writing",
        here,
        file,
        how(O_PATH | O_WRONLY, 0, 0),
        HOW,
    );
}

fn rules() {
    let root = opened(c"root", O_RDONLY | O_DIRECTORY);
    for (name, rule) in [
        ("beneath", BENEATH),
        ("in its root", IN_ROOT),
        ("without links", NO_SYMLINKS),
        ("without magic", NO_MAGICLINKS),
        ("in one tree", NO_XDEV),
    ] {
        for path in [
            c"file",
            c"below/file",
            c"below/../file",
            c"below/../../outside",
            c"..",
            c"/file",
            c"/",
            c"link",
            c"out",
            c"absolute",
            c"around",
            c"proc/root/file",
            c"top/file",
            c"../../../../../../../../proc/version",
        ] {
            // Whether the root is another tree than this folder's differs from system to system.
            if rule == NO_XDEV && [c"absolute", c"top/file"].contains(&path) {
                continue;
            }
            let case = format!("{name}: {}", path.to_string_lossy());
            tried(&case, root, path, how(O_RDONLY, 0, rule), HOW);
        }
    }
    tried(
        "without links: the link itself",
        root,
        c"link",
        how(O_PATH | libc::O_NOFOLLOW, 0, NO_SYMLINKS),
        HOW,
    );
    tried(
        "beneath: a new file",
        root,
        c"made",
        how(O_WRONLY | O_CREAT, 0o600, BENEATH),
        HOW,
    );
    tried(
        "beneath: a new file outside",
        root,
        c"../made",
        how(O_WRONLY | O_CREAT, 0o600, BENEATH),
        HOW,
    );
    tried(
        "in its root: a new file",
        root,
        c"/../inner",
        how(O_WRONLY | O_CREAT, 0o600, IN_ROOT),
        HOW,
    );
    check(
        "access",
        "what was made in a root",
        sys!(SYS_access, c"root/inner", 0),
    );
    close(root);
}

fn ranges() {
    const CLOEXEC: i32 = 4;
    for fd in [40, 42, 44] {
        sys!(SYS_dup2, 0, fd).expect("it is free");
    }
    let flags =
        |case: &str, fd: i64| check("close_range", case, sys!(SYS_fcntl, fd, libc::F_GETFD));
    check(
        "close_range",
        "to be closed on exec",
        sys!(SYS_close_range, 41, 43, CLOEXEC),
    );
    flags("one below", 40);
    flags("one of them", 42);
    flags("one above", 44);
    check(
        "close_range",
        "to be closed on exec, backwards",
        sys!(SYS_close_range, 43, 41, CLOEXEC),
    );
    check("close_range", "40 to 44", sys!(SYS_close_range, 40, 44, 0));
    flags("one that is closed", 42);
}
