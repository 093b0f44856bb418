//! Signals that interrupt: every call that waits, while a timer goes off again and again.

use crate::check::{check, sys};
use crate::child::{apart, child};
use crate::handle::{close, open, opened, part, pipe, waiting_pipe};
use crate::mask::{SET, interrupt_by, interrupted};
use crate::socket::{Address, bind, connect, header, pair, socket};
use libc::{
    LOCK_EX, MSG_NOSIGNAL, O_CREAT, O_RDONLY, O_RDWR, O_WRONLY, S_IFIFO, SIGALRM, SIGKILL,
    SOCK_DGRAM, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM,
};
use std::ptr::null;

pub(crate) fn run() {
    interrupt_by(SIGALRM);
    moving();
    opening();
    readiness();
    sockets();
    sleeping();
    children();
    locks();
}

fn moving() {
    let mut bytes = vec![0_u8; 65_536];
    let [reader, writer] = waiting_pipe();
    let at = bytes.as_mut_ptr();
    let case = "nothing there, interrupted";
    interrupted("read", case, || sys!(SYS_read, reader, at, 8));
    let one = part(&mut bytes);
    interrupted("readv", case, || sys!(SYS_readv, reader, &raw const one, 1));
    sys!(SYS_write, writer, at, 65_536).expect("room");
    let case = "no room, interrupted";
    interrupted("write", case, || sys!(SYS_write, writer, at, 8));
    interrupted("writev", case, || {
        sys!(SYS_writev, writer, &raw const one, 1)
    });
    close(reader);
    close(writer);
}

fn opening() {
    let case = "a fifo nobody else opens, interrupted";
    sys!(SYS_mknod, c"fifo", S_IFIFO | 0o600, 0).expect("new");
    interrupted("open", case, || sys!(SYS_open, c"fifo", O_RDONLY));
    interrupted("creat", case, || sys!(SYS_creat, c"fifo", 0o600));
    interrupted("openat", case, || open(c"fifo", O_WRONLY));
    let how = [0_u64; 3];
    let here = libc::AT_FDCWD;
    interrupted("openat2", case, || {
        sys!(SYS_openat2, here, c"fifo", how.as_ptr(), 24)
    });
}

fn readiness() {
    let [reader, writer] = pipe();
    let mut asked = libc::pollfd {
        fd: reader as i32,
        events: libc::POLLIN,
        revents: 0,
    };
    let at = &raw mut asked;
    let case = "nothing is ready, interrupted";
    interrupted("poll", case, || sys!(SYS_poll, at, 1, -1));
    interrupted("ppoll", case, || sys!(SYS_ppoll, at, 1, 0, 0));
    let mut set = [0_u64; 16];
    set[0] = 1 << reader;
    let count = reader + 1;
    let at = set.as_mut_ptr();
    interrupted("select", case, || sys!(SYS_select, count, at, 0, 0, 0));
    interrupted("pselect6", case, || {
        sys!(SYS_pselect6, count, at, 0, 0, 0, 0)
    });
    let list = sys!(SYS_epoll_create1, 0).expect("a list");
    let mut told = [0_u64; 2];
    let at = told.as_mut_ptr();
    interrupted("epoll_wait", case, || sys!(SYS_epoll_wait, list, at, 1, -1));
    interrupted("epoll_pwait", case, || {
        sys!(SYS_epoll_pwait, list, at, 1, -1, 0, SET)
    });
    interrupted("epoll_pwait2", case, || {
        sys!(SYS_epoll_pwait2, list, at, 1, 0, 0, SET)
    });
    for fd in [reader, writer, list] {
        close(fd);
    }
}

fn sockets() {
    let [one, other] = pair(SOCK_STREAM).map(i64::from);
    let mut bytes = vec![0_u8; 4096];
    let (at, mut part) = (bytes.as_mut_ptr(), part(&mut bytes));
    let mut message = header(&mut part, &mut [], 0);
    let message = &raw mut message;
    let case = "nothing there, interrupted";
    interrupted("recvfrom", case, || sys!(SYS_recvfrom, one, at, 8));
    interrupted("recvmsg", case, || sys!(SYS_recvmsg, one, message, 0));
    while sys!(SYS_sendto, one, at, 4096, libc::MSG_DONTWAIT).is_ok() {}
    let case = "no room, interrupted";
    interrupted("sendto", case, || {
        sys!(SYS_sendto, one, at, 4096, MSG_NOSIGNAL)
    });
    interrupted("sendmsg", case, || {
        sys!(SYS_sendmsg, one, message, MSG_NOSIGNAL)
    });
    close(one);
    close(other);
    for (kind, name) in [
        (SOCK_STREAM, b"stream".as_slice()),
        (SOCK_SEQPACKET, b"packets"),
    ] {
        let address = Address::new(name);
        let of = |case: &str| format!("{}: {case}", String::from_utf8_lossy(name));
        let listener = socket(kind);
        bind(listener, &address).expect("new");
        sys!(SYS_listen, listener, 0).expect("bound");
        let case = of("nobody connects, interrupted");
        interrupted("accept", &case, || sys!(SYS_accept, listener, 0, 0));
        interrupted("accept4", &case, || sys!(SYS_accept4, listener, 0, 0, 0));
        // Until the line of those who wait to be accepted is full.
        let mut clients = vec![];
        let refused = loop {
            let client = socket(kind | SOCK_NONBLOCK);
            clients.push(client);
            if let Err(errno) = connect(client, &address) {
                break errno;
            }
        };
        check(
            "connect",
            &of("nobody accepts, without waiting"),
            Err(refused),
        );
        let client = socket(kind);
        let case = of("nobody accepts, interrupted");
        interrupted("connect", &case, || connect(client, &address));
        for fd in clients.into_iter().chain([client, listener]) {
            close(fd);
        }
    }
    let [one, other] = pair(SOCK_DGRAM).map(i64::from);
    while sys!(SYS_sendto, one, at, 1, libc::MSG_DONTWAIT).is_ok() {}
    let case = "no room for a datagram";
    let flags = libc::MSG_DONTWAIT;
    check("sendto", case, sys!(SYS_sendto, one, at, 1, flags));
    check("sendmsg", case, sys!(SYS_sendmsg, one, message, flags));
    let case = "no room for a datagram, interrupted";
    interrupted("sendto", case, || sys!(SYS_sendto, one, at, 1, 0));
    close(one);
    close(other);
}

fn sleeping() {
    let long = [1000_u64, 0];
    let at = long.as_ptr();
    let clock = libc::CLOCK_MONOTONIC;
    interrupted("nanosleep", "interrupted", || sys!(SYS_nanosleep, at, 0));
    interrupted("clock_nanosleep", "interrupted", || {
        sys!(SYS_clock_nanosleep, clock, 0, at, 0)
    });
    let until = [i64::MAX as u64, 0];
    let flag = libc::TIMER_ABSTIME;
    interrupted("clock_nanosleep", "until a moment, interrupted", || {
        sys!(SYS_clock_nanosleep, clock, flag, until.as_ptr(), 0)
    });
    interrupted("pause", "interrupted", || sys!(SYS_pause));
    let none = 0_u64;
    let none = &raw const none;
    interrupted("rt_sigsuspend", "interrupted", || {
        sys!(SYS_rt_sigsuspend, none, SET)
    });
    let usr1 = crate::mask::USR1;
    interrupted("rt_sigtimedwait", "interrupted", || {
        sys!(SYS_rt_sigtimedwait, &raw const usr1, 0, 0, SET)
    });
    let word = 7_u32;
    interrupted("futex", "interrupted", || {
        sys!(
            SYS_futex,
            &raw const word,
            libc::FUTEX_WAIT,
            7,
            null::<u8>(),
            0,
            0
        )
    });
}

fn children() {
    let pid = child(|| {
        sys!(SYS_setitimer, 0, [0_u64; 4].as_ptr(), 0).expect("none");
        let _ = sys!(SYS_pause);
        0
    });
    let case = "a child that lives, interrupted";
    interrupted("wait4", case, || sys!(SYS_wait4, pid, 0, 0, 0));
    interrupted("waitid", case, || {
        sys!(SYS_waitid, libc::P_PID, pid, 0, libc::WEXITED, 0)
    });
    sys!(SYS_kill, pid, SIGKILL).expect("it lives");
    crate::child::status_of(pid);
}

fn locks() {
    let (first, second) = (opened(c"lock", O_RDWR | O_CREAT), opened(c"lock", O_RDWR));
    let case = "somebody has it, interrupted";
    sys!(SYS_flock, first, LOCK_EX).expect("free");
    interrupted("flock", case, || sys!(SYS_flock, second, LOCK_EX));
    // SAFETY: all zeroes are a `struct flock`: the whole file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as i16;
    let lock = &raw const lock;
    sys!(SYS_fcntl, first, libc::F_OFD_SETLK, lock).expect("free");
    interrupted("fcntl", case, || {
        sys!(SYS_fcntl, second, libc::F_OFD_SETLKW, lock)
    });
    apart(|| {
        interrupted("fcntl", "another process has it, interrupted", || {
            sys!(SYS_fcntl, second, libc::F_SETLKW, lock)
        });
    });
    close(first);
    close(second);
}
