//! Lists of files: epoll_create, epoll_ctl, epoll_wait and its kin.

use crate::check::{Answer, BAD, CLOSED, check, say, sys, works};
use crate::handle::{close, pipe, read, write};
use crate::mask::SET;
use crate::poll::poll;
use libc::{
    EFD_NONBLOCK, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET,
    EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, POLLIN, POLLOUT,
};

fn control(list: i64, operation: i32, fd: i64, events: u32, data: u64) -> Answer {
    let mut event = events.to_le_bytes().to_vec();
    event.extend(data.to_le_bytes());
    sys!(SYS_epoll_ctl, list, operation, fd, event.as_ptr())
}

pub(crate) fn add(list: i64, fd: i64, events: u32, data: u64) -> Answer {
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

pub(crate) fn run() {
    lists();
    list_edges();
    list_errors();
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
        add(list, CLOSED, input, 0),
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
        sys!(SYS_epoll_wait, CLOSED, event.as_mut_ptr(), 1, 0),
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
