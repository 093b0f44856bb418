//! Addresses: paths, abstract names, and none.

use super::{Address, bind, connect, socket};
use crate::check::{Answer, BAD, check, say, sys};
use crate::handle::close;
use libc::{SOCK_DGRAM, SOCK_STREAM};

pub(super) fn names() {
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
