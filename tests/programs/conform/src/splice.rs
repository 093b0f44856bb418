//! Bytes moved inside the kernel: splice, tee, vmsplice, what is particular of sendfile and copy_file_range; holes.

use crate::check::{BAD, CLOSED, check, say, sys};
use crate::child::{child, reap};
use crate::handle::{close, opened, pipe, read, waiting_pipe, write};
use libc::{O_APPEND, O_RDONLY, O_RDWR, O_WRONLY, SPLICE_F_NONBLOCK};

pub(crate) fn run() {
    std::fs::write("source", b"0123456789").expect("new");
    std::fs::write("target", b"").expect("new");
    from_files();
    from_pipes();
    refused();
    teed();
    gathered();
    copied();
    holes();
}

fn text(call: &str, case: &str, fd: i64) {
    let bytes = read(fd, 32).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    say(call, case, format!("{bytes:?}"));
}

fn from_files() {
    let [reader, writer] = pipe();
    let source = opened(c"source", O_RDONLY);
    let splice = |case: &str, at: *const i64, len: i64, flags: u32| {
        check(
            "splice",
            case,
            sys!(SYS_splice, source, at, writer, 0, len, flags),
        );
    };
    let none = std::ptr::null();
    splice("a file to a pipe", none, 4, 0);
    text("splice", "what a file gave", reader);
    splice("nothing", none, 0, 0);
    let at = 8_i64;
    splice("from a position, over the end", &raw const at, 10, 0);
    say("splice", "the position then", at);
    text("splice", "what the position gave", reader);
    splice("from where it was", none, 3, 0);
    text("splice", "what was there", reader);
    splice("the rest", none, 100, 0);
    splice("the end of a file", none, 100, 0);
    text("splice", "what the rest was", reader);
    let at = -1_i64;
    splice("from before the start", &raw const at, 4, 0);
    splice("a bad address", BAD.cast(), 4, 0);
    let big = vec![b'x'; 100_000];
    std::fs::write("big", &big).expect("new");
    let big = opened(c"big", O_RDONLY);
    check(
        "splice",
        "more than a pipe has room for",
        sys!(SYS_splice, big, 0, writer, 0, 100_000, 0),
    );
    check(
        "splice",
        "to a full pipe",
        sys!(SYS_splice, big, 0, writer, 0, 10, 0),
    );
    close(reader);
    sys!(SYS_rt_sigaction, 13, [1_u64, 0, 0, 0].as_ptr(), 0, 8).expect("it is ignored");
    check(
        "splice",
        "to a pipe that nobody reads",
        sys!(SYS_splice, big, 0, writer, 0, 10, 0),
    );
    for fd in [writer, source, big] {
        close(fd);
    }
}

fn from_pipes() {
    let [reader, writer] = pipe();
    let target = opened(c"target", O_RDWR);
    let splice = |case: &str, at: *const i64, len: i64, flags: u32| {
        check(
            "splice",
            case,
            sys!(SYS_splice, reader, 0, target, at, len, flags),
        );
    };
    let none = std::ptr::null();
    splice("an empty pipe", none, 4, 0);
    write(writer, b"abcdef").expect("it has room");
    splice("some of a pipe to a file", none, 4, 0);
    let at = 1_i64;
    splice("the rest of a pipe to a position", &raw const at, 10, 0);
    say("splice", "the position written to then", at);
    say(
        "splice",
        "the one file then",
        format!("{:?}", std::fs::read_to_string("target")),
    );
    let [second, to_second] = pipe();
    write(writer, b"0123456789").expect("it has room");
    check(
        "splice",
        "a pipe to a pipe",
        sys!(SYS_splice, reader, 0, to_second, 0, 4, 0),
    );
    text("splice", "the second pipe", second);
    text("splice", "what the first kept", reader);
    close(writer);
    splice("a pipe without writers", none, 4, 0);
    for fd in [reader, second, to_second] {
        close(fd);
    }
    let [reader, writer] = waiting_pipe();
    check(
        "splice",
        "an empty pipe, not to be waited for",
        sys!(SYS_splice, reader, 0, target, 0, 4, SPLICE_F_NONBLOCK),
    );
    let pid = child(|| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        i32::from(write(writer, b"late").is_err())
    });
    check(
        "splice",
        "until there is something",
        sys!(SYS_splice, reader, 0, target, 0, 100, 0),
    );
    say("splice", "who wrote it", reap(pid));
    for fd in [reader, writer, target] {
        close(fd);
    }
}

fn refused() {
    let [reader, writer] = pipe();
    let (source, target) = (opened(c"source", O_RDONLY), opened(c"target", O_WRONLY));
    let append = opened(c"target", O_WRONLY | O_APPEND);
    let at = 0_i64;
    let splice =
        |case: &str, from: i64, from_at: *const i64, to: i64, to_at: *const i64, flags: u32| {
            check(
                "splice",
                case,
                sys!(SYS_splice, from, from_at, to, to_at, 4, flags),
            );
        };
    let none = std::ptr::null();
    splice("two files", source, none, target, none, 0);
    splice(
        "a position of a pipe",
        reader,
        &raw const at,
        target,
        none,
        0,
    );
    splice(
        "a position of a pipe written to",
        source,
        none,
        writer,
        &raw const at,
        0,
    );
    splice("a pipe to itself", reader, none, writer, none, 0);
    splice("from what is for writing", target, none, writer, none, 0);
    splice("to what is for reading", reader, none, source, none, 0);
    splice("the wrong ends", writer, none, reader, none, 0);
    splice("to the end of a file", reader, none, append, none, 0);
    splice("from what is not open", CLOSED, none, writer, none, 0);
    splice("to what is not open", reader, none, CLOSED, none, 0);
    splice("unknown flags", source, none, writer, none, 0x10);
    for fd in [reader, writer, source, target, append] {
        close(fd);
    }
}

fn teed() {
    let ([reader, writer], [second, to_second]) = (pipe(), pipe());
    let tee = |case: &str, from: i64, to: i64, len: i64, flags: u32| {
        check("tee", case, sys!(SYS_tee, from, to, len, flags));
    };
    tee("an empty pipe", reader, to_second, 4, 0);
    write(writer, b"0123456789").expect("it has room");
    tee("some bytes", reader, to_second, 4, 0);
    tee("all bytes", reader, to_second, 100, 0);
    tee("no bytes", reader, to_second, 0, 0);
    text("tee", "what came", second);
    text("tee", "what stayed", reader);
    tee("a pipe to itself", reader, writer, 4, 0);
    tee("the wrong ends", writer, second, 4, 0);
    tee("not open", CLOSED, to_second, 4, 0);
    tee("unknown flags", reader, to_second, 4, 0x10);
    let source = opened(c"source", O_RDONLY);
    tee("a file", source, to_second, 4, 0);
    close(writer);
    tee("a pipe without writers", reader, to_second, 4, 0);
    for fd in [reader, second, to_second, source] {
        close(fd);
    }
}

fn gathered() {
    let [reader, writer] = pipe();
    let parts = [b"one ".as_slice(), b"two"].map(|part| (part.as_ptr(), part.len()));
    let splice = |case: &str, fd: i64, flags: u32| {
        check(
            "vmsplice",
            case,
            sys!(SYS_vmsplice, fd, parts.as_ptr(), 2, flags),
        );
    };
    splice("two buffers", writer, 0);
    text("vmsplice", "what came", reader);
    check(
        "vmsplice",
        "no buffers",
        sys!(SYS_vmsplice, writer, parts.as_ptr(), 0, 0),
    );
    check(
        "vmsplice",
        "a bad address",
        sys!(SYS_vmsplice, writer, BAD, 1, 0),
    );
    splice("unknown flags", writer, 0x10);
    splice("not open", CLOSED, 0);
    let source = opened(c"source", O_RDWR);
    splice("a file", source, 0);
    close(source);
    write(writer, b"back").expect("it has room");
    let mut room = [0_u8; 8];
    let into = [(room.as_mut_ptr(), room.len())];
    check(
        "vmsplice",
        "out of a pipe",
        sys!(SYS_vmsplice, reader, into.as_ptr(), 1, 0),
    );
    say(
        "vmsplice",
        "what came out",
        String::from_utf8_lossy(&room).escape_debug(),
    );
    close(reader);
    close(writer);
}

fn copied() {
    let (source, target) = (opened(c"source", O_RDWR), opened(c"target", O_RDWR));
    let append = opened(c"target", O_WRONLY | O_APPEND);
    let folder = opened(c".", O_RDONLY);
    let [reader, writer] = pipe();
    let copy = |case: &str, from: i64, from_at: *const i64, to: i64, to_at: *const i64| {
        check(
            "copy_file_range",
            case,
            sys!(SYS_copy_file_range, from, from_at, to, to_at, 4, 0),
        );
    };
    let none = std::ptr::null();
    let (one, five) = (0_i64, 5_i64);
    copy("a folder", folder, none, target, none);
    copy("a pipe", reader, none, target, none);
    copy("to a pipe", source, none, writer, none);
    copy("to the end of a file", source, none, append, none);
    let start = 2_i64;
    copy(
        "parts of one file that overlap",
        source,
        &raw const one,
        source,
        &raw const start,
    );
    copy(
        "parts of one file",
        source,
        &raw const one,
        source,
        &raw const five,
    );
    say(
        "copy_file_range",
        "the one file then",
        format!("{:?}", std::fs::read_to_string("source")),
    );
    say(
        "copy_file_range",
        "both positions of one file then",
        format!("{one} {five}"),
    );
    check(
        "sendfile",
        "a pipe",
        sys!(SYS_sendfile, target, reader, 0, 4),
    );
    check(
        "sendfile",
        "to a pipe",
        sys!(SYS_sendfile, writer, source, 0, 4),
    );
    text("sendfile", "what a pipe got", reader);
    for fd in [source, target, append, folder, reader, writer] {
        close(fd);
    }
}

fn holes() {
    const KEEP: i32 = 1;
    const HOLE: i32 = 2;
    const ZERO: i32 = 0x10;
    std::fs::write("holes", [b'x'; 20_000]).expect("new");
    let fd = opened(c"holes", O_RDWR);
    let allocate = |case: &str, mode: i32, start: i64, len: i64| {
        check("fallocate", case, sys!(SYS_fallocate, fd, mode, start, len));
        let bytes = std::fs::read("holes").expect("it is there");
        let set = bytes.iter().filter(|&&byte| byte == b'x').count();
        let first = bytes.iter().position(|&byte| byte == 0);
        say(
            "fallocate",
            &format!("{case}: bytes"),
            format!("{} {set} {first:?}", bytes.len()),
        );
    };
    allocate("a hole", HOLE | KEEP, 5_000, 10_000);
    allocate("a hole of a page", HOLE | KEEP, 0, 4_096);
    allocate("a hole over the end", HOLE | KEEP, 19_990, 10_000);
    allocate("a hole behind the end", HOLE | KEEP, 50_000, 10_000);
    allocate("a hole that keeps no size", HOLE, 0, 4_096);
    allocate("a hole and zeroes", HOLE | KEEP | ZERO, 0, 4_096);
    allocate("unknown modes", 0x4000, 0, 4_096);
    write(fd, b"xxxx").expect("it is written");
    allocate("bytes in a hole again", KEEP, 0, 4);
    close(fd);
    let fd = opened(c"holes", O_RDONLY);
    check(
        "fallocate",
        "a hole in what is for reading",
        sys!(SYS_fallocate, fd, HOLE | KEEP, 0, 1),
    );
    close(fd);
    let [reader, writer] = pipe();
    check(
        "fallocate",
        "a hole in a pipe",
        sys!(SYS_fallocate, writer, HOLE | KEEP, 0, 1),
    );
    close(reader);
    close(writer);
}
