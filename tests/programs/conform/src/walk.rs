//! Paths that lead nowhere, given to every call that takes one.

use crate::check::{BAD, CLOSED};
use crate::child::apart;
use crate::handle::{close, opened};
use crate::path::long;
use crate::shape::{Shape, tried};
use crate::user::become_user;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// Calls whose paths begin at the working directory.
const FROM_HERE: &[Shape] = &[
    ("open", libc::SYS_open, "path"),
    ("creat", libc::SYS_creat, "path 384"),
    ("stat", libc::SYS_stat, "path zeroes"),
    ("lstat", libc::SYS_lstat, "path zeroes"),
    ("access", libc::SYS_access, "path 0"),
    ("truncate", libc::SYS_truncate, "path 0"),
    ("chdir", libc::SYS_chdir, "path"),
    ("chroot", libc::SYS_chroot, "path"),
    ("mkdir", libc::SYS_mkdir, "path 448"),
    ("rmdir", libc::SYS_rmdir, "path"),
    ("unlink", libc::SYS_unlink, "path"),
    ("rename", libc::SYS_rename, "path new"),
    ("rename to", libc::SYS_rename, "file path"),
    ("link", libc::SYS_link, "path new"),
    ("link to", libc::SYS_link, "file path"),
    ("symlink", libc::SYS_symlink, "file path"),
    ("readlink", libc::SYS_readlink, "path zeroes 64"),
    ("chmod", libc::SYS_chmod, "path 384"),
    ("chown", libc::SYS_chown, "path -1 -1"),
    ("lchown", libc::SYS_lchown, "path -1 -1"),
    ("mknod", libc::SYS_mknod, "path fifo"),
    ("statfs", libc::SYS_statfs, "path zeroes"),
    ("setxattr", libc::SYS_setxattr, "path text zeroes 1"),
    ("lsetxattr", libc::SYS_lsetxattr, "path text zeroes 1"),
    ("getxattr", libc::SYS_getxattr, "path text zeroes 64"),
    ("lgetxattr", libc::SYS_lgetxattr, "path text zeroes 64"),
    ("listxattr", libc::SYS_listxattr, "path zeroes 64"),
    ("llistxattr", libc::SYS_llistxattr, "path zeroes 64"),
    ("removexattr", libc::SYS_removexattr, "path text"),
    ("lremovexattr", libc::SYS_lremovexattr, "path text"),
    ("utime", libc::SYS_utime, "path"),
    ("utimes", libc::SYS_utimes, "path"),
    ("execve", libc::SYS_execve, "path zeroes zeroes"),
];

/// Calls that are given the folder their paths begin at.
const FROM_A_FOLDER: &[Shape] = &[
    ("openat", libc::SYS_openat, "folder path 1"),
    ("openat2", libc::SYS_openat2, "folder path zeroes 24"),
    ("newfstatat", libc::SYS_newfstatat, "folder path zeroes"),
    ("statx", libc::SYS_statx, "folder path 0 2047 zeroes"),
    ("faccessat", libc::SYS_faccessat, "folder path"),
    ("faccessat2", libc::SYS_faccessat2, "folder path"),
    ("mkdirat", libc::SYS_mkdirat, "folder path 448"),
    ("unlinkat", libc::SYS_unlinkat, "folder path"),
    ("renameat", libc::SYS_renameat, "folder path here new"),
    ("renameat to", libc::SYS_renameat, "here file folder path"),
    ("renameat2", libc::SYS_renameat2, "folder path here new"),
    ("renameat2 to", libc::SYS_renameat2, "here file folder path"),
    ("linkat", libc::SYS_linkat, "folder path here new"),
    ("linkat to", libc::SYS_linkat, "here file folder path"),
    ("symlinkat", libc::SYS_symlinkat, "file folder path"),
    ("readlinkat", libc::SYS_readlinkat, "folder path zeroes 64"),
    ("fchmodat", libc::SYS_fchmodat, "folder path 384"),
    ("fchownat", libc::SYS_fchownat, "folder path -1 -1"),
    ("mknodat", libc::SYS_mknodat, "folder path fifo"),
    ("utimensat", libc::SYS_utimensat, "folder path"),
    ("futimesat", libc::SYS_futimesat, "folder path"),
    ("execveat", libc::SYS_execveat, "folder path zeroes zeroes"),
];

const HERE: i64 = libc::AT_FDCWD as i64;

/// Tries a call with a path from a folder.
fn walk(shape: &Shape, case: &str, path: &CStr, folder: i64) {
    at(shape, case, path.as_ptr() as i64, folder);
}

fn at(shape: &Shape, case: &str, path: i64, folder: i64) {
    let meaning = [
        ("path", path),
        ("folder", folder),
        ("here", HERE),
        ("file", c"file".as_ptr() as i64),
        ("new", c"new".as_ptr() as i64),
        ("fifo", i64::from(libc::S_IFIFO | 0o600)),
    ];
    tried(shape, case, &meaning);
}

pub(crate) fn run() {
    fs::write("file", b"").expect("new");
    symlink("circle", "circle").expect("new");
    let long_path = CString::new(b"./".repeat(2048)).expect("no NUL");
    let file = opened(c"file", 0);
    for shape in FROM_HERE.iter().chain(FROM_A_FOLDER) {
        at(shape, "a path at a bad address", BAD as i64, HERE);
        walk(shape, "an empty path", c"", HERE);
        walk(shape, "a path through nothing", c"nothing/x", HERE);
        walk(shape, "a path through a file", c"file/x", HERE);
        walk(shape, "a path through a circle", c"circle/x", HERE);
        walk(shape, "a path with a long name", &long(256), HERE);
        walk(shape, "a path of 4096 bytes", &long_path, HERE);
    }
    for shape in FROM_A_FOLDER {
        walk(shape, "a path below what is not open", c"x", CLOSED);
        walk(shape, "a path below an open file", c"x", file);
    }
    close(file);
}

/// Paths through a folder that somebody else keeps closed: root goes everywhere.
pub(crate) fn closed() {
    fs::write("file", b"").expect("new");
    fs::create_dir("closed").expect("new");
    fs::set_permissions("closed", fs::Permissions::from_mode(0o700)).expect("ours");
    let folder = opened(c"closed", libc::O_DIRECTORY);
    apart(|| {
        become_user();
        for shape in FROM_HERE.iter().chain(FROM_A_FOLDER) {
            walk(shape, "a path through a closed folder", c"closed/x", HERE);
        }
        for shape in FROM_A_FOLDER {
            walk(shape, "a path below a closed folder", c"x", folder);
        }
    });
    close(folder);
}
