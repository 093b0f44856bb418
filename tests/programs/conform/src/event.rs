//! Waiting: poll, select and their kin, eventfd, timerfd, signalfd, epoll.

use crate::check::{Answer, BAD, check, say, sys, works};
use libc::{
    EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL,
    EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, POLLERR, POLLHUP,
    POLLIN, POLLNVAL, POLLOUT, SFD_NONBLOCK, TFD_CLOEXEC, TFD_NONBLOCK, TFD_TIMER_ABSTIME,
};

/// A set of signals, as the kernel has it.
const USR1: u64 = 1 << 9;
const USR2: u64 = 1 << 11;

/// Bytes of that set.
const SET: usize = 8;

fn close(fd: i64) {
    sys!(SYS_close, fd).expect("it was open");
}

fn pipe() -> [i64; 2] {
    let mut ends = [0_i32; 2];
    sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK).expect("a pipe");
    ends.map(i64::from)
}

fn write(fd: i64, bytes: &[u8]) -> Answer {
    sys!(SYS_write, fd, bytes.as_ptr(), bytes.len())
}

fn read(fd: i64, room: usize) -> Result<Vec<u8>, i32> {
    let mut bytes = vec![0; room];
    let count = sys!(SYS_read, fd, bytes.as_mut_ptr(), room)?;
    bytes.truncate(count as usize);
    Ok(bytes)
}

/// Reads a counter.
fn count(call: &str, case: &str, fd: i64) {
    match read(fd, 8) {
        Ok(bytes) => say(
            call,
            case,
            u64::from_le_bytes(bytes.try_into().expect("eight bytes")),
        ),
        Err(errno) => check(call, case, Err(errno)),
    }
}

pub(crate) fn run() {
    polling();
    selecting();
    masks();
    counters();
    timers();
    signals();
    lists();
    list_edges();
    list_errors();
}

/// Asks for `events` of each file and says what was found.
fn poll(case: &str, files: &[(i64, i16)], timeout: i32) {
    let mut entries: Vec<libc::pollfd> = files
        .iter()
        .map(|&(fd, events)| libc::pollfd {
            fd: fd as i32,
            events,
            revents: 0x7fff,
        })
        .collect();
    let answer = sys!(SYS_poll, entries.as_mut_ptr(), entries.len(), timeout);
    let found: Vec<String> = entries
        .iter()
        .map(|entry| format!("{:#x}", entry.revents))
        .collect();
    match answer {
        Ok(count) => say("poll", case, format!("{count}: {}", found.join(" "))),
        Err(errno) => check("poll", case, Err(errno)),
    }
}

fn polling() {
    let [reader, writer] = pipe();
    let both = POLLIN | POLLOUT;
    poll("nothing at all", &[], 0);
    poll("an empty pipe", &[(reader, both), (writer, both)], 0);
    poll("after a while", &[(reader, both)], 3);
    poll("a negative descriptor", &[(-1, both), (writer, both)], 0);
    poll("a descriptor that is not open", &[(999, both)], 0);
    poll("no events asked for", &[(writer, 0)], 0);
    write(writer, b"x").expect("there is room");
    poll(
        "a pipe with a byte",
        &[(reader, both), (writer, POLLIN)],
        -1,
    );
    write(writer, &[0; 65536]).expect("there is room");
    poll("a full pipe", &[(reader, POLLOUT), (writer, both)], 0);
    close(writer);
    poll("a pipe without a writer", &[(reader, both)], -1);
    close(reader);
    let [reader, writer] = pipe();
    close(reader);
    poll("a pipe without a reader", &[(writer, both)], -1);
    close(writer);
    let file = sys!(
        SYS_openat,
        libc::AT_FDCWD,
        c"file",
        libc::O_CREAT | libc::O_RDWR,
        0o644
    )
    .expect("a file");
    poll("a file", &[(file, both)], -1);
    close(file);
    let null = sys!(SYS_openat, libc::AT_FDCWD, c"/dev/null", libc::O_RDWR).expect("a device");
    poll("/dev/null", &[(null, both)], -1);
    close(null);
    let _ = (POLLERR, POLLHUP, POLLNVAL);
    check(
        "poll",
        "entries at a bad address",
        sys!(SYS_poll, BAD, 1, 0),
    );
    check("poll", "too many entries", sys!(SYS_poll, BAD, u32::MAX, 0));
    let mut sockets = [0_i32; 2];
    sys!(
        SYS_socketpair,
        libc::AF_UNIX,
        libc::SOCK_STREAM,
        0,
        sockets.as_mut_ptr()
    )
    .expect("a pair");
    let [one, two] = sockets.map(i64::from);
    poll("a socket", &[(one, both), (two, both)], 0);
    write(one, b"x").expect("there is room");
    poll("a socket with a byte", &[(one, both), (two, both)], 0);
    close(one);
    poll("a socket alone", &[(two, both | libc::POLLRDHUP)], 0);
    close(two);
}

fn bits(fds: &[i64]) -> [u64; 16] {
    let mut set = [0; 16];
    for &fd in fds {
        set[fd as usize / 64] |= 1 << (fd % 64);
    }
    set
}

fn selecting() {
    let [reader, writer] = pipe();
    let most = reader.max(writer) + 1;
    let select = |case: &str, reads: &[i64], writes: &[i64], micros: i64| {
        let (mut read, mut write) = (bits(reads), bits(writes));
        let mut time = [0, micros];
        let answer = sys!(
            SYS_select,
            most,
            read.as_mut_ptr(),
            write.as_mut_ptr(),
            std::ptr::null::<u8>(),
            time.as_mut_ptr()
        );
        check("select", case, answer);
        let ready = |set: &[u64; 16], fd: i64| set[fd as usize / 64] >> (fd % 64) & 1;
        say(
            "select",
            &format!("{case}: sets and time"),
            format!(
                "{} {} {}",
                ready(&read, reader),
                ready(&write, writer),
                i32::from(time == [0, 0])
            ),
        );
    };
    select("an empty pipe", &[reader], &[], 0);
    select("after a while", &[reader], &[], 2000);
    select("room in a pipe", &[reader], &[writer], 900_000);
    write(writer, b"x").expect("there is room");
    select("a byte in a pipe", &[reader], &[writer], 900_000);
    close(writer);
    close(reader);
    let time = [0_i64, 1_500_000];
    let none = std::ptr::null::<u8>();
    check(
        "select",
        "nothing for no time",
        sys!(SYS_select, 0, none, none, none, [0_i64, 0].as_ptr()),
    );
    check(
        "select",
        "a negative count",
        sys!(SYS_select, -1, none, none, none, time.as_ptr()),
    );
    for (case, time) in [
        ("negative seconds", [-1_i64, 0]),
        ("negative microseconds", [0, -1]),
    ] {
        check(
            "select",
            case,
            sys!(SYS_select, 0, none, none, none, time.as_ptr()),
        );
    }
    let set = bits(&[most]);
    check(
        "select",
        "a descriptor that is not open",
        sys!(
            SYS_select,
            most + 1,
            set.as_ptr(),
            none,
            none,
            [0_i64, 0].as_ptr()
        ),
    );
    check(
        "select",
        "a set at a bad address",
        sys!(SYS_select, 1, BAD, none, none, none),
    );
    for (case, time) in [
        ("negative seconds", [-1_i64, 0]),
        ("too many nanoseconds", [0, 1_000_000_000]),
    ] {
        check(
            "pselect6",
            case,
            sys!(SYS_pselect6, 0, none, none, none, time.as_ptr(), none),
        );
        check(
            "ppoll",
            case,
            sys!(SYS_ppoll, none, 0, time.as_ptr(), none, SET),
        );
    }
    let time = [0_i64, 1000];
    check(
        "pselect6",
        "no time left",
        sys!(SYS_pselect6, 0, none, none, none, time.as_ptr(), none),
    );
    say("pselect6", "the time after that", format!("{time:?}"));
    let time = [0_i64, 1000];
    check(
        "ppoll",
        "no time left",
        sys!(SYS_ppoll, none, 0, time.as_ptr(), none, SET),
    );
    say("ppoll", "the time after that", format!("{time:?}"));
}

extern "C" fn on_signal(_: i32) {}

/// Blocks a signal, with a handler that does nothing.
fn block(set: u64) {
    sys!(
        SYS_rt_sigprocmask,
        libc::SIG_BLOCK,
        &raw const set,
        std::ptr::null::<u8>(),
        SET
    )
    .expect("it can be blocked");
}

fn unblock(set: u64) {
    sys!(
        SYS_rt_sigprocmask,
        libc::SIG_UNBLOCK,
        &raw const set,
        std::ptr::null::<u8>(),
        SET
    )
    .expect("it can be let through");
}

fn raise(signal: i32) {
    let own = sys!(SYS_getpid).expect("it has one");
    let task = sys!(SYS_gettid).expect("it has one");
    sys!(SYS_tgkill, own, task, signal).expect("it lives");
}

fn is_blocked(set: u64) -> bool {
    let mut old = 0_u64;
    sys!(
        SYS_rt_sigprocmask,
        libc::SIG_BLOCK,
        std::ptr::null::<u8>(),
        &raw mut old,
        SET
    )
    .expect("it can be read");
    old & set != 0
}

fn masks() {
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGUSR1, on_signal as *const () as usize) };
    block(USR1);
    let none = std::ptr::null::<u8>();
    let open = 0_u64;
    let [reader, writer] = pipe();
    let mut entry = libc::pollfd {
        fd: reader as i32,
        events: POLLIN,
        revents: 0,
    };
    let time = [0_i64, 1_000_000];
    raise(libc::SIGUSR1);
    check(
        "ppoll",
        "a signal that stays blocked",
        sys!(SYS_ppoll, &raw mut entry, 1, time.as_ptr(), none, SET),
    );
    check(
        "ppoll",
        "a signal its mask lets through",
        sys!(SYS_ppoll, &raw mut entry, 1, none, &raw const open, SET),
    );
    say("ppoll", "the mask after that", is_blocked(USR1));
    raise(libc::SIGUSR1);
    write(writer, b"x").expect("there is room");
    check(
        "ppoll",
        "a byte and a signal",
        sys!(SYS_ppoll, &raw mut entry, 1, none, &raw const open, SET),
    );
    let mut pending = 0_u64;
    sys!(SYS_rt_sigpending, &raw mut pending, SET).expect("it can be read");
    say("ppoll", "the signal after that", pending & USR1 != 0);
    read(reader, 1).expect("a byte");
    let pair = [&raw const open as u64, SET as u64];
    let set = bits(&[reader]);
    check(
        "pselect6",
        "a signal its mask lets through",
        sys!(
            SYS_pselect6,
            reader + 1,
            set.as_ptr(),
            none,
            none,
            none,
            pair.as_ptr()
        ),
    );
    say("pselect6", "the mask after that", is_blocked(USR1));
    check(
        "ppoll",
        "a mask of another size",
        sys!(SYS_ppoll, none, 0, none, &raw const open, 4),
    );
    check(
        "ppoll",
        "a mask at a bad address",
        sys!(SYS_ppoll, none, 0, none, BAD, SET),
    );
    let wrong = [&raw const open as u64, 4];
    check(
        "pselect6",
        "a mask of another size",
        sys!(SYS_pselect6, 0, none, none, none, none, wrong.as_ptr()),
    );
    say("ppoll", "the mask after errors", is_blocked(USR1));
    let list = sys!(SYS_epoll_create1, 0).expect("a list");
    add(list, reader, EPOLLIN as u32, 1).expect("it is new");
    raise(libc::SIGUSR1);
    let mut events = [0_u8; 12];
    check(
        "epoll_pwait",
        "a signal its mask lets through",
        sys!(
            SYS_epoll_pwait,
            list,
            events.as_mut_ptr(),
            1,
            -1,
            &raw const open,
            SET
        ),
    );
    say("epoll_pwait", "the mask after that", is_blocked(USR1));
    close(list);
    close(reader);
    close(writer);
    unblock(USR1);
}

fn counters() {
    let fd = sys!(SYS_eventfd2, 3, EFD_NONBLOCK).expect("a counter");
    count("eventfd2", "its first value", fd);
    count("eventfd2", "nothing", fd);
    check("eventfd2", "adds", write(fd, &5_u64.to_le_bytes()));
    check("eventfd2", "adds more", write(fd, &7_u64.to_le_bytes()));
    check("eventfd2", "a short write", write(fd, &[0; 7]));
    check(
        "eventfd2",
        "the value that means none",
        write(fd, &[255; 8]),
    );
    check("eventfd2", "a short read", read(fd, 7).map(|_| 0));
    let [sum] = [read(fd, 8).map(|bytes| bytes.len() as i64)];
    check("eventfd2", "takes all", sum);
    check(
        "eventfd2",
        "up to the largest value",
        write(fd, &(u64::MAX - 1).to_le_bytes()),
    );
    check("eventfd2", "nothing more", write(fd, &0_u64.to_le_bytes()));
    check("eventfd2", "one more", write(fd, &1_u64.to_le_bytes()));
    poll("a full counter", &[(fd, POLLIN | POLLOUT)], 0);
    count("eventfd2", "the largest value", fd);
    poll("an empty counter", &[(fd, POLLIN | POLLOUT)], 0);
    check("lseek", "a counter", sys!(SYS_lseek, fd, 0, 0));
    check("pread64", "a counter", sys!(SYS_pread64, fd, BAD, 8, 0));
    check("fsync", "a counter", sys!(SYS_fsync, fd));
    check("ftruncate", "a counter", sys!(SYS_ftruncate, fd, 0));
    check("read", "a counter to a bad address", {
        write(fd, &1_u64.to_le_bytes()).expect("there is room");
        sys!(SYS_read, fd, BAD, 8)
    });
    close(fd);
    let fd = sys!(SYS_eventfd2, 2, EFD_SEMAPHORE | EFD_NONBLOCK).expect("a semaphore");
    for case in ["one", "another one", "none"] {
        count("eventfd2", &format!("of a semaphore {case}"), fd);
    }
    close(fd);
    check("eventfd2", "unknown flags", sys!(SYS_eventfd2, 0, 2));
    let old = works("eventfd", "the old call", sys!(SYS_eventfd, 0));
    old.into_iter().for_each(close);
    let fd = sys!(SYS_eventfd2, 0, EFD_CLOEXEC).expect("a counter");
    check(
        "fcntl",
        "a counter's FD_CLOEXEC",
        sys!(SYS_fcntl, fd, libc::F_GETFD),
    );
    check(
        "fcntl",
        "a counter's flags",
        sys!(SYS_fcntl, fd, libc::F_GETFL),
    );
    close(fd);
    check("read", "eight bytes over the end of a page", {
        let fd = sys!(SYS_eventfd2, 1, 0).expect("a counter");
        let pages = sys!(SYS_mmap, 0, 8192, 3, 0x22, -1, 0).expect("two pages");
        let answer = sys!(SYS_read, fd, pages + 4092, 8);
        sys!(SYS_munmap, pages, 8192).expect("they were mapped");
        close(fd);
        answer
    });
}

fn timers() {
    let monotonic = libc::CLOCK_MONOTONIC;
    let timer = |flags: i32| sys!(SYS_timerfd_create, monotonic, flags).expect("a timer");
    let set = |fd: i64, flags: i32, spec: [i64; 4]| {
        sys!(
            SYS_timerfd_settime,
            fd,
            flags,
            spec.as_ptr(),
            std::ptr::null::<u8>()
        )
    };
    let fd = timer(TFD_NONBLOCK);
    count("timerfd_create", "one that is off", fd);
    poll("a timer that is off", &[(fd, POLLIN | POLLOUT)], 0);
    check(
        "timerfd_settime",
        "in a millisecond",
        set(fd, 0, [0, 0, 0, 1_000_000]),
    );
    poll("a timer", &[(fd, POLLIN)], -1);
    count("timerfd_settime", "has expired", fd);
    count("timerfd_settime", "only once", fd);
    check(
        "timerfd_settime",
        "long ago",
        set(fd, TFD_TIMER_ABSTIME, [0, 0, 0, 1]),
    );
    count("timerfd_settime", "has expired at once", fd);
    check(
        "timerfd_settime",
        "in an hour",
        set(fd, 0, [60, 0, 3600, 0]),
    );
    let mut spec = [0_i64; 4];
    check(
        "timerfd_gettime",
        "an hour",
        sys!(SYS_timerfd_gettime, fd, spec.as_mut_ptr()),
    );
    say(
        "timerfd_gettime",
        "what it says",
        format!(
            "{} {} {}",
            spec[0],
            spec[1],
            (3590..=3600).contains(&spec[2])
        ),
    );
    let mut old = [0_i64; 4];
    let off = [0_i64; 4];
    check(
        "timerfd_settime",
        "off, and what was",
        sys!(SYS_timerfd_settime, fd, 0, off.as_ptr(), old.as_mut_ptr()),
    );
    say(
        "timerfd_settime",
        "what was",
        format!("{} {}", old[0], (3590..=3600).contains(&old[2])),
    );
    check(
        "timerfd_gettime",
        "off",
        sys!(SYS_timerfd_gettime, fd, spec.as_mut_ptr()),
    );
    say(
        "timerfd_gettime",
        "what it says when off",
        format!("{spec:?}"),
    );
    for (case, spec) in [
        ("negative seconds", [0, 0, -1, 0]),
        ("too many nanoseconds", [0, 0, 0, 1_000_000_000]),
        ("a bad interval", [0, -1, 1, 0]),
    ] {
        check("timerfd_settime", case, set(fd, 0, spec));
    }
    check("timerfd_settime", "unknown flags", set(fd, 8, [0; 4]));
    check(
        "timerfd_settime",
        "a bad address",
        sys!(SYS_timerfd_settime, fd, 0, BAD, BAD),
    );
    check("write", "a timer", write(fd, &[0; 8]));
    check("read", "a timer, too short", read(fd, 4).map(|_| 0));
    close(fd);
    check(
        "timerfd_create",
        "an unknown clock",
        sys!(SYS_timerfd_create, 99, 0),
    );
    check(
        "timerfd_create",
        "the processor's time",
        sys!(SYS_timerfd_create, libc::CLOCK_PROCESS_CPUTIME_ID, 0),
    );
    check(
        "timerfd_create",
        "unknown flags",
        sys!(SYS_timerfd_create, monotonic, 1),
    );
    for clock in [libc::CLOCK_REALTIME, libc::CLOCK_BOOTTIME] {
        let fd = sys!(SYS_timerfd_create, clock, TFD_CLOEXEC);
        let case = format!("clock {clock}");
        if let Ok(fd) = works("timerfd_create", &case, fd) {
            set(fd, TFD_TIMER_ABSTIME, [0, 0, 1, 0]).expect("it is long ago");
            count("timerfd_create", &format!("{case} has expired"), fd);
            close(fd);
        }
    }
    let fd = sys!(SYS_eventfd2, 0, 0).expect("a counter");
    check("timerfd_settime", "a counter", set(fd, 0, [0; 4]));
    check(
        "timerfd_gettime",
        "a counter",
        sys!(SYS_timerfd_gettime, fd, spec.as_mut_ptr()),
    );
    close(fd);
    check(
        "timerfd_gettime",
        "not open",
        sys!(SYS_timerfd_gettime, 999, spec.as_mut_ptr()),
    );
}

fn signals() {
    block(USR1 | USR2);
    let set = USR1;
    let fd = sys!(SYS_signalfd4, -1, &raw const set, SET, SFD_NONBLOCK).expect("a signal file");
    check("signalfd4", "nothing", read(fd, 128).map(|_| 0));
    poll(
        "a signal file without signals",
        &[(fd, POLLIN | POLLOUT)],
        0,
    );
    raise(libc::SIGUSR2);
    check("signalfd4", "another signal", read(fd, 128).map(|_| 0));
    raise(libc::SIGUSR1);
    poll("a signal file with a signal", &[(fd, POLLIN)], -1);
    check("signalfd4", "a short read", read(fd, 127).map(|_| 0));
    let number =
        |bytes: Vec<u8>| i64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    check("signalfd4", "the signal", read(fd, 128).map(number));
    check("signalfd4", "is gone", read(fd, 128).map(number));
    let both = USR1 | USR2;
    check(
        "signalfd4",
        "changed",
        sys!(SYS_signalfd4, fd, &raw const both, SET, 0).map(|new| new - fd),
    );
    raise(libc::SIGUSR1);
    check(
        "signalfd4",
        "two at once",
        read(fd, 400).map(|bytes| bytes.len() as i64),
    );
    check("write", "a signal file", write(fd, &[0; 128]));
    close(fd);
    check(
        "signalfd4",
        "a set of another size",
        sys!(SYS_signalfd4, -1, &raw const set, 4, 0),
    );
    check(
        "signalfd4",
        "a set at a bad address",
        sys!(SYS_signalfd4, -1, BAD, SET, 0),
    );
    check(
        "signalfd4",
        "unknown flags",
        sys!(SYS_signalfd4, -1, &raw const set, SET, 1),
    );
    check(
        "signalfd4",
        "not open",
        sys!(SYS_signalfd4, 999, &raw const set, SET, 0),
    );
    let fd = sys!(SYS_eventfd2, 0, 0).expect("a counter");
    check(
        "signalfd4",
        "a counter",
        sys!(SYS_signalfd4, fd, &raw const set, SET, 0),
    );
    close(fd);
    // One that is ignored by default waits while it is blocked.
    let child = 1_u64 << (libc::SIGCHLD - 1);
    block(child);
    let fd = sys!(SYS_signalfd4, -1, &raw const child, SET, SFD_NONBLOCK).expect("a signal file");
    raise(libc::SIGCHLD);
    check(
        "signalfd4",
        "one that is ignored by default",
        read(fd, 128).map(number),
    );
    close(fd);
    unblock(child | USR1 | USR2);
}

fn control(list: i64, operation: i32, fd: i64, events: u32, data: u64) -> Answer {
    let mut event = events.to_le_bytes().to_vec();
    event.extend(data.to_le_bytes());
    sys!(SYS_epoll_ctl, list, operation, fd, event.as_ptr())
}

fn add(list: i64, fd: i64, events: u32, data: u64) -> Answer {
    control(list, EPOLL_CTL_ADD, fd, events, data)
}

/// Says what a list tells: events and data of each file.
fn told(case: &str, list: i64, most: i32, timeout: i32) {
    let mut bytes = vec![0_u8; 12 * most as usize];
    match sys!(SYS_epoll_wait, list, bytes.as_mut_ptr(), most, timeout) {
        Ok(count) => {
            let mut found: Vec<String> = bytes[..12 * count as usize]
                .chunks_exact(12)
                .map(|event| {
                    let events = u32::from_le_bytes(event[..4].try_into().expect("four bytes"));
                    let data = u64::from_le_bytes(event[4..].try_into().expect("eight bytes"));
                    format!("{data}={events:#x}")
                })
                .collect();
            found.sort();
            say("epoll_wait", case, format!("{count}: {}", found.join(" ")));
        }
        Err(errno) => check("epoll_wait", case, Err(errno)),
    }
}

fn lists() {
    let (input, output) = (EPOLLIN as u32, EPOLLOUT as u32);
    let list = sys!(SYS_epoll_create1, EPOLL_CLOEXEC).expect("a list");
    told("an empty list", list, 4, 0);
    told("an empty list, after a while", list, 4, 2);
    let [reader, writer] = pipe();
    check("epoll_ctl", "adds", add(list, reader, input, 7));
    check(
        "epoll_ctl",
        "adds another",
        add(list, writer, input | output, u64::MAX),
    );
    told("room", list, 4, -1);
    write(writer, b"xy").expect("there is room");
    told("bytes and room", list, 4, -1);
    told("still", list, 4, -1);
    check(
        "epoll_ctl",
        "changes",
        control(list, EPOLL_CTL_MOD, writer, 0, 8),
    );
    told("bytes alone", list, 4, -1);
    poll(
        "a list with something to tell",
        &[(list, POLLIN | POLLOUT)],
        -1,
    );
    check(
        "epoll_ctl",
        "takes out",
        control(list, EPOLL_CTL_DEL, reader, 0, 0),
    );
    told("nothing any more", list, 4, 0);
    poll(
        "a list with nothing to tell",
        &[(list, POLLIN | POLLOUT)],
        0,
    );
    check("epoll_ctl", "adds again", add(list, reader, input, 9));
    told("as before", list, 4, 0);
    close(writer);
    told("a pipe without a writer", list, 4, 0);
    let _ = (EPOLLERR, EPOLLHUP);
    close(reader);
    told("what was closed is gone", list, 4, 0);
    let counters: Vec<i64> = (0..5)
        .map(|value| sys!(SYS_eventfd2, value, 0).expect("a counter"))
        .collect();
    for (nth, &fd) in counters.iter().enumerate() {
        add(list, fd, input, nth as u64).expect("it is new");
    }
    told("several", list, 8, 0);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let mut event = [0_u8; 12];
        sys!(SYS_epoll_wait, list, event.as_mut_ptr(), 1, 0).expect("something");
        seen.insert(event[4]);
    }
    say(
        "epoll_wait",
        "one at a time, each has its turn",
        format!("{seen:?}"),
    );
    let again = sys!(SYS_dup, counters[1]).expect("another number");
    check(
        "epoll_ctl",
        "the same file by another number",
        add(list, again, input, 50),
    );
    close(again);
    counters.into_iter().for_each(close);
    let timer = sys!(SYS_timerfd_create, libc::CLOCK_MONOTONIC, 0).expect("a timer");
    add(list, timer, input, 77).expect("it is new");
    let spec = [0_i64, 0, 0, 2_000_000];
    sys!(
        SYS_timerfd_settime,
        timer,
        0,
        spec.as_ptr(),
        std::ptr::null::<u8>()
    )
    .expect("it is set");
    close(list);
    let list = sys!(SYS_epoll_create1, 0).expect("a list");
    add(list, timer, input, 78).expect("it is new");
    told("a timer", list, 4, -1);
    let time = [0_i64, 1_000_000];
    let mut event = [0_u8; 12];
    check(
        "epoll_pwait2",
        "a timer",
        sys!(
            SYS_epoll_pwait2,
            list,
            event.as_mut_ptr(),
            1,
            time.as_ptr(),
            std::ptr::null::<u8>(),
            SET
        ),
    );
    close(timer);
    check(
        "epoll_pwait2",
        "no time left",
        sys!(
            SYS_epoll_pwait2,
            list,
            event.as_mut_ptr(),
            1,
            time.as_ptr(),
            std::ptr::null::<u8>(),
            SET
        ),
    );
    close(list);
}

fn list_edges() {
    let input = EPOLLIN as u32;
    let edge = EPOLLET as u32;
    let list = sys!(SYS_epoll_create1, 0).expect("a list");
    let [reader, writer] = pipe();
    write(writer, b"x").expect("there is room");
    add(list, reader, input | edge, 1).expect("it is new");
    told("an edge that was there", list, 4, 0);
    told("an edge is told once", list, 4, 0);
    write(writer, b"y").expect("there is room");
    told("another edge", list, 4, 0);
    told("is told once, too", list, 4, 0);
    read(reader, 8).expect("bytes");
    told("no edge by reading", list, 4, 0);
    write(writer, b"z").expect("there is room");
    read(reader, 8).expect("bytes");
    told("an edge that is over", list, 4, 0);
    write(writer, b"z").expect("there is room");
    told("an edge after that", list, 4, 0);
    control(list, EPOLL_CTL_MOD, reader, input | edge, 2).expect("it is there");
    told("a changed one is told again", list, 4, 0);
    told("but once", list, 4, 0);
    let once = EPOLLONESHOT as u32;
    control(list, EPOLL_CTL_MOD, reader, input | once, 3).expect("it is there");
    told("one shot", list, 4, 0);
    told("is over", list, 4, 0);
    write(writer, b"z").expect("there is room");
    told("for ever", list, 4, 0);
    control(list, EPOLL_CTL_MOD, reader, input | once, 4).expect("it is there");
    told("until it is loaded again", list, 4, 0);
    close(writer);
    told("a spent shot tells no end either", list, 4, 0);
    close(reader);
    let fd = sys!(SYS_eventfd2, 0, EFD_NONBLOCK).expect("a counter");
    add(list, fd, input | edge, 5).expect("it is new");
    told("a counter at nothing", list, 4, 0);
    write(fd, &1_u64.to_le_bytes()).expect("there is room");
    told("a counter's edge", list, 4, 0);
    write(fd, &1_u64.to_le_bytes()).expect("there is room");
    told("and its next", list, 4, 0);
    told("and no more", list, 4, 0);
    close(fd);
    close(list);
}

fn list_errors() {
    let input = EPOLLIN as u32;
    check("epoll_create", "no size", sys!(SYS_epoll_create, 0));
    let old = works("epoll_create", "the old call", sys!(SYS_epoll_create, 1));
    old.into_iter().for_each(close);
    check("epoll_create1", "unknown flags", sys!(SYS_epoll_create1, 1));
    let list = sys!(SYS_epoll_create1, 0).expect("a list");
    let [reader, writer] = pipe();
    check("epoll_ctl", "itself", add(list, list, input, 0));
    check("epoll_ctl", "not a list", add(reader, writer, input, 0));
    check(
        "epoll_ctl",
        "a list that is not open",
        add(999, reader, input, 0),
    );
    check(
        "epoll_ctl",
        "a file that is not open",
        add(list, 999, input, 0),
    );
    check(
        "epoll_ctl",
        "takes out what is not there",
        control(list, EPOLL_CTL_DEL, reader, 0, 0),
    );
    check(
        "epoll_ctl",
        "changes what is not there",
        control(list, EPOLL_CTL_MOD, reader, input, 0),
    );
    add(list, reader, input, 0).expect("it is new");
    check(
        "epoll_ctl",
        "what is there already",
        add(list, reader, input, 0),
    );
    check(
        "epoll_ctl",
        "an unknown operation",
        control(list, 9, reader, input, 0),
    );
    check(
        "epoll_ctl",
        "an event at a bad address",
        sys!(SYS_epoll_ctl, list, EPOLL_CTL_MOD, reader, BAD),
    );
    check(
        "epoll_ctl",
        "takes out without an event",
        sys!(
            SYS_epoll_ctl,
            list,
            EPOLL_CTL_DEL,
            reader,
            std::ptr::null::<u8>()
        ),
    );
    let file = sys!(
        SYS_openat,
        libc::AT_FDCWD,
        c"listed",
        libc::O_CREAT | libc::O_RDWR,
        0o644
    )
    .expect("a file");
    check("epoll_ctl", "a file", add(list, file, input, 0));
    close(file);
    let folder = sys!(SYS_openat, libc::AT_FDCWD, c".", libc::O_RDONLY).expect("a folder");
    check("epoll_ctl", "a directory", add(list, folder, input, 0));
    close(folder);
    let mut event = [0_u8; 12];
    for (case, most) in [
        ("room for none", 0),
        ("room for less than none", -1),
        ("too much room", i32::MAX),
    ] {
        check(
            "epoll_wait",
            case,
            sys!(SYS_epoll_wait, list, event.as_mut_ptr(), most, 0),
        );
    }
    check(
        "epoll_wait",
        "not a list",
        sys!(SYS_epoll_wait, reader, event.as_mut_ptr(), 1, 0),
    );
    check(
        "epoll_wait",
        "not open",
        sys!(SYS_epoll_wait, 999, event.as_mut_ptr(), 1, 0),
    );
    check("epoll_pwait", "a mask of another size", {
        let set = 0_u64;
        sys!(
            SYS_epoll_pwait,
            list,
            event.as_mut_ptr(),
            1,
            0,
            &raw const set,
            4
        )
    });
    check("read", "a list", read(list, 8).map(|_| 0));
    check("write", "a list", write(list, &[0; 8]));
    check("lseek", "a list", sys!(SYS_lseek, list, 0, 0));
    close(reader);
    close(writer);
    close(list);
}
