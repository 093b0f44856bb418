//! Sockets made and connected: socket, socketpair, listen, connect, accept, shutdown.

use super::{Address, bind, connect, pair, receive, received, send, socket};
use crate::check::{BAD, CLOSED, check, say, sys, works};
use crate::handle::close;
use libc::{
    AF_INET, AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_PEEK, MSG_WAITALL, SOCK_CLOEXEC, SOCK_DGRAM,
    SOCK_NONBLOCK, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM,
};

pub(super) fn making() {
    let tried = |case, family: i32, kind: i32, protocol: i32| {
        if let Ok(fd) = works("socket", case, sys!(SYS_socket, family, kind, protocol)) {
            close(fd);
        }
    };
    tried("a stream", AF_UNIX, SOCK_STREAM, 0);
    tried("datagrams", AF_UNIX, SOCK_DGRAM, 0);
    tried("sequenced packets", AF_UNIX, SOCK_SEQPACKET, 0);
    tried("raw, which means datagrams", AF_UNIX, SOCK_RAW, 0);
    tried("the protocol named", AF_UNIX, SOCK_STREAM, 1);
    tried("another protocol", AF_UNIX, SOCK_STREAM, 2);
    tried("no kind", AF_UNIX, 0, 0);
    tried("an unknown kind", AF_UNIX, 7, 0);
    tried("an unknown flag", AF_UNIX, SOCK_STREAM | 0x1000, 0);
    tried("an unknown family", 99, SOCK_STREAM, 0);
    tried("no family", 0, SOCK_STREAM, 0);
    let fd = socket(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
    check(
        "socket",
        "close on exec",
        sys!(SYS_fcntl, fd, libc::F_GETFD),
    );
    check("socket", "non-blocking", sys!(SYS_fcntl, fd, libc::F_GETFL));
    check("lseek", "a socket", sys!(SYS_lseek, fd, 0, 0));
    check("fsync", "a socket", sys!(SYS_fsync, fd));
    check("pread64", "a socket", sys!(SYS_pread64, fd, BAD, 0, 0));
    check("ftruncate", "a socket", sys!(SYS_ftruncate, fd, 0));
    check(
        "read",
        "a stream without a connection",
        sys!(SYS_read, fd, [0_u8; 4].as_mut_ptr(), 4),
    );
    check("write", "a stream without a connection", send(fd, b"x", 0));
    close(fd);
}

pub(super) fn pairs() {
    let mut pair = [0; 2];
    let tried = |case, family: i32, kind: i32, at: *mut i32| {
        if works(
            "socketpair",
            case,
            sys!(SYS_socketpair, family, kind, 0, at),
        )
        .is_ok()
        {
            // SAFETY: the call succeeded, so the address is good.
            let fds = unsafe { at.cast::<[i32; 2]>().read() };
            for fd in fds {
                close(fd.into());
            }
        }
    };
    let at = pair.as_mut_ptr();
    tried("a stream", AF_UNIX, SOCK_STREAM, at);
    tried("datagrams", AF_UNIX, SOCK_DGRAM, at);
    tried("sequenced packets", AF_UNIX, SOCK_SEQPACKET, at);
    tried("a bad address", AF_UNIX, SOCK_STREAM, BAD.cast());
    tried("an unknown family", 99, SOCK_STREAM, at);
    tried("an unknown kind", AF_UNIX, 9, at);
    for (name, kind) in [
        ("stream", SOCK_STREAM),
        ("datagram", SOCK_DGRAM),
        ("packet", SOCK_SEQPACKET),
    ] {
        let [one, other] = self::pair(kind).map(i64::from);
        let case = |text: &str| format!("{name} pair: {text}");
        check("sendto", &case("three bytes"), send(one, b"abc", 0));
        check("sendto", &case("two bytes"), send(one, b"de", 0));
        received("recvfrom", &case("two bytes of room"), receive(other, 2, 0));
        received(
            "recvfrom",
            &case("room for more than all"),
            receive(other, 10, 0),
        );
        received(
            "recvfrom",
            &case("nothing there"),
            receive(other, 10, MSG_DONTWAIT),
        );
        check("sendto", &case("no bytes"), send(one, b"", 0));
        received(
            "recvfrom",
            &case("after no bytes"),
            receive(other, 10, MSG_DONTWAIT),
        );
        check(
            "write",
            &case("write"),
            sys!(SYS_write, one, b"hello".as_ptr(), 5),
        );
        received("recvfrom", &case("peek"), receive(other, 10, MSG_PEEK));
        received("recvfrom", &case("peek again"), receive(other, 3, MSG_PEEK));
        let mut bytes = [0_u8; 8];
        check(
            "read",
            &case("read"),
            sys!(SYS_read, other, bytes.as_mut_ptr(), 8),
        );
        say(
            "read",
            &case("the bytes"),
            String::from_utf8_lossy(&bytes[..5]),
        );
        check(
            "sendto",
            &case("from a bad address"),
            sys!(SYS_sendto, one, BAD, 4, MSG_NOSIGNAL),
        );
        received(
            "recvfrom",
            &case("after a bad address"),
            receive(other, 10, MSG_DONTWAIT),
        );
        send(one, b"xyz", 0).expect("room");
        check(
            "recvfrom",
            &case("to a bad address"),
            sys!(SYS_recvfrom, other, BAD, 4, 0),
        );
        received(
            "recvfrom",
            &case("what a bad address left"),
            receive(other, 10, MSG_DONTWAIT),
        );
        check(
            "shutdown",
            &case("an unknown direction"),
            sys!(SYS_shutdown, one, 3),
        );
        check("shutdown", &case("writing"), sys!(SYS_shutdown, one, 1));
        check("sendto", &case("after shutdown"), send(one, b"x", 0));
        received(
            "recvfrom",
            &case("the other end's shutdown"),
            receive(other, 10, MSG_DONTWAIT),
        );
        check("sendto", &case("the other way"), send(other, b"back", 0));
        received("recvfrom", &case("the other way"), receive(one, 10, 0));
        check("shutdown", &case("reading"), sys!(SYS_shutdown, one, 0));
        check(
            "sendto",
            &case("to who reads no more"),
            send(other, b"x", 0),
        );
        received(
            "recvfrom",
            &case("reading no more"),
            receive(one, 10, MSG_DONTWAIT),
        );
        close(one);
        check("sendto", &case("to nobody"), send(other, b"x", 0));
        received(
            "recvfrom",
            &case("from nobody"),
            receive(other, 10, MSG_DONTWAIT),
        );
        close(other);
        let [one, other] = self::pair(kind).map(i64::from);
        send(one, b"unread", 0).expect("room");
        close(other);
        received(
            "recvfrom",
            &case("closed with bytes unread"),
            receive(one, 10, MSG_DONTWAIT),
        );
        received(
            "recvfrom",
            &case("the error comes once"),
            receive(one, 10, MSG_DONTWAIT),
        );
        close(one);
    }
    check(
        "recvfrom",
        "no socket",
        sys!(SYS_recvfrom, 0, pair.as_mut_ptr(), 4, 0)
            .map(|_| 0)
            .or_else(|it| if it == libc::ENOTSOCK { Err(it) } else { Ok(1) }),
    );
    check("sendto", "not open", send(CLOSED, b"x", 0));
}

pub(super) fn streams() {
    let address = Address::new(b"listener\0");
    let listener = socket(SOCK_STREAM);
    check(
        "listen",
        "without an address",
        sys!(SYS_listen, listener, 4),
    );
    check("bind", "a path", bind(listener, &address));
    check("bind", "a second time", bind(listener, &address));
    let other = socket(SOCK_STREAM);
    check("bind", "a path in use", bind(other, &address));
    check(
        "connect",
        "to who does not listen",
        connect(other, &address),
    );
    check(
        "accept",
        "without listening",
        sys!(SYS_accept, listener, 0, 0),
    );
    check("listen", "a path", sys!(SYS_listen, listener, 4));
    check("listen", "again", sys!(SYS_listen, listener, 2));
    sys!(SYS_fcntl, listener, libc::F_SETFL, libc::O_NONBLOCK).expect("flags");
    check("accept", "nobody there", sys!(SYS_accept, listener, 0, 0));
    check("connect", "to a listener", connect(other, &address));
    check("connect", "a second time", connect(other, &address));
    check("connect", "a listener itself", connect(listener, &address));
    check("sendto", "before it is accepted", send(other, b"early", 0));
    let mut name = [0_u8; 110];
    let mut len = 110_u32;
    let server = works(
        "accept",
        "a connection",
        sys!(SYS_accept, listener, name.as_mut_ptr(), &raw mut len),
    )
    .expect("one waits");
    say("accept", "length of an unnamed peer", len);
    received("recvfrom", "what came early", receive(server, 10, 0));
    check(
        "sendto",
        "with an address on a connection",
        sys!(
            SYS_sendto,
            server,
            b"x".as_ptr(),
            1,
            MSG_NOSIGNAL,
            address.pointer(),
            address.len()
        ),
    );
    check("accept", "of a connection", sys!(SYS_accept, server, 0, 0));
    check(
        "accept4",
        "an unknown flag",
        sys!(SYS_accept4, listener, 0, 0, 1),
    );
    send(server, b"0123456789", 0).expect("room");
    received(
        "recvfrom",
        "as much as asked for",
        receive(other, 4, MSG_WAITALL),
    );
    received("recvfrom", "the rest", receive(other, 40, 0));
    close(server);
    received(
        "recvfrom",
        "after the other end's close",
        receive(other, 4, 0),
    );
    check(
        "sendto",
        "after the other end's close",
        send(other, b"x", 0),
    );
    close(other);
    let waiting = socket(SOCK_STREAM);
    connect(waiting, &address).expect("room");
    close(listener);
    received("recvfrom", "never accepted", receive(waiting, 4, 0));
    close(waiting);
    let late = socket(SOCK_STREAM);
    check(
        "connect",
        "to a file nobody listens at",
        connect(late, &address),
    );
    check(
        "connect",
        "to no file",
        connect(late, &Address::new(b"nothing\0")),
    );
    std::fs::write("plain", b"").expect("a file");
    check(
        "connect",
        "to a plain file",
        connect(late, &Address::new(b"plain\0")),
    );
    check(
        "connect",
        "to no address",
        sys!(SYS_connect, late, address.pointer(), 1),
    );
    check(
        "connect",
        "to a bad address",
        sys!(SYS_connect, late, BAD, 20),
    );
    check(
        "connect",
        "another family",
        sys!(SYS_connect, late, [AF_INET as u8, 0, 1, 1].as_ptr(), 4),
    );
    close(late);
    check(
        "bind",
        "not a socket",
        sys!(SYS_bind, 1, address.pointer(), address.len())
            .map(|_| 0)
            .or_else(|it| if it == libc::ENOTSOCK { Err(it) } else { Ok(1) }),
    );
    let stat = std::fs::metadata("listener").expect("it is still there");
    say(
        "bind",
        "a file of the type of sockets",
        format!("{:o}", std::os::unix::fs::MetadataExt::mode(&stat)),
    );
    check("open", "a socket's file", sys!(SYS_open, c"listener", 0));
    std::fs::remove_file("listener").expect("it can be removed");
}
