//! Opening: open, openat, creat, and what a path only (O_PATH) can do.

use crate::check::{BAD, CLOSED, check, sys, works};
use crate::handle::{close, open, opened};
use crate::path::long;
use libc::{
    AT_FDCWD, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_WRONLY,
    SEEK_SET,
};
use std::ffi::CStr;

/// Opens, says how that went, and closes.
fn tried(case: &str, path: &CStr, flags: i32) {
    if let Ok(fd) = works("openat", case, open(path, flags)) {
        close(fd);
    }
}

pub(crate) fn run() {
    opening();
}

fn opening() {
    std::fs::create_dir("folder").expect("new");
    std::fs::write("file", b"0123456789").expect("new");
    std::os::unix::fs::symlink("file", "link").expect("new");
    std::os::unix::fs::symlink("nothing", "dangling").expect("new");
    std::os::unix::fs::symlink("loop", "loop").expect("new");
    tried("a file", c"file", O_RDONLY);
    tried("a file for both", c"file", O_RDWR);
    tried("no file", c"nothing", O_RDONLY);
    tried("no file to make", c"nothing", O_WRONLY);
    tried("an empty name", c"", O_RDONLY);
    tried("a name below a file", c"file/below", O_RDONLY);
    tried("a file with a slash", c"file/", O_RDONLY);
    tried("a new file with a slash", c"new/", O_WRONLY | O_CREAT);
    tried("a new file", c"new", O_WRONLY | O_CREAT);
    tried("a new file that is there", c"new", O_WRONLY | O_CREAT);
    tried(
        "a new file that must be new",
        c"new",
        O_WRONLY | O_CREAT | O_EXCL,
    );
    tried("a new file in no folder", c"no/new", O_WRONLY | O_CREAT);
    tried("a folder", c"folder", O_RDONLY);
    tried("a folder for writing", c"folder", O_WRONLY);
    tried("a folder for both", c"folder", O_RDWR);
    tried("a folder to be made", c"folder", O_RDONLY | O_CREAT);
    tried(
        "a folder that must be one",
        c"folder",
        O_RDONLY | O_DIRECTORY,
    );
    tried(
        "a file that must be a folder",
        c"file",
        O_RDONLY | O_DIRECTORY,
    );
    tried("a link", c"link", O_RDONLY);
    tried("a link not to be followed", c"link", O_RDONLY | O_NOFOLLOW);
    tried("a link as itself", c"link", O_PATH | O_NOFOLLOW);
    tried(
        "a link that must be new",
        c"link",
        O_WRONLY | O_CREAT | O_EXCL,
    );
    tried("a dangling link", c"dangling", O_RDONLY);
    tried(
        "a file through a dangling link",
        c"dangling",
        O_WRONLY | O_CREAT,
    );
    tried("what a dangling link made", c"nothing", O_RDONLY);
    tried("a link to itself", c"loop", O_RDONLY);
    tried("through a link to itself", c"loop/file", O_RDONLY);
    tried("a bad access mode", c"file", 3);
    tried("this folder", c".", O_RDONLY);
    tried("the folder above", c"..", O_RDONLY);
    tried("the root", c"/", O_RDONLY);
    tried("above the root", c"/../../..", O_RDONLY);
    tried("many slashes", c".//folder///..//file", O_RDONLY);
    check(
        "openat",
        "a bad address",
        sys!(SYS_openat, AT_FDCWD, BAD, 0),
    );
    check("openat", "no folder", sys!(SYS_openat, CLOSED, c"file", 0));
    works("open", "a file", sys!(SYS_open, c"file", 0))
        .map(close)
        .expect("it is there");
    works("creat", "a file", sys!(SYS_creat, c"created", 0o600))
        .map(close)
        .expect("room");
    let file = opened(c"file", O_RDONLY);
    check(
        "openat",
        "below a file's descriptor",
        sys!(SYS_openat, file, c"x", 0),
    );
    close(file);
    let folder = opened(c"folder", O_RDONLY);
    let made = works(
        "openat",
        "below a folder's descriptor",
        sys!(SYS_openat, folder, c"inside", O_CREAT | O_RDWR, 0o600),
    );
    close(made.expect("room"));
    check(
        "openat",
        "up from a folder's descriptor",
        sys!(SYS_openat, folder, c"../file", O_RDONLY).map(|fd| {
            close(fd);
            0
        }),
    );
    check(
        "read",
        "a folder",
        sys!(SYS_read, folder, [0_u8; 8].as_mut_ptr(), 8),
    );
    check(
        "write",
        "a folder",
        sys!(SYS_write, folder, b"x".as_ptr(), 1),
    );
    close(folder);
    tried("a name of 256 bytes", &long(256), O_RDONLY);
    tried("a name of 255 bytes", &long(255), O_RDONLY);
    let long = std::ffi::CString::new(b"./".repeat(2047)).expect("no NUL");
    tried("a path of 4094 bytes", &long, O_RDONLY);
    let path = opened(c"file", O_PATH);
    check("read", "a path only", sys!(SYS_read, path, BAD, 1));
    check("write", "a path only", sys!(SYS_write, path, BAD, 1));
    check(
        "fstat",
        "a path only",
        sys!(SYS_fstat, path, [0_u64; 18].as_mut_ptr()),
    );
    check("lseek", "a path only", sys!(SYS_lseek, path, 0, SEEK_SET));
    check("fchmod", "a path only", sys!(SYS_fchmod, path, 0o600));
    check("ftruncate", "a path only", sys!(SYS_ftruncate, path, 1));
    check("fsync", "a path only", sys!(SYS_fsync, path));
    check(
        "ioctl",
        "a path only",
        sys!(SYS_ioctl, path, libc::FIONREAD, [0_u32; 1].as_mut_ptr()),
    );
    close(path);
}
