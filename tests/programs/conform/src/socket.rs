//! Sockets: socket, socketpair, bind, listen, accept, connect, send and receive, names, options, shutdown.

use crate::check::{Answer, BAD, check, say, sys, works};
use libc::{
    AF_INET, AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, SOCK_CLOEXEC,
    SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET,
};

/// A `sockaddr_un` with this behind the family, and its length.
struct Address {
    bytes: Vec<u8>,
}

impl Address {
    fn new(path: &[u8]) -> Self {
        let mut bytes = (AF_UNIX as u16).to_le_bytes().to_vec();
        bytes.extend_from_slice(path);
        Self { bytes }
    }

    fn pointer(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

fn socket(kind: i32) -> i64 {
    sys!(SYS_socket, AF_UNIX, kind, 0).expect("a socket")
}

fn pair(kind: i32) -> [i32; 2] {
    let mut pair = [0; 2];
    sys!(SYS_socketpair, AF_UNIX, kind, 0, pair.as_mut_ptr()).expect("a pair");
    pair
}

fn close(fd: i64) {
    sys!(SYS_close, fd).expect("it was open");
}

fn bind(fd: i64, address: &Address) -> Answer {
    sys!(SYS_bind, fd, address.pointer(), address.len())
}

fn connect(fd: i64, address: &Address) -> Answer {
    sys!(SYS_connect, fd, address.pointer(), address.len())
}

fn send(fd: i64, bytes: &[u8], flags: i32) -> Answer {
    sys!(
        SYS_sendto,
        fd,
        bytes.as_ptr(),
        bytes.len(),
        flags | MSG_NOSIGNAL
    )
}

fn receive(fd: i64, room: usize, flags: i32) -> Result<Vec<u8>, i32> {
    let mut bytes = vec![0; room];
    let count = sys!(SYS_recvfrom, fd, bytes.as_mut_ptr(), room, flags)?;
    bytes.truncate(count as usize);
    Ok(bytes)
}

fn received(call: &str, case: &str, answer: Result<Vec<u8>, i32>) {
    match answer {
        Ok(bytes) => say(call, case, String::from_utf8_lossy(&bytes).escape_debug()),
        Err(errno) => check(call, case, Err(errno)),
    }
}

pub(crate) fn run() {
    making();
    pairs();
    streams();
    datagrams();
    packets();
    names();
    options();
    messages();
    rights();
}

fn making() {
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

fn pairs() {
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
    check("sendto", "not open", send(99, b"x", 0));
}

fn streams() {
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
    check("accept", "a connection", sys!(SYS_accept, server, 0, 0));
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

fn datagrams() {
    let (here, there) = (Address::new(b"here\0"), Address::new(b"there\0"));
    let (one, other) = (socket(SOCK_DGRAM), socket(SOCK_DGRAM));
    check("listen", "datagrams", sys!(SYS_listen, one, 1));
    check("accept", "datagrams", sys!(SYS_accept, one, 0, 0));
    check("sendto", "a datagram to nobody named", send(one, b"x", 0));
    bind(one, &here).expect("free");
    bind(other, &there).expect("free");
    let to = |address: &Address, bytes: &[u8]| {
        sys!(
            SYS_sendto,
            one,
            bytes.as_ptr(),
            bytes.len(),
            0,
            address.pointer(),
            address.len()
        )
    };
    check("sendto", "a datagram to a name", to(&there, b"first"));
    check(
        "sendto",
        "a datagram to no file",
        to(&Address::new(b"nowhere\0"), b"first"),
    );
    let (mut bytes, mut name, mut len) = ([0_u8; 16], [0_u8; 110], 110_u32);
    check(
        "recvfrom",
        "a datagram and its sender",
        sys!(
            SYS_recvfrom,
            other,
            bytes.as_mut_ptr(),
            16,
            0,
            name.as_mut_ptr(),
            &raw mut len
        ),
    );
    say(
        "recvfrom",
        "the sender",
        format!(
            "{len} {:?}",
            String::from_utf8_lossy(&name[2..len as usize])
        ),
    );
    to(&there, b"to be cut").expect("room");
    received("recvfrom", "a datagram that is cut", receive(other, 2, 0));
    to(&there, b"its true length").expect("room");
    check(
        "recvfrom",
        "its true length",
        sys!(SYS_recvfrom, other, bytes.as_mut_ptr(), 2, MSG_TRUNC),
    );
    check("connect", "datagrams", connect(one, &there));
    check(
        "sendto",
        "a datagram on a connection",
        send(one, b"connected", 0),
    );
    received(
        "recvfrom",
        "a datagram on a connection",
        receive(other, 16, 0),
    );
    check("connect", "datagrams to a stream", {
        let stream = socket(SOCK_STREAM);
        let address = Address::new(b"stream\0");
        bind(stream, &address).expect("free");
        let answer = connect(one, &address);
        close(stream);
        answer
    });
    close(other);
    check("sendto", "a datagram to who is gone", send(one, b"x", 0));
    close(one);
}

fn packets() {
    let [one, other] = pair(SOCK_SEQPACKET).map(i64::from);
    let packet = [7_u8; 9000];
    check("sendto", "a packet over three pages", send(one, &packet, 0));
    received(
        "recvfrom",
        "cut to three bytes",
        receive(other, 3, 0).map(|it| it.iter().map(|it| it + b'0').collect()),
    );
    received(
        "recvfrom",
        "nothing is left of it",
        receive(other, 3, MSG_DONTWAIT),
    );
    close(one);
    close(other);
}

fn names() {
    let fd = socket(SOCK_STREAM);
    let named = |call: &str, case: &str, answer: Answer, name: &[u8], len: u32| match answer {
        Ok(_) => say(
            call,
            case,
            format!(
                "{len} {:?}",
                String::from_utf8_lossy(&name[2..(len as usize).min(name.len())])
            ),
        ),
        Err(_) => check(call, case, answer),
    };
    let own = |fd: i64, case: &str| {
        let (mut name, mut len) = ([0_u8; 110], 110_u32);
        let answer = sys!(SYS_getsockname, fd, name.as_mut_ptr(), &raw mut len);
        named("getsockname", case, answer, &name, len);
    };
    own(fd, "without a name");
    check(
        "bind",
        "too short an address",
        sys!(SYS_bind, fd, b"\x01".as_ptr(), 1),
    );
    check(
        "bind",
        "too long an address",
        sys!(SYS_bind, fd, [1_u8; 120].as_ptr(), 111),
    );
    check(
        "bind",
        "another family",
        sys!(SYS_bind, fd, [2_u8, 0, b'a', 0].as_ptr(), 4),
    );
    check("bind", "a bad address", sys!(SYS_bind, fd, BAD, 10));
    check(
        "bind",
        "in no folder",
        bind(fd, &Address::new(b"no/such/folder\0")),
    );
    check(
        "bind",
        "without a closing NUL",
        bind(fd, &Address::new(b"bare")),
    );
    own(fd, "a path without a closing NUL");
    let other = socket(SOCK_STREAM);
    check(
        "bind",
        "an abstract name",
        bind(other, &Address::new(b"\0conform\0name")),
    );
    own(other, "an abstract name");
    let third = socket(SOCK_STREAM);
    check(
        "bind",
        "an abstract name in use",
        bind(third, &Address::new(b"\0conform\0name")),
    );
    check(
        "bind",
        "another abstract name",
        bind(third, &Address::new(b"\0conform")),
    );
    sys!(SYS_listen, other, 1).expect("named");
    let client = socket(SOCK_STREAM);
    check(
        "connect",
        "an abstract name",
        connect(client, &Address::new(b"\0conform\0name")),
    );
    check(
        "connect",
        "an abstract name nobody has",
        connect(third, &Address::new(b"\0nobody")),
    );
    let (mut name, mut len) = ([0_u8; 110], 110_u32);
    let answer = sys!(SYS_getpeername, client, name.as_mut_ptr(), &raw mut len);
    named("getpeername", "an abstract name", answer, &name, len);
    check(
        "getpeername",
        "without a connection",
        sys!(SYS_getpeername, third, name.as_mut_ptr(), &raw mut len),
    );
    len = 4;
    let mut short = [0_u8; 4];
    let answer = sys!(SYS_getsockname, other, short.as_mut_ptr(), &raw mut len);
    named("getsockname", "cut", answer, &short, len);
    check(
        "getsockname",
        "a bad address",
        sys!(SYS_getsockname, other, BAD, &raw mut len),
    );
    check(
        "getsockname",
        "a bad length",
        sys!(SYS_getsockname, other, name.as_mut_ptr(), BAD),
    );
    let own_name = socket(SOCK_DGRAM);
    check(
        "bind",
        "a name of its own",
        bind(own_name, &Address::new(b"")),
    );
    let mut len = 110_u32;
    sys!(SYS_getsockname, own_name, name.as_mut_ptr(), &raw mut len).expect("named");
    say("bind", "the length of a name of its own", len);
    for fd in [fd, other, third, client, own_name] {
        close(fd);
    }
}

fn options() {
    let fd = socket(SOCK_STREAM);
    let get = |case: &str, option: i32| {
        let (mut value, mut len) = (0_u32, 4_u32);
        let answer = sys!(
            SYS_getsockopt,
            fd,
            SOL_SOCKET,
            option,
            &raw mut value,
            &raw mut len
        );
        check("getsockopt", case, answer.map(|_| i64::from(value)));
    };
    get("SO_TYPE", libc::SO_TYPE);
    get("SO_DOMAIN", libc::SO_DOMAIN);
    get("SO_PROTOCOL", libc::SO_PROTOCOL);
    get("SO_ERROR", libc::SO_ERROR);
    get("SO_ACCEPTCONN", libc::SO_ACCEPTCONN);
    get("SO_PASSCRED", libc::SO_PASSCRED);
    get("an unknown option", 9999);
    let set = |case: &str, level: i32, option: i32, value: u32, len: u32| {
        check(
            "setsockopt",
            case,
            sys!(SYS_setsockopt, fd, level, option, &raw const value, len),
        );
    };
    set("SO_PASSCRED", SOL_SOCKET, libc::SO_PASSCRED, 1, 4);
    get("SO_PASSCRED once set", libc::SO_PASSCRED);
    set("SO_REUSEADDR", SOL_SOCKET, libc::SO_REUSEADDR, 1, 4);
    set("SO_SNDBUF", SOL_SOCKET, libc::SO_SNDBUF, 8192, 4);
    set("too short a value", SOL_SOCKET, libc::SO_REUSEADDR, 1, 3);
    set("an unknown option", SOL_SOCKET, 9999, 1, 4);
    set("another level", 6, 1, 1, 4);
    let time = [0_u64, 20_000];
    check(
        "setsockopt",
        "SO_RCVTIMEO",
        sys!(
            SYS_setsockopt,
            fd,
            SOL_SOCKET,
            libc::SO_RCVTIMEO,
            time.as_ptr(),
            16
        ),
    );
    let bad = [0_u64, 2_000_000];
    check(
        "setsockopt",
        "SO_RCVTIMEO of too many microseconds",
        sys!(
            SYS_setsockopt,
            fd,
            SOL_SOCKET,
            libc::SO_RCVTIMEO,
            bad.as_ptr(),
            16
        ),
    );
    close(fd);
    let [one, other] = pair(SOCK_STREAM).map(i64::from);
    sys!(
        SYS_setsockopt,
        one,
        SOL_SOCKET,
        libc::SO_RCVTIMEO,
        time.as_ptr(),
        16
    )
    .expect("set");
    received("recvfrom", "after its time-out", receive(one, 4, 0));
    let (mut peer, mut len) = ([0_u32; 3], 12_u32);
    sys!(
        SYS_getsockopt,
        one,
        SOL_SOCKET,
        libc::SO_PEERCRED,
        peer.as_mut_ptr(),
        &raw mut len
    )
    .expect("peer");
    say(
        "getsockopt",
        "SO_PEERCRED is this process",
        peer[0] == std::process::id(),
    );
    close(one);
    close(other);
    check(
        "getsockopt",
        "not open",
        sys!(
            SYS_getsockopt,
            99,
            SOL_SOCKET,
            3,
            peer.as_mut_ptr(),
            &raw mut len
        ),
    );
}

/// A `msghdr` over one buffer and control bytes.
fn header(buffer: &mut libc::iovec, control: &mut [u64], control_bytes: usize) -> libc::msghdr {
    // SAFETY: all zero bytes are a message header without anything.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = buffer;
    header.msg_iovlen = 1;
    if control_bytes > 0 {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control_bytes;
    }
    header
}

fn buffer(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

fn messages() {
    let [one, other] = pair(SOCK_DGRAM).map(i64::from);
    let mut bytes = *b"two parts of a message";
    let mut parts = [
        buffer(&mut bytes[..4]),
        libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        },
    ];
    let mut rest = *b"and more";
    parts[1] = buffer(&mut rest);
    let mut message = header(&mut parts[0], &mut [], 0);
    message.msg_iovlen = 2;
    check(
        "sendmsg",
        "two buffers",
        sys!(SYS_sendmsg, one, &raw const message, 0),
    );
    message.msg_iovlen = 1025;
    check(
        "sendmsg",
        "too many buffers",
        sys!(SYS_sendmsg, one, &raw const message, 0),
    );
    let mut room = [0_u8; 6];
    let mut into = buffer(&mut room);
    let mut message = header(&mut into, &mut [], 0);
    check(
        "recvmsg",
        "cut",
        sys!(SYS_recvmsg, other, &raw mut message, 0),
    );
    say("recvmsg", "flags of a cut message", message.msg_flags);
    say("recvmsg", "its bytes", String::from_utf8_lossy(&room));
    check(
        "recvmsg",
        "a bad header",
        sys!(SYS_recvmsg, other, BAD, MSG_DONTWAIT),
    );
    check(
        "sendmsg",
        "a bad header",
        sys!(SYS_sendmsg, one, BAD, MSG_DONTWAIT),
    );
    check(
        "recvmsg",
        "nothing there",
        sys!(SYS_recvmsg, other, &raw mut message, MSG_DONTWAIT),
    );
    let on = 1_u32;
    sys!(
        SYS_setsockopt,
        other,
        SOL_SOCKET,
        libc::SO_PASSCRED,
        &raw const on,
        4
    )
    .expect("set");
    send(one, b"signed", 0).expect("room");
    let mut control = [0_u64; 8];
    let mut into = buffer(&mut room);
    let mut message = header(&mut into, &mut control, 64);
    check(
        "recvmsg",
        "with credentials",
        sys!(SYS_recvmsg, other, &raw mut message, 0),
    );
    say(
        "recvmsg",
        "control bytes of credentials",
        message.msg_controllen,
    );
    say(
        "recvmsg",
        "the sender's process is this one",
        control[2] as u32 == std::process::id(),
    );
    say(
        "recvmsg",
        "header of credentials",
        format!("{} {:#x}", control[0], control[1]),
    );
    close(one);
    close(other);
}

fn rights() {
    let [one, other] = pair(SOCK_STREAM).map(i64::from);
    let mut pipe = [0_i32; 2];
    sys!(SYS_pipe2, pipe.as_mut_ptr(), 0).expect("a pipe");
    let mut letter = *b"f";
    let mut from = buffer(&mut letter);
    let mut control = [
        20_u64,
        u64::from(SOL_SOCKET as u32) | 1 << 32,
        pipe[1] as u64,
    ];
    let message = header(&mut from, &mut control, 24);
    check(
        "sendmsg",
        "an open file",
        sys!(SYS_sendmsg, one, &raw const message, 0),
    );
    send(one, b"g", 0).expect("room");
    let mut room = [0_u8; 8];
    let mut into = buffer(&mut room);
    let mut given = [0_u64; 8];
    let mut message = header(&mut into, &mut given, 64);
    check(
        "recvmsg",
        "an open file ends what is received",
        sys!(SYS_recvmsg, other, &raw mut message, libc::MSG_CMSG_CLOEXEC),
    );
    say(
        "recvmsg",
        "control bytes of an open file",
        message.msg_controllen,
    );
    say(
        "recvmsg",
        "header of an open file",
        format!("{} {:#x}", given[0], given[1]),
    );
    let fd = i64::from(given[2] as i32);
    check(
        "fcntl",
        "a received file is closed on exec",
        sys!(SYS_fcntl, fd, libc::F_GETFD),
    );
    check(
        "write",
        "a received file",
        sys!(SYS_write, fd, b"through".as_ptr(), 7),
    );
    close(fd);
    let mut bytes = [0_u8; 8];
    check(
        "read",
        "what was written through it",
        sys!(SYS_read, pipe[0], bytes.as_mut_ptr(), 8),
    );
    received("recvfrom", "what was sent behind it", receive(other, 8, 0));
    control[2] = 99;
    let message = header(&mut from, &mut control, 24);
    check(
        "sendmsg",
        "a file that is not open",
        sys!(SYS_sendmsg, one, &raw const message, 0),
    );
    control[0] = 8;
    let message = header(&mut from, &mut control, 24);
    check(
        "sendmsg",
        "a control header that is too short",
        sys!(SYS_sendmsg, one, &raw const message, 0),
    );
    control = [20, u64::from(SOL_SOCKET as u32) | 1 << 32, pipe[1] as u64];
    let message = header(&mut from, &mut control, 24);
    sys!(SYS_sendmsg, one, &raw const message, 0).expect("room");
    let mut message = header(&mut into, &mut given, 0);
    check(
        "recvmsg",
        "an open file without room for it",
        sys!(SYS_recvmsg, other, &raw mut message, 0),
    );
    say(
        "recvmsg",
        "flags of an open file without room",
        message.msg_flags,
    );
    close(pipe[1].into());
    check(
        "read",
        "nobody holds the writing end any more",
        sys!(SYS_read, pipe[0], bytes.as_mut_ptr(), 8),
    );
    close(pipe[0].into());
    close(one);
    close(other);
}
