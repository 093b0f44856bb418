//! Files that are cut while they are mapped: what is gone is gone in every mapping, also when the file grows again.

use crate::check::{check, say, sys};
use crate::handle::{close, opened, pipe, read, write};
use libc::{MAP_SHARED, O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, PROT_READ, PROT_WRITE};

const PAGE: i64 = 4096;

pub(crate) fn run() {
    for (name, access, protection) in [
        ("to write", O_RDWR, PROT_READ | PROT_WRITE),
        ("to read", O_RDONLY, PROT_READ),
    ] {
        for by_path in [true, false] {
            cut(name, access, protection, by_path);
        }
        opened_anew(name, access, protection);
    }
}

/// Makes a file of three pages, maps it, and looks at each page; returns the file and the mapping.
fn mapped(access: i32, protection: i32) -> (i64, i64) {
    let fd = opened(c"file", O_RDWR | O_CREAT | O_TRUNC);
    write(fd, &[b'x'; 3 * PAGE as usize]).expect("room");
    close(fd);
    let fd = opened(c"file", access);
    let at = sys!(SYS_mmap, 0, 3 * PAGE, protection, MAP_SHARED, fd, 0).expect("a mapping");
    (fd, at)
}

/// Says what the pages of a mapping hold at their ends, or how reading them fails, which it does in the kernel.
fn look(call: &str, case: &str, at: i64) {
    let [reader, writer] = pipe();
    for page in 0..3 {
        let last = at + (page + 1) * PAGE - 1;
        let seen = sys!(SYS_write, writer, last, 1);
        check(call, &format!("{case}: page {page}"), seen);
        let held = read(reader, 1);
        say(
            call,
            &format!("{case}: in page {page}"),
            format!("{held:?}"),
        );
    }
    close(reader);
    close(writer);
}

fn cut(name: &str, access: i32, protection: i32, by_path: bool) {
    let (fd, at) = mapped(access, protection);
    let case = format!("a file mapped {name}, by path {by_path}");
    look("mmap", &case, at);
    let writer = opened(c"file", O_RDWR);
    let set = |length: i64| {
        let answer = if by_path {
            sys!(SYS_truncate, c"file", length)
        } else {
            sys!(SYS_ftruncate, writer, length)
        };
        answer.expect("it is a file");
    };
    set(PAGE + 10);
    look("truncate", &format!("{case}, shorter"), at);
    set(3 * PAGE);
    look("truncate", &format!("{case}, as long as before"), at);
    let ends = [11, PAGE - 1, PAGE, 2 * PAGE - 1].map(|offset| byte(at + PAGE + offset));
    say(
        "truncate",
        &format!("{case}, what was cut off"),
        format!("{ends:?}"),
    );
    write(writer, &[b'y'; 3 * PAGE as usize]).expect("room");
    let ends = [0, PAGE, 3 * PAGE - 1].map(|offset| byte(at + offset));
    say(
        "truncate",
        &format!("{case}, written anew"),
        format!("{ends:?}"),
    );
    close(writer);
    close(fd);
    sys!(SYS_munmap, at, 3 * PAGE).expect("it is mapped");
}

fn opened_anew(name: &str, access: i32, protection: i32) {
    let (fd, at) = mapped(access, protection);
    let case = format!("to cut a file mapped {name}");
    look("mmap", &case, at);
    close(opened(c"file", O_RDWR | O_TRUNC));
    look("openat", &case, at);
    close(fd);
    sys!(SYS_munmap, at, 3 * PAGE).expect("it is mapped");
}

fn byte(at: i64) -> u8 {
    // SAFETY: the page is mapped, and inside the file.
    unsafe { std::ptr::with_exposed_provenance::<u8>(at as usize).read_volatile() }
}
