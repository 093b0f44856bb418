//! Named pipes: opened, waited for, read, written, polled.

use crate::check::{check, say, sys, works};
use crate::child::{child, reap, status_of};
use crate::handle::{close, open, opened, read, write};
use crate::mask::{interrupt_by, interrupted};
use libc::{O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, POLLIN, POLLOUT, S_IFIFO};
use std::time::Duration;

pub(crate) fn run() {
    sys!(SYS_mknod, c"fifo", S_IFIFO | 0o644, 0).expect("new");
    without_waiting();
    polled();
    waiting();
    given_up();
    by_others();
}

fn tried(case: &str, flags: i32) {
    if let Ok(fd) = works("openat a fifo", case, open(c"fifo", flags)) {
        close(fd);
    }
}

fn text(call: &str, case: &str, fd: i64) {
    let bytes = read(fd, 16).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    say(call, case, format!("{bytes:?}"));
}

fn without_waiting() {
    let mut bytes = [0_u8; 4];
    tried("a reader alone", O_RDONLY | O_NONBLOCK);
    tried("a writer alone", O_WRONLY | O_NONBLOCK);
    tried("a bad access mode", 3 | O_NONBLOCK);
    tried("a path only", O_PATH);
    let reader = opened(c"fifo", O_RDONLY | O_NONBLOCK);
    text("read a fifo", "nobody writes", reader);
    let writer = opened(c"fifo", O_WRONLY | O_NONBLOCK);
    text("read a fifo", "nothing yet", reader);
    check("write a fifo", "some bytes", write(writer, b"some"));
    text("read a fifo", "some bytes", reader);
    tried("a second writer, cutting", O_WRONLY | O_TRUNC);
    check("lseek", "a fifo", sys!(SYS_lseek, reader, 0, 0));
    check(
        "pread64",
        "a fifo",
        sys!(SYS_pread64, reader, bytes.as_mut_ptr(), 4, 0),
    );
    check("fsync", "a fifo", sys!(SYS_fsync, writer));
    check("ftruncate", "a fifo", sys!(SYS_ftruncate, writer, 0));
    check(
        "read a fifo",
        "its writing end",
        sys!(SYS_read, writer, bytes.as_mut_ptr(), 4),
    );
    check("write a fifo", "its reading end", write(reader, b"x"));
    write(writer, b"last").expect("it has room");
    close(writer);
    text("read a fifo", "what a writer left", reader);
    text("read a fifo", "nothing and nobody", reader);
    let writer = opened(c"fifo", O_WRONLY);
    check("write a fifo", "a new writer", write(writer, b"more"));
    text("read a fifo", "a new writer's bytes", reader);
    close(reader);
    sys!(SYS_rt_sigaction, 13, IGNORING.as_ptr(), 0, 8).expect("it is ignored");
    check("write a fifo", "nobody reads", write(writer, b"x"));
    close(writer);
    let reader = opened(c"fifo", O_RDONLY | O_NONBLOCK);
    let writer = opened(c"fifo", O_WRONLY);
    check(
        "write a fifo",
        "for the next reader",
        write(writer, b"kept"),
    );
    close(reader);
    check(
        "write a fifo",
        "between two readers",
        write(writer, b"lost"),
    );
    let reader = opened(c"fifo", O_RDONLY | O_NONBLOCK);
    text("read a fifo", "what the reader before left", reader);
    close(reader);
    close(writer);
    let both = opened(c"fifo", O_RDWR);
    check("write a fifo", "both ends in one", write(both, b"self"));
    text("read a fifo", "both ends in one", both);
    tried("a reader beside both", O_RDONLY);
    tried("a writer beside both", O_WRONLY);
    close(both);
    let both = opened(c"fifo", O_RDWR | O_NONBLOCK);
    text("read a fifo", "what was left is gone", both);
    close(both);
}

/// `struct sigaction` of a signal that is ignored.
const IGNORING: [u64; 4] = [1, 0, 0, 0];

fn ready(fd: i64) -> String {
    let mut asked = libc::pollfd {
        fd: fd as i32,
        events: POLLIN | POLLOUT,
        revents: 0,
    };
    let count = sys!(SYS_poll, &raw mut asked, 1, 0);
    format!("{count:?} {:#x}", asked.revents)
}

fn polled() {
    let reader = opened(c"fifo", O_RDONLY | O_NONBLOCK);
    say("poll a fifo", "before any writer", ready(reader));
    let writer = opened(c"fifo", O_WRONLY);
    say("poll a fifo", "a writer, no bytes", ready(reader));
    say("poll a fifo", "the writer", ready(writer));
    write(writer, b"x").expect("it has room");
    say("poll a fifo", "a byte", ready(reader));
    close(writer);
    say("poll a fifo", "a byte, no writer", ready(reader));
    text("read a fifo", "a byte", reader);
    say("poll a fifo", "no writer any more", ready(reader));
    let again = opened(c"fifo", O_RDONLY | O_NONBLOCK);
    say(
        "poll a fifo",
        "a new reader before any writer",
        ready(again),
    );
    let writer = opened(c"fifo", O_WRONLY);
    close(reader);
    close(again);
    say("poll a fifo", "the writer without readers", ready(writer));
    close(writer);
    let both = opened(c"fifo", O_RDWR);
    say("poll a fifo", "both ends", ready(both));
    write(both, b"x").expect("it has room");
    say("poll a fifo", "both ends and a byte", ready(both));
    close(both);
}

fn waiting() {
    let pid = child(|| {
        std::thread::sleep(Duration::from_millis(20));
        let writer = opened(c"fifo", O_WRONLY);
        write(writer, b"late").expect("it has room");
        0
    });
    let reader = works(
        "openat a fifo",
        "until somebody writes",
        open(c"fifo", O_RDONLY),
    );
    let reader = reader.expect("it was opened");
    text("read a fifo", "until there is something", reader);
    text("read a fifo", "until the writer is gone", reader);
    close(reader);
    assert_eq!(status_of(pid), 0);
    let pid = child(|| {
        std::thread::sleep(Duration::from_millis(20));
        let reader = opened(c"fifo", O_RDONLY);
        i32::from(read(reader, 16) != Ok(b"early".to_vec()))
    });
    let writer = works(
        "openat a fifo",
        "until somebody reads",
        open(c"fifo", O_WRONLY),
    );
    let writer = writer.expect("it was opened");
    write(writer, b"early").expect("it has room");
    close(writer);
    say("read a fifo", "by a child that was late", reap(pid));
    // A writer that was there and is gone again still was there.
    let pid = child(|| {
        std::thread::sleep(Duration::from_millis(20));
        close(opened(c"fifo", O_WRONLY));
        0
    });
    let reader = works(
        "openat a fifo",
        "until somebody was there",
        open(c"fifo", O_RDONLY),
    );
    text(
        "read a fifo",
        "somebody who wrote nothing",
        reader.expect("it was opened"),
    );
    close(reader.expect("it was opened"));
    assert_eq!(status_of(pid), 0);
}

fn given_up() {
    interrupt_by(libc::SIGALRM);
    for (case, flags) in [
        ("a reader, interrupted", O_RDONLY),
        ("a writer, interrupted", O_WRONLY),
    ] {
        interrupted("openat a fifo", case, || open(c"fifo", flags));
    }
    tried("an interrupted reader is none", O_WRONLY | O_NONBLOCK);
    let pid = child(|| {
        let _ = open(c"fifo", O_RDONLY);
        0
    });
    let mut writer = open(c"fifo", O_WRONLY | O_NONBLOCK);
    while writer.is_err() {
        let _ = sys!(SYS_sched_yield);
        writer = open(c"fifo", O_WRONLY | O_NONBLOCK);
    }
    say("openat a fifo", "a child that waits is let in", reap(pid));
    close(writer.expect("it was opened"));
    let pid = child(|| {
        let _ = open(c"fifo", O_RDONLY);
        0
    });
    std::thread::sleep(Duration::from_millis(20));
    sys!(SYS_kill, pid, libc::SIGKILL).expect("it waits");
    say(
        "openat a fifo",
        "a child that waits can be killed",
        reap(pid),
    );
    tried("a killed reader is none", O_WRONLY | O_NONBLOCK);
}

fn by_others() {
    sys!(SYS_mknod, c"secret", S_IFIFO | 0o200, 0).expect("new");
    sys!(SYS_unlink, c"fifo").expect("it is there");
    tried("one that was removed", O_RDONLY | O_NONBLOCK);
    sys!(SYS_mknod, c"fifo", S_IFIFO | 0o644, 0).expect("new");
    let reader = opened(c"fifo", O_RDONLY | O_NONBLOCK);
    sys!(SYS_link, c"fifo", c"second").expect("new");
    sys!(SYS_unlink, c"fifo").expect("it is there");
    let writer = works(
        "openat a fifo",
        "by its other name",
        open(c"second", O_WRONLY | O_NONBLOCK),
    );
    write(writer.expect("it was opened"), b"same").expect("it has room");
    text("read a fifo", "one pipe by two names", reader);
    sys!(SYS_mknod, c"fifo", S_IFIFO | 0o644, 0).expect("new");
    tried("a new one of the same name", O_WRONLY | O_NONBLOCK);
}
