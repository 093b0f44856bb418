//! getsockopt and setsockopt.

use super::{pair, receive, received, socket};
use crate::check::{CLOSED, check, say, sys};
use crate::handle::close;
use libc::{SOCK_STREAM, SOL_SOCKET};

pub(super) fn options() {
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
            CLOSED,
            SOL_SOCKET,
            3,
            peer.as_mut_ptr(),
            &raw mut len
        ),
    );
}
