//! Calls that are variants of another one: what C libraries called before, and what came with flags later.

use crate::check::{Answer, BAD, CLOSED, check, say, sys};
use libc::{AT_FDCWD, O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR, O_WRONLY};
use std::ffi::CStr;
use std::os::unix::fs::MetadataExt;

pub(crate) fn run() {
    listing();
    times();
    with_flags();
    ranges();
}

fn open(path: &CStr, flags: i32) -> i64 {
    sys!(SYS_open, path, flags, 0o600).expect("it can be opened")
}

fn close(fd: i64) {
    sys!(SYS_close, fd).expect("open");
}

fn listing() {
    std::fs::create_dir("list").expect("new");
    std::fs::create_dir("list/folder").expect("new");
    std::fs::write("list/file", "").expect("new");
    std::os::unix::fs::symlink("x", "list/a link with a longer name").expect("new");
    let fd = open(c"list", O_RDONLY | O_DIRECTORY);
    let tried = |case: &str, fd: i64, into: *mut u8, bytes: usize| {
        let answer = sys!(SYS_getdents, fd, into, bytes);
        check("getdents", case, answer.map(|length| i64::from(length > 0)));
    };
    let mut bytes = [0_u8; 1024];
    tried("no room", fd, bytes.as_mut_ptr(), 0);
    tried("little room", fd, bytes.as_mut_ptr(), 20);
    tried("a bad address", fd, BAD, 1024);
    tried("nothing", CLOSED, bytes.as_mut_ptr(), 1024);
    let file = open(c"list/file", O_RDONLY);
    tried("a file", file, bytes.as_mut_ptr(), 1024);
    close(file);
    let mut names = Vec::new();
    loop {
        // Few at a time.
        let length = sys!(SYS_getdents, fd, bytes.as_mut_ptr(), 60).expect("it can be listed");
        let mut rest = &bytes[..length as usize];
        if rest.is_empty() {
            break;
        }
        while !rest.is_empty() {
            let entry = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
            let name = CStr::from_bytes_until_nul(&rest[18..entry]).expect("it ends");
            names.push((name.to_owned(), rest[entry - 1], entry % 8));
            rest = &rest[entry..];
        }
    }
    names.sort();
    for (name, kind, odd) in names {
        let case = name.to_string_lossy();
        say("getdents", &case, format!("{kind} {odd}"));
    }
    tried("the end", fd, bytes.as_mut_ptr(), 1024);
    close(fd);
}

/// Says what times a file has, but for those that are now.
fn shown(call: &str, case: &str, answer: Answer) {
    check(call, case, answer);
    let known = std::fs::metadata("times").expect("it is there");
    let time = |seconds: i64, nanos: i64| match seconds {
        0..1_000_000 => format!("{seconds}.{nanos:09}"),
        _ => "now".to_owned(),
    };
    let (read, written) = (
        time(known.atime(), known.atime_nsec()),
        time(known.mtime(), known.mtime_nsec()),
    );
    say(call, &format!("{case}: times"), format!("{read} {written}"));
}

fn times() {
    std::fs::write("times", "").expect("new");
    let set = |case: &str, path: *const i8, times: *const i64| {
        shown("utimes", case, sys!(SYS_utimes, path, times));
    };
    let path = c"times".as_ptr();
    let none = std::ptr::null::<i8>();
    shown(
        "utime",
        "two times",
        sys!(SYS_utime, path, [11_i64, 22].as_ptr()),
    );
    shown("utime", "now", sys!(SYS_utime, path, 0));
    shown("utime", "bad times", sys!(SYS_utime, path, BAD));
    shown("utime", "no path", sys!(SYS_utime, 0, 0));
    shown("utime", "what is not there", sys!(SYS_utime, c"nothing", 0));
    let at = [1_i64, 999_999, 2, 1];
    set("two times", path, at.as_ptr());
    set("now", path, none.cast());
    for (case, micros) in [("a whole second", 1_000_000), ("less than nothing", -1)] {
        let at = [1_i64, 0, 2, micros];
        set(case, path, at.as_ptr());
    }
    let at = [5_i64, 0x3fff_fffe, 6, 0x3fff_ffff];
    set("what is no number of microseconds", path, at.as_ptr());
    set("bad times", path, BAD.cast());
    set("no path", none, at.as_ptr());
    let at = [3_i64, 4, 5, 6];
    let fd = open(c"times", O_RDONLY);
    let within = |case: &str, from: i64, path: *const i8| {
        shown(
            "futimesat",
            case,
            sys!(SYS_futimesat, from, path, at.as_ptr()),
        );
        let now = sys!(SYS_futimesat, from, path, 0);
        check("futimesat", &format!("{case}, now"), now);
    };
    within("a path", AT_FDCWD.into(), path);
    within("an open file", fd, none);
    within("nothing open", CLOSED, none);
    within("no path", AT_FDCWD.into(), none);
    within("a path from a file", fd, path);
    close(fd);
    // Descriptors that have no name of their own.
    let now = sys!(SYS_utimensat, AT_FDCWD, 0, 0, 0);
    check("utimensat", "neither path nor file", now);
}

fn with_flags() {
    std::fs::write("bytes", "0123456789").expect("new");
    let fd = open(c"bytes", O_RDWR);
    let mut room = [0_u8; 4];
    let buffers = [room.as_mut_ptr() as u64, 4];
    let read = |case: &str, fd: i64, count: i64, at: i64, flags: i32| {
        let from = buffers.as_ptr();
        check(
            "preadv2",
            case,
            sys!(SYS_preadv2, fd, from, count, at, 0, flags),
        );
        let place = sys!(SYS_lseek, fd, 0, 1);
        check("preadv2", &format!("{case}: place"), place);
    };
    read("at a place", fd, 1, 3, 0);
    read("where it is", fd, 1, -1, 0);
    read("where it is now", fd, 1, -1, 2);
    read("before the start", fd, 1, -2, 0);
    read("a flag there is not", fd, 1, 0, 0x4000_0000);
    read("fewer than no buffers", fd, -1, 0, 0);
    read("nothing open", CLOSED, 1, 0, 0);
    let write = |case: &str, fd: i64, at: i64, flags: i32| {
        let from = buffers.as_ptr();
        check(
            "pwritev2",
            case,
            sys!(SYS_pwritev2, fd, from, 1, at, 0, flags),
        );
        let length = std::fs::metadata("bytes").expect("it is there").len();
        say("pwritev2", &format!("{case}: length"), length);
    };
    write("at a place", fd, 8, 0);
    write("where it is", fd, -1, 4);
    write("to the disk", fd, 12, 6);
    write("a flag there is not", fd, 0, 0x4000_0000);
    let reader = open(c"bytes", O_RDONLY);
    write("for reading", reader, 0, 0);
    close(reader);
    close(fd);
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    let [reader, writer] = pipe.map(i64::from);
    write("a pipe, at a place", writer, 0, 0);
    write("a pipe", writer, -1, 0);
    read("a pipe, at a place", reader, 1, 0, 0);
    read("a pipe", reader, 1, -1, 0);
    close(reader);
    close(writer);
}

fn ranges() {
    let tried = |case: &str, fd: i64, start: i64, bytes: i64, flags: u32| {
        let answer = sys!(SYS_sync_file_range, fd, start, bytes, flags);
        check("sync_file_range", case, answer);
    };
    let file = open(c"range", O_WRONLY | O_CREAT);
    let folder = open(c".", O_RDONLY);
    let path = open(c"range", O_PATH);
    for flags in [0, 1, 2, 4, 7, 8] {
        tried(&format!("flags {flags}"), file, 0, 0, flags);
    }
    tried("a folder", folder, 0, 1, 2);
    tried("a path", path, 0, 1, 2);
    tried("nothing open", CLOSED, 0, 1, 2);
    tried("a negative start", file, -1, 1, 2);
    tried("a negative length", file, 0, -1, 2);
    tried("an end behind all", file, i64::MAX, 1, 2);
    tried("the last byte", file, i64::MAX, 0, 2);
    let null = open(c"/dev/null", O_RDWR);
    tried("/dev/null", null, 0, 1, 2);
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    tried("a pipe", pipe[1].into(), 0, 1, 2);
    let [reader, writer] = pipe.map(i64::from);
    for fd in [file, folder, path, null, reader, writer] {
        close(fd);
    }
}
