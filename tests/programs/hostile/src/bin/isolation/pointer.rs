//! System calls with pointers to memory that is not there, not the program's, not writable, or ends too early.

use crate::case::{Case, agreed};
use hostile::call::{Answer, words};
use hostile::memory::{PAGE, cliff, pages, read_only};
use hostile::sys;
use libc::{AF_UNIX, AT_FDCWD, EPOLL_CTL_ADD, SOCK_STREAM};

/// Pointers that are bad for whoever reads there.
fn unreadable() -> [(&'static str, *mut u8); 7] {
    [
        ("one", std::ptr::without_provenance_mut(1)),
        ("kernel", 0xffff_ffff_8010_0000_u64 as *mut u8),
        ("direct map", 0xffff_8880_0010_0000_u64 as *mut u8),
        ("not canonical", (1_u64 << 63) as *mut u8),
        ("end of the half", 0x7fff_ffff_ffff_u64 as *mut u8),
        ("last byte of all", u64::MAX as *mut u8),
        ("end of memory", cliff().wrapping_sub(1)),
    ]
}

/// What lies before the border may be moved before the border is met, which is no refusal: one byte of it.
fn but_for_one(answer: Answer) -> Answer {
    if answer == Ok(1) {
        Err(libc::EFAULT)
    } else {
        answer
    }
}

/// What a call does with the pointer.
#[derive(Clone, Copy, PartialEq)]
enum Direction {
    In,
    Out,
}
use Direction::{In, Out};

fn pipe() -> [i32; 2] {
    let mut ends = [0; 2];
    sys!(SYS_pipe2, ends.as_mut_ptr(), 0).expect("a pipe");
    ends
}

fn full_pipe() -> [i32; 2] {
    let ends = pipe();
    let bytes = [0_u8; 512];
    sys!(SYS_write, ends[1], bytes.as_ptr(), bytes.len()).expect("room");
    ends
}

fn pair() -> [i32; 2] {
    let mut ends = [0; 2];
    sys!(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, ends.as_mut_ptr()).expect("a pair");
    ends
}

fn told_pair() -> [i32; 2] {
    let ends = pair();
    let bytes = [0_u8; 512];
    sys!(SYS_write, ends[1], bytes.as_ptr(), bytes.len()).expect("room");
    ends
}

fn ended_child() {
    // SAFETY: this child has one thread.
    if unsafe { libc::fork() } == 0 {
        // SAFETY: ending takes nothing from under anybody.
        unsafe { libc::_exit(0) };
    }
}

fn epoll() -> i32 {
    sys!(SYS_epoll_create1, 0).expect("a list") as i32
}

fn ready_epoll() -> i32 {
    let list = epoll();
    let mut event = libc::epoll_event {
        events: libc::EPOLLOUT as u32,
        u64: 0,
    };
    let end = pipe()[1];
    sys!(SYS_epoll_ctl, list, EPOLL_CTL_ADD, end, &raw mut event).expect("listed");
    list
}

fn timer() -> i32 {
    sys!(SYS_timerfd_create, libc::CLOCK_MONOTONIC, 0).expect("a timer") as i32
}

fn file() -> i32 {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
    let file = sys!(SYS_openat, AT_FDCWD, c"/tmp/isolation", flags, 0o600).expect("a file") as i32;
    let bytes = [7_u8; 512];
    sys!(SYS_write, file, bytes.as_ptr(), bytes.len()).expect("room");
    sys!(SYS_lseek, file, 0, 0).expect("a file");
    sys!(SYS_unlinkat, AT_FDCWD, c"/tmp/isolation", 0).expect("it is there");
    file
}

/// An `iovec` of its own, for one buffer.
fn vector(at: *mut u8) -> [usize; 2] {
    [at as usize, 64]
}

type Try = fn(*mut u8) -> Answer;

/// The calls, and what each does with the pointer.
const CALLS: &[(&str, Direction, Try)] = &[
    ("write to a pipe", In, |at| {
        but_for_one(sys!(SYS_write, pipe()[1], at, 64))
    }),
    ("write to a file", In, |at| {
        but_for_one(sys!(SYS_write, file(), at, 64))
    }),
    ("write to a socket", In, |at| {
        but_for_one(sys!(SYS_write, pair()[1], at, 64))
    }),
    ("read from a pipe", Out, |at| {
        but_for_one(sys!(SYS_read, full_pipe()[0], at, 64))
    }),
    ("read from a file", Out, |at| {
        but_for_one(sys!(SYS_read, file(), at, 64))
    }),
    ("read from a socket", Out, |at| {
        but_for_one(sys!(SYS_read, told_pair()[0], at, 64))
    }),
    ("readv, the list", In, |at| {
        sys!(SYS_readv, full_pipe()[0], at, 2)
    }),
    ("writev, the list", In, |at| {
        sys!(SYS_writev, pipe()[1], at, 2)
    }),
    ("readv, a buffer", Out, |at| {
        but_for_one(sys!(SYS_readv, full_pipe()[0], vector(at).as_ptr(), 1))
    }),
    ("writev, a buffer", In, |at| {
        but_for_one(sys!(SYS_writev, pipe()[1], vector(at).as_ptr(), 1))
    }),
    ("openat", In, |at| sys!(SYS_openat, AT_FDCWD, at, 0)),
    ("stat, the path", In, |at| sys!(SYS_stat, at, pages(1))),
    ("stat", Out, |at| sys!(SYS_stat, c"/", at)),
    ("fstat", Out, |at| sys!(SYS_fstat, 0, at)),
    ("statx", Out, |at| {
        sys!(SYS_statx, AT_FDCWD, c"/", 0, 0x7ff, at)
    }),
    ("statfs", Out, |at| sys!(SYS_statfs, c"/", at)),
    ("mkdir", In, |at| sys!(SYS_mkdir, at, 0o700)),
    ("rename", In, |at| sys!(SYS_rename, at, c"/tmp/x")),
    ("symlink", In, |at| sys!(SYS_symlink, at, c"/tmp/x")),
    ("chdir", In, |at| sys!(SYS_chdir, at)),
    ("readlink, the path", In, |at| {
        sys!(SYS_readlink, at, pages(1), 64)
    }),
    ("readlink", Out, |at| {
        sys!(SYS_readlink, c"/proc/self/exe", at, 64)
    }),
    ("getcwd", Out, |at| {
        sys!(SYS_chdir, c"/tmp").expect("a folder");
        sys!(SYS_getcwd, at, 64)
    }),
    ("getdents64", Out, |at| {
        let folder = sys!(SYS_openat, AT_FDCWD, c"/", libc::O_DIRECTORY).expect("a folder");
        sys!(SYS_getdents64, folder, at, 4096)
    }),
    ("utimensat", In, |at| {
        sys!(SYS_utimensat, AT_FDCWD, c"/tmp", at, 0)
    }),
    ("execve, the path", In, |at| sys!(SYS_execve, at, 0, 0)),
    ("execve, the arguments", In, |at| {
        sys!(SYS_execve, c"/proc/self/exe", at, 0)
    }),
    ("execve, an argument", In, |at| {
        sys!(SYS_execve, c"/proc/self/exe", [at as usize, 0].as_ptr(), 0)
    }),
    ("pipe2", Out, |at| sys!(SYS_pipe2, at, 0)),
    ("socketpair", Out, |at| {
        sys!(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, at)
    }),
    ("bind", In, |at| {
        let socket = sys!(SYS_socket, AF_UNIX, SOCK_STREAM, 0).expect("a socket");
        sys!(SYS_bind, socket, at, 64)
    }),
    ("getsockname", Out, |at| {
        let mut length = 64_i32;
        sys!(SYS_getsockname, pair()[0], at, &raw mut length)
    }),
    ("getsockname, the length", Out, |at| {
        sys!(SYS_getsockname, pair()[0], pages(1), at)
    }),
    ("getsockopt", Out, |at| {
        let mut length = 4_i32;
        sys!(
            SYS_getsockopt,
            pair()[0],
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            at,
            &raw mut length
        )
    }),
    ("setsockopt", In, |at| {
        sys!(
            SYS_setsockopt,
            pair()[0],
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            at,
            4
        )
    }),
    ("sendmsg, the header", In, |at| {
        sys!(SYS_sendmsg, pair()[0], at, 0)
    }),
    ("sendmsg, the list", In, |at| {
        let header = [0, 0, at as usize, 2, 0, 0, 0];
        sys!(SYS_sendmsg, pair()[0], header.as_ptr(), 0)
    }),
    ("sendmsg, the control messages", In, |at| {
        let mut byte = 0_u8;
        let list = [&raw mut byte as usize, 1];
        let header = [0, 0, list.as_ptr() as usize, 1, at as usize, 64, 0];
        sys!(SYS_sendmsg, pair()[0], header.as_ptr(), 0)
    }),
    ("recvmsg, the header", Out, |at| {
        sys!(SYS_recvmsg, told_pair()[0], at, libc::MSG_DONTWAIT)
    }),
    ("recvmsg, a buffer", Out, |at| {
        let list = vector(at);
        let header = [0, 0, list.as_ptr() as usize, 1, 0, 0, 0];
        sys!(SYS_recvmsg, told_pair()[0], header.as_ptr(), 0)
    }),
    ("poll", Out, |at| sys!(SYS_poll, at, 4, 0)),
    ("select", Out, |at| sys!(SYS_select, 1, at, 0, 0, pages(1))),
    ("epoll_ctl", In, |at| {
        sys!(SYS_epoll_ctl, epoll(), EPOLL_CTL_ADD, pipe()[0], at)
    }),
    ("epoll_wait", Out, |at| {
        sys!(SYS_epoll_wait, ready_epoll(), at, 4, 0)
    }),
    ("timerfd_settime", In, |at| {
        sys!(SYS_timerfd_settime, timer(), 0, at, 0)
    }),
    ("timerfd_gettime", Out, |at| {
        sys!(SYS_timerfd_gettime, timer(), at)
    }),
    ("signalfd4", In, |at| sys!(SYS_signalfd4, -1, at, 8, 0)),
    ("nanosleep", In, |at| sys!(SYS_nanosleep, at, 0)),
    ("clock_gettime", Out, |at| sys!(SYS_clock_gettime, 0, at)),
    ("gettimeofday", Out, |at| sys!(SYS_gettimeofday, at, 0)),
    ("setitimer", In, |at| sys!(SYS_setitimer, 0, at, 0)),
    ("getitimer", Out, |at| sys!(SYS_getitimer, 0, at)),
    ("times", Out, |at| sys!(SYS_times, at)),
    ("uname", Out, |at| sys!(SYS_uname, at)),
    ("sysinfo", Out, |at| sys!(SYS_sysinfo, at)),
    ("getrandom", Out, |at| {
        but_for_one(sys!(SYS_getrandom, at, 64, 0))
    }),
    ("getrlimit", Out, |at| {
        sys!(SYS_getrlimit, libc::RLIMIT_NOFILE, at)
    }),
    ("setrlimit", In, |at| {
        sys!(SYS_setrlimit, libc::RLIMIT_CORE, at)
    }),
    ("getrusage", Out, |at| sys!(SYS_getrusage, 0, at)),
    ("getgroups", Out, |at| {
        // The host's user may have none, which is written nowhere.
        let groups = [1_u32, 2, 3];
        match sys!(SYS_setgroups, 3, groups.as_ptr()) {
            Ok(_) => sys!(SYS_getgroups, 3, at),
            Err(_) => Err(libc::EFAULT),
        }
    }),
    ("getresuid", Out, |at| {
        sys!(SYS_getresuid, at, pages(1), pages(1))
    }),
    ("sched_getaffinity", Out, |at| {
        sys!(SYS_sched_getaffinity, 0, 128, at)
    }),
    ("rt_sigaction", In, |at| {
        sys!(SYS_rt_sigaction, 10, at, 0, 8)
    }),
    ("rt_sigaction, the old one", Out, |at| {
        sys!(SYS_rt_sigaction, 10, 0, at, 8)
    }),
    ("rt_sigprocmask", In, |at| {
        sys!(SYS_rt_sigprocmask, 0, at, 0, 8)
    }),
    ("rt_sigpending", Out, |at| sys!(SYS_rt_sigpending, at, 8)),
    ("rt_sigsuspend", In, |at| sys!(SYS_rt_sigsuspend, at, 8)),
    ("rt_sigtimedwait", In, |at| {
        sys!(SYS_rt_sigtimedwait, at, 0, 0, 8)
    }),
    ("sigaltstack", In, |at| sys!(SYS_sigaltstack, at, 0)),
    ("sigaltstack, the old one", Out, |at| {
        sys!(SYS_sigaltstack, 0, at)
    }),
    ("wait4", Out, |at| {
        ended_child();
        sys!(SYS_wait4, -1, at, 0, 0)
    }),
    ("waitid", Out, |at| {
        ended_child();
        sys!(SYS_waitid, libc::P_ALL as i32, 0, at, libc::WEXITED, 0)
    }),
    ("mincore", Out, |at| {
        sys!(SYS_mincore, pages(16), 16 * PAGE, at)
    }),
    ("ioctl FIONREAD", Out, |at| {
        sys!(SYS_ioctl, pipe()[0], libc::FIONREAD as i64, at)
    }),
    ("sendfile, the offset", In, |at| {
        sys!(SYS_sendfile, pipe()[1], file(), at, 16)
    }),
    ("clone3", In, |at| sys!(SYS_clone3, at, 88)),
];

/// Makes a call with every pointer that is bad for it.
fn try_all(direction: Direction, call: Try) -> String {
    let mut answers: Vec<(&str, String)> = unreadable()
        .into_iter()
        .map(|(name, at)| (name, words(call(at))))
        .collect();
    if direction == Out {
        answers.push(("read-only", words(call(read_only()))));
    }
    agreed(&answers)
}

pub(crate) fn cases() -> Vec<Case> {
    CALLS
        .iter()
        .map(|&(name, direction, call)| {
            Case::new(format!("{name}: a bad pointer"), "EFAULT", move || {
                try_all(direction, call)
            })
        })
        .collect()
}
