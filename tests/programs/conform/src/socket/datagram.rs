//! Messages without a connection, and packets of one.

use super::{Address, bind, connect, pair, receive, received, send, socket};
use crate::check::{check, say, sys};
use crate::handle::close;
use libc::{MSG_DONTWAIT, MSG_TRUNC, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};

pub(super) fn datagrams() {
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

pub(super) fn packets() {
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
