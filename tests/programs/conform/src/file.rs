//! Open files: read, write, lseek, truncate, fallocate, vectors, copies, devices.

use crate::check::{BAD, CLOSED, check, say, sys};
use crate::handle::{close, opened};
use libc::{
    O_APPEND, O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, SEEK_CUR, SEEK_DATA, SEEK_END,
    SEEK_HOLE, SEEK_SET,
};

/// Reads up to 64 bytes and prints them.
fn contents(call: &str, case: &str, fd: i64) {
    let mut bytes = [0_u8; 64];
    match sys!(SYS_read, fd, bytes.as_mut_ptr(), bytes.len()) {
        Ok(count) => say(
            call,
            case,
            String::from_utf8_lossy(&bytes[..count as usize]).escape_debug(),
        ),
        error => check(call, case, error),
    }
}

pub(crate) fn run() {
    reading();
    seeking();
    lengths();
    vectors();
    copies();
    devices();
}

fn reading() {
    std::fs::write("read", b"0123456789").expect("new");
    let mut bytes = [0_u8; 16];
    let at = bytes.as_mut_ptr();
    check("read", "not open", sys!(SYS_read, CLOSED, at, 4));
    check("write", "not open", sys!(SYS_write, CLOSED, at, 4));
    check("close", "not open", sys!(SYS_close, CLOSED));
    let reader = opened(c"read", O_RDONLY);
    let writer = opened(c"read", O_WRONLY);
    check("read", "a file", sys!(SYS_read, reader, at, 4));
    check("read", "no bytes", sys!(SYS_read, reader, at, 0));
    check(
        "read",
        "no bytes to a bad address",
        sys!(SYS_read, reader, BAD, 0),
    );
    check("read", "to a bad address", sys!(SYS_read, reader, BAD, 4));
    check("read", "the rest", sys!(SYS_read, reader, at, 16));
    check("read", "the end", sys!(SYS_read, reader, at, 16));
    check(
        "read",
        "the end, to a bad address",
        sys!(SYS_read, reader, BAD, 16),
    );
    check("read", "what is for writing", sys!(SYS_read, writer, at, 4));
    check(
        "write",
        "what is for reading",
        sys!(SYS_write, reader, at, 4),
    );
    check(
        "write",
        "from a bad address",
        sys!(SYS_write, writer, BAD, 4),
    );
    check("write", "no bytes", sys!(SYS_write, writer, at, 0));
    check(
        "write",
        "a file",
        sys!(SYS_write, writer, b"ab".as_ptr(), 2),
    );
    check("pread64", "a position", sys!(SYS_pread64, reader, at, 4, 1));
    say("pread64", "its bytes", String::from_utf8_lossy(&bytes[..4]));
    check(
        "pread64",
        "behind the end",
        sys!(SYS_pread64, reader, at, 4, 100),
    );
    check(
        "pread64",
        "a negative position",
        sys!(SYS_pread64, reader, at, 4, -1),
    );
    check(
        "pread64",
        "what is for writing",
        sys!(SYS_pread64, writer, at, 4, 0),
    );
    check(
        "pwrite64",
        "a position",
        sys!(SYS_pwrite64, writer, b"zz".as_ptr(), 2, 12),
    );
    check(
        "pwrite64",
        "a negative position",
        sys!(SYS_pwrite64, writer, b"zz".as_ptr(), 2, -5),
    );
    check(
        "pwrite64",
        "what is for reading",
        sys!(SYS_pwrite64, reader, b"zz".as_ptr(), 2, 0),
    );
    check(
        "lseek",
        "pwrite64 moves nothing",
        sys!(SYS_lseek, writer, 0, SEEK_CUR),
    );
    check(
        "lseek",
        "to the start",
        sys!(SYS_lseek, reader, 0, SEEK_SET),
    );
    contents("read", "a hole reads as zeros", reader);
    close(writer);
    let append = opened(c"read", O_WRONLY | O_APPEND);
    check(
        "write",
        "append",
        sys!(SYS_write, append, b"end".as_ptr(), 3),
    );
    check(
        "lseek",
        "after append",
        sys!(SYS_lseek, append, 0, SEEK_CUR),
    );
    check(
        "pwrite64",
        "append ignores positions",
        sys!(SYS_pwrite64, append, b"!".as_ptr(), 1, 0),
    );
    close(append);
    sys!(SYS_lseek, reader, 10, SEEK_SET).expect("a file");
    contents("read", "what was appended", reader);
    close(reader);
    let cut = opened(c"read", O_WRONLY | O_TRUNC);
    check(
        "lseek",
        "the end of what was cut",
        sys!(SYS_lseek, cut, 0, SEEK_END),
    );
    close(cut);
    let huge = opened(c"read", O_RDWR);
    check(
        "write",
        "more than fits an address space",
        sys!(SYS_write, huge, -4096_i64, 8192),
    );
    close(huge);
}

fn seeking() {
    let fd = opened(c"seek", O_RDWR | O_CREAT);
    sys!(SYS_write, fd, b"0123456789".as_ptr(), 10).expect("room");
    for (case, offset, whence) in [
        ("to 3", 3, SEEK_SET),
        ("3 on", 3, SEEK_CUR),
        ("back beyond the start", -100, SEEK_CUR),
        ("stays there", 0, SEEK_CUR),
        ("from the end", -2, SEEK_END),
        ("behind the end", 10, SEEK_END),
        ("before the start", -1, SEEK_SET),
        ("an unknown origin", 0, 9),
        ("data at 0", 0, SEEK_DATA),
        ("data behind the end", 50, SEEK_DATA),
        ("a hole from 0", 0, SEEK_HOLE),
        ("a hole behind the end", 50, SEEK_HOLE),
        ("a negative hole", -1, SEEK_HOLE),
        ("further than a number goes", i64::MAX, SEEK_END),
    ] {
        check("lseek", case, sys!(SYS_lseek, fd, offset, whence));
    }
    close(fd);
    check("lseek", "not open", sys!(SYS_lseek, CLOSED, 0, SEEK_SET));
    let folder = opened(c".", O_RDONLY);
    check(
        "lseek",
        "a folder's start",
        sys!(SYS_lseek, folder, 0, SEEK_SET),
    );
    check(
        "lseek",
        "a folder, an unknown origin",
        sys!(SYS_lseek, folder, 0, 9),
    );
    close(folder);
}

fn lengths() {
    let fd = opened(c"length", O_RDWR | O_CREAT);
    sys!(SYS_write, fd, b"0123456789".as_ptr(), 10).expect("room");
    check("ftruncate", "shorter", sys!(SYS_ftruncate, fd, 4));
    check("lseek", "the end then", sys!(SYS_lseek, fd, 0, SEEK_END));
    check("ftruncate", "longer", sys!(SYS_ftruncate, fd, 8));
    sys!(SYS_lseek, fd, 0, SEEK_SET).expect("a file");
    contents("read", "zeros where it was cut", fd);
    check("ftruncate", "negative", sys!(SYS_ftruncate, fd, -1));
    check("ftruncate", "not open", sys!(SYS_ftruncate, CLOSED, 1));
    check("truncate", "a path", sys!(SYS_truncate, c"length", 3));
    check("truncate", "negative", sys!(SYS_truncate, c"length", -3));
    check("truncate", "no file", sys!(SYS_truncate, c"no-length", 3));
    check("truncate", "a folder", sys!(SYS_truncate, c".", 3));
    check("truncate", "a bad address", sys!(SYS_truncate, BAD, 3));
    let reader = opened(c"length", O_RDONLY);
    check(
        "ftruncate",
        "what is for reading",
        sys!(SYS_ftruncate, reader, 1),
    );
    check(
        "fallocate",
        "what is for reading",
        sys!(SYS_fallocate, reader, 0, 0, 10),
    );
    close(reader);
    check(
        "fallocate",
        "not open",
        sys!(SYS_fallocate, CLOSED, 0, 0, 10),
    );
    check("fallocate", "no bytes", sys!(SYS_fallocate, fd, 0, 0, 0));
    check(
        "fallocate",
        "a negative position",
        sys!(SYS_fallocate, fd, 0, -1, 10),
    );
    close(fd);
}

fn vectors() {
    let fd = opened(c"vector", O_RDWR | O_CREAT);
    let part = |bytes: &[u8]| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let parts = [part(b"one"), part(b""), part(b"three")];
    check(
        "writev",
        "three parts",
        sys!(SYS_writev, fd, parts.as_ptr(), 3),
    );
    check(
        "writev",
        "no parts",
        sys!(SYS_writev, fd, parts.as_ptr(), 0),
    );
    check(
        "writev",
        "1025 parts",
        sys!(SYS_writev, fd, parts.as_ptr(), 1025),
    );
    check(
        "writev",
        "-1 parts",
        sys!(SYS_writev, fd, parts.as_ptr(), -1),
    );
    check("writev", "a bad list", sys!(SYS_writev, fd, BAD, 2));
    check(
        "writev",
        "not open",
        sys!(SYS_writev, CLOSED, parts.as_ptr(), 1),
    );
    let letters = *b"abcdefgh";
    let many: Vec<_> = (0..1024)
        .map(|nth| part(&letters[nth % 8..nth % 8 + nth % 2]))
        .collect();
    check(
        "writev",
        "1024 parts, every other one empty",
        sys!(SYS_writev, fd, many.as_ptr(), 1024),
    );
    let mut back = vec![0_u8; 1024];
    let single: Vec<_> = back
        .chunks_mut(1)
        .map(|byte| libc::iovec {
            iov_base: byte.as_mut_ptr().cast(),
            iov_len: 1,
        })
        .collect();
    check(
        "preadv",
        "1024 parts of a byte",
        sys!(SYS_preadv, fd, single.as_ptr(), 1024, 0, 0),
    );
    drop(single);
    back.truncate(24);
    say("preadv", "their bytes", String::from_utf8_lossy(&back));
    let bad = [
        part(b"good"),
        libc::iovec {
            iov_base: BAD.cast(),
            iov_len: 4,
        },
    ];
    check(
        "writev",
        "a bad second part",
        sys!(SYS_writev, fd, bad.as_ptr(), 2),
    );
    let huge = [
        part(b"good"),
        libc::iovec {
            iov_base: BAD.cast(),
            iov_len: usize::MAX,
        },
    ];
    check(
        "writev",
        "a part longer than a number",
        sys!(SYS_writev, fd, huge.as_ptr(), 2),
    );
    check(
        "pwritev",
        "a position",
        sys!(SYS_pwritev, fd, parts.as_ptr(), 1, 20, 0),
    );
    check(
        "pwritev",
        "a negative position",
        sys!(SYS_pwritev, fd, parts.as_ptr(), 1, -1, -1),
    );
    sys!(SYS_lseek, fd, 0, SEEK_SET).expect("a file");
    let (mut first, mut second) = ([0_u8; 4], [0_u8; 8]);
    let into = [
        libc::iovec {
            iov_base: first.as_mut_ptr().cast(),
            iov_len: 4,
        },
        libc::iovec {
            iov_base: second.as_mut_ptr().cast(),
            iov_len: 8,
        },
    ];
    check("readv", "two parts", sys!(SYS_readv, fd, into.as_ptr(), 2));
    say(
        "readv",
        "the bytes",
        format!(
            "{:?} {:?}",
            String::from_utf8_lossy(&first),
            String::from_utf8_lossy(&second)
        ),
    );
    check(
        "preadv",
        "a position",
        sys!(SYS_preadv, fd, into.as_ptr(), 1, 18, 0),
    );
    say(
        "preadv",
        "the bytes",
        String::from_utf8_lossy(&first).escape_debug(),
    );
    check(
        "preadv",
        "a negative position",
        sys!(SYS_preadv, fd, into.as_ptr(), 1, -1, -1),
    );
    check(
        "readv",
        "not open",
        sys!(SYS_readv, CLOSED, into.as_ptr(), 1),
    );
    close(fd);
}

fn copies() {
    std::fs::write("from", b"0123456789").expect("new");
    let (from, to) = (opened(c"from", O_RDONLY), opened(c"to", O_RDWR | O_CREAT));
    let mut position = 2_i64;
    check("sendfile", "a file", sys!(SYS_sendfile, to, from, 0, 4));
    check(
        "sendfile",
        "from a position",
        sys!(SYS_sendfile, to, from, &raw mut position, 3),
    );
    say("sendfile", "the position then", position);
    check(
        "lseek",
        "the offset then",
        sys!(SYS_lseek, from, 0, SEEK_CUR),
    );
    position = -1;
    check(
        "sendfile",
        "from a negative position",
        sys!(SYS_sendfile, to, from, &raw mut position, 3),
    );
    check(
        "sendfile",
        "a bad position",
        sys!(SYS_sendfile, to, from, BAD, 3),
    );
    check("sendfile", "not open", sys!(SYS_sendfile, to, CLOSED, 0, 3));
    check(
        "sendfile",
        "to what is for reading",
        sys!(SYS_sendfile, from, from, 0, 3),
    );
    check(
        "sendfile",
        "beyond the end",
        sys!(SYS_sendfile, to, from, 0, 100),
    );
    check(
        "sendfile",
        "at the end",
        sys!(SYS_sendfile, to, from, 0, 100),
    );
    let (mut here, mut there) = (1_i64, 20_i64);
    check(
        "copy_file_range",
        "positions",
        sys!(
            SYS_copy_file_range,
            from,
            &raw mut here,
            to,
            &raw mut there,
            4,
            0
        ),
    );
    say(
        "copy_file_range",
        "the positions then",
        format!("{here} {there}"),
    );
    check(
        "copy_file_range",
        "an unknown flag",
        sys!(SYS_copy_file_range, from, 0, to, 0, 4, 1),
    );
    check(
        "copy_file_range",
        "not open",
        sys!(SYS_copy_file_range, CLOSED, 0, to, 0, 4, 0),
    );
    check(
        "copy_file_range",
        "to what is for reading",
        sys!(SYS_copy_file_range, to, 0, from, 0, 4, 0),
    );
    sys!(SYS_lseek, to, 0, SEEK_SET).expect("a file");
    contents("read", "what was copied", to);
    close(from);
    close(to);
}

fn devices() {
    let null = opened(c"/dev/null", O_RDWR);
    let mut poll = libc::pollfd {
        fd: null as i32,
        events: libc::POLLIN | libc::POLLOUT,
        revents: 0,
    };
    check("poll", "/dev/null", sys!(SYS_poll, &raw mut poll, 1, 0));
    say("poll", "what /dev/null is ready for", poll.revents);
    check(
        "read",
        "/dev/null",
        sys!(SYS_read, null, [0_u8; 4].as_mut_ptr(), 4),
    );
    check(
        "write",
        "/dev/null",
        sys!(SYS_write, null, [0_u8; 4].as_ptr(), 4),
    );
    check("lseek", "/dev/null", sys!(SYS_lseek, null, 10, SEEK_SET));
    close(null);
    for (case, path) in [
        ("/dev/zero", c"/dev/zero"),
        ("/dev/urandom", c"/dev/urandom"),
        ("/dev/full", c"/dev/full"),
    ] {
        let fd = opened(path, O_RDWR);
        check("read", case, sys!(SYS_read, fd, [0_u8; 4].as_mut_ptr(), 4));
        check("write", case, sys!(SYS_write, fd, [0_u8; 4].as_ptr(), 4));
        close(fd);
    }
}
