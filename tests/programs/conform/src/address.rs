//! Addresses that no program has, given to every call that reads or writes by one.

use crate::check::{check, sys};
use crate::handle::{close, opened, pipe, write};
use crate::shape::{Shape, tried};
use crate::socket::{Address, bind, connect, pair, send, socket};
use libc::{O_CREAT, O_RDWR, SOCK_STREAM};

/// Calls and where a bad address is given to them.
const CALLS: &[Shape] = &[
    ("fstat", libc::SYS_fstat, "file bad"),
    ("fstatfs", libc::SYS_fstatfs, "file bad"),
    ("lstat", libc::SYS_lstat, "text-path bad"),
    ("newfstatat", libc::SYS_newfstatat, "here text-path bad"),
    ("pread64", libc::SYS_pread64, "file bad 4"),
    ("pwrite64", libc::SYS_pwrite64, "file bad 4"),
    ("readv", libc::SYS_readv, "file bad 1"),
    ("preadv", libc::SYS_preadv, "file bad 1"),
    ("pwritev", libc::SYS_pwritev, "file bad 1"),
    ("preadv2", libc::SYS_preadv2, "file bad 1"),
    ("pwritev2", libc::SYS_pwritev2, "file bad 1"),
    ("fcntl F_GETLK", libc::SYS_fcntl, "file 5 bad"),
    ("fcntl F_SETLK", libc::SYS_fcntl, "file 6 bad"),
    (
        "copy_file_range from",
        libc::SYS_copy_file_range,
        "file bad file 0 1",
    ),
    (
        "copy_file_range to",
        libc::SYS_copy_file_range,
        "file 0 file bad 1",
    ),
    ("splice from", libc::SYS_splice, "file bad writer 0 1"),
    ("vmsplice", libc::SYS_vmsplice, "writer bad 1"),
    ("pipe", libc::SYS_pipe, "bad"),
    ("pipe2", libc::SYS_pipe2, "bad"),
    ("poll", libc::SYS_poll, "bad 1 0"),
    ("ppoll", libc::SYS_ppoll, "bad 1 zeroes"),
    ("ppoll until", libc::SYS_ppoll, "zeroes 0 bad"),
    ("select", libc::SYS_select, "1 bad 0 0 zeroes"),
    ("select until", libc::SYS_select, "0 0 0 0 bad"),
    ("pselect6", libc::SYS_pselect6, "1 bad 0 0 zeroes"),
    ("pselect6 until", libc::SYS_pselect6, "0 0 0 0 bad"),
    ("epoll_wait", libc::SYS_epoll_wait, "list bad 1 0"),
    ("epoll_pwait", libc::SYS_epoll_pwait, "list bad 1 0"),
    (
        "epoll_pwait of a mask",
        libc::SYS_epoll_pwait,
        "list zeroes 1 0 bad 8",
    ),
    ("epoll_pwait2", libc::SYS_epoll_pwait2, "list bad 1 zeroes"),
    (
        "epoll_pwait2 until",
        libc::SYS_epoll_pwait2,
        "list zeroes 1 bad",
    ),
    ("epoll_ctl", libc::SYS_epoll_ctl, "list 1 writer bad"),
    ("signalfd", libc::SYS_signalfd, "-1 bad 8"),
    ("signalfd4", libc::SYS_signalfd4, "-1 bad 8"),
    ("timerfd_gettime", libc::SYS_timerfd_gettime, "timer bad"),
    ("timerfd_settime", libc::SYS_timerfd_settime, "timer 0 bad"),
    ("connect", libc::SYS_connect, "socket bad 8"),
    ("bind", libc::SYS_bind, "socket bad 8"),
    ("sendto", libc::SYS_sendto, "one bad 4 16384"),
    (
        "sendto a bad name",
        libc::SYS_sendto,
        "one zeroes 4 16384 bad 8",
    ),
    ("sendmsg", libc::SYS_sendmsg, "one bad 16384"),
    ("recvmsg", libc::SYS_recvmsg, "other bad"),
    ("recvfrom", libc::SYS_recvfrom, "other bad 1"),
    ("getsockname", libc::SYS_getsockname, "one bad zeroes"),
    ("getpeername", libc::SYS_getpeername, "one bad bad"),
    ("setsockopt", libc::SYS_setsockopt, "socket 1 2 bad 4"),
    ("getsockopt", libc::SYS_getsockopt, "socket 1 3 zeroes bad"),
    ("getresgid", libc::SYS_getresgid, "bad bad bad"),
    ("setrlimit", libc::SYS_setrlimit, "7 bad"),
    ("prlimit64", libc::SYS_prlimit64, "0 7 bad"),
    ("prlimit64 old", libc::SYS_prlimit64, "0 7 0 bad"),
    ("arch_prctl", libc::SYS_arch_prctl, "4099 bad"),
    ("clock_gettime", libc::SYS_clock_gettime, "1 bad"),
    ("clock_getres", libc::SYS_clock_getres, "1 bad"),
    ("setitimer", libc::SYS_setitimer, "0 bad"),
    ("getitimer", libc::SYS_getitimer, "0 bad"),
    (
        "sched_rr_get_interval",
        libc::SYS_sched_rr_get_interval,
        "0 bad",
    ),
    ("sigaltstack", libc::SYS_sigaltstack, "bad"),
    ("rt_sigsuspend", libc::SYS_rt_sigsuspend, "bad 8"),
    ("rt_sigaction", libc::SYS_rt_sigaction, "10 bad 0 8"),
    ("capget", libc::SYS_capget, "bad zeroes"),
    ("capset", libc::SYS_capset, "bad zeroes"),
    ("memfd_create", libc::SYS_memfd_create, "bad"),
    ("prctl", libc::SYS_prctl, "16 bad"),
];

pub(crate) fn run() {
    let file = opened(c"file", O_CREAT | O_RDWR);
    let [reader, writer] = pipe();
    write(file, b"0123456789").expect("room");
    sys!(SYS_lseek, file, 0, 0).expect("a file");
    let list = sys!(SYS_epoll_create1, 0).expect("a list");
    let asked = [libc::EPOLLOUT as u32, 0, 0];
    sys!(SYS_epoll_ctl, list, 1, writer, asked.as_ptr()).expect("added");
    let timer = sys!(SYS_timerfd_create, 1, 0).expect("a timer");
    let socket = socket(SOCK_STREAM);
    let [one, other] = pair(SOCK_STREAM).map(i64::from);
    send(one, b"x", 0).expect("room");
    let meaning = [
        ("here", libc::AT_FDCWD.into()),
        ("text-path", c"file".as_ptr() as i64),
        ("file", file),
        ("writer", writer),
        ("list", list),
        ("timer", timer),
        ("socket", socket),
        ("one", one),
        ("other", other),
    ];
    for shape in CALLS {
        tried(shape, "an address nobody has", &meaning);
    }
    for fd in [file, reader, writer, list, timer, socket, one, other] {
        close(fd);
    }
    accepted();
}

/// A connection that is accepted, by somebody who cannot be told whose it is.
fn accepted() {
    let listener = socket(SOCK_STREAM);
    let name = Address::new(b"listener");
    bind(listener, &name).expect("new");
    sys!(SYS_listen, listener, 4).expect("bound");
    let clients = [(); 4].map(|()| {
        let client = socket(SOCK_STREAM);
        connect(client, &name).expect("it listens");
        client
    });
    let bad = crate::check::BAD;
    let mut length = 100_u32;
    let length = &raw mut length;
    let case = "a bad address for the name";
    check("accept", case, sys!(SYS_accept, listener, bad, length));
    check("accept4", case, sys!(SYS_accept4, listener, bad, length, 0));
    let case = "a bad address for the length";
    check("accept", case, sys!(SYS_accept, listener, bad, bad));
    check("accept4", case, sys!(SYS_accept4, listener, bad, bad, 0));
    for fd in clients.into_iter().chain([listener]) {
        close(fd);
    }
}
