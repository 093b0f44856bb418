//! Owners of open files: who they are, and the signal that tells them of something to read.

use crate::check::{Answer, BAD, CLOSED, check, say, sys};
use crate::child::apart;
use crate::mask::block;
use libc::{
    AF_UNIX, F_GETFL, F_GETOWN, F_SETFL, F_SETOWN, FIOASYNC, O_ASYNC, O_CREAT, O_NONBLOCK, O_PATH,
    O_RDWR, SIGIO, SOCK_DGRAM, SOCK_STREAM,
};

const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;
const F_SETOWN_EX: i32 = 15;
const F_GETOWN_EX: i32 = 16;
/// `F_OWNER_TID`, `F_OWNER_PID`, `F_OWNER_PGRP`.
const TASK: i32 = 0;
const PROCESS: i32 = 1;
const GROUP: i32 = 2;
/// A real-time signal no C library uses.
const REAL_TIME: i32 = 40;
/// A number no process has.
const NOBODY: i32 = i32::MAX;

pub(crate) fn run() {
    // Nobody takes what the parts leave behind.
    for part in [owners, flags, told, told_more, untold] {
        apart(|| {
            block(1 << (SIGIO - 1) | 1 << (REAL_TIME - 1));
            part();
        });
    }
}

fn fcntl(fd: i32, command: i32, argument: i64) -> Answer {
    sys!(SYS_fcntl, fd, command, argument)
}

fn set(fd: i32, command: i32, argument: i64) {
    fcntl(fd, command, argument).expect("it can be set");
}

fn own() -> i32 {
    sys!(SYS_getpid).expect("one") as i32
}

fn pipe() -> [i32; 2] {
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    pipe
}

fn pair(kind: i32) -> [i32; 2] {
    let mut pair = [0; 2];
    sys!(SYS_socketpair, AF_UNIX, kind, 0, pair.as_mut_ptr()).expect("a pair");
    pair
}

fn close(fd: i32) {
    sys!(SYS_close, fd).expect("open");
}

fn write(fd: i32) {
    sys!(SYS_write, fd, b"x".as_ptr(), 1).expect("room");
}

fn read(fd: i32) {
    let mut byte = [0_u8];
    sys!(SYS_read, fd, byte.as_mut_ptr(), 1).expect("there");
}

/// Takes one of both signals that waits, or comes within so many seconds; tells code, band and descriptor.
fn take(seconds: u64) -> (Answer, [u32; 3], u32) {
    let signals = 1_u64 << (SIGIO - 1) | 1 << (REAL_TIME - 1);
    let (time, mut info) = ([seconds, 0], [0_u32; 32]);
    let answer = sys!(
        SYS_rt_sigtimedwait,
        &raw const signals,
        info.as_mut_ptr(),
        time.as_ptr(),
        8
    );
    (answer, [info[2], info[4], info[5]], info[6])
}

fn comes(case: &str, fd: i32) {
    let (answer, [code, band, upper], by) = take(10);
    check("rt_sigtimedwait", case, answer);
    let told = if answer == Ok(SIGIO.into()) {
        format!("{}", code as i32)
    } else {
        format!("{} {band:#x} {upper} {}", code as i32, by as i32 == fd)
    };
    say("siginfo", case, told);
}

fn does_not_come(case: &str) {
    // Whoever is late would be here by then.
    sys!(SYS_sched_yield).expect("it always works");
    check("rt_sigtimedwait", case, take(0).0);
}

fn owners() {
    let [reader, writer] = pipe();
    let own = own();
    let is_own = |answer: Answer| answer.map(|found| i64::from(found == i64::from(own)));
    let owner = |case: &str| check("fcntl", case, is_own(fcntl(reader, F_GETOWN, 0)));
    let tried = |case: &str, command: i32, argument: i64| {
        check("fcntl", case, fcntl(reader, command, argument));
    };
    tried("the owner at first", F_GETOWN, 0);
    tried("an owner", F_SETOWN, own.into());
    owner("the owner that was set");
    let other = fcntl(writer, F_GETOWN, 0);
    check("fcntl", "the owner of the other end", other);
    let copy = sys!(SYS_dup, reader).expect("room") as i32;
    let copied = is_own(fcntl(copy, F_GETOWN, 0));
    check("fcntl", "the owner through another descriptor", copied);
    tried("an owner there is not", F_SETOWN, NOBODY.into());
    tried("a group there is not", F_SETOWN, (-NOBODY).into());
    tried("an owner without a sign", F_SETOWN, i32::MIN.into());
    owner("the owner after all that");
    tried("no owner", F_SETOWN, 0);
    tried("the owner after none", F_GETOWN, 0);
    let group = sys!(SYS_getpgrp).expect("one") as i32;
    let extended = |case: &str, kind: i32, number: i32| {
        let wanted = [kind, number];
        check(
            "fcntl",
            case,
            fcntl(reader, F_SETOWN_EX, wanted.as_ptr() as i64),
        );
        let mut found = [9; 2];
        let answer = fcntl(reader, F_GETOWN_EX, found.as_mut_ptr() as i64);
        check("fcntl", &format!("{case}, told"), answer);
        say(
            "owner",
            case,
            format!("{} {}", found[0], found[1] == number),
        );
    };
    extended("a task", TASK, sys!(SYS_gettid).expect("one") as i32);
    extended("a process", PROCESS, own);
    extended("a group", GROUP, group);
    extended("a kind there is not", 3, own);
    extended("a process there is not", PROCESS, NOBODY);
    extended("a negative process", PROCESS, -own);
    tried("a group by its negative number", F_SETOWN, (-group).into());
    let mut found = [9; 2];
    fcntl(reader, F_GETOWN_EX, found.as_mut_ptr() as i64).expect("told");
    say(
        "owner",
        "a group by its negative number",
        format!("{} {}", found[0], found[1] == group),
    );
    tried("an owner at a bad address", F_SETOWN_EX, BAD as i64);
    tried("an owner to a bad address", F_GETOWN_EX, BAD as i64);
    tried("the signal at first", F_GETSIG, 0);
    for signal in [1, REAL_TIME, 64, 65, 0, -1] {
        tried(&format!("signal {signal}"), F_SETSIG, signal.into());
        tried(&format!("the signal after {signal}"), F_GETSIG, 0);
    }
    check(
        "fcntl",
        "an owner of nothing",
        fcntl(CLOSED as i32, F_SETOWN, 0),
    );
    let path = sys!(SYS_open, c".", O_PATH).expect("it is there") as i32;
    check("fcntl", "an owner of a path", fcntl(path, F_SETOWN, 0));
    check("fcntl", "the owner of a path", fcntl(path, F_GETOWN, 0));
    let file = sys!(SYS_open, c"file", O_RDWR | O_CREAT, 0o600).expect("new") as i32;
    check(
        "fcntl",
        "an owner of a file",
        fcntl(file, F_SETOWN, own.into()),
    );
    check(
        "fcntl",
        "the owner of a file",
        is_own(fcntl(file, F_GETOWN, 0)),
    );
    for fd in [reader, writer, copy, path, file] {
        close(fd);
    }
}

fn flags() {
    let file = sys!(SYS_open, c"file", O_RDWR | O_CREAT, 0o600).expect("new") as i32;
    let null = sys!(SYS_open, c"/dev/null", O_RDWR).expect("there") as i32;
    let event = sys!(SYS_eventfd2, 0, 0).expect("room") as i32;
    let list = sys!(SYS_epoll_create1, 0).expect("room") as i32;
    let [reader, writer] = pipe();
    let [left, right] = pair(SOCK_STREAM);
    for (case, fd) in [
        ("a file", file),
        ("/dev/null", null),
        ("an event", event),
        ("a list", list),
        ("a pipe's reader", reader),
        ("a pipe's writer", writer),
        ("a socket", left),
    ] {
        let is_kept = |when: &str| {
            let kept = fcntl(fd, F_GETFL, 0).map(|flags| flags & i64::from(O_ASYNC));
            check("fcntl", &format!("{case}: O_ASYNC {when}"), kept);
        };
        let ask = |when: &str, on: i32| {
            let answer = sys!(SYS_ioctl, fd, FIOASYNC, &raw const on);
            check("ioctl", &format!("{case}: FIOASYNC {when}"), answer);
            is_kept(&format!("after FIOASYNC {when}"));
        };
        let asked = fcntl(fd, F_SETFL, (O_ASYNC | O_NONBLOCK).into());
        check("fcntl", &format!("{case}: F_SETFL"), asked);
        is_kept("after F_SETFL");
        let asked = fcntl(fd, F_SETFL, O_NONBLOCK.into());
        check("fcntl", &format!("{case}: F_SETFL without"), asked);
        is_kept("after F_SETFL without");
        ask("off already", 0);
        ask("on", 1);
        ask("on already", 7);
        ask("off", 0);
    }
    let bad = sys!(SYS_ioctl, left, FIOASYNC, BAD);
    check("ioctl", "FIOASYNC at a bad address", bad);
    for fd in [file, null, event, list, reader, writer, left, right] {
        close(fd);
    }
}

/// Every way to be told of one thing.
fn told() {
    let ends = [
        ("a pipe", pipe()),
        ("a stream", pair(SOCK_STREAM)),
        ("datagrams", pair(SOCK_DGRAM)),
    ];
    for (case, [reader, writer]) in ends {
        set(reader, F_SETOWN, own().into());
        write(writer);
        does_not_come(&format!("{case}: before it is asked for"));
        read(reader);
        set(reader, F_SETFL, O_ASYNC.into());
        does_not_come(&format!("{case}: nothing to read"));
        write(writer);
        comes(&format!("{case}: something to read"), reader);
        does_not_come(&format!("{case}: once"));
        read(reader);
        write(writer);
        comes(&format!("{case}: more to read"), reader);
        set(reader, F_SETSIG, REAL_TIME.into());
        read(reader);
        write(writer);
        comes(&format!("{case}: by a signal of its own"), reader);
        set(reader, F_SETSIG, SIGIO.into());
        read(reader);
        write(writer);
        comes(&format!("{case}: by SIGIO of its own"), reader);
        read(reader);
        set(reader, F_SETFL, 0);
        write(writer);
        does_not_come(&format!("{case}: no more"));
        close(reader);
        close(writer);
    }
}

fn told_more() {
    let [left, right] = pair(SOCK_STREAM);
    set(left, F_SETOWN, own().into());
    set(left, F_SETSIG, REAL_TIME.into());
    set(left, F_SETFL, O_ASYNC.into());
    close(right);
    comes("the other end is closed", left);
    close(left);
    let [left, right] = pair(SOCK_STREAM);
    let group = sys!(SYS_getpgrp).expect("one");
    // A group of its own, so that nobody else is told.
    sys!(SYS_setpgid, 0, 0).expect("it leads none");
    set(left, F_SETOWN, -i64::from(own()));
    set(left, F_SETFL, O_ASYNC.into());
    write(right);
    comes("as one of a group", left);
    sys!(SYS_setpgid, 0, group).expect("as before");
    close(left);
    close(right);
    let [left, right] = pair(SOCK_STREAM);
    let task = [TASK, sys!(SYS_gettid).expect("one") as i32];
    set(left, F_SETOWN_EX, task.as_ptr() as i64);
    let on = 1;
    sys!(SYS_ioctl, left, FIOASYNC, &raw const on).expect("it can");
    write(right);
    comes("as a task", left);
    close(left);
    close(right);
}

fn untold() {
    let [left, right] = pair(SOCK_STREAM);
    set(left, F_SETFL, O_ASYNC.into());
    write(right);
    does_not_come("without an owner");
    set(left, F_SETOWN, own().into());
    does_not_come("what was there before the owner");
    read(left);
    set(left, F_SETOWN, 0);
    write(right);
    does_not_come("without an owner again");
    close(left);
    close(right);
}
