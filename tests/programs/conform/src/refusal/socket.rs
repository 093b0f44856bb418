//! Sockets alone or with another's name, messages that are too long or urgent, and names that lead nowhere.

use crate::check::{check, sys, works};
use crate::handle::{close, part};
use crate::socket::{Address, bind, connect, header, pair, receive, received, socket};
use libc::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use std::os::unix::fs::symlink;

pub(super) fn run() {
    sockets();
    accepted();
    names();
}

fn sockets() {
    let stream = socket(SOCK_STREAM);
    let packets = socket(SOCK_SEQPACKET);
    let [one, other] = pair(SOCK_STREAM).map(i64::from);
    let datagrams = socket(SOCK_DGRAM);
    let named = Address::new(b"nobody");
    let mut byte = *b"x";
    let mut part = part(&mut byte);
    let mut message = header(&mut part, &mut [], 0);
    let message = &raw mut message;
    let quiet = libc::MSG_NOSIGNAL;
    for (case, fd) in [("a stream alone", stream), ("packets alone", packets)] {
        received("recvfrom", case, receive(fd, 4, 0));
        check("recvmsg", case, sys!(SYS_recvmsg, fd, message, 0));
        check(
            "sendto",
            case,
            sys!(SYS_sendto, fd, byte.as_ptr(), 1, quiet),
        );
        check("sendmsg", case, sys!(SYS_sendmsg, fd, message, quiet));
    }
    let without = "datagrams for nobody";
    check("sendmsg", without, sys!(SYS_sendmsg, datagrams, message, 0));
    // SAFETY: the pointer is to the structure above.
    unsafe { (*message).msg_name = named.pointer().cast_mut().cast() };
    // SAFETY: as above.
    unsafe { (*message).msg_namelen = named.len() as u32 };
    for (case, fd) in [
        ("a name, of a stream alone", stream),
        ("a name, of a stream", one),
    ] {
        let (at, len) = (named.pointer(), named.len());
        let to = sys!(SYS_sendto, fd, byte.as_ptr(), 1, quiet, at, len);
        check("sendto", case, to);
        check("sendmsg", case, sys!(SYS_sendmsg, fd, message, quiet));
    }
    check(
        "sendmsg",
        "to a name nobody has",
        sys!(SYS_sendmsg, datagrams, message, 0),
    );
    // SAFETY: as above.
    unsafe { (*message).msg_namelen = 0 };
    // SAFETY: as above.
    unsafe { (*message).msg_name = std::ptr::null_mut() };
    urgent(datagrams, message);
    too_long(message);
    let mut length = -1_i32;
    let length = &raw mut length;
    let mut name = [0_u8; 128];
    let at = name.as_mut_ptr();
    let case = "a negative length";
    check("getsockname", case, sys!(SYS_getsockname, one, at, length));
    check("getpeername", case, sys!(SYS_getpeername, one, at, length));
    check(
        "getsockopt",
        case,
        sys!(SYS_getsockopt, one, 1, 3, at, length),
    );
    check(
        "socketpair",
        "an unknown protocol",
        sys!(SYS_socketpair, 1, 1, 5, at),
    );
    check(
        "recvmsg",
        "nothing to take",
        sys!(SYS_recvmsg, one, message, libc::MSG_DONTWAIT),
    );
    close(other);
    check(
        "sendmsg",
        "nobody there any more",
        sys!(SYS_sendmsg, one, message, quiet),
    );
    for fd in [stream, packets, one, datagrams] {
        close(fd);
    }
}

fn urgent(datagrams: i64, message: *mut libc::msghdr) {
    let (byte, flag) = (b"x", libc::MSG_OOB);
    let case = "urgent datagrams";
    check(
        "sendto",
        case,
        sys!(SYS_sendto, datagrams, byte.as_ptr(), 1, flag),
    );
    check("sendmsg", case, sys!(SYS_sendmsg, datagrams, message, flag));
}

/// A datagram longer than its sender keeps.
fn too_long(message: *mut libc::msghdr) {
    let [one, other] = pair(SOCK_DGRAM).map(i64::from);
    let kept = 4096_u32;
    let option = sys!(SYS_setsockopt, one, 1, libc::SO_SNDBUF, &raw const kept, 4);
    check("setsockopt", "a short buffer", option);
    let mut bytes = vec![0_u8; 1 << 20];
    let case = "a datagram of a mebibyte";
    check(
        "sendto",
        case,
        sys!(SYS_sendto, one, bytes.as_ptr(), 1 << 20),
    );
    let mut part = part(&mut bytes);
    // SAFETY: the pointer is to a message of the caller's.
    let short = unsafe { std::mem::replace(&mut (*message).msg_iov, &raw mut part) };
    check("sendmsg", case, sys!(SYS_sendmsg, one, message, 0));
    // SAFETY: as above.
    unsafe { (*message).msg_iov = short };
    close(one);
    close(other);
}

/// Connections taken by accept4, and what cannot be.
fn accepted() {
    let listener = socket(SOCK_STREAM | libc::SOCK_NONBLOCK);
    let name = Address::new(b"accepted");
    let accept = |flags: i32| sys!(SYS_accept4, listener, 0, 0, flags);
    check("accept4", "nobody listens", accept(0));
    bind(listener, &name).expect("new");
    sys!(SYS_listen, listener, 4).expect("bound");
    check("accept4", "nobody connects", accept(0));
    check("accept4", "unknown flags", accept(1));
    let client = socket(SOCK_STREAM);
    connect(client, &name).expect("it listens");
    let taken = works("accept4", "a connection", accept(libc::SOCK_CLOEXEC)).expect("one");
    check(
        "fcntl",
        "a connection closed on exec",
        sys!(SYS_fcntl, taken, libc::F_GETFD),
    );
    let datagrams = socket(SOCK_DGRAM);
    check(
        "accept4",
        "datagrams",
        sys!(SYS_accept4, datagrams, 0, 0, 0),
    );
    let other = [2_u8, 0, 0, 0, 0, 0, 0, 0];
    let (at, len) = (other.as_ptr(), other.len());
    let to = sys!(SYS_sendto, datagrams, at, 1, 0, at, len);
    check("sendto", "a name of another family", to);
    check(
        "connect",
        "a name of another family",
        sys!(SYS_connect, datagrams, at, len),
    );
    for fd in [listener, client, taken, datagrams] {
        close(fd);
    }
}

/// Names in the file system that cannot be a socket's.
fn names() {
    symlink("circle", "circle").expect("new");
    let fd = socket(SOCK_STREAM);
    for (case, path) in [
        ("through a file", b"file/x".as_slice()),
        ("through nothing", b"nothing/x"),
        ("through a circle", b"circle/x"),
        ("over a file", b"file"),
    ] {
        check("bind", case, bind(fd, &Address::new(path)));
        check("connect", case, connect(fd, &Address::new(path)));
    }
    close(fd);
}
