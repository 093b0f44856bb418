//! Open files: open, close, read, write, lseek, dup, fcntl, pipe, truncate, sync, positions, vectors, ioctl.

use crate::check::{Answer, BAD, check, say, sys, works};
use libc::{
    AT_FDCWD, F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_GETPIPE_SZ, F_SETFD, F_SETFL, O_APPEND,
    O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR,
    O_TRUNC, O_WRONLY, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET,
};
use std::ffi::CStr;

fn open(path: &CStr, flags: i32) -> Answer {
    sys!(SYS_openat, AT_FDCWD, path, flags, 0o644)
}

fn opened(path: &CStr, flags: i32) -> i64 {
    open(path, flags).expect("it opens")
}

fn close(fd: i64) {
    sys!(SYS_close, fd).expect("it was open");
}

/// Opens, says how that went, and closes.
fn tried(case: &str, path: &CStr, flags: i32) {
    if let Ok(fd) = works("openat", case, open(path, flags)) {
        close(fd);
    }
}

/// Reads up to 64 bytes and prints them.
fn contents(call: &str, case: &str, fd: i64) {
    let mut bytes = [0_u8; 64];
    match sys!(SYS_read, fd, bytes.as_mut_ptr(), bytes.len()) {
        Ok(count) => say(
            call,
            case,
            String::from_utf8_lossy(&bytes[..count as usize]).escape_debug(),
        ),
        error => check(call, case, error),
    }
}

pub(crate) fn run() {
    opening();
    reading();
    seeking();
    numbers();
    flags();
    pipes();
    lengths();
    vectors();
    copies();
    waiting();
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
    check("openat", "no folder", sys!(SYS_openat, 99, c"file", 0));
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
    let long = std::ffi::CString::new(vec![b'n'; 256]).expect("no NUL");
    tried("a name of 256 bytes", &long, O_RDONLY);
    let long = std::ffi::CString::new(vec![b'n'; 255]).expect("no NUL");
    tried("a name of 255 bytes", &long, O_RDONLY);
    let long = std::ffi::CString::new(b"./".repeat(2047)).expect("no NUL");
    tried("a path of 4094 bytes", &long, O_RDONLY);
    let long = std::ffi::CString::new(b"./".repeat(2048)).expect("no NUL");
    tried("a path of 4096 bytes", &long, O_RDONLY);
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

fn reading() {
    std::fs::write("read", b"0123456789").expect("new");
    let mut bytes = [0_u8; 16];
    let at = bytes.as_mut_ptr();
    check("read", "not open", sys!(SYS_read, 99, at, 4));
    check("write", "not open", sys!(SYS_write, 99, at, 4));
    check("read", "a negative descriptor", sys!(SYS_read, -1, at, 4));
    check("close", "not open", sys!(SYS_close, 99));
    check("close", "a negative descriptor", sys!(SYS_close, -1));
    let reader = opened(c"read", O_RDONLY);
    let writer = opened(c"read", O_WRONLY);
    check("read", "a file", sys!(SYS_read, reader, at, 4));
    check("read", "no bytes", sys!(SYS_read, reader, at, 0));
    check(
        "read",
        "no bytes to a bad address",
        sys!(SYS_read, reader, BAD, 0),
    );
    check("read", "to a bad address", sys!(SYS_read, reader, BAD, 4));
    check("read", "the rest", sys!(SYS_read, reader, at, 16));
    check("read", "the end", sys!(SYS_read, reader, at, 16));
    check(
        "read",
        "the end, to a bad address",
        sys!(SYS_read, reader, BAD, 16),
    );
    check("read", "what is for writing", sys!(SYS_read, writer, at, 4));
    check(
        "write",
        "what is for reading",
        sys!(SYS_write, reader, at, 4),
    );
    check(
        "write",
        "from a bad address",
        sys!(SYS_write, writer, BAD, 4),
    );
    check("write", "no bytes", sys!(SYS_write, writer, at, 0));
    check(
        "write",
        "a file",
        sys!(SYS_write, writer, b"ab".as_ptr(), 2),
    );
    check("pread64", "a position", sys!(SYS_pread64, reader, at, 4, 1));
    say("pread64", "its bytes", String::from_utf8_lossy(&bytes[..4]));
    check(
        "pread64",
        "behind the end",
        sys!(SYS_pread64, reader, at, 4, 100),
    );
    check(
        "pread64",
        "a negative position",
        sys!(SYS_pread64, reader, at, 4, -1),
    );
    check(
        "pread64",
        "what is for writing",
        sys!(SYS_pread64, writer, at, 4, 0),
    );
    check(
        "pwrite64",
        "a position",
        sys!(SYS_pwrite64, writer, b"zz".as_ptr(), 2, 12),
    );
    check(
        "pwrite64",
        "a negative position",
        sys!(SYS_pwrite64, writer, b"zz".as_ptr(), 2, -5),
    );
    check(
        "pwrite64",
        "what is for reading",
        sys!(SYS_pwrite64, reader, b"zz".as_ptr(), 2, 0),
    );
    check(
        "lseek",
        "pwrite64 moves nothing",
        sys!(SYS_lseek, writer, 0, SEEK_CUR),
    );
    check(
        "lseek",
        "to the start",
        sys!(SYS_lseek, reader, 0, SEEK_SET),
    );
    contents("read", "a hole reads as zeros", reader);
    close(writer);
    let append = opened(c"read", O_WRONLY | O_APPEND);
    check(
        "write",
        "append",
        sys!(SYS_write, append, b"end".as_ptr(), 3),
    );
    check(
        "lseek",
        "after append",
        sys!(SYS_lseek, append, 0, SEEK_CUR),
    );
    check(
        "pwrite64",
        "append ignores positions",
        sys!(SYS_pwrite64, append, b"!".as_ptr(), 1, 0),
    );
    close(append);
    sys!(SYS_lseek, reader, 10, SEEK_SET).expect("a file");
    contents("read", "what was appended", reader);
    close(reader);
    let cut = opened(c"read", O_WRONLY | O_TRUNC);
    check(
        "lseek",
        "the end of what was cut",
        sys!(SYS_lseek, cut, 0, SEEK_END),
    );
    close(cut);
    let huge = opened(c"read", O_RDWR);
    check(
        "write",
        "more than fits an address space",
        sys!(SYS_write, huge, -4096_i64, 8192),
    );
    close(huge);
}

fn seeking() {
    let fd = opened(c"seek", O_RDWR | O_CREAT);
    sys!(SYS_write, fd, b"0123456789".as_ptr(), 10).expect("room");
    for (case, offset, whence) in [
        ("to 3", 3, SEEK_SET),
        ("3 on", 3, SEEK_CUR),
        ("back beyond the start", -100, SEEK_CUR),
        ("stays there", 0, SEEK_CUR),
        ("from the end", -2, SEEK_END),
        ("behind the end", 10, SEEK_END),
        ("before the start", -1, SEEK_SET),
        ("an unknown origin", 0, 9),
        ("data at 0", 0, SEEK_DATA),
        ("data behind the end", 50, SEEK_DATA),
        ("a hole from 0", 0, SEEK_HOLE),
        ("a hole behind the end", 50, SEEK_HOLE),
        ("a negative hole", -1, SEEK_HOLE),
        ("further than a number goes", i64::MAX, SEEK_END),
    ] {
        check("lseek", case, sys!(SYS_lseek, fd, offset, whence));
    }
    close(fd);
    check("lseek", "not open", sys!(SYS_lseek, 99, 0, SEEK_SET));
    let folder = opened(c".", O_RDONLY);
    check(
        "lseek",
        "a folder's start",
        sys!(SYS_lseek, folder, 0, SEEK_SET),
    );
    check(
        "lseek",
        "a folder, an unknown origin",
        sys!(SYS_lseek, folder, 0, 9),
    );
    close(folder);
}

fn numbers() {
    std::fs::write("number", b"x").expect("new");
    let fd = opened(c"number", O_RDONLY);
    check(
        "dup2",
        "to itself",
        sys!(SYS_dup2, fd, fd).map(|same| i64::from(same == fd)),
    );
    check("dup2", "to 50", sys!(SYS_dup2, fd, 50));
    check("dup2", "to 50 again", sys!(SYS_dup2, fd, 50));
    check("dup2", "not open", sys!(SYS_dup2, 99, 51));
    check("dup2", "not open, to itself", sys!(SYS_dup2, 99, 99));
    check("dup2", "to a negative descriptor", sys!(SYS_dup2, fd, -1));
    check("dup2", "to a very high one", sys!(SYS_dup2, fd, 1 << 30));
    check("dup3", "to itself", sys!(SYS_dup3, fd, fd, 0));
    check("dup3", "an unknown flag", sys!(SYS_dup3, fd, 51, 1));
    check(
        "dup3",
        "to 51, closed on exec",
        sys!(SYS_dup3, fd, 51, O_CLOEXEC),
    );
    check(
        "fcntl",
        "51 is closed on exec",
        sys!(SYS_fcntl, 51, F_GETFD),
    );
    check("fcntl", "50 is not", sys!(SYS_fcntl, 50, F_GETFD));
    works("dup", "a file", sys!(SYS_dup, fd))
        .map(close)
        .expect("room");
    check("dup", "not open", sys!(SYS_dup, 99));
    check("fcntl", "F_DUPFD from 60", sys!(SYS_fcntl, fd, F_DUPFD, 60));
    check(
        "fcntl",
        "F_DUPFD from 60 again",
        sys!(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 60),
    );
    check(
        "fcntl",
        "61 is closed on exec",
        sys!(SYS_fcntl, 61, F_GETFD),
    );
    check(
        "fcntl",
        "F_DUPFD from a negative one",
        sys!(SYS_fcntl, fd, F_DUPFD, -1),
    );
    check(
        "fcntl",
        "F_DUPFD from a very high one",
        sys!(SYS_fcntl, fd, F_DUPFD, 1 << 30),
    );
    check("fcntl", "not open", sys!(SYS_fcntl, 99, F_GETFD));
    check("fcntl", "F_SETFD", sys!(SYS_fcntl, 50, F_SETFD, 1));
    check(
        "fcntl",
        "F_GETFD after F_SETFD",
        sys!(SYS_fcntl, 50, F_GETFD),
    );
    check("fcntl", "an unknown command", sys!(SYS_fcntl, 50, 9999));
    check(
        "close_range",
        "an unknown flag",
        sys!(SYS_close_range, 50, 61, 1 << 30),
    );
    check(
        "close_range",
        "the wrong way round",
        sys!(SYS_close_range, 61, 50, 0),
    );
    check("close_range", "50 to 61", sys!(SYS_close_range, 50, 61, 0));
    check("fcntl", "50 was closed", sys!(SYS_fcntl, 50, F_GETFD));
    check(
        "close_range",
        "nothing open",
        sys!(SYS_close_range, 50, 61, 0),
    );
    close(fd);
    check("close", "a second time", sys!(SYS_close, fd));
}

fn flags() {
    let fd = opened(c"flags", O_RDWR | O_CREAT | O_APPEND);
    let large = 0o100_000;
    check(
        "fcntl",
        "F_GETFL",
        sys!(SYS_fcntl, fd, F_GETFL).map(|it| it & !large),
    );
    check(
        "fcntl",
        "F_SETFL non-blocking",
        sys!(SYS_fcntl, fd, F_SETFL, O_NONBLOCK),
    );
    check(
        "fcntl",
        "F_GETFL after that",
        sys!(SYS_fcntl, fd, F_GETFL).map(|it| it & !large),
    );
    check(
        "fcntl",
        "F_SETFL leaves the access mode",
        sys!(SYS_fcntl, fd, F_SETFL, O_WRONLY | O_CREAT),
    );
    check(
        "fcntl",
        "F_GETFL after that",
        sys!(SYS_fcntl, fd, F_GETFL).map(|it| it & !large),
    );
    check(
        "fcntl",
        "F_GETPIPE_SZ of a file",
        sys!(SYS_fcntl, fd, F_GETPIPE_SZ),
    );
    check(
        "ioctl",
        "TCGETS of a file",
        sys!(SYS_ioctl, fd, libc::TCGETS, [0_u8; 64].as_mut_ptr()),
    );
    check(
        "ioctl",
        "an unknown request",
        sys!(SYS_ioctl, fd, 0x1234, 0),
    );
    check("ioctl", "not open", sys!(SYS_ioctl, 99, libc::TCGETS, 0));
    sys!(SYS_write, fd, b"12345".as_ptr(), 5).expect("room");
    sys!(SYS_lseek, fd, 2, SEEK_SET).expect("a file");
    let mut count = 0_u32;
    check(
        "ioctl",
        "FIONREAD of a file",
        sys!(SYS_ioctl, fd, libc::FIONREAD, &raw mut count),
    );
    say("ioctl", "bytes behind the offset", count);
    check(
        "ioctl",
        "FIONREAD to a bad address",
        sys!(SYS_ioctl, fd, libc::FIONREAD, BAD),
    );
    check("ioctl", "FIOCLEX", sys!(SYS_ioctl, fd, libc::FIOCLEX, 0));
    check("fcntl", "after FIOCLEX", sys!(SYS_fcntl, fd, F_GETFD));
    check("ioctl", "FIONCLEX", sys!(SYS_ioctl, fd, libc::FIONCLEX, 0));
    check("fcntl", "after FIONCLEX", sys!(SYS_fcntl, fd, F_GETFD));
    for (case, call) in [
        ("fsync", libc::SYS_fsync),
        ("fdatasync", libc::SYS_fdatasync),
        ("syncfs", libc::SYS_syncfs),
    ] {
        // SAFETY: numbers only.
        let answer = |fd: i64| unsafe { crate::check::call(call, [fd, 0, 0, 0, 0, 0]) };
        check(case, "a file", answer(fd));
        check(case, "not open", answer(99));
    }
    check("sync", "all", sys!(SYS_sync));
    check("flock", "shared", sys!(SYS_flock, fd, libc::LOCK_SH));
    check(
        "flock",
        "exclusive",
        sys!(SYS_flock, fd, libc::LOCK_EX | libc::LOCK_NB),
    );
    check("flock", "none", sys!(SYS_flock, fd, libc::LOCK_UN));
    check("flock", "an unknown operation", sys!(SYS_flock, fd, 77));
    check("flock", "not open", sys!(SYS_flock, 99, libc::LOCK_SH));
    check(
        "fadvise64",
        "a file",
        sys!(SYS_fadvise64, fd, 0, 0, libc::POSIX_FADV_SEQUENTIAL),
    );
    check("fadvise64", "not open", sys!(SYS_fadvise64, 99, 0, 0, 0));
    check("readahead", "not open", sys!(SYS_readahead, 99, 0, 0));
    close(fd);
}

fn pipes() {
    let mut pipe = [0_i32; 2];
    check("pipe", "a bad address", sys!(SYS_pipe, BAD));
    check(
        "pipe2",
        "an unknown flag",
        sys!(SYS_pipe2, pipe.as_mut_ptr(), 1),
    );
    check(
        "pipe2",
        "non-blocking",
        sys!(SYS_pipe2, pipe.as_mut_ptr(), O_NONBLOCK | O_CLOEXEC),
    );
    let [reader, writer] = pipe.map(i64::from);
    let mut bytes = [0_u8; 64];
    let at = bytes.as_mut_ptr();
    check(
        "fcntl",
        "flags of the reading end",
        sys!(SYS_fcntl, reader, F_GETFL),
    );
    check(
        "fcntl",
        "flags of the writing end",
        sys!(SYS_fcntl, writer, F_GETFL),
    );
    check("fcntl", "closed on exec", sys!(SYS_fcntl, writer, F_GETFD));
    check(
        "fcntl",
        "F_GETPIPE_SZ",
        sys!(SYS_fcntl, writer, F_GETPIPE_SZ),
    );
    check("read", "an empty pipe", sys!(SYS_read, reader, at, 4));
    check(
        "read",
        "no bytes of an empty pipe",
        sys!(SYS_read, reader, at, 0),
    );
    check(
        "write",
        "a pipe",
        sys!(SYS_write, writer, b"hello".as_ptr(), 5),
    );
    check("read", "the wrong end", sys!(SYS_read, writer, at, 4));
    check("write", "the wrong end", sys!(SYS_write, reader, at, 4));
    let mut count = 0_u32;
    check(
        "ioctl",
        "FIONREAD of a pipe",
        sys!(SYS_ioctl, reader, libc::FIONREAD, &raw mut count),
    );
    say("ioctl", "bytes in a pipe", count);
    check("lseek", "a pipe", sys!(SYS_lseek, reader, 0, SEEK_CUR));
    check("pread64", "a pipe", sys!(SYS_pread64, reader, at, 4, 0));
    check("ftruncate", "a pipe", sys!(SYS_ftruncate, writer, 0));
    check("fsync", "a pipe", sys!(SYS_fsync, writer));
    check("fadvise64", "a pipe", sys!(SYS_fadvise64, reader, 0, 0, 0));
    check("read", "a pipe", sys!(SYS_read, reader, at, 64));
    let full = vec![1_u8; 70_000];
    check(
        "write",
        "as much as fits",
        sys!(SYS_write, writer, full.as_ptr(), full.len()),
    );
    check(
        "write",
        "a full pipe",
        sys!(SYS_write, writer, full.as_ptr(), 1),
    );
    check(
        "read",
        "a page",
        sys!(SYS_read, reader, vec![0_u8; 4096].as_mut_ptr(), 4096),
    );
    check(
        "write",
        "a piece that must go in whole",
        sys!(SYS_write, writer, full.as_ptr(), 4096),
    );
    close(writer);
    check(
        "read",
        "what the closed end left",
        sys!(SYS_read, reader, vec![0_u8; 70_000].as_mut_ptr(), 70_000),
    );
    check("read", "the end of a pipe", sys!(SYS_read, reader, at, 4));
    close(reader);
    check("pipe", "a pipe", sys!(SYS_pipe, pipe.as_mut_ptr()));
    let [reader, writer] = pipe.map(i64::from);
    close(reader);
    // SAFETY: the action is a constant of the C library.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    check(
        "write",
        "a pipe nobody reads",
        sys!(SYS_write, writer, at, 4),
    );
    check(
        "write",
        "no bytes to a pipe nobody reads",
        sys!(SYS_write, writer, at, 0),
    );
    close(writer);
}

fn lengths() {
    let fd = opened(c"length", O_RDWR | O_CREAT);
    sys!(SYS_write, fd, b"0123456789".as_ptr(), 10).expect("room");
    check("ftruncate", "shorter", sys!(SYS_ftruncate, fd, 4));
    check("lseek", "the end then", sys!(SYS_lseek, fd, 0, SEEK_END));
    check("ftruncate", "longer", sys!(SYS_ftruncate, fd, 8));
    sys!(SYS_lseek, fd, 0, SEEK_SET).expect("a file");
    contents("read", "zeros where it was cut", fd);
    check("ftruncate", "negative", sys!(SYS_ftruncate, fd, -1));
    check("ftruncate", "not open", sys!(SYS_ftruncate, 99, 1));
    check("truncate", "a path", sys!(SYS_truncate, c"length", 3));
    check("truncate", "negative", sys!(SYS_truncate, c"length", -3));
    check("truncate", "no file", sys!(SYS_truncate, c"no-length", 3));
    check("truncate", "a folder", sys!(SYS_truncate, c".", 3));
    check("truncate", "a bad address", sys!(SYS_truncate, BAD, 3));
    let reader = opened(c"length", O_RDONLY);
    check(
        "ftruncate",
        "what is for reading",
        sys!(SYS_ftruncate, reader, 1),
    );
    check(
        "fallocate",
        "what is for reading",
        sys!(SYS_fallocate, reader, 0, 0, 10),
    );
    close(reader);
    check("fallocate", "not open", sys!(SYS_fallocate, 99, 0, 0, 10));
    check("fallocate", "no bytes", sys!(SYS_fallocate, fd, 0, 0, 0));
    check(
        "fallocate",
        "a negative position",
        sys!(SYS_fallocate, fd, 0, -1, 10),
    );
    close(fd);
}

fn vectors() {
    let fd = opened(c"vector", O_RDWR | O_CREAT);
    let part = |bytes: &[u8]| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let parts = [part(b"one"), part(b""), part(b"three")];
    check(
        "writev",
        "three parts",
        sys!(SYS_writev, fd, parts.as_ptr(), 3),
    );
    check(
        "writev",
        "no parts",
        sys!(SYS_writev, fd, parts.as_ptr(), 0),
    );
    check(
        "writev",
        "1025 parts",
        sys!(SYS_writev, fd, parts.as_ptr(), 1025),
    );
    check(
        "writev",
        "-1 parts",
        sys!(SYS_writev, fd, parts.as_ptr(), -1),
    );
    check("writev", "a bad list", sys!(SYS_writev, fd, BAD, 2));
    check(
        "writev",
        "not open",
        sys!(SYS_writev, 99, parts.as_ptr(), 1),
    );
    let bad = [
        part(b"good"),
        libc::iovec {
            iov_base: BAD.cast(),
            iov_len: 4,
        },
    ];
    check(
        "writev",
        "a bad second part",
        sys!(SYS_writev, fd, bad.as_ptr(), 2),
    );
    let huge = [
        part(b"good"),
        libc::iovec {
            iov_base: BAD.cast(),
            iov_len: usize::MAX,
        },
    ];
    check(
        "writev",
        "a part longer than a number",
        sys!(SYS_writev, fd, huge.as_ptr(), 2),
    );
    check(
        "pwritev",
        "a position",
        sys!(SYS_pwritev, fd, parts.as_ptr(), 1, 20, 0),
    );
    check(
        "pwritev",
        "a negative position",
        sys!(SYS_pwritev, fd, parts.as_ptr(), 1, -1, -1),
    );
    sys!(SYS_lseek, fd, 0, SEEK_SET).expect("a file");
    let (mut first, mut second) = ([0_u8; 4], [0_u8; 8]);
    let into = [
        libc::iovec {
            iov_base: first.as_mut_ptr().cast(),
            iov_len: 4,
        },
        libc::iovec {
            iov_base: second.as_mut_ptr().cast(),
            iov_len: 8,
        },
    ];
    check("readv", "two parts", sys!(SYS_readv, fd, into.as_ptr(), 2));
    say(
        "readv",
        "the bytes",
        format!(
            "{:?} {:?}",
            String::from_utf8_lossy(&first),
            String::from_utf8_lossy(&second)
        ),
    );
    check(
        "preadv",
        "a position",
        sys!(SYS_preadv, fd, into.as_ptr(), 1, 18, 0),
    );
    say(
        "preadv",
        "the bytes",
        String::from_utf8_lossy(&first).escape_debug(),
    );
    check(
        "preadv",
        "a negative position",
        sys!(SYS_preadv, fd, into.as_ptr(), 1, -1, -1),
    );
    check("readv", "not open", sys!(SYS_readv, 99, into.as_ptr(), 1));
    close(fd);
}

fn copies() {
    std::fs::write("from", b"0123456789").expect("new");
    let (from, to) = (opened(c"from", O_RDONLY), opened(c"to", O_RDWR | O_CREAT));
    let mut position = 2_i64;
    check("sendfile", "a file", sys!(SYS_sendfile, to, from, 0, 4));
    check(
        "sendfile",
        "from a position",
        sys!(SYS_sendfile, to, from, &raw mut position, 3),
    );
    say("sendfile", "the position then", position);
    check(
        "lseek",
        "the offset then",
        sys!(SYS_lseek, from, 0, SEEK_CUR),
    );
    position = -1;
    check(
        "sendfile",
        "from a negative position",
        sys!(SYS_sendfile, to, from, &raw mut position, 3),
    );
    check(
        "sendfile",
        "a bad position",
        sys!(SYS_sendfile, to, from, BAD, 3),
    );
    check("sendfile", "not open", sys!(SYS_sendfile, to, 99, 0, 3));
    check(
        "sendfile",
        "to what is for reading",
        sys!(SYS_sendfile, from, from, 0, 3),
    );
    check(
        "sendfile",
        "beyond the end",
        sys!(SYS_sendfile, to, from, 0, 100),
    );
    check(
        "sendfile",
        "at the end",
        sys!(SYS_sendfile, to, from, 0, 100),
    );
    let (mut here, mut there) = (1_i64, 20_i64);
    check(
        "copy_file_range",
        "positions",
        sys!(
            SYS_copy_file_range,
            from,
            &raw mut here,
            to,
            &raw mut there,
            4,
            0
        ),
    );
    say(
        "copy_file_range",
        "the positions then",
        format!("{here} {there}"),
    );
    check(
        "copy_file_range",
        "an unknown flag",
        sys!(SYS_copy_file_range, from, 0, to, 0, 4, 1),
    );
    check(
        "copy_file_range",
        "not open",
        sys!(SYS_copy_file_range, 99, 0, to, 0, 4, 0),
    );
    check(
        "copy_file_range",
        "to what is for reading",
        sys!(SYS_copy_file_range, to, 0, from, 0, 4, 0),
    );
    sys!(SYS_lseek, to, 0, SEEK_SET).expect("a file");
    contents("read", "what was copied", to);
    close(from);
    close(to);
}

fn waiting() {
    let mut pipe = [0_i32; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("room");
    let [reader, writer] = pipe;
    let mut poll = [
        libc::pollfd {
            fd: reader,
            events: libc::POLLIN,
            revents: 0,
        },
        libc::pollfd {
            fd: writer,
            events: libc::POLLOUT,
            revents: 0,
        },
        libc::pollfd {
            fd: -1,
            events: libc::POLLIN,
            revents: 9,
        },
        libc::pollfd {
            fd: 99,
            events: libc::POLLIN,
            revents: 0,
        },
    ];
    let events = |case: &str, poll: &[libc::pollfd]| {
        say(
            "poll",
            case,
            poll.iter()
                .map(|it| it.revents.to_string())
                .collect::<Vec<_>>()
                .join(" "),
        );
    };
    check(
        "poll",
        "an empty pipe, a writable one, none, not open",
        sys!(SYS_poll, poll.as_mut_ptr(), 4, 0),
    );
    events("what it found", &poll);
    check(
        "poll",
        "an empty pipe for 5 ms",
        sys!(SYS_poll, poll.as_mut_ptr(), 1, 5),
    );
    check("poll", "nothing for 1 ms", sys!(SYS_poll, 0, 0, 1));
    check("poll", "a bad address", sys!(SYS_poll, BAD, 1, 0));
    sys!(SYS_write, writer, b"x".as_ptr(), 1).expect("room");
    check(
        "poll",
        "a byte is there",
        sys!(SYS_poll, poll.as_mut_ptr(), 1, -1),
    );
    events("a byte is there", &poll[..1]);
    let mut time = [0_i64, 1_000_000_000];
    check(
        "ppoll",
        "too many nanoseconds",
        sys!(SYS_ppoll, poll.as_mut_ptr(), 1, time.as_mut_ptr(), 0, 8),
    );
    time = [0, 1000];
    check(
        "ppoll",
        "a byte is there",
        sys!(SYS_ppoll, poll.as_mut_ptr(), 1, time.as_mut_ptr(), 0, 8),
    );
    check(
        "ppoll",
        "a mask of the wrong size",
        sys!(
            SYS_ppoll,
            poll.as_mut_ptr(),
            1,
            time.as_mut_ptr(),
            time.as_ptr(),
            4
        ),
    );
    let mut set = [0_u64; 16];
    set[reader as usize / 64] |= 1 << (reader % 64);
    let mut time = [0_i64, 0];
    check(
        "select",
        "a byte is there",
        sys!(
            SYS_select,
            reader + 1,
            set.as_mut_ptr(),
            0,
            0,
            time.as_mut_ptr()
        ),
    );
    say("select", "the set", set[0] == 1 << reader);
    check(
        "select",
        "a negative count",
        sys!(SYS_select, -1, set.as_mut_ptr(), 0, 0, time.as_mut_ptr()),
    );
    time = [0, -1];
    check(
        "select",
        "a negative time",
        sys!(
            SYS_select,
            reader + 1,
            set.as_mut_ptr(),
            0,
            0,
            time.as_mut_ptr()
        ),
    );
    set = [0; 16];
    set[1] = 1 << 35;
    time = [0, 0];
    check(
        "select",
        "not open",
        sys!(SYS_select, 100, set.as_mut_ptr(), 0, 0, time.as_mut_ptr()),
    );
    check(
        "select",
        "a bad set",
        sys!(SYS_select, 100, BAD, 0, 0, time.as_mut_ptr()),
    );
    close(writer.into());
    sys!(SYS_read, reader, [0_u8; 1].as_mut_ptr(), 1).expect("a byte");
    check(
        "poll",
        "the other end is closed",
        sys!(SYS_poll, poll.as_mut_ptr(), 1, -1),
    );
    events("the other end is closed", &poll[..1]);
    close(reader.into());
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("room");
    close(pipe[0].into());
    poll[1].fd = pipe[1];
    check(
        "poll",
        "nobody reads",
        sys!(SYS_poll, poll[1..].as_mut_ptr(), 1, -1),
    );
    events("nobody reads", &poll[1..2]);
    close(pipe[1].into());
    let null = opened(c"/dev/null", O_RDWR);
    poll[0] = libc::pollfd {
        fd: null as i32,
        events: libc::POLLIN | libc::POLLOUT,
        revents: 0,
    };
    check("poll", "/dev/null", sys!(SYS_poll, poll.as_mut_ptr(), 1, 0));
    events("/dev/null", &poll[..1]);
    check(
        "read",
        "/dev/null",
        sys!(SYS_read, null, [0_u8; 4].as_mut_ptr(), 4),
    );
    check(
        "write",
        "/dev/null",
        sys!(SYS_write, null, [0_u8; 4].as_ptr(), 4),
    );
    check("lseek", "/dev/null", sys!(SYS_lseek, null, 10, SEEK_SET));
    close(null);
    for (case, path) in [
        ("/dev/zero", c"/dev/zero"),
        ("/dev/urandom", c"/dev/urandom"),
        ("/dev/full", c"/dev/full"),
    ] {
        let fd = opened(path, O_RDWR);
        check("read", case, sys!(SYS_read, fd, [0_u8; 4].as_mut_ptr(), 4));
        check("write", case, sys!(SYS_write, fd, [0_u8; 4].as_ptr(), 4));
        close(fd);
    }
}
