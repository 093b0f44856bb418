//! Memory: mmap, munmap, mprotect, mremap, madvise, msync, mincore, brk, and what reads and writes through it.

use crate::check::{Answer, BAD, check, say, sys, works};
use libc::{
    MADV_DONTNEED, MADV_FREE, MADV_NORMAL, MADV_WILLNEED, MAP_ANONYMOUS, MAP_FIXED,
    MAP_FIXED_NOREPLACE, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, MREMAP_FIXED, MREMAP_MAYMOVE,
    MS_ASYNC, MS_INVALIDATE, MS_SYNC, O_RDONLY, O_RDWR, O_WRONLY, PROT_EXEC, PROT_NONE, PROT_READ,
    PROT_WRITE,
};

const PAGE: i64 = 4096;

fn map(length: i64, protection: i32, flags: i32) -> Answer {
    sys!(SYS_mmap, 0, length, protection, flags, -1, 0)
}

fn mapped(pages: i64) -> i64 {
    map(
        pages * PAGE,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS,
    )
    .expect("memory")
}

fn unmap(at: i64, pages: i64) {
    sys!(SYS_munmap, at, pages * PAGE).expect("it was mapped");
}

/// Whether the kernel can write to a byte, which never harms this program.
fn is_writable(at: i64) -> Answer {
    let zero = sys!(SYS_open, c"/dev/zero", O_RDONLY).expect("it is there");
    let answer = sys!(SYS_read, zero, at, 1);
    sys!(SYS_close, zero).expect("open");
    answer
}

/// Whether the kernel can read a byte.
fn is_readable(at: i64) -> Answer {
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    let answer = sys!(SYS_write, pipe[1], at, 1);
    for fd in pipe {
        sys!(SYS_close, fd).expect("open");
    }
    answer
}

pub(crate) fn run() {
    mapping();
    files();
    protecting();
    unmapping();
    moving();
    advising();
    breaking();
}

fn mapping() {
    let tried = |case: &str, length: i64, protection: i32, flags: i32| {
        if let Ok(at) = works("mmap", case, map(length, protection, flags)) {
            check("mmap", &format!("{case}: can be written"), is_writable(at));
            check("mmap", &format!("{case}: can be read"), is_readable(at));
            sys!(SYS_munmap, at, length).expect("it was mapped");
        }
    };
    let anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    tried("private memory", PAGE, PROT_READ | PROT_WRITE, anonymous);
    tried(
        "shared memory",
        PAGE,
        PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS,
    );
    tried("memory for reading", PAGE, PROT_READ, anonymous);
    tried("memory for nothing", PAGE, PROT_NONE, anonymous);
    tried(
        "memory for everything",
        PAGE,
        PROT_READ | PROT_WRITE | PROT_EXEC,
        anonymous,
    );
    tried("one byte", 1, PROT_READ | PROT_WRITE, anonymous);
    tried(
        "without a reservation",
        1 << 40,
        PROT_NONE,
        anonymous | MAP_NORESERVE,
    );
    tried("no bytes", 0, PROT_READ, anonymous);
    tried("a negative length", -1, PROT_READ, anonymous);
    tried(
        "more than an address space",
        1 << 47,
        PROT_NONE,
        anonymous | MAP_NORESERVE,
    );
    tried("neither private nor shared", PAGE, PROT_READ, MAP_ANONYMOUS);
    tried("no flags", PAGE, PROT_READ, 0);
    tried("a file that is not open", PAGE, PROT_READ, MAP_PRIVATE);
    let at = mapped(3);
    let fixed = |case: &str, at: i64, flags: i32| {
        let answer = sys!(
            SYS_mmap,
            at,
            PAGE,
            PROT_READ | PROT_WRITE,
            anonymous | flags,
            -1,
            0
        );
        check("mmap", case, answer.map(|found| i64::from(found == at)));
    };
    fixed("at an address in use", at + PAGE, MAP_FIXED);
    fixed(
        "at an address that must be free and is not",
        at + PAGE,
        MAP_FIXED_NOREPLACE,
    );
    unmap(at, 3);
    fixed(
        "at an address that must be free",
        at + PAGE,
        MAP_FIXED_NOREPLACE,
    );
    unmap(at + PAGE, 1);
    fixed("at an odd address", at + 1, MAP_FIXED);
    fixed("at an address behind all", 0x7fff_ffff_f000, MAP_FIXED);
    fixed("in the kernel's half", -(PAGE << 10), MAP_FIXED);
    check(
        "mmap",
        "an odd offset",
        sys!(SYS_mmap, 0, PAGE, PROT_READ, anonymous, -1, 5),
    );
    let hint = sys!(SYS_mmap, at + 1, PAGE, PROT_READ, anonymous, -1, 0).expect("memory");
    say("mmap", "an odd wish is rounded down", hint % PAGE == 0);
    unmap(hint, 1);
}

fn files() {
    std::fs::write("map", vec![b'a'; 5000]).expect("new");
    let open = |flags: i32| sys!(SYS_open, c"map", flags).expect("it is there");
    let (reader, both, writer) = (open(O_RDONLY), open(O_RDWR), open(O_WRONLY));
    let tried = |case: &str, fd: i64, protection: i32, flags: i32, offset: i64| {
        if let Ok(at) = works(
            "mmap",
            case,
            sys!(SYS_mmap, 0, PAGE, protection, flags, fd, offset),
        ) {
            check("mmap", &format!("{case}: can be read"), is_readable(at));
            unmap(at, 1);
        }
    };
    tried("a file, private", reader, PROT_READ, MAP_PRIVATE, 0);
    tried(
        "a file, private and written",
        reader,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE,
        0,
    );
    tried("a file, shared", reader, PROT_READ, MAP_SHARED, 0);
    tried(
        "a file for reading, shared and written",
        reader,
        PROT_READ | PROT_WRITE,
        MAP_SHARED,
        0,
    );
    tried("a file for writing only", writer, PROT_WRITE, MAP_SHARED, 0);
    tried(
        "a file for writing only, private",
        writer,
        PROT_READ,
        MAP_PRIVATE,
        0,
    );
    tried("its second page", reader, PROT_READ, MAP_PRIVATE, PAGE);
    tried("behind its end", reader, PROT_READ, MAP_PRIVATE, 2 * PAGE);
    tried("an odd offset of a file", reader, PROT_READ, MAP_PRIVATE, 1);
    tried("a negative offset", reader, PROT_READ, MAP_PRIVATE, -PAGE);
    let folder = sys!(SYS_open, c".", O_RDONLY).expect("it is there");
    tried("a folder", folder, PROT_READ, MAP_PRIVATE, 0);
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    tried("a pipe", pipe[0].into(), PROT_READ, MAP_PRIVATE, 0);
    for fd in [folder, pipe[0].into(), pipe[1].into(), writer] {
        sys!(SYS_close, fd).expect("open");
    }
    let shared = sys!(
        SYS_mmap,
        0,
        2 * PAGE,
        PROT_READ | PROT_WRITE,
        MAP_SHARED,
        both,
        0
    );
    if let Ok(at) = works("mmap", "a file, shared and written", shared) {
        check(
            "read",
            "into a shared file",
            sys!(SYS_pread64, reader, at, 3, 4000),
        );
        check("msync", "a shared file", sys!(SYS_msync, at, PAGE, MS_SYNC));
        let mut bytes = [0_u8; 4];
        sys!(SYS_pwrite64, both, b"ZZZZ".as_ptr(), 4, 100).expect("room");
        let mut pipe = [0; 2];
        sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
        sys!(SYS_write, pipe[1], at + 100, 4).expect("mapped");
        sys!(SYS_read, pipe[0], bytes.as_mut_ptr(), 4).expect("there");
        say(
            "mmap",
            "a write to the file is seen",
            String::from_utf8_lossy(&bytes),
        );
        for fd in pipe {
            sys!(SYS_close, fd).expect("open");
        }
        unmap(at, 2);
    }
    let private = sys!(
        SYS_mmap,
        0,
        2 * PAGE,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE,
        reader,
        0
    )
    .expect("mapped");
    check(
        "mmap",
        "a private page can be written",
        is_writable(private),
    );
    let mut first = [9_u8; 1];
    sys!(SYS_pread64, reader, first.as_mut_ptr(), 1, 0).expect("there");
    say("mmap", "the file is as it was", first[0] as char);
    check(
        "mmap",
        "behind the end, in the last page",
        is_readable(private + 5000),
    );
    unmap(private, 2);
    std::fs::remove_file("map").expect("there");
    let gone = sys!(SYS_mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, reader, 0);
    if let Ok(at) = works("mmap", "a file without a name", gone) {
        check("mmap", "a file without a name can be read", is_readable(at));
        unmap(at, 1);
    }
    for fd in [reader, both] {
        sys!(SYS_close, fd).expect("open");
    }
}

fn protecting() {
    let at = mapped(4);
    check(
        "mprotect",
        "to reading",
        sys!(SYS_mprotect, at, PAGE, PROT_READ),
    );
    check("mprotect", "it cannot be written", is_writable(at));
    check("mprotect", "the next can", is_writable(at + PAGE));
    check(
        "mprotect",
        "to nothing",
        sys!(SYS_mprotect, at, PAGE, PROT_NONE),
    );
    check("mprotect", "it cannot be read", is_readable(at));
    check(
        "mprotect",
        "back to both",
        sys!(SYS_mprotect, at, PAGE, PROT_READ | PROT_WRITE),
    );
    check("mprotect", "it can be written", is_writable(at));
    check("mprotect", "no bytes", sys!(SYS_mprotect, at, 0, PROT_READ));
    check(
        "mprotect",
        "an odd address",
        sys!(SYS_mprotect, at + 1, PAGE, PROT_READ),
    );
    check(
        "mprotect",
        "an odd length",
        sys!(SYS_mprotect, at, 1, PROT_READ),
    );
    check("mprotect", "all of its page", is_writable(at + 100));
    check(
        "mprotect",
        "an unknown right",
        sys!(SYS_mprotect, at, PAGE, 0x100),
    );
    check(
        "mprotect",
        "a negative length",
        sys!(SYS_mprotect, at, -PAGE, PROT_READ),
    );
    check(
        "mprotect",
        "executable",
        sys!(
            SYS_mprotect,
            at,
            4 * PAGE,
            PROT_READ | PROT_WRITE | PROT_EXEC
        ),
    );
    unmap(at + PAGE, 1);
    check(
        "mprotect",
        "over a hole",
        sys!(SYS_mprotect, at, 3 * PAGE, PROT_READ),
    );
    check("mprotect", "what was before the hole", is_writable(at));
    unmap(at, 4);
    check(
        "mprotect",
        "nothing there",
        sys!(SYS_mprotect, at, PAGE, PROT_READ),
    );
}

fn unmapping() {
    let at = mapped(5);
    check(
        "munmap",
        "the middle",
        sys!(SYS_munmap, at + 2 * PAGE, PAGE),
    );
    check("munmap", "what is gone", is_readable(at + 2 * PAGE));
    check("munmap", "what is left before", is_writable(at + PAGE));
    check("munmap", "what is left behind", is_writable(at + 3 * PAGE));
    check("munmap", "a hole", sys!(SYS_munmap, at + 2 * PAGE, PAGE));
    check("munmap", "over a hole", sys!(SYS_munmap, at, 5 * PAGE));
    check("munmap", "no bytes", sys!(SYS_munmap, at, 0));
    check("munmap", "an odd address", sys!(SYS_munmap, at + 1, PAGE));
    check("munmap", "a negative length", sys!(SYS_munmap, at, -PAGE));
    check(
        "munmap",
        "behind all",
        sys!(SYS_munmap, 0x7fff_ffff_f000_i64, PAGE),
    );
    check("munmap", "the kernel's half", sys!(SYS_munmap, -PAGE, PAGE));
    let mut seen = [0_u8; 4];
    let at = mapped(4);
    is_writable(at + PAGE).expect("mapped");
    check(
        "mincore",
        "four pages",
        sys!(SYS_mincore, at, 4 * PAGE, seen.as_mut_ptr()),
    );
    say(
        "mincore",
        "which are there",
        format!("{:?}", seen.map(|it| it & 1)),
    );
    check(
        "mincore",
        "an odd address",
        sys!(SYS_mincore, at + 1, PAGE, seen.as_mut_ptr()),
    );
    check("mincore", "a bad vector", sys!(SYS_mincore, at, PAGE, BAD));
    unmap(at, 4);
    check(
        "mincore",
        "nothing there",
        sys!(SYS_mincore, at, PAGE, seen.as_mut_ptr()),
    );
}

fn moving() {
    let at = mapped(4);
    let remap = |case: &str, at: i64, old: i64, new: i64, flags: i32| {
        check(
            "mremap",
            case,
            sys!(SYS_mremap, at, old, new, flags, 0).map(|found| i64::from(found == at)),
        )
    };
    remap("smaller", at, 4 * PAGE, 2 * PAGE, 0);
    check("mremap", "what was cut off", is_readable(at + 2 * PAGE));
    remap("the same", at, 2 * PAGE, 2 * PAGE, 0);
    remap("in its place", at, 2 * PAGE, 3 * PAGE, 0);
    remap("an odd address", at + 1, PAGE, PAGE, 0);
    remap("to no bytes", at, PAGE, 0, 0);
    remap("an unknown flag", at, PAGE, PAGE, 64);
    remap("fixed without moving", at, PAGE, PAGE, MREMAP_FIXED);
    let moved = works(
        "mremap",
        "much larger",
        sys!(SYS_mremap, at, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE),
    )
    .expect("memory");
    check(
        "mremap",
        "it can be written to its end",
        is_writable(moved + 64 * PAGE - 1),
    );
    let to = mapped(8);
    let answer = sys!(
        SYS_mremap,
        moved,
        4 * PAGE,
        4 * PAGE,
        MREMAP_MAYMOVE | MREMAP_FIXED,
        to
    );
    check(
        "mremap",
        "to an address",
        answer.map(|found| i64::from(found == to)),
    );
    check(
        "mremap",
        "onto itself",
        sys!(
            SYS_mremap,
            to,
            4 * PAGE,
            4 * PAGE,
            MREMAP_MAYMOVE | MREMAP_FIXED,
            to + PAGE
        ),
    );
    check(
        "mremap",
        "to an odd address",
        sys!(
            SYS_mremap,
            to,
            PAGE,
            PAGE,
            MREMAP_MAYMOVE | MREMAP_FIXED,
            moved + 1
        ),
    );
    unmap(moved, 64);
    unmap(to, 8);
    remap("nothing there", to, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
}

fn advising() {
    let at = mapped(4);
    is_writable(at).expect("mapped");
    for (case, advice) in [
        ("normal", MADV_NORMAL),
        ("will need", MADV_WILLNEED),
        ("free", MADV_FREE),
        ("unknown", 999),
    ] {
        check("madvise", case, sys!(SYS_madvise, at, PAGE, advice));
    }
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    sys!(SYS_write, pipe[1], b"x".as_ptr(), 1).expect("room");
    sys!(SYS_read, pipe[0], at, 1).expect("mapped");
    check(
        "madvise",
        "do not need",
        sys!(SYS_madvise, at, PAGE, MADV_DONTNEED),
    );
    sys!(SYS_write, pipe[1], at, 1).expect("mapped");
    let mut byte = [9_u8; 1];
    sys!(SYS_read, pipe[0], byte.as_mut_ptr(), 1).expect("there");
    say("madvise", "what was not needed is zero", byte[0]);
    for fd in pipe {
        sys!(SYS_close, fd).expect("open");
    }
    check(
        "madvise",
        "an odd address",
        sys!(SYS_madvise, at + 1, PAGE, MADV_NORMAL),
    );
    check("madvise", "no bytes", sys!(SYS_madvise, at, 0, MADV_NORMAL));
    check("msync", "memory", sys!(SYS_msync, at, PAGE, MS_ASYNC));
    check(
        "msync",
        "both ways",
        sys!(SYS_msync, at, PAGE, MS_ASYNC | MS_SYNC),
    );
    check("msync", "an unknown flag", sys!(SYS_msync, at, PAGE, 0x100));
    check(
        "msync",
        "an odd address",
        sys!(SYS_msync, at + 1, PAGE, MS_SYNC),
    );
    check(
        "msync",
        "and forget",
        sys!(SYS_msync, at, PAGE, MS_SYNC | MS_INVALIDATE),
    );
    unmap(at, 4);
    check(
        "madvise",
        "nothing there",
        sys!(SYS_madvise, at, PAGE, MADV_DONTNEED),
    );
    check("msync", "nothing there", sys!(SYS_msync, at, PAGE, MS_SYNC));
    let here = mapped(1);
    check("mlock", "a page", sys!(SYS_mlock, here, PAGE));
    check("munlock", "a page", sys!(SYS_munlock, here, PAGE));
    unmap(here, 1);
}

fn breaking() {
    let end = sys!(SYS_brk, 0).expect("it is told");
    check(
        "brk",
        "further",
        sys!(SYS_brk, end + 3 * PAGE).map(|now| now - end),
    );
    check("brk", "it can be written", is_writable(end + 2 * PAGE));
    check("brk", "back", sys!(SYS_brk, end).map(|now| now - end));
    check(
        "brk",
        "much too far",
        sys!(SYS_brk, 1_i64 << 46).map(|now| now - end),
    );
    check("brk", "to 1", sys!(SYS_brk, 1).map(|now| now - end));
}
