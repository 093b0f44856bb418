//! Descriptors: dup, fcntl, ioctl, close_range, syncing, pipes.

use crate::check::{BAD, CLOSED, check, say, sys, works};
use crate::handle::{close, opened};
use libc::{
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_GETPIPE_SZ, F_SETFD, F_SETFL, O_APPEND,
    O_CLOEXEC, O_CREAT, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, SEEK_CUR, SEEK_SET,
};

pub(crate) fn run() {
    numbers();
    flags();
    pipes();
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
    check("dup2", "not open", sys!(SYS_dup2, CLOSED, 51));
    check(
        "dup2",
        "not open, to itself",
        sys!(SYS_dup2, CLOSED, CLOSED),
    );
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
    check("dup", "not open", sys!(SYS_dup, CLOSED));
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
    check("fcntl", "not open", sys!(SYS_fcntl, CLOSED, F_GETFD));
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
        "F_GETFL after taking it back",
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
    check(
        "ioctl",
        "not open",
        sys!(SYS_ioctl, CLOSED, libc::TCGETS, 0),
    );
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
        check(case, "not open", answer(CLOSED));
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
    check("flock", "not open", sys!(SYS_flock, CLOSED, libc::LOCK_SH));
    check(
        "fadvise64",
        "a file",
        sys!(SYS_fadvise64, fd, 0, 0, libc::POSIX_FADV_SEQUENTIAL),
    );
    check(
        "fadvise64",
        "not open",
        sys!(SYS_fadvise64, CLOSED, 0, 0, 0),
    );
    check("readahead", "not open", sys!(SYS_readahead, CLOSED, 0, 0));
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
