//! Waiting for files: poll, ppoll, select, pselect6.

use crate::check::{BAD, CLOSED, check, say, sys};
use crate::epoll::add;
use crate::handle::{close, pipe, read, write};
use crate::mask::{SET, USR1, block, is_blocked, on_signal, raise, unblock};
use libc::{EPOLLIN, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT};

/// Asks for `events` of each file and says what was found.
pub(crate) fn poll(case: &str, files: &[(i64, i16)], timeout: i32) {
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

fn bits(fds: &[i64]) -> [u64; 16] {
    let mut set = [0; 16];
    for &fd in fds {
        set[fd as usize / 64] |= 1 << (fd % 64);
    }
    set
}

pub(crate) fn run() {
    waiting();
    polling();
    selecting();
    masks();
}

fn waiting() {
    let mut pipe = [0_i32; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("room");
    let [reader, writer] = pipe;
    let mut poll = [
        libc::pollfd {
            fd: reader,
            events: libc::POLLIN,
            revents: 0,
        },
        libc::pollfd {
            fd: writer,
            events: libc::POLLOUT,
            revents: 0,
        },
        libc::pollfd {
            fd: -1,
            events: libc::POLLIN,
            revents: 9,
        },
        libc::pollfd {
            fd: CLOSED as i32,
            events: libc::POLLIN,
            revents: 0,
        },
    ];
    let events = |case: &str, poll: &[libc::pollfd]| {
        say(
            "poll",
            case,
            poll.iter()
                .map(|it| it.revents.to_string())
                .collect::<Vec<_>>()
                .join(" "),
        );
    };
    check(
        "poll",
        "an empty pipe, a writable one, none, not open",
        sys!(SYS_poll, poll.as_mut_ptr(), 4, 0),
    );
    events("what it found", &poll);
    check(
        "poll",
        "an empty pipe for 5 ms",
        sys!(SYS_poll, poll.as_mut_ptr(), 1, 5),
    );
    check("poll", "nothing for 1 ms", sys!(SYS_poll, 0, 0, 1));
    check("poll", "a bad address", sys!(SYS_poll, BAD, 1, 0));
    static CONSTANT: libc::pollfd = libc::pollfd {
        fd: -1,
        events: 0,
        revents: 0,
    };
    check(
        "poll",
        "an entry that stays as it is, in memory for reading",
        sys!(SYS_poll, &raw const CONSTANT, 1, 0),
    );
    sys!(SYS_write, writer, b"x".as_ptr(), 1).expect("room");
    check(
        "poll",
        "a byte is there",
        sys!(SYS_poll, poll.as_mut_ptr(), 1, -1),
    );
    events("a byte is there: which", &poll[..1]);
    let mut time = [0_i64, 1000];
    check(
        "ppoll",
        "a byte is there",
        sys!(SYS_ppoll, poll.as_mut_ptr(), 1, time.as_mut_ptr(), 0, 8),
    );
    check(
        "ppoll",
        "a mask of the wrong size",
        sys!(
            SYS_ppoll,
            poll.as_mut_ptr(),
            1,
            time.as_mut_ptr(),
            time.as_ptr(),
            4
        ),
    );
    let mut set = [0_u64; 16];
    set[reader as usize / 64] |= 1 << (reader % 64);
    let mut time = [0_i64, 0];
    check(
        "select",
        "a byte is there",
        sys!(
            SYS_select,
            reader + 1,
            set.as_mut_ptr(),
            0,
            0,
            time.as_mut_ptr()
        ),
    );
    say("select", "the set", set[0] == 1 << reader);
    check(
        "select",
        "a negative count",
        sys!(SYS_select, -1, set.as_mut_ptr(), 0, 0, time.as_mut_ptr()),
    );
    time = [0, -1];
    check(
        "select",
        "a negative time",
        sys!(
            SYS_select,
            reader + 1,
            set.as_mut_ptr(),
            0,
            0,
            time.as_mut_ptr()
        ),
    );
    time = [0, 0];
    check(
        "select",
        "a bad set",
        sys!(SYS_select, 100, BAD, 0, 0, time.as_mut_ptr()),
    );
    close(writer.into());
    sys!(SYS_read, reader, [0_u8; 1].as_mut_ptr(), 1).expect("a byte");
    check(
        "poll",
        "the other end is closed",
        sys!(SYS_poll, poll.as_mut_ptr(), 1, -1),
    );
    events("the other end is closed: which", &poll[..1]);
    close(reader.into());
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("room");
    close(pipe[0].into());
    poll[1].fd = pipe[1];
    check(
        "poll",
        "nobody reads",
        sys!(SYS_poll, poll[1..].as_mut_ptr(), 1, -1),
    );
    events("nobody reads: which", &poll[1..2]);
    close(pipe[1].into());
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
    poll("/dev/null, without an end", &[(null, both)], -1);
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
    let none = std::ptr::null::<u8>();
    check(
        "select",
        "nothing for no time",
        sys!(SYS_select, 0, none, none, none, [0_i64, 0].as_ptr()),
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
