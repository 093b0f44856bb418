//! Names with a slash behind them, and directories that were removed while somebody was in them.

use crate::check::{self, Answer, sys};
use crate::handle::{close, opened};
use libc::{AT_FDCWD, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, RENAME_EXCHANGE};
use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) fn run() {
    fs::create_dir("empty").expect("new");
    fs::write("file", b"x").expect("new");
    symlink("empty", "to").expect("new");
    symlink("file", "to-file").expect("new");
    symlink("absent", "nowhere").expect("new");
    behind_links();
    made();
    removed();
}

/// Prints a check; other families have checks of the same calls.
fn check(call: &str, case: &str, answer: Answer) {
    check::check(call, &format!("by its end, {case}"), answer);
}

fn opens(case: &str, answer: Answer) {
    let case = format!("by its end, {case}");
    if let Ok(fd) = check::works("openat", &case, answer) {
        close(fd);
    }
}

fn behind_links() {
    let remove = |case: &str, path: &CStr| check("rmdir", case, sys!(SYS_rmdir, path));
    remove("a link to a folder", c"to");
    remove("a link with a slash", c"to/");
    remove("a link with two slashes", c"to//");
    let unlink = |case: &str, path: &CStr| check("unlink", case, sys!(SYS_unlink, path));
    unlink("a link with a slash", c"to/");
    unlink("a link to a file with a slash", c"to-file/");
    let rename = |case: &str, from: &CStr, to: &CStr| {
        check("rename", case, sys!(SYS_rename, from, to));
    };
    rename("a link with a slash", c"to/", c"other");
    rename("onto a link with a slash", c"empty", c"to/");
    rename(
        "a folder onto a lost link with a slash",
        c"empty",
        c"nowhere/",
    );
    check(
        "renameat2",
        "exchanged with a link with a slash",
        sys!(
            SYS_renameat2,
            AT_FDCWD,
            c"empty",
            AT_FDCWD,
            c"to/",
            RENAME_EXCHANGE
        ),
    );
    let mut stat = [0_u64; 18];
    check(
        "lstat",
        "a link with a slash",
        sys!(SYS_lstat, c"to/", stat.as_mut_ptr()),
    );
    check(
        "lstat",
        "a link to a file with a slash",
        sys!(SYS_lstat, c"to-file/", stat.as_mut_ptr()),
    );
}

fn made() {
    check("mkdir", "a lost link", sys!(SYS_mkdir, c"nowhere", 0o755));
    check(
        "mkdir",
        "a lost link with a slash",
        sys!(SYS_mkdir, c"nowhere/", 0o755),
    );
    check(
        "link",
        "a lost link with a slash",
        sys!(SYS_link, c"file", c"nowhere/"),
    );
    check(
        "symlink",
        "a link with a slash",
        sys!(SYS_symlink, c"x", c"to/"),
    );
    check(
        "mknod",
        "a lost link with a slash",
        sys!(SYS_mknod, c"nowhere/", 0o100644, 0),
    );
    let open = |case: &str, path: &CStr, flags: i32| {
        opens(case, sys!(SYS_openat, AT_FDCWD, path, flags, 0o644));
    };
    open("makes a file with a slash", c"new/", O_RDWR | O_CREAT);
    open(
        "makes a file that is there with a slash",
        c"file/",
        O_RDWR | O_CREAT,
    );
    open("makes a folder that is there", c"empty/", O_RDWR | O_CREAT);
    open("makes behind a link with a slash", c"to/", O_RDWR | O_CREAT);
    open(
        "makes behind a lost link with a slash",
        c"nowhere/",
        O_RDWR | O_CREAT,
    );
    open(
        "makes at most a link with a slash",
        c"to/",
        O_RDWR | O_CREAT | O_EXCL,
    );
    open("a file with a slash", c"file/", O_RDONLY);
    open("a link to a folder with a slash", c"to/", O_RDONLY);
}

fn removed() {
    fs::create_dir("gone").expect("new");
    fs::write("gone/file", b"x").expect("new");
    let gone = opened(c"gone", O_RDONLY | O_DIRECTORY);
    fs::remove_file("gone/file").expect("there");
    fs::remove_dir("gone").expect("empty");
    let open = |case: &str, path: &CStr, flags: i32| {
        opens(case, sys!(SYS_openat, gone, path, flags, 0o644));
    };
    open("what a removed folder had", c"file", O_RDONLY);
    open("what a removed folder never had", c"other", O_RDONLY);
    open("makes a file in a removed folder", c"new", O_RDWR | O_CREAT);
    open("a removed folder itself", c".", O_RDONLY);
    open("above a removed folder", c"..", O_RDONLY);
    check(
        "mkdirat",
        "in a removed folder",
        sys!(SYS_mkdirat, gone, c"x", 0o755),
    );
    check(
        "renameat",
        "into a removed folder",
        sys!(SYS_renameat, AT_FDCWD, c"file", gone, c"file"),
    );
    check(
        "linkat",
        "into a removed folder",
        sys!(SYS_linkat, AT_FDCWD, c"file", gone, c"file", 0),
    );
    let mut entries = [0_u64; 64];
    check(
        "getdents64",
        "a removed folder",
        sys!(
            SYS_getdents64,
            gone,
            entries.as_mut_ptr(),
            size_of_val(&entries)
        ),
    );
    check("fchdir", "a removed folder", sys!(SYS_fchdir, gone));
    let mut path = [0_u8; 64];
    check(
        "getcwd",
        "a removed folder",
        sys!(SYS_getcwd, path.as_mut_ptr(), path.len()),
    );
    check("chdir", "above a removed folder", sys!(SYS_chdir, c".."));
    close(gone);
}
