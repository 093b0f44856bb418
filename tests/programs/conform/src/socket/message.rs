//! sendmsg and recvmsg: buffers, credentials and open files.

use super::{pair, receive, received, send};
use crate::check::{BAD, check, say, sys};
use crate::handle::{close, part};
use libc::{MSG_DONTWAIT, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET};

/// A `msghdr` over one buffer and control bytes.
pub(crate) fn header(
    buffer: &mut libc::iovec,
    control: &mut [u64],
    control_bytes: usize,
) -> libc::msghdr {
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

pub(super) fn messages() {
    let [one, other] = pair(SOCK_DGRAM).map(i64::from);
    let mut bytes = *b"two parts of a message";
    let mut parts = [
        part(&mut bytes[..4]),
        libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        },
    ];
    let mut rest = *b"and more";
    parts[1] = part(&mut rest);
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
    let mut into = part(&mut room);
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
    let mut into = part(&mut room);
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

pub(super) fn rights() {
    let [one, other] = pair(SOCK_STREAM).map(i64::from);
    let mut pipe = [0_i32; 2];
    sys!(SYS_pipe2, pipe.as_mut_ptr(), 0).expect("a pipe");
    let mut letter = *b"f";
    let mut from = part(&mut letter);
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
    let mut into = part(&mut room);
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
