//! `bomb NAME`: takes as much of one thing as it is given, says `full` and why it got no more, and holds it all until its
//! standard input ends.

use hostile::call::{Answer, name};
use hostile::memory::PAGE;
use hostile::sys;
use libc::{AF_UNIX, AT_FDCWD, EPOLL_CTL_ADD, SOCK_DGRAM, SOCK_STREAM};
use std::io::Write;

/// More of anything than any kernel gives.
const ENOUGH: u64 = 1 << 22;

/// Directories below each other.
const DEPTH: u64 = 10_000;

/// Takes one more; `nth` is how many there are.
type Take = fn(nth: u64) -> Answer;

const BOMBS: [(&str, Take); 10] = [
    ("descriptors", |_| sys!(SYS_dup, 0)),
    ("memory", |_| {
        let at = hostile::memory::pages(1);
        // SAFETY: the page is ours.
        unsafe { at.write(1) };
        Ok(0)
    }),
    ("areas", |nth| {
        // Neighbours with other rights do not become one.
        let rights = if nth.is_multiple_of(2) {
            libc::PROT_READ
        } else {
            libc::PROT_NONE
        };
        sys!(
            SYS_mmap,
            0,
            PAGE,
            rights,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0
        )
    }),
    ("depth", |nth| {
        if nth == 0 {
            sys!(SYS_chdir, c"/tmp")?;
        }
        if nth == DEPTH {
            return Err(libc::ELOOP);
        }
        sys!(SYS_mkdirat, AT_FDCWD, c"deeper", 0o700)?;
        sys!(SYS_chdir, c"deeper")
    }),
    ("pipe", |nth| {
        const END: i32 = 900;
        if nth == 0 {
            let mut ends = [0; 2];
            sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK)?;
            sys!(SYS_dup2, ends[1], END)?;
        }
        sys!(SYS_write, END, [0_u8; 64].as_ptr(), 64)
    }),
    ("signals", |nth| {
        // Blocked, so that they wait; each with its own number, so that none replaces another.
        sys!(
            SYS_rt_sigprocmask,
            libc::SIG_BLOCK,
            [u64::MAX].as_ptr(),
            0,
            8
        )?;
        let mut info = [0_i32; 32];
        info[2] = -1;
        info[6] = nth as i32;
        let signal = 34 + (nth % 30) as i32;
        sys!(
            SYS_rt_sigqueueinfo,
            std::process::id() as i32,
            signal,
            info.as_ptr()
        )
    }),
    ("sockets", |_| {
        let mut ends = [0; 2];
        sys!(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, ends.as_mut_ptr())
    }),
    ("messages", |nth| {
        // Open files inside of messages that nobody takes: each pair of sockets has the one before it in its queue.
        const PAIR: [i32; 2] = [900, 901];
        if nth % 16 > 0 {
            return send(PAIR[0], [0, 1]);
        }
        let mut ends = [0; 2];
        let kind = SOCK_DGRAM | libc::SOCK_NONBLOCK;
        sys!(SYS_socketpair, AF_UNIX, kind, 0, ends.as_mut_ptr())?;
        if nth > 0 {
            send(ends[0], PAIR)?;
        }
        for (end, place) in ends.into_iter().zip(PAIR) {
            sys!(SYS_dup2, end, place)?;
            sys!(SYS_close, end)?;
        }
        Ok(0)
    }),
    ("datagrams", |nth| {
        // As many as wait in one socket, then into the next one.
        const SENDER: i32 = 900;
        if nth % 256 == 0 {
            let mut ends = [0; 2];
            let kind = SOCK_DGRAM | libc::SOCK_NONBLOCK;
            sys!(SYS_socketpair, AF_UNIX, kind, 0, ends.as_mut_ptr())?;
            sys!(SYS_dup2, ends[0], SENDER)?;
            sys!(SYS_close, ends[0])?;
        }
        sys!(SYS_sendto, SENDER, 0, 0, 0, 0, 0)
    }),
    ("epoll", |nth| {
        // Lists in lists, and the last one in the first.
        let list = sys!(SYS_epoll_create1, 0)?;
        let mut event = libc::epoll_event {
            events: 1,
            u64: nth,
        };
        let nested = sys!(SYS_epoll_ctl, list, EPOLL_CTL_ADD, list - 1, &raw mut event);
        if nested == Err(libc::EPERM) {
            return Ok(list);
        }
        nested
    }),
];

/// Sends two open files through a socket.
fn send(socket: i32, files: [i32; 2]) -> Answer {
    let mut byte = 0_u8;
    let list = [&raw mut byte as usize, 1];
    // struct cmsghdr: length, level and kind, then the descriptors.
    let level = libc::SOL_SOCKET as u64 | (libc::SCM_RIGHTS as u64) << 32;
    let control = [
        24,
        level,
        u64::from(files[0] as u32) | u64::from(files[1] as u32) << 32,
    ];
    let header = [
        0,
        0,
        list.as_ptr() as usize,
        1,
        control.as_ptr() as usize,
        24,
        0,
    ];
    sys!(SYS_sendmsg, socket, header.as_ptr(), libc::MSG_DONTWAIT)
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let Some((_, take)) = BOMBS.iter().find(|(name, _)| *name == wanted) else {
        let names = BOMBS.map(|(name, _)| name).join(" | ");
        eprintln!("usage: bomb {names}");
        std::process::exit(2);
    };
    let mut taken = 0;
    let reason = loop {
        match take(taken) {
            Ok(_) if taken < ENOUGH => taken += 1,
            Ok(_) => break "there is no limit".to_owned(),
            Err(errno) => break name(errno),
        }
    };
    println!("full after {taken}: {reason}");
    let _ = std::io::stdout().flush();
    let _ = std::io::stdin().read_line(&mut String::new());
}
