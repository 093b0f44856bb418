//! A table of descriptors that is full, met by every call that makes one.

use crate::check::{check, say, sys};
use crate::child::apart;
use crate::handle::{opened, part};
use crate::shape::{Shape, tried};
use crate::socket::{Address, bind, connect, header, pair, socket};
use libc::{O_CREAT, O_RDWR, RLIMIT_NOFILE, SOCK_STREAM, SOL_SOCKET};

/// Calls that make a descriptor.
const MAKERS: &[Shape] = &[
    ("open", libc::SYS_open, "file"),
    ("open to be made", libc::SYS_open, "new 66 384"),
    ("creat", libc::SYS_creat, "new 384"),
    ("openat", libc::SYS_openat, "-100 file"),
    ("openat2", libc::SYS_openat2, "-100 file zeroes 24"),
    ("pipe", libc::SYS_pipe, "zeroes"),
    ("pipe2", libc::SYS_pipe2, "zeroes"),
    ("dup", libc::SYS_dup, "1"),
    ("fcntl F_DUPFD", libc::SYS_fcntl, "1 0 0"),
    ("fcntl F_DUPFD_CLOEXEC", libc::SYS_fcntl, "1 1030 0"),
    ("socket", libc::SYS_socket, "1 1"),
    ("socketpair", libc::SYS_socketpair, "1 1 0 zeroes"),
    ("accept", libc::SYS_accept, "listener"),
    ("accept4", libc::SYS_accept4, "listener"),
    ("eventfd", libc::SYS_eventfd, "0"),
    ("eventfd2", libc::SYS_eventfd2, "0"),
    ("signalfd", libc::SYS_signalfd, "-1 zeroes 8"),
    ("signalfd4", libc::SYS_signalfd4, "-1 zeroes 8"),
    ("timerfd_create", libc::SYS_timerfd_create, "1"),
    ("epoll_create", libc::SYS_epoll_create, "1"),
    ("epoll_create1", libc::SYS_epoll_create1, ""),
    ("memfd_create", libc::SYS_memfd_create, "file"),
];

pub(crate) fn run() {
    opened(c"file", O_RDWR | O_CREAT);
    apart(full);
}

fn full() {
    let listener = socket(SOCK_STREAM);
    let address = Address::new(b"listener");
    bind(listener, &address).expect("new");
    sys!(SYS_listen, listener, 4).expect("bound");
    connect(socket(SOCK_STREAM), &address).expect("it listens");
    let [one, other] = pair(SOCK_STREAM);
    let mut limit = [0_u64; 2];
    sys!(SYS_getrlimit, RLIMIT_NOFILE, limit.as_mut_ptr()).expect("told");
    limit[0] = 32;
    sys!(SYS_setrlimit, RLIMIT_NOFILE, limit.as_ptr()).expect("lower");
    let mut last = 0;
    while let Ok(fd) = sys!(SYS_dup, 1) {
        last = fd;
    }
    say("dup", "the last of 32", last);
    let (file, new) = (c"file".as_ptr() as i64, c"new".as_ptr() as i64);
    for shape in MAKERS {
        let meaning = [("file", file), ("new", new), ("listener", listener)];
        tried(shape, "no room for a descriptor", &meaning);
    }
    check(
        "access",
        "what a full table left unmade",
        sys!(SYS_access, c"new", 0),
    );
    check("dup2", "over one of a full table", sys!(SYS_dup2, 1, 31));
    check("dup2", "behind a full table", sys!(SYS_dup2, 1, 32));
    check("dup3", "behind a full table", sys!(SYS_dup3, 1, 32, 0));
    check(
        "fcntl",
        "F_DUPFD behind a full table",
        sys!(SYS_fcntl, 1, 0, 32),
    );
    received_into_a_full_table(one, other);
}

/// A file that is sent along, and cannot be put anywhere.
fn received_into_a_full_table(one: i32, other: i32) {
    let mut letter = *b"x";
    let mut vector = part(&mut letter);
    let mut control = [20_u64, SOL_SOCKET as u64 | 1 << 32, 1, 0];
    let mut message = header(&mut vector, &mut control, 24);
    sys!(SYS_sendmsg, one, &raw const message, 0).expect("room");
    message.msg_controllen = 32;
    let answer = sys!(SYS_recvmsg, other, &raw mut message, 0);
    check(
        "recvmsg",
        "an open file, and no room for its descriptor",
        answer,
    );
    let (flags, left) = (message.msg_flags, message.msg_controllen);
    say(
        "recvmsg",
        "flags and control without room",
        format!("{flags} {left}"),
    );
}
