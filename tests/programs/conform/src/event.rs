//! Events as descriptors: eventfd, timerfd, signalfd.

use crate::check::{BAD, CLOSED, check, say, sys, works};
use crate::handle::{close, read, write};
use crate::mask::{SET, USR1, USR2, block, raise, unblock};
use crate::poll::poll;
use libc::{
    EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, POLLIN, POLLOUT, SFD_NONBLOCK, TFD_CLOEXEC,
    TFD_NONBLOCK, TFD_TIMER_ABSTIME,
};

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
    counters();
    timers();
    signals();
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
        sys!(SYS_timerfd_create, CLOSED, 0),
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
