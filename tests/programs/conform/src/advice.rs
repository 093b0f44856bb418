//! Memory a program has already: every kind of advice, what forks leave out, locking, and mappings that are made or moved in
//! unusual ways.

use crate::check::{Answer, check, say, sys, works};
use crate::child::apart;
use libc::{
    MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK, MADV_DONTNEED, MADV_FREE,
    MADV_KEEPONFORK, MADV_NORMAL, MADV_RANDOM, MADV_REMOVE, MADV_SEQUENTIAL, MADV_WILLNEED,
    MADV_WIPEONFORK, MAP_32BIT, MAP_ANONYMOUS, MAP_FIXED, MAP_GROWSDOWN, MAP_PRIVATE, MAP_SHARED,
    MAP_SHARED_VALIDATE, MAP_SYNC, MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE, O_RDONLY,
    O_RDWR, O_WRONLY, PROT_READ, PROT_WRITE,
};

const PAGE: i64 = 4096;
const BOTH: i32 = PROT_READ | PROT_WRITE;

fn map(at: i64, pages: i64, flags: i32) -> Answer {
    let flags = flags | MAP_ANONYMOUS;
    sys!(SYS_mmap, at, pages * PAGE, BOTH, flags, -1, 0)
}

fn mapped(pages: i64, flags: i32) -> i64 {
    map(0, pages, flags).expect("memory")
}

fn unmap(at: i64, pages: i64) {
    sys!(SYS_munmap, at, pages * PAGE).expect("it was mapped");
}

/// Lets the kernel write a byte where it may, or not, be possible.
fn put(at: i64, byte: u8) -> Answer {
    let byte = [byte];
    through_pipe(|pipe| {
        sys!(SYS_write, pipe[1], byte.as_ptr(), 1).expect("room");
        sys!(SYS_read, pipe[0], at, 1)
    })
}

/// Lets the kernel read a byte.
fn get(at: i64) -> Answer {
    through_pipe(|pipe| {
        let mut byte = [0_u8];
        sys!(SYS_write, pipe[1], at, 1)?;
        sys!(SYS_read, pipe[0], byte.as_mut_ptr(), 1)?;
        Ok(byte[0].into())
    })
}

fn through_pipe(act: impl FnOnce([i32; 2]) -> Answer) -> Answer {
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    let answer = act(pipe);
    for fd in pipe {
        sys!(SYS_close, fd).expect("open");
    }
    answer
}

pub(crate) fn run() {
    kinds();
    holes();
    forks();
    locks();
    places();
    devices();
    moves();
}

/// What `madvise` has a name for since Linux 5.4, but for huge and equal pages, which not every kernel is built with.
const KINDS: [(&str, i32); 18] = [
    ("normal", MADV_NORMAL),
    ("random", MADV_RANDOM),
    ("sequential", MADV_SEQUENTIAL),
    ("needed soon", MADV_WILLNEED),
    ("not needed", MADV_DONTNEED),
    ("5", 5),
    ("6", 6),
    ("7", 7),
    ("free", MADV_FREE),
    ("not dumped", MADV_DONTDUMP),
    ("dumped", MADV_DODUMP),
    ("not forked", MADV_DONTFORK),
    ("forked", MADV_DOFORK),
    ("wiped by fork", MADV_WIPEONFORK),
    ("kept by fork", MADV_KEEPONFORK),
    ("cold", 20),
    ("paged out", 21),
    ("99", 99),
];

fn kinds() {
    for (case, advice) in KINDS {
        let at = mapped(2, MAP_PRIVATE);
        put(at, 1).expect("mapped");
        let page = sys!(SYS_madvise, at, PAGE, advice);
        check("madvise", &format!("{case}, a page"), page);
        let none = sys!(SYS_madvise, at, 0, advice);
        check("madvise", &format!("{case}, no bytes"), none);
        unmap(at, 2);
    }
    let at = mapped(1, MAP_PRIVATE);
    let tried = |case: &str, at: i64, bytes: i64, advice: i32| {
        check("madvise", case, sys!(SYS_madvise, at, bytes, advice));
    };
    tried("remove private memory", at, PAGE, MADV_REMOVE);
    tried("an end before the start", at, -PAGE, MADV_NORMAL);
    tried("all there is and more", at, -1, MADV_NORMAL);
    tried("behind all", 0x7fff_ffff_f000, PAGE, MADV_NORMAL);
    unmap(at, 1);
    let shared = mapped(1, MAP_SHARED);
    put(shared, 5).expect("mapped");
    tried("free shared memory", shared, PAGE, MADV_FREE);
    tried("wipe shared memory", shared, PAGE, MADV_WIPEONFORK);
    tried("do not need shared memory", shared, PAGE, MADV_DONTNEED);
    check("madvise", "it is what it was", get(shared));
    unmap(shared, 1);
}

fn holes() {
    for (case, advice) in KINDS {
        let at = mapped(3, MAP_PRIVATE);
        unmap(at + PAGE, 1);
        let over = sys!(SYS_madvise, at, 3 * PAGE, advice);
        check("madvise", &format!("{case}, over a hole"), over);
        unmap(at, 3);
        let nothing = sys!(SYS_madvise, at, PAGE, advice);
        check("madvise", &format!("{case}, where nothing is"), nothing);
    }
    let at = mapped(3, MAP_PRIVATE);
    unmap(at + PAGE, 1);
    put(at + 2 * PAGE, 1).expect("mapped");
    let over = sys!(SYS_madvise, at, 3 * PAGE, MADV_DONTNEED);
    check("madvise", "not needed on both sides of a hole", over);
    check("madvise", "behind the hole it is zero", get(at + 2 * PAGE));
    unmap(at, 3);
}

fn forks() {
    let at = mapped(4, MAP_PRIVATE);
    let advise = |page: i64, pages: i64, advice: i32| {
        sys!(SYS_madvise, at + page * PAGE, pages * PAGE, advice).expect("mapped");
    };
    for page in 0..4 {
        put(at + page * PAGE, 7).expect("mapped");
    }
    advise(1, 1, MADV_DONTFORK);
    advise(2, 1, MADV_WIPEONFORK);
    advise(3, 1, MADV_WIPEONFORK);
    advise(3, 1, MADV_KEEPONFORK);
    let seen = |who: &str| {
        for page in 0..4 {
            check(who, &format!("page {page}"), get(at + page * PAGE));
        }
    };
    apart(|| {
        seen("fork, advised");
        put(at + 2 * PAGE, 9).expect("mapped");
        apart(|| seen("fork again, advised"));
        let free = map(at + PAGE, 1, MAP_PRIVATE | MAP_FIXED);
        works("mmap", "where nothing was forked", free).expect("free");
    });
    seen("after fork, advised");
    advise(0, 4, MADV_DOFORK);
    advise(0, 4, MADV_KEEPONFORK);
    apart(|| seen("fork, as ever"));
    unmap(at, 4);
}

fn locks() {
    let at = mapped(3, MAP_PRIVATE);
    unmap(at + 2 * PAGE, 1);
    let lock = |case: &str, at: i64, bytes: i64| {
        check("mlock", case, sys!(SYS_mlock, at, bytes));
        check("munlock", case, sys!(SYS_munlock, at, bytes));
    };
    lock("an odd address", at + 1, PAGE);
    lock("no bytes", at, 0);
    lock("over a hole", at + PAGE, 2 * PAGE);
    lock("where nothing is", at + 2 * PAGE, PAGE);
    // Whether so much may be locked is asked first, of whom depends on the machine.
    check(
        "munlock",
        "an end before the start",
        sys!(SYS_munlock, at, -PAGE),
    );
    for (case, flags) in [("plain", 0), ("on fault", 1), ("an unknown flag", 2)] {
        check("mlock2", case, sys!(SYS_mlock2, at, PAGE, flags));
    }
    for (case, flags) in [("nothing", 0), ("only on fault", 4), ("an unknown flag", 8)] {
        check("mlockall", case, sys!(SYS_mlockall, flags));
    }
    check("munlockall", "all", sys!(SYS_munlockall));
    unmap(at, 2);
}

fn places() {
    let low = map(0, 1, MAP_PRIVATE | MAP_32BIT).expect("there is room");
    say("mmap", "below 2 GiB", low < 1 << 31);
    unmap(low, 1);
    let wish = map(1 << 33, 1, MAP_PRIVATE | MAP_32BIT).expect("there is room");
    say("mmap", "below 2 GiB, with a wish above", wish < 1 << 31);
    unmap(wish, 1);
    works("mmap", "a kind that is none", map(0, 1, 4)).expect_err("refused");
    let validated = map(0, 1, MAP_SHARED_VALIDATE);
    works("mmap", "validated memory", validated).expect_err("refused");
    let shared = map(0, 1, MAP_SHARED | MAP_GROWSDOWN);
    works("mmap", "shared memory that grows", shared).expect_err("refused");
    let rights = sys!(
        SYS_mmap,
        0,
        PAGE,
        PROT_READ | 0x40,
        MAP_PRIVATE | MAP_ANONYMOUS,
        -1,
        0
    );
    unmap(
        works("mmap", "an unknown right", rights).expect("memory"),
        1,
    );
    // Far enough above everything that it may grow.
    let room = mapped(600, MAP_PRIVATE);
    unmap(room, 600);
    let at = room + 590 * PAGE;
    let flags = MAP_PRIVATE | MAP_FIXED | MAP_GROWSDOWN;
    let grows = works("mmap", "memory that grows", map(at, 1, flags)).expect("memory");
    check("mmap", "it grows", put(grows - 1, 1));
    check("mmap", "by more", put(grows - 3 * PAGE, 1));
    unmap(grows - 3 * PAGE, 4);
}

fn devices() {
    std::fs::write("map", [1; 100]).expect("new");
    let file = sys!(SYS_open, c"map", O_RDWR).expect("it is there");
    let mapped = |case: &str, fd: i64, protection: i32, flags: i32| {
        let answer = sys!(SYS_mmap, 0, PAGE, protection, flags, fd, 0);
        if let Ok(at) = works("mmap", case, answer) {
            check("mmap", &format!("{case}: first byte"), get(at));
            check("mmap", &format!("{case}: written"), put(at, 8));
            unmap(at, 1);
        }
    };
    mapped("validated", file, BOTH, MAP_SHARED_VALIDATE);
    let synchronous = MAP_SHARED_VALIDATE | MAP_SYNC;
    mapped("validated and synchronous", file, BOTH, synchronous);
    let grows = MAP_PRIVATE | MAP_GROWSDOWN;
    mapped("a file that grows down", file, PROT_READ, grows);
    sys!(SYS_close, file).expect("open");
    for (mode, flags) in [("r", O_RDONLY), ("w", O_WRONLY), ("rw", O_RDWR)] {
        let fd = sys!(SYS_open, c"/dev/zero", flags).expect("it is there");
        mapped(&format!("/dev/zero {mode}"), fd, BOTH, MAP_PRIVATE);
        mapped(&format!("/dev/zero {mode}, shared"), fd, BOTH, MAP_SHARED);
        let seen = format!("/dev/zero {mode}, shared, to read");
        mapped(&seen, fd, PROT_READ, MAP_SHARED);
        sys!(SYS_close, fd).expect("open");
    }
    let null = sys!(SYS_open, c"/dev/null", O_RDWR).expect("it is there");
    mapped("/dev/null", null, BOTH, MAP_PRIVATE);
    sys!(SYS_close, null).expect("open");
}

fn moves() {
    let keep = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
    let remap = |at: i64, old: i64, new: i64, flags: i32| {
        sys!(SYS_mremap, at, old * PAGE, new * PAGE, flags, 0)
    };
    let private = mapped(2, MAP_PRIVATE);
    put(private, 3).expect("mapped");
    works(
        "mremap",
        "no private page",
        remap(private, 0, 1, MREMAP_MAYMOVE),
    )
    .expect_err("refused");
    works(
        "mremap",
        "kept in place",
        remap(private, 1, 1, MREMAP_DONTUNMAP),
    )
    .expect_err("refused");
    works("mremap", "kept and larger", remap(private, 1, 2, keep)).expect_err("refused");
    let moved = works("mremap", "kept", remap(private, 2, 2, keep)).expect("memory");
    check("mremap", "what has moved", get(moved));
    check("mremap", "what has stayed", get(private));
    unmap(private, 2);
    unmap(moved, 2);
    let shared = mapped(2, MAP_SHARED);
    put(shared + PAGE, 4).expect("mapped");
    let second = remap(shared + PAGE, 0, 1, MREMAP_MAYMOVE);
    let second = works("mremap", "no shared page", second).expect("memory");
    check("mremap", "the first of both", get(shared + PAGE));
    check("mremap", "the second of both", get(second));
    works("mremap", "no shared page, in place", remap(shared, 0, 1, 0)).expect_err("refused");
    let flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    let onto = sys!(SYS_mremap, shared + PAGE, 0, PAGE, flags, second);
    check(
        "mremap",
        "no shared page, fixed",
        onto.map(|at| i64::from(at == second)),
    );
    unmap(second, 1);
    unmap(shared, 2);
}
