//! What no other family refuses: files and pipes, sockets, memory, processes, signals and clocks asked for what cannot be.

use crate::check::{BAD, CLOSED, check, say, sys, works};
use crate::child::{apart, child, reap, status_of};
use crate::handle::{close, opened, part, pipe, write};
use crate::mask::{SET, install, mask};
use crate::shape::{Shape, tried};
use crate::socket::{Address, bind, connect, header, pair, receive, received, socket};
use libc::{
    O_CREAT, O_RDONLY, O_RDWR, O_WRONLY, RLIMIT_SIGPENDING, SIGUSR1, SOCK_DGRAM, SOCK_SEQPACKET,
    SOCK_STREAM,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

pub(crate) fn run() {
    files();
    copies();
    sockets();
    accepted();
    names_of_sockets();
    memory();
    programs();
    processes();
    apart(barriers);
    apart(signals);
    stacks();
    times();
}

/// Calls of an open file, of a pipe's writing end and of `/dev/null`.
const OF_FILES: &[Shape] = &[
    ("fadvise64", libc::SYS_fadvise64, "file 0 0 3"),
    ("fadvise64 unknown", libc::SYS_fadvise64, "file 0 0 9"),
    ("fadvise64 negative", libc::SYS_fadvise64, "file 0 -1 0"),
    ("fadvise64 of a pipe", libc::SYS_fadvise64, "reader"),
    ("readahead", libc::SYS_readahead, "file 0 4096"),
    ("readahead of a pipe", libc::SYS_readahead, "reader 0 1"),
    ("readahead for writing", libc::SYS_readahead, "writer 0 1"),
    ("readahead of a device", libc::SYS_readahead, "null 0 1"),
    ("readahead of a folder", libc::SYS_readahead, "folder 0 1"),
    ("fallocate of a device", libc::SYS_fallocate, "null 0 0 1"),
    ("fallocate of a pipe", libc::SYS_fallocate, "writer 0 0 1"),
    ("preadv of a pipe", libc::SYS_preadv, "reader zeroes 1"),
    ("pwritev of a pipe", libc::SYS_pwritev, "writer zeroes 1"),
    ("pwrite64 of a pipe", libc::SYS_pwrite64, "writer zeroes 1"),
    ("readv of a folder", libc::SYS_readv, "folder part 1"),
    ("preadv of a folder", libc::SYS_preadv, "folder part 1"),
    ("pread64 of a folder", libc::SYS_pread64, "folder zeroes 1"),
    (
        "pwritev2 before the start",
        libc::SYS_pwritev2,
        "file part 1 -5 0 0",
    ),
    ("preadv2 of a folder", libc::SYS_preadv2, "folder part 1"),
    ("readv of many", libc::SYS_readv, "file zeroes 1025"),
    (
        "readv of a negative number",
        libc::SYS_readv,
        "file zeroes -1",
    ),
    ("readv without waiting", libc::SYS_readv, "reader part 1"),
    ("fstatfs", libc::SYS_fstatfs, "file zeroes"),
    ("fdatasync of a pipe", libc::SYS_fdatasync, "reader"),
    ("syncfs", libc::SYS_syncfs, "file"),
    (
        "ioctl of an unknown queue",
        libc::SYS_ioctl,
        "terminal 21515 99",
    ),
    ("close_range", libc::SYS_close_range, "2 1"),
    ("dup3 with flags", libc::SYS_dup3, "file 50 1"),
    ("signalfd of a file", libc::SYS_signalfd, "file zeroes 8"),
    ("signalfd4 of a file", libc::SYS_signalfd4, "file zeroes 8"),
    (
        "signalfd of another size",
        libc::SYS_signalfd,
        "-1 zeroes 4",
    ),
    (
        "timerfd_gettime of a file",
        libc::SYS_timerfd_gettime,
        "file zeroes",
    ),
    (
        "timerfd_settime of a file",
        libc::SYS_timerfd_settime,
        "file 0 zeroes",
    ),
    ("epoll_pwait for none", libc::SYS_epoll_pwait, "list zeroes"),
    (
        "epoll_pwait2 for none",
        libc::SYS_epoll_pwait2,
        "list zeroes",
    ),
    (
        "epoll_ctl of a file",
        libc::SYS_epoll_ctl,
        "list 1 file zeroes",
    ),
];

fn files() {
    let file = opened(c"file", O_CREAT | O_RDWR);
    let folder = opened(c".", O_RDONLY);
    let null = opened(c"/dev/null", O_RDWR);
    let terminal = opened(c"/dev/ptmx", O_RDWR | libc::O_NOCTTY);
    let list = sys!(SYS_epoll_create1, 0).expect("a list");
    let [reader, writer] = pipe();
    let mut bytes = [0_u8; 8];
    let part = part(&mut bytes[..8]);
    let meaning = [
        ("file", file),
        ("folder", folder),
        ("null", null),
        ("terminal", terminal),
        ("list", list),
        ("reader", reader),
        ("writer", writer),
        ("part", &raw const part as i64),
    ];
    for shape in OF_FILES {
        tried(shape, "what it is not for", &meaning);
    }
    let end = i64::MAX - 5;
    check(
        "fallocate",
        "behind every end",
        sys!(SYS_fallocate, file, 0, end, 10),
    );
    let pair = [(); 2].map(|()| sys!(SYS_epoll_create1, 0).expect("a list"));
    let event = [1_u32, 0, 0];
    let add = |to: i64, what: i64| sys!(SYS_epoll_ctl, to, 1, what, event.as_ptr());
    let _ = add(pair[0], pair[1]);
    check("epoll_ctl", "a circle of two lists", add(pair[1], pair[0]));
    for fd in [file, folder, null, terminal, list, reader, writer] {
        close(fd);
    }
    for fd in pair {
        close(fd);
    }
    deep();
}

/// A working directory whose path is longer than any.
fn deep() {
    let name = crate::path::long(255);
    apart(|| {
        for _ in 0..17 {
            sys!(SYS_mkdir, &*name, 0o700).expect("new");
            sys!(SYS_chdir, &*name).expect("there");
        }
        let mut bytes = [0_u8; 8192];
        check(
            "getcwd",
            "a path longer than any",
            sys!(SYS_getcwd, bytes.as_mut_ptr(), 8192),
        );
    });
}

fn copies() {
    let file = opened(c"copied", O_CREAT | O_RDWR);
    write(file, &[7; 64]).expect("room");
    let [reader, writer] = pipe();
    let mut position = 0_i64;
    let at = &raw mut position;
    write(writer, b"x").expect("room");
    check(
        "sendfile",
        "a position in a pipe",
        sys!(SYS_sendfile, file, reader, at, 1),
    );
    crate::handle::read(reader, 1).expect("it was written");
    let mut bytes = vec![0_u8; 65_536];
    while sys!(SYS_write, writer, bytes.as_mut_ptr(), 4096).is_ok() {}
    check(
        "sendfile",
        "to a full pipe",
        sys!(SYS_sendfile, writer, file, at, 8),
    );
    let part = part(&mut bytes[..8]);
    check(
        "vmsplice",
        "to a full pipe",
        sys!(SYS_vmsplice, writer, &raw const part, 1, 2),
    );
    check(
        "writev",
        "to a full pipe",
        sys!(SYS_writev, writer, &raw const part, 1),
    );
    check(
        "fcntl F_SETPIPE_SZ",
        "less than it holds",
        sys!(SYS_fcntl, writer, 1031, 4096),
    );
    close(reader);
    let part = &raw const part;
    // Rust's start-up has the signal ignored.
    check(
        "writev",
        "nobody reads any more",
        sys!(SYS_writev, writer, part, 1),
    );
    close(writer);
    let mut far = 5_i64;
    let far = &raw mut far;
    let copy = sys!(SYS_copy_file_range, file, far, file, 0, -1, 0);
    check("copy_file_range", "more than there are numbers", copy);
    close(file);
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

fn names_of_sockets() {
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

fn memory() {
    const PAGE: i64 = 4096;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let at = sys!(SYS_mmap, 0, 3 * PAGE, libc::PROT_READ, flags, -1, 0).expect("memory");
    let remap = |size: i64, to: i64, how: i32| sys!(SYS_mremap, at, size, to, how, 0);
    check("mremap", "no room behind it", remap(PAGE, 2 * PAGE, 0));
    sys!(SYS_munmap, at, 3 * PAGE).expect("mapped");
    // Only what is mapped from then on: what there is may be more than a user may lock.
    apart(|| {
        check(
            "mlockall",
            "what comes",
            sys!(SYS_mlockall, libc::MCL_FUTURE),
        );
        check("munlockall", "no more", sys!(SYS_munlockall));
    });
    let mut base = 0_u64;
    check(
        "arch_prctl",
        "where a thread's memory is",
        sys!(SYS_arch_prctl, 0x1003, &raw mut base),
    );
    say("arch_prctl", "it is somewhere", base != 0);
    let head = [0_u64; 3];
    // What the C library has told it is told again before the list is gone.
    apart(|| {
        check(
            "set_robust_list",
            "a list",
            sys!(SYS_set_robust_list, head.as_ptr(), 24),
        );
    });
    check(
        "sysinfo",
        "all of it",
        sys!(SYS_sysinfo, [0_u64; 14].as_mut_ptr()),
    );
}

/// An ELF file of two headers, the name of what interprets it, which is no program, and a page to be mapped.
fn interpreted_by_a_text() -> Vec<u8> {
    let name = b"./interpreter\0";
    let length = name.len() as u64;
    let mut bytes = fs::read("/proc/self/exe").expect("there")[..64].to_vec();
    // ET_DYN; where it begins, where the headers begin, and how many there are.
    bytes[16] = 3;
    bytes[24..32].copy_from_slice(&256_u64.to_le_bytes());
    bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
    bytes[56..58].copy_from_slice(&2_u16.to_le_bytes());
    let at = 64 + 2 * 56;
    for header in [
        [3 | 4 << 32, at, at, at, length, length, 1],
        [1 | 5 << 32, 0, 0, 0, 4096, 4096, 4096],
    ] {
        bytes.extend(header.into_iter().flat_map(u64::to_le_bytes));
    }
    bytes.extend_from_slice(name);
    bytes.resize(4096, 0);
    bytes
}

fn programs() {
    let program = |name: &str, bytes: &[u8]| {
        fs::write(name, bytes).expect("new");
        fs::set_permissions(name, fs::Permissions::from_mode(0o755)).expect("ours");
    };
    program("interpreter", &[b'x'; 256]);
    program("interpreted", &interpreted_by_a_text());
    let list = [c"x".as_ptr() as u64, 0];
    let run = |path: &std::ffi::CStr| sys!(SYS_execve, path, list.as_ptr(), 0);
    check(
        "execve",
        "an interpreter that is no program",
        run(c"interpreted"),
    );
    let writer = opened(c"interpreted", O_WRONLY);
    check(
        "execve",
        "a program somebody writes to",
        run(c"interpreted"),
    );
    close(writer);
    let file = opened(c"interpreter", O_RDONLY);
    let at = sys!(SYS_execveat, file, c"x", list.as_ptr(), 0, 0);
    check("execveat", "below a file", at);
    close(file);
}

/// Barriers among a process's own threads have to be asked for first.
fn barriers() {
    let command =
        |case: &str, command: i32| check("membarrier", case, sys!(SYS_membarrier, command, 0, 0));
    command("among threads, not asked for", 8);
    command("asked for", 16);
    command("among threads", 8);
    apart(|| command("a child of who has asked", 8));
}

fn processes() {
    say(
        "exit",
        "its code",
        reap(child(|| sys!(SYS_exit, 7).map_or(1, |_| 2))),
    );
    say(
        "exit_group",
        "its code",
        reap(child(|| sys!(SYS_exit_group, 8).map_or(1, |_| 2))),
    );
    check(
        "wait4",
        "a number that cannot be turned",
        sys!(SYS_wait4, i32::MIN, 0, 0, 0),
    );
    // A child that has executed something is no longer its parent's to move.
    let [reader, writer] = pipe();
    sys!(SYS_fcntl, reader, libc::F_SETFL, 0).expect("a pipe");
    let own = crate::exec::own();
    let pid = child(|| {
        sys!(SYS_fcntl, writer, libc::F_SETFD, 1).expect("open");
        let list = [own.as_ptr() as u64, c"--sleep".as_ptr() as u64, 0];
        sys!(SYS_execve, own.as_c_str(), list.as_ptr(), 0).map_or(1, |_| 2)
    });
    close(writer);
    let mut byte = [0_u8];
    sys!(SYS_read, reader, byte.as_mut_ptr(), 1).expect("its end");
    check(
        "setpgid",
        "a child that has executed",
        sys!(SYS_setpgid, pid, pid),
    );
    sys!(SYS_kill, pid, libc::SIGKILL).expect("it sleeps");
    status_of(pid);
    close(reader);
    let mut ids = [9_u32; 3];
    let [a, b, c] = [0, 1, 2].map(|nth| &raw mut ids[nth]);
    check("getresgid", "three", sys!(SYS_getresgid, a, b, c));
    let mut set = [0_u64; 128];
    let at = set.as_mut_ptr();
    works(
        "sched_getaffinity",
        "its own",
        sys!(SYS_sched_getaffinity, 0, 1024, at),
    )
    .expect("told");
    let mut version = [0x1234_u32, 0];
    let at = version.as_mut_ptr();
    check(
        "capset",
        "an unknown version",
        sys!(SYS_capset, at, [0_u32; 6].as_ptr()),
    );
    check(
        "time",
        "now",
        sys!(SYS_time, 0).map(|now| i64::from(now > 1_000_000_000)),
    );
    apart(|| check("chroot", "this folder", sys!(SYS_chroot, c".")));
}

/// Signals that there is no room to keep.
fn signals() {
    const REAL_TIME: i32 = 40;
    mask(libc::SIG_BLOCK, &[REAL_TIME]);
    let (pid, tid) = (
        sys!(SYS_getpid).expect("one"),
        sys!(SYS_gettid).expect("one"),
    );
    let mut limit = [0_u64; 2];
    sys!(SYS_getrlimit, RLIMIT_SIGPENDING, limit.as_mut_ptr()).expect("told");
    limit[0] = 0;
    sys!(SYS_setrlimit, RLIMIT_SIGPENDING, limit.as_ptr()).expect("lower");
    let mut info = [0_i32; 32];
    info[2] = libc::SI_QUEUE;
    let at = info.as_ptr();
    let case = "no room to keep it";
    check("tkill", case, sys!(SYS_tkill, tid, REAL_TIME));
    check("tgkill", case, sys!(SYS_tgkill, pid, tid, REAL_TIME));
    check(
        "rt_sigqueueinfo",
        case,
        sys!(SYS_rt_sigqueueinfo, pid, REAL_TIME, at),
    );
    let to = sys!(SYS_rt_tgsigqueueinfo, pid, tid, REAL_TIME, at);
    check("rt_tgsigqueueinfo", case, to);
    check("kill", case, sys!(SYS_kill, pid, REAL_TIME));
    let mut timer = 0_i32;
    check(
        "timer_create",
        case,
        sys!(SYS_timer_create, 1, 0, &raw mut timer),
    );
}

static ON_STACK: AtomicI32 = AtomicI32::new(0);

extern "C" fn change_stack(_: i32) {
    let none = [0_u64, libc::SS_DISABLE as u64, 0];
    let answer = sys!(SYS_sigaltstack, none.as_ptr(), 0);
    ON_STACK.store(answer.map_or_else(|errno| errno, |_| 0), SeqCst);
}

/// A stack that is in use cannot be changed; a handler returns by a call.
fn stacks() {
    apart(|| {
        let mut stack = vec![0_u8; 65_536];
        let new = [stack.as_mut_ptr() as u64, 0, 65_536];
        check(
            "sigaltstack",
            "one to be used",
            sys!(SYS_sigaltstack, new.as_ptr(), 0),
        );
        // SAFETY: the handler makes a call and sets a number.
        unsafe { install(SIGUSR1, change_stack, libc::SA_ONSTACK) };
        sys!(SYS_kill, std::process::id(), SIGUSR1).expect("sent");
        check(
            "sigaltstack",
            "one in use",
            match ON_STACK.load(SeqCst) {
                0 => Ok(0),
                errno => Err(errno),
            },
        );
        say("rt_sigreturn", "a handler returns", "0");
    });
}

fn times() {
    let soon = [0_u64, 1];
    for clock in [libc::CLOCK_MONOTONIC_RAW, libc::CLOCK_REALTIME_COARSE] {
        let case = format!("clock {clock}, which nobody can wait for");
        check(
            "clock_nanosleep",
            &case,
            sys!(SYS_clock_nanosleep, clock, 0, soon.as_ptr(), 0),
        );
    }
    check(
        "rt_sigsuspend",
        "another size",
        sys!(SYS_rt_sigsuspend, BAD, SET / 2),
    );
    check(
        "fcntl",
        "F_GETLK, not open",
        sys!(SYS_fcntl, CLOSED, libc::F_GETLK, 0),
    );
}
