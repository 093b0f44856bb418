//! Calls that do the same with other arguments, held to the same: open and openat, rename and renameat, link and linkat …

use crate::check::sys;
use crate::shape::{Shape, tried};
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_NONBLOCK, O_RDONLY, O_TMPFILE, O_WRONLY};
use std::ffi::CStr;
use std::fs;

const OPENING: &[Shape] = &[
    ("open", libc::SYS_open, "path flags mode"),
    ("openat", libc::SYS_openat, "here path flags mode"),
    ("openat2", libc::SYS_openat2, "here path how 24"),
];

const RENAMING: &[Shape] = &[
    ("rename", libc::SYS_rename, "from to"),
    ("renameat", libc::SYS_renameat, "here from here to"),
    ("renameat2", libc::SYS_renameat2, "here from here to"),
];

const LINKING: &[Shape] = &[
    ("link", libc::SYS_link, "from to"),
    ("linkat", libc::SYS_linkat, "here from here to"),
];

const REMOVING_FOLDERS: &[Shape] = &[
    ("rmdir", libc::SYS_rmdir, "path"),
    ("unlinkat", libc::SYS_unlinkat, "here path 512"),
];

const MAKING: &[Shape] = &[
    ("mkdir", libc::SYS_mkdir, "path 448"),
    ("mkdirat", libc::SYS_mkdirat, "here path 448"),
    ("symlink", libc::SYS_symlink, "path path"),
    ("symlinkat", libc::SYS_symlinkat, "path here path"),
    ("mknod", libc::SYS_mknod, "path 4480"),
    ("mknodat", libc::SYS_mknodat, "here path 4480"),
];

/// Calls of a path that nothing is made at.
const ASKING: &[Shape] = &[
    ("unlink a folder", libc::SYS_unlink, "folder"),
    ("unlinkat a folder", libc::SYS_unlinkat, "here folder"),
    (
        "unlinkat with unknown flags",
        libc::SYS_unlinkat,
        "here file 7",
    ),
    ("creat a folder", libc::SYS_creat, "folder 384"),
    ("readlink a file", libc::SYS_readlink, "file zeroes 64"),
    (
        "readlinkat a file",
        libc::SYS_readlinkat,
        "here file zeroes 64",
    ),
    ("mknod of an unknown kind", libc::SYS_mknod, "new 12288"),
    (
        "mknodat of an unknown kind",
        libc::SYS_mknodat,
        "here new 12288",
    ),
    ("access", libc::SYS_access, "file 4"),
    ("faccessat", libc::SYS_faccessat, "here file 4"),
    ("faccessat2", libc::SYS_faccessat2, "here file 4"),
    (
        "faccessat for unknown rights",
        libc::SYS_faccessat,
        "here file 8",
    ),
    (
        "faccessat2 for unknown rights",
        libc::SYS_faccessat2,
        "here file 8",
    ),
    (
        "linkat with unknown flags",
        libc::SYS_linkat,
        "here file here new 1",
    ),
    ("fchmodat", libc::SYS_fchmodat, "here file 420"),
    ("fchownat", libc::SYS_fchownat, "here file -1 -1"),
    ("chown", libc::SYS_chown, "file -1 -1"),
    ("lchown", libc::SYS_lchown, "file -1 -1"),
];

const HERE: (&str, i64) = ("here", libc::AT_FDCWD as i64);

/// Tries a call in a case that its relatives are tried in, too.
fn alike(shape: &Shape, case: &str, meaning: &[(&str, i64)]) {
    tried(shape, &format!("{case}, like its relatives"), meaning);
}

fn address(path: &CStr) -> i64 {
    path.as_ptr() as i64
}

pub(crate) fn run() {
    for name in ["file", "other"] {
        fs::write(name, b"x").expect("new");
    }
    fs::create_dir_all("folder/inner").expect("new");
    fs::create_dir("empty").expect("new");
    opening();
    naming();
    for shape in ASKING {
        let meaning = [
            HERE,
            ("file", address(c"file")),
            ("folder", address(c"folder")),
            ("new", address(c"new")),
        ];
        tried(shape, "like its relatives", &meaning);
    }
}

fn opening() {
    sys!(SYS_mknod, c"fifo", libc::S_IFIFO | 0o600, 0).expect("new");
    let own = crate::exec::own();
    for (case, path, flags) in [
        ("one that must be new", c"file", O_WRONLY | O_CREAT | O_EXCL),
        ("a folder for writing", c"folder", O_WRONLY),
        ("a folder to be made", c"folder", O_RDONLY | O_CREAT),
        ("a file that must be a folder", c"file", O_DIRECTORY),
        ("a fifo nobody reads", c"fifo", O_WRONLY | O_NONBLOCK),
        ("no name, for reading", c"folder", O_TMPFILE),
        ("no name, at a file", c"file", O_TMPFILE | O_WRONLY),
        (
            "no name, where nothing is kept",
            c"/proc",
            O_TMPFILE | O_WRONLY,
        ),
        ("a program that runs", own.as_c_str(), O_WRONLY),
    ] {
        let mode = if flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE {
            0o600
        } else {
            0
        };
        let how = [flags as u64, mode, 0];
        for shape in OPENING {
            let meaning = [
                HERE,
                ("path", address(path)),
                ("flags", flags.into()),
                ("mode", mode as i64),
                ("how", how.as_ptr() as i64),
            ];
            alike(shape, case, &meaning);
        }
    }
}

fn naming() {
    let two = |shapes: &[Shape], case: &str, from: &CStr, to: &CStr| {
        for shape in shapes {
            alike(
                shape,
                case,
                &[HERE, ("from", address(from)), ("to", address(to))],
            );
        }
    };
    two(RENAMING, "this folder", c".", c"new");
    two(RENAMING, "to this folder", c"file", c".");
    two(RENAMING, "into itself", c"folder", c"folder/inner/new");
    two(RENAMING, "a file over a folder", c"file", c"folder");
    two(RENAMING, "a folder over a file", c"folder", c"file");
    two(RENAMING, "a folder over a full one", c"empty", c"folder");
    two(RENAMING, "to another tree", c"file", c"/proc/new");
    two(RENAMING, "from another tree", c"/proc/version", c"new");
    two(RENAMING, "to itself", c"file", c"file");
    two(LINKING, "a name in use", c"file", c"other");
    two(LINKING, "a folder", c"folder", c"new");
    two(LINKING, "from another tree", c"/proc/version", c"new");
    let one = |shapes: &[Shape], case: &str, path: &CStr| {
        for shape in shapes {
            alike(shape, case, &[HERE, ("path", address(path))]);
        }
    };
    one(REMOVING_FOLDERS, "a full one", c"folder");
    one(REMOVING_FOLDERS, "a file", c"file");
    one(REMOVING_FOLDERS, "this folder", c".");
    one(REMOVING_FOLDERS, "the folder above", c"..");
    one(MAKING, "over a file", c"file");
    one(MAKING, "over a folder", c"folder");
    for shape in MAKING {
        alike(shape, "a new one", &[HERE, ("path", address(c"new"))]);
        let remove = if shape.0.starts_with("mkdir") { 512 } else { 0 };
        let unlink = ("unlinkat", libc::SYS_unlinkat, "here path flags");
        let meaning = [HERE, ("path", address(c"new")), ("flags", remove)];
        tried(&unlink, &format!("what {} made", shape.0), &meaning);
    }
    for shape in RENAMING {
        let meaning = [HERE, ("from", address(c"file")), ("to", address(c"new"))];
        alike(shape, "to a new name", &meaning);
        fs::rename("new", "file").expect("it was renamed");
    }
    for shape in LINKING {
        let meaning = [HERE, ("from", address(c"file")), ("to", address(c"new"))];
        alike(shape, "by a new name", &meaning);
        fs::remove_file("new").expect("it was linked");
    }
}
