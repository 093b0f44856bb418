//! What is no descriptor of the right kind, given to every call that takes one.

use crate::check::{CLOSED, check, sys, works};
use crate::handle::{close, opened, pipe};
use crate::shape::{Shape, tried};
use libc::{O_CREAT, O_PATH, O_RDWR};

/// Calls of any file.
const OF_FILES: &[Shape] = &[
    ("read", libc::SYS_read, "it zeroes 4"),
    ("write", libc::SYS_write, "it zeroes 4"),
    ("readv", libc::SYS_readv, "it zeroes 1"),
    ("writev", libc::SYS_writev, "it zeroes 1"),
    ("pread64", libc::SYS_pread64, "it zeroes 4"),
    ("pwrite64", libc::SYS_pwrite64, "it zeroes 4"),
    ("preadv", libc::SYS_preadv, "it zeroes 1"),
    ("pwritev", libc::SYS_pwritev, "it zeroes 1"),
    ("lseek", libc::SYS_lseek, "it"),
    ("ioctl", libc::SYS_ioctl, "it 21531 zeroes"),
    ("mmap", libc::SYS_mmap, "0 4096 1 2 it"),
    ("sendfile to", libc::SYS_sendfile, "it file 0 1"),
    ("sendfile from", libc::SYS_sendfile, "file it 0 1"),
    ("flock", libc::SYS_flock, "it 2"),
    ("fsync", libc::SYS_fsync, "it"),
    ("fdatasync", libc::SYS_fdatasync, "it"),
    ("syncfs", libc::SYS_syncfs, "it"),
    ("ftruncate", libc::SYS_ftruncate, "it"),
    ("fallocate", libc::SYS_fallocate, "it 0 0 1"),
    ("readahead", libc::SYS_readahead, "it 0 1"),
    ("fadvise64", libc::SYS_fadvise64, "it 0 1"),
    ("fchmod", libc::SYS_fchmod, "it 384"),
    ("fchown", libc::SYS_fchown, "it -1 -1"),
    ("preadv2", libc::SYS_preadv2, "it zeroes 1 0 0 0"),
    ("pwritev2", libc::SYS_pwritev2, "it zeroes 1 0 0 0"),
    ("sync_file_range", libc::SYS_sync_file_range, "it 0 1 7"),
    ("getdents", libc::SYS_getdents, "it zeroes 4096"),
    ("getdents64", libc::SYS_getdents64, "it zeroes 4096"),
    ("fsetxattr", libc::SYS_fsetxattr, "it text zeroes 1"),
    ("fgetxattr", libc::SYS_fgetxattr, "it text zeroes 64"),
    ("flistxattr", libc::SYS_flistxattr, "it zeroes 64"),
    ("fremovexattr", libc::SYS_fremovexattr, "it text"),
    ("epoll_wait", libc::SYS_epoll_wait, "it zeroes 1"),
    ("epoll_pwait", libc::SYS_epoll_pwait, "it zeroes 1"),
    ("epoll_pwait2", libc::SYS_epoll_pwait2, "it zeroes 1 zeroes"),
    ("epoll_ctl to", libc::SYS_epoll_ctl, "it 1 pipe zeroes"),
    ("epoll_ctl", libc::SYS_epoll_ctl, "list 1 it zeroes"),
    ("splice from", libc::SYS_splice, "it 0 pipe 0 1"),
    ("splice to", libc::SYS_splice, "pipe 0 it 0 1"),
    ("tee from", libc::SYS_tee, "it pipe 1"),
    ("tee to", libc::SYS_tee, "pipe it 1"),
    ("vmsplice", libc::SYS_vmsplice, "it zeroes 1"),
    ("signalfd", libc::SYS_signalfd, "it zeroes 8"),
    ("signalfd4", libc::SYS_signalfd4, "it zeroes 8"),
    ("timerfd_settime", libc::SYS_timerfd_settime, "it 0 zeroes"),
    ("timerfd_gettime", libc::SYS_timerfd_gettime, "it zeroes"),
    (
        "copy_file_range from",
        libc::SYS_copy_file_range,
        "it 0 file 0 1",
    ),
    (
        "copy_file_range to",
        libc::SYS_copy_file_range,
        "file 0 it 0 1",
    ),
];

/// Calls that a path without rights (`O_PATH`) is good for.
const OF_PATHS: &[Shape] = &[
    ("fcntl", libc::SYS_fcntl, "it 1"),
    ("fstat", libc::SYS_fstat, "it zeroes"),
    ("fstatfs", libc::SYS_fstatfs, "it zeroes"),
    ("fchdir", libc::SYS_fchdir, "it"),
    ("dup3", libc::SYS_dup3, "it 57 0"),
    ("dup2", libc::SYS_dup2, "it 57"),
    ("close", libc::SYS_close, "it"),
];

/// Calls of sockets.
const OF_SOCKETS: &[Shape] = &[
    ("connect", libc::SYS_connect, "it zeroes 8"),
    ("accept", libc::SYS_accept, "it"),
    ("accept4", libc::SYS_accept4, "it"),
    ("sendto", libc::SYS_sendto, "it zeroes 1"),
    ("recvfrom", libc::SYS_recvfrom, "it zeroes 1"),
    ("sendmsg", libc::SYS_sendmsg, "it zeroes"),
    ("recvmsg", libc::SYS_recvmsg, "it zeroes"),
    ("shutdown", libc::SYS_shutdown, "it 2"),
    ("bind", libc::SYS_bind, "it zeroes 8"),
    ("listen", libc::SYS_listen, "it 1"),
    ("getsockname", libc::SYS_getsockname, "it zeroes zeroes"),
    ("getpeername", libc::SYS_getpeername, "it zeroes zeroes"),
    ("setsockopt", libc::SYS_setsockopt, "it 1 2 zeroes 4"),
    ("getsockopt", libc::SYS_getsockopt, "it 1 2 zeroes zeroes"),
];

pub(crate) fn run() {
    let file = opened(c"file", O_CREAT | O_RDWR);
    let path = opened(c"file", O_PATH);
    let folder = opened(c".", O_PATH);
    let [reader, writer] = pipe();
    let list = works("epoll_create1", "a list", sys!(SYS_epoll_create1, 0));
    let list = list.expect("room");
    for (case, it) in [
        ("a descriptor that is not open", CLOSED),
        ("a negative descriptor", -1),
        ("a descriptor of a path", path),
    ] {
        let of = |shape: &Shape, pipe: i64| {
            let meaning = [("it", it), ("file", file), ("pipe", pipe), ("list", list)];
            tried(shape, case, &meaning);
        };
        for shape in OF_FILES.iter().chain(OF_SOCKETS) {
            // Which asks these for a new one.
            if it == -1 && shape.0.starts_with("signalfd") {
                continue;
            }
            let takes_from_a_pipe = matches!(shape.0, "splice to" | "tee to");
            of(shape, if takes_from_a_pipe { reader } else { writer });
        }
    }
    for (case, it) in [
        ("a descriptor that is not open", CLOSED),
        ("a negative descriptor", -1),
        ("a descriptor of a path", folder),
    ] {
        for shape in OF_PATHS {
            tried(shape, case, &[("it", it)]);
        }
    }
    // The descriptors that are looked at are said by bits.
    let mut set = [1_u64 << CLOSED, 0];
    let (count, at) = (CLOSED + 1, set.as_mut_ptr());
    let case = "a descriptor that is not open";
    check(
        "select",
        "a bit that is not open",
        sys!(SYS_select, count, at, 0, 0, 0),
    );
    check("pselect6", case, sys!(SYS_pselect6, count, at, 0, 0, 0, 0));
    for (case, it) in [("a file", file), ("a pipe", reader)] {
        for shape in OF_SOCKETS {
            tried(shape, &format!("{case} instead of a socket"), &[("it", it)]);
        }
    }
    for fd in [file, path, reader, writer, list, 57] {
        close(fd);
    }
}
