//! Open files, pipes and folders, asked for what they are not for.

use crate::check::{check, sys};
use crate::child::apart;
use crate::handle::{close, opened, part, pipe, write};
use crate::shape::{Shape, tried};
use libc::{O_CREAT, O_RDONLY, O_RDWR};

pub(super) fn run() {
    files();
    copies();
}

/// Calls of an open file, of a pipe's writing end and of `/dev/null`.
const OF_FILES: &[Shape] = &[
    ("fadvise64", libc::SYS_fadvise64, "file 0 0 3"),
    ("fadvise64 unknown", libc::SYS_fadvise64, "file 0 0 9"),
    ("fadvise64 negative", libc::SYS_fadvise64, "file 0 -1 0"),
    ("fadvise64 of a pipe", libc::SYS_fadvise64, "reader"),
    ("readahead", libc::SYS_readahead, "file 0 4096"),
    ("readahead of a pipe", libc::SYS_readahead, "reader 0 1"),
    ("readahead for writing", libc::SYS_readahead, "writer 0 1"),
    ("readahead of a device", libc::SYS_readahead, "null 0 1"),
    ("readahead of a folder", libc::SYS_readahead, "folder 0 1"),
    ("fallocate of a device", libc::SYS_fallocate, "null 0 0 1"),
    ("fallocate of a pipe", libc::SYS_fallocate, "writer 0 0 1"),
    ("preadv of a pipe", libc::SYS_preadv, "reader zeroes 1"),
    ("pwritev of a pipe", libc::SYS_pwritev, "writer zeroes 1"),
    ("pwrite64 of a pipe", libc::SYS_pwrite64, "writer zeroes 1"),
    ("readv of a folder", libc::SYS_readv, "folder part 1"),
    ("preadv of a folder", libc::SYS_preadv, "folder part 1"),
    ("pread64 of a folder", libc::SYS_pread64, "folder zeroes 1"),
    (
        "pwritev2 before the start",
        libc::SYS_pwritev2,
        "file part 1 -5 0 0",
    ),
    ("preadv2 of a folder", libc::SYS_preadv2, "folder part 1"),
    ("readv of many", libc::SYS_readv, "file zeroes 1025"),
    (
        "readv of a negative number",
        libc::SYS_readv,
        "file zeroes -1",
    ),
    ("readv without waiting", libc::SYS_readv, "reader part 1"),
    ("fstatfs", libc::SYS_fstatfs, "file zeroes"),
    ("fdatasync of a pipe", libc::SYS_fdatasync, "reader"),
    ("syncfs", libc::SYS_syncfs, "file"),
    (
        "ioctl of an unknown queue",
        libc::SYS_ioctl,
        "terminal 21515 99",
    ),
    ("close_range", libc::SYS_close_range, "2 1"),
    ("dup3 with flags", libc::SYS_dup3, "file 50 1"),
    ("signalfd of a file", libc::SYS_signalfd, "file zeroes 8"),
    ("signalfd4 of a file", libc::SYS_signalfd4, "file zeroes 8"),
    (
        "signalfd of another size",
        libc::SYS_signalfd,
        "-1 zeroes 4",
    ),
    (
        "timerfd_gettime of a file",
        libc::SYS_timerfd_gettime,
        "file zeroes",
    ),
    (
        "timerfd_settime of a file",
        libc::SYS_timerfd_settime,
        "file 0 zeroes",
    ),
    ("epoll_pwait for none", libc::SYS_epoll_pwait, "list zeroes"),
    (
        "epoll_pwait2 for none",
        libc::SYS_epoll_pwait2,
        "list zeroes",
    ),
    (
        "epoll_ctl of a file",
        libc::SYS_epoll_ctl,
        "list 1 file zeroes",
    ),
];

fn files() {
    let file = opened(c"file", O_CREAT | O_RDWR);
    let folder = opened(c".", O_RDONLY);
    let null = opened(c"/dev/null", O_RDWR);
    let terminal = opened(c"/dev/ptmx", O_RDWR | libc::O_NOCTTY);
    let list = sys!(SYS_epoll_create1, 0).expect("a list");
    let [reader, writer] = pipe();
    let mut bytes = [0_u8; 8];
    let part = part(&mut bytes[..8]);
    let meaning = [
        ("file", file),
        ("folder", folder),
        ("null", null),
        ("terminal", terminal),
        ("list", list),
        ("reader", reader),
        ("writer", writer),
        ("part", &raw const part as i64),
    ];
    for shape in OF_FILES {
        tried(shape, "what it is not for", &meaning);
    }
    let end = i64::MAX - 5;
    check(
        "fallocate",
        "behind every end",
        sys!(SYS_fallocate, file, 0, end, 10),
    );
    let pair = [(); 2].map(|()| sys!(SYS_epoll_create1, 0).expect("a list"));
    let event = [1_u32, 0, 0];
    let add = |to: i64, what: i64| sys!(SYS_epoll_ctl, to, 1, what, event.as_ptr());
    let _ = add(pair[0], pair[1]);
    check("epoll_ctl", "a circle of two lists", add(pair[1], pair[0]));
    for fd in [file, folder, null, terminal, list, reader, writer] {
        close(fd);
    }
    for fd in pair {
        close(fd);
    }
    deep();
}

/// A working directory whose path is longer than any.
fn deep() {
    let name = crate::path::long(255);
    apart(|| {
        for _ in 0..17 {
            sys!(SYS_mkdir, &*name, 0o700).expect("new");
            sys!(SYS_chdir, &*name).expect("there");
        }
        let mut bytes = [0_u8; 8192];
        check(
            "getcwd",
            "a path longer than any",
            sys!(SYS_getcwd, bytes.as_mut_ptr(), 8192),
        );
    });
}

fn copies() {
    let file = opened(c"copied", O_CREAT | O_RDWR);
    write(file, &[7; 64]).expect("room");
    let [reader, writer] = pipe();
    let mut position = 0_i64;
    let at = &raw mut position;
    write(writer, b"x").expect("room");
    check(
        "sendfile",
        "a position in a pipe",
        sys!(SYS_sendfile, file, reader, at, 1),
    );
    crate::handle::read(reader, 1).expect("it was written");
    let mut bytes = vec![0_u8; 65_536];
    while sys!(SYS_write, writer, bytes.as_mut_ptr(), 4096).is_ok() {}
    check(
        "sendfile",
        "to a full pipe",
        sys!(SYS_sendfile, writer, file, at, 8),
    );
    let part = part(&mut bytes[..8]);
    check(
        "vmsplice",
        "to a full pipe",
        sys!(SYS_vmsplice, writer, &raw const part, 1, 2),
    );
    check(
        "writev",
        "to a full pipe",
        sys!(SYS_writev, writer, &raw const part, 1),
    );
    check(
        "fcntl F_SETPIPE_SZ",
        "less than it holds",
        sys!(SYS_fcntl, writer, 1031, 4096),
    );
    close(reader);
    let part = &raw const part;
    // Rust's start-up has the signal ignored.
    check(
        "writev",
        "nobody reads any more",
        sys!(SYS_writev, writer, part, 1),
    );
    close(writer);
    let mut far = 5_i64;
    let far = &raw mut far;
    let copy = sys!(SYS_copy_file_range, file, far, file, 0, -1, 0);
    check("copy_file_range", "more than there are numbers", copy);
    close(file);
}
