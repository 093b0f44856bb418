//! Locks of files: flock, and fcntl's of ranges, of processes and of open files.

use crate::check::{Answer, BAD, CLOSED, check, say, sys};
use crate::child::{child, reap, status_of};
use crate::handle::{close, opened, pipe, read, write};
use crate::mask::interrupt_by;
use libc::{
    F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETLK, F_SETLKW, F_UNLCK, F_WRLCK,
    LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, O_RDONLY, O_RDWR, O_WRONLY, SEEK_CUR, SEEK_END, SEEK_SET,
};

pub(crate) fn run() {
    std::fs::write("file", b"0123456789").expect("new");
    whole();
    ranges();
    told();
    closed();
    of_open_files();
    waited_for();
    circle();
}

/// A lock of `count` bytes from `start` on.
fn bytes(kind: i32, start: i64, count: i64) -> libc::flock {
    counted(kind, SEEK_SET, start, count)
}

fn counted(kind: i32, whence: i32, start: i64, count: i64) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: whence as i16,
        l_start: start,
        l_len: count,
        l_pid: 0,
    }
}

fn set(fd: i64, command: i32, lock: libc::flock) -> Answer {
    sys!(SYS_fcntl, fd, command, &raw const lock)
}

/// What stands in the way of a lock, without the number of the process.
fn found(fd: i64, command: i32, lock: libc::flock, own: i32) -> String {
    let mut lock = lock;
    match sys!(SYS_fcntl, fd, command, &raw mut lock) {
        Ok(_) => {
            let who = match lock.l_pid {
                -1 => "a file's",
                0 => "nobody's",
                pid if pid == own => "the parent's",
                _ => "another's",
            };
            format!(
                "{} {} {} {} {who}",
                lock.l_type, lock.l_whence, lock.l_start, lock.l_len
            )
        }
        Err(errno) => format!("{errno}"),
    }
}

/// Tries a lock in a child, without waiting.
fn other(case: &str, kind: i32, start: i64, count: i64) {
    let pid = child(|| {
        let fd = opened(c"file", O_RDWR);
        check(
            "fcntl F_SETLK",
            case,
            set(fd, F_SETLK, bytes(kind, start, count)),
        );
        0
    });
    assert_eq!(status_of(pid), 0);
}

fn whole() {
    let (one, two) = (opened(c"file", O_RDONLY), opened(c"file", O_WRONLY));
    let lock = |case: &str, fd: i64, how: i32| check("flock", case, sys!(SYS_flock, fd, how));
    lock("one of two: shared", one, LOCK_SH);
    lock("the other: shared", two, LOCK_SH | LOCK_NB);
    lock("the other: exclusive instead", two, LOCK_EX | LOCK_NB);
    lock(
        "the first: exclusive, as the other's is lost",
        one,
        LOCK_EX | LOCK_NB,
    );
    lock("the other: shared beside exclusive", two, LOCK_SH | LOCK_NB);
    lock("the same again", one, LOCK_EX | LOCK_NB);
    let copy = sys!(SYS_dup, one).expect("a copy");
    lock("through a copy", copy, LOCK_EX | LOCK_NB);
    close(one);
    lock("a copy keeps it", two, LOCK_SH | LOCK_NB);
    lock("back to shared", copy, LOCK_SH | LOCK_NB);
    lock("both shared", two, LOCK_SH | LOCK_NB);
    lock("none of two", two, LOCK_UN);
    lock("none that there is not", two, LOCK_UN | LOCK_NB);
    lock("exclusive of a child", copy, LOCK_EX);
    let pid = child(|| {
        check(
            "flock",
            "a child's copy is the same",
            sys!(SYS_flock, copy, LOCK_EX | LOCK_NB),
        );
        let own = opened(c"file", O_RDWR);
        check(
            "flock",
            "a child's own file",
            sys!(SYS_flock, own, LOCK_SH | LOCK_NB),
        );
        check(
            "fcntl F_SETLK",
            "beside flock",
            set(own, F_SETLK, bytes(F_WRLCK, 0, 0)),
        );
        0
    });
    assert_eq!(status_of(pid), 0);
    close(copy);
    lock("after the last close", two, LOCK_EX | LOCK_NB);
    lock("shared and exclusive", two, LOCK_SH | LOCK_EX);
    lock("nothing", two, 0);
    lock("not open again", CLOSED, LOCK_SH);
    let path = opened(c"file", libc::O_PATH);
    lock("a path only", path, LOCK_SH);
    close(path);
    let folder = opened(c".", O_RDONLY);
    lock("a folder", folder, LOCK_EX | LOCK_NB);
    close(folder);
    close(two);
}

fn ranges() {
    let fd = opened(c"file", O_RDWR);
    let lock = |case: &str, it: libc::flock| check("fcntl F_SETLK", case, set(fd, F_SETLK, it));
    lock("two bytes to write", bytes(F_WRLCK, 2, 2));
    lock("the same again", bytes(F_WRLCK, 2, 2));
    other("bytes before", F_WRLCK, 0, 2);
    other("bytes behind", F_WRLCK, 4, 2);
    other("the first of them", F_RDLCK, 2, 1);
    other("the last of them", F_RDLCK, 3, 1);
    other("everything", F_RDLCK, 0, 0);
    lock("to read instead", bytes(F_RDLCK, 2, 2));
    other("to read too", F_RDLCK, 2, 2);
    other("to write beside readers", F_WRLCK, 2, 2);
    lock("ten bytes", bytes(F_WRLCK, 0, 10));
    lock("a hole in them", bytes(F_UNLCK, 4, 2));
    other("in the hole", F_WRLCK, 4, 2);
    other("before the hole", F_WRLCK, 3, 1);
    other("behind the hole", F_WRLCK, 6, 1);
    lock("some of them to read", bytes(F_RDLCK, 1, 2));
    other("those to read", F_RDLCK, 1, 2);
    other("one to read beside", F_RDLCK, 1, 3);
    lock("nothing of all that", bytes(F_UNLCK, 0, 0));
    other("everything then", F_WRLCK, 0, 0);
    sys!(SYS_lseek, fd, 5, SEEK_SET).expect("it moves");
    lock("from here", counted(F_WRLCK, SEEK_CUR, 0, 2));
    other("what was here", F_RDLCK, 5, 1);
    other("what was not here", F_RDLCK, 7, 1);
    lock("before the end", counted(F_WRLCK, SEEK_END, -1, 1));
    other("the last byte", F_RDLCK, 9, 1);
    lock("backwards", counted(F_WRLCK, SEEK_SET, 3, -3));
    other("the first byte", F_RDLCK, 0, 1);
    other("the byte where it began", F_RDLCK, 3, 1);
    lock("before the start", bytes(F_WRLCK, -1, 1));
    lock("backwards over the start", bytes(F_WRLCK, 1, -2));
    lock("over the last byte", bytes(F_WRLCK, i64::MAX, 2));
    lock("the last byte there can be", bytes(F_WRLCK, i64::MAX, 1));
    lock(
        "a place behind that",
        counted(F_WRLCK, SEEK_CUR, i64::MAX, 1),
    );
    lock("an unknown kind", bytes(7, 0, 1));
    lock("an unknown start", counted(F_WRLCK, 7, 0, 1));
    check(
        "fcntl F_SETLK",
        "a bad address",
        sys!(SYS_fcntl, fd, F_SETLK, BAD),
    );
    check(
        "fcntl F_GETLK",
        "a bad address",
        sys!(SYS_fcntl, fd, F_GETLK, BAD),
    );
    close(fd);
    let lock = bytes(F_RDLCK, 0, 1);
    check("fcntl F_SETLK", "not open", set(CLOSED, F_SETLK, lock));
    let fd = opened(c"file", O_WRONLY);
    check(
        "fcntl F_SETLK",
        "to read what is for writing",
        set(fd, F_SETLK, lock),
    );
    close(fd);
    let fd = opened(c"file", O_RDONLY);
    check(
        "fcntl F_SETLK",
        "to write what is for reading",
        set(fd, F_SETLK, bytes(F_WRLCK, 0, 1)),
    );
    check(
        "fcntl F_SETLK",
        "none of what is for reading",
        set(fd, F_SETLK, bytes(F_UNLCK, 0, 1)),
    );
    close(fd);
}

fn told() {
    let own = i32::try_from(sys!(SYS_getpid).expect("a number")).expect("a number");
    let fd = opened(c"file", O_RDWR);
    set(fd, F_SETLK, bytes(F_WRLCK, 4, 3)).expect("a lock");
    set(fd, F_SETLK, bytes(F_RDLCK, 8, 0)).expect("a lock");
    let tell = |case: &str, lock| say("fcntl F_GETLK", case, found(fd, F_GETLK, lock, own));
    tell("one's own are none", bytes(F_WRLCK, 0, 0));
    tell("none to ask for", bytes(F_UNLCK, 0, 0));
    let pid = child(|| {
        let fd = opened(c"file", O_RDONLY);
        let tell = |case: &str, lock| say("fcntl F_GETLK", case, found(fd, F_GETLK, lock, own));
        tell("somebody writes", bytes(F_RDLCK, 5, 1));
        tell("somebody reads", bytes(F_WRLCK, 9, 1));
        tell("readers are let in", bytes(F_RDLCK, 9, 1));
        tell("nobody is there", bytes(F_WRLCK, 0, 4));
        0
    });
    assert_eq!(status_of(pid), 0);
    close(fd);
}

fn closed() {
    let (one, two) = (opened(c"file", O_RDWR), opened(c"file", O_RDWR));
    let lock = bytes(F_WRLCK, 0, 1);
    set(one, F_SETLK, lock).expect("a lock");
    check(
        "fcntl F_SETLK",
        "one's own through another file",
        set(two, F_SETLK, lock),
    );
    other("before any close", F_RDLCK, 0, 1);
    close(two);
    other("after a close of another file", F_RDLCK, 0, 1);
    set(one, F_SETLK, lock).expect("a lock");
    let copy = sys!(SYS_dup, one).expect("a copy");
    close(copy);
    other("after a close of a copy", F_RDLCK, 0, 1);
    set(one, F_SETLK, lock).expect("a lock");
    let over = opened(c"file", O_RDWR);
    let other_file = opened(c".", O_RDONLY);
    sys!(SYS_dup2, other_file, over).expect("it is taken");
    other("after a descriptor was taken over", F_RDLCK, 0, 1);
    close(over);
    close(other_file);
    close(one);
    // A child's go with it.
    let [reader, writer] = pipe();
    let pid = child(|| {
        let fd = opened(c"file", O_RDWR);
        set(fd, F_SETLK, lock).expect("a lock");
        write(writer, b"x").expect("it is heard");
        let _ = sys!(SYS_pause);
        0
    });
    wait_for(reader);
    other("while a child has it", F_RDLCK, 0, 1);
    sys!(SYS_kill, pid, libc::SIGKILL).expect("it lives");
    reap(pid);
    other("after a child's end", F_RDLCK, 0, 1);
    close(reader);
    close(writer);
}

/// Waits until a byte was written to a pipe that does not wait by itself.
fn wait_for(reader: i64) {
    while read(reader, 1).is_err() {
        let _ = sys!(SYS_sched_yield);
    }
}

fn of_open_files() {
    let (one, two) = (opened(c"file", O_RDWR), opened(c"file", O_RDWR));
    let lock = |case: &str, fd: i64, it: libc::flock| {
        check("fcntl F_OFD_SETLK", case, set(fd, F_OFD_SETLK, it))
    };
    lock("a file's", one, bytes(F_WRLCK, 0, 4));
    lock("another file's", two, bytes(F_RDLCK, 3, 4));
    lock("another file's, elsewhere", two, bytes(F_RDLCK, 4, 4));
    check(
        "fcntl F_SETLK",
        "one's own beside a file's",
        set(one, F_SETLK, bytes(F_RDLCK, 0, 1)),
    );
    let mut numbered = bytes(F_RDLCK, 0, 1);
    numbered.l_pid = 1;
    lock("with a process", one, numbered);
    say(
        "fcntl F_OFD_GETLK",
        "a file's",
        found(two, F_OFD_GETLK, bytes(F_RDLCK, 0, 1), 0),
    );
    say(
        "fcntl F_GETLK",
        "a file's",
        found(two, F_GETLK, bytes(F_RDLCK, 0, 1), 0),
    );
    let copy = sys!(SYS_dup, one).expect("a copy");
    close(copy);
    lock("a copy's close takes nothing", two, bytes(F_RDLCK, 0, 1));
    lock("waited for, at once", one, bytes(F_WRLCK, 2, 1));
    check(
        "fcntl F_OFD_SETLKW",
        "free",
        set(one, F_OFD_SETLKW, bytes(F_WRLCK, 1, 1)),
    );
    close(one);
    lock("the file's close takes it", two, bytes(F_WRLCK, 0, 4));
    close(two);
}

/// Sends the parent a signal that interrupts, until it is killed.
fn nagging() -> i32 {
    let parent = sys!(SYS_getpid).expect("a number");
    child(|| {
        loop {
            let _ = sys!(SYS_kill, parent, libc::SIGUSR1);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    })
}

fn waited_for() {
    let fd = opened(c"file", O_RDWR);
    let [reader, writer] = pipe();
    let pid = child(|| {
        let fd = opened(c"file", O_RDWR);
        set(fd, F_SETLK, bytes(F_WRLCK, 0, 1)).expect("a lock");
        sys!(SYS_flock, fd, LOCK_EX).expect("a lock");
        write(writer, b"x").expect("it is heard");
        std::thread::sleep(std::time::Duration::from_millis(20));
        0
    });
    wait_for(reader);
    check(
        "fcntl F_SETLKW",
        "until a child's end",
        set(fd, F_SETLKW, bytes(F_WRLCK, 0, 1)),
    );
    check("flock", "until a child's end", sys!(SYS_flock, fd, LOCK_EX));
    reap(pid);
    close(fd);
    let fd = opened(c"file", O_RDWR);
    let pid = child(|| {
        let fd = opened(c"file", O_RDWR);
        set(fd, F_SETLK, bytes(F_WRLCK, 0, 1)).expect("a lock");
        sys!(SYS_flock, fd, LOCK_EX).expect("a lock");
        write(writer, b"x").expect("it is heard");
        let _ = sys!(SYS_pause);
        0
    });
    wait_for(reader);
    interrupt_by(libc::SIGUSR1);
    let nag = nagging();
    check(
        "fcntl F_SETLKW",
        "interrupted",
        set(fd, F_SETLKW, bytes(F_RDLCK, 0, 1)),
    );
    check(
        "fcntl F_OFD_SETLKW",
        "interrupted",
        set(fd, F_OFD_SETLKW, bytes(F_RDLCK, 0, 1)),
    );
    check("flock", "interrupted", sys!(SYS_flock, fd, LOCK_SH));
    for pid in [nag, pid] {
        sys!(SYS_kill, pid, libc::SIGKILL).expect("it lives");
        reap(pid);
    }
    for end in [fd, reader, writer] {
        close(end);
    }
}

fn circle() {
    let fd = opened(c"file", O_RDWR);
    let [reader, writer] = pipe();
    set(fd, F_SETLK, bytes(F_WRLCK, 0, 1)).expect("a lock");
    let pid = child(|| {
        set(fd, F_SETLK, bytes(F_WRLCK, 1, 1)).expect("a lock");
        write(writer, b"x").expect("it is heard");
        // It waits for its parent, who waits for it: whoever comes second closes the circle, and is told.
        let answer = set(fd, F_SETLKW, bytes(F_WRLCK, 0, 1));
        answer.map_or_else(|errno| errno, |_| 0)
    });
    wait_for(reader);
    let own = set(fd, F_SETLKW, bytes(F_WRLCK, 1, 1));
    set(fd, F_SETLK, bytes(F_UNLCK, 0, 0)).expect("none");
    let (own, childs) = (own.err().unwrap_or(0), status_of(pid) >> 8);
    let [refused, let_in] = [own.max(childs), own.min(childs)];
    check("fcntl F_SETLKW", "who closes a circle", Err(refused));
    say("fcntl F_SETLKW", "the other one of a circle", let_in);
    for end in [fd, reader, writer] {
        close(end);
    }
}
