//! Limits of processes at work: what is given up to each of them, and what comes behind it.

use crate::check::{Answer, check, say, sys};
use crate::child::{apart, child, status_of};

const PAGE: u64 = 4096;
const MEGABYTE: u64 = 1 << 20;

pub(crate) fn run() {
    // A user who has no other process anywhere, not of another run of these checks either.
    let user = 50_000 + std::process::id() % 10_000;
    files();
    memory();
    data();
    stack();
    arguments();
    tasks(user);
    descriptors();
    others(user);
}

fn limit(resource: u32, soft: u64) {
    let mut known = [0_u64; 2];
    sys!(SYS_getrlimit, resource, known.as_mut_ptr()).expect("told");
    let wanted = [soft, known[1]];
    sys!(SYS_setrlimit, resource, wanted.as_ptr()).expect("less");
}

fn open(path: &std::ffi::CStr, flags: i32) -> i64 {
    sys!(SYS_open, path, flags | libc::O_CREAT, 0o644).expect("a file")
}

/// Says by which signal a child ended, or else its exit code; that it left an image of its memory depends on the machine.
fn ended(call: &str, case: &str, pid: i32) {
    let status = status_of(pid);
    let end = match status & 0x7f {
        0 => format!("code {}", status >> 8),
        signal => format!("signal {signal}"),
    };
    say(call, case, end);
}

fn files() {
    let bytes = [7_u8; 10_000];
    let at = bytes.as_ptr();
    let large = open(c"large", libc::O_RDWR);
    sys!(SYS_write, large, at, 10_000).expect("room");
    sys!(SYS_write, large, at, 10_000).expect("room");
    apart(|| {
        limit(libc::RLIMIT_FSIZE, 8192);
        // SAFETY: nothing is called by it.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        let file = open(c"file", libc::O_RDWR);
        check(
            "write",
            "over the limit of a file",
            sys!(SYS_write, file, at, 10_000),
        );
        check(
            "write",
            "at the limit of a file",
            sys!(SYS_write, file, at, 1),
        );
        check(
            "write",
            "nothing at the limit",
            sys!(SYS_write, file, at, 0),
        );
        let pwrite = |case: &str, file: i64, count: i64, position: i64| {
            check(
                "pwrite64",
                case,
                sys!(SYS_pwrite64, file, at, count, position),
            );
        };
        pwrite("below the limit of a file", file, 1, 8191);
        pwrite("from below to behind the limit", file, 2, 8191);
        pwrite("behind the limit of a file", file, 1, 8192);
        let two = [[at as u64, 8000], [at as u64, 8000]];
        let answer = sys!(SYS_pwritev, file, two.as_ptr(), 2, 0, 0);
        check("pwritev", "over the limit of a file", answer);
        pwrite("a file that is larger, below", large, 10_000, 0);
        pwrite("a file that is larger, behind", large, 1, 9000);
        let end = open(c"large", libc::O_WRONLY | libc::O_APPEND);
        check(
            "write",
            "to the end of a larger one",
            sys!(SYS_write, end, at, 1),
        );
        for (case, length) in [
            ("at the limit", 8192),
            ("over the limit", 8193),
            ("below the limit", 4096),
        ] {
            check("ftruncate", case, sys!(SYS_ftruncate, file, length));
        }
        check(
            "truncate",
            "over the limit",
            sys!(SYS_truncate, c"file", 8193),
        );
        for (case, length) in [
            ("a larger one, cut", 15_000),
            ("a larger one, lengthened", 16_000),
            ("a larger one, as it is", 15_000),
        ] {
            check("ftruncate", case, sys!(SYS_ftruncate, large, length));
        }
        let range = [large, 0, file, 0, 10_000];
        let start = 0_u64;
        let answer = sys!(
            SYS_copy_file_range,
            range[0],
            &raw const start as i64,
            range[2],
            &raw const start as i64,
            range[4],
            0
        );
        check("copy_file_range", "over the limit", answer);
        let end = 8192_u64;
        let copy = sys!(
            SYS_copy_file_range,
            large,
            &raw const start,
            file,
            &raw const end,
            4,
            0
        );
        check("copy_file_range", "behind the limit", copy);
        let memory = sys!(SYS_memfd_create, c"memory", 0).expect("a file");
        check(
            "write",
            "to memory over the limit",
            sys!(SYS_write, memory, at, 10_000),
        );
        check(
            "ftruncate",
            "memory over the limit",
            sys!(SYS_ftruncate, memory, 8193),
        );
        let mut pipe = [0; 2];
        sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
        check("write", "to a pipe", sys!(SYS_write, pipe[1], at, 10_000));
        let map = sys!(
            SYS_mmap,
            0,
            16 * PAGE,
            3,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0
        );
        check(
            "mmap",
            "shared memory over the limit of a file",
            map.map(|_| 0),
        );
    });
    let dies = |call: &str, case: &str, act: &dyn Fn() -> Answer| {
        let pid = child(|| {
            limit(libc::RLIMIT_FSIZE, 8192);
            i32::from(act().is_ok())
        });
        ended(call, case, pid);
    };
    let file = open(c"other", libc::O_RDWR);
    dies(
        "write",
        "over the limit, who does not mind the signal",
        &|| sys!(SYS_pwrite64, file, at, 10_000, 0),
    );
    dies(
        "write",
        "behind the limit, who does not mind the signal",
        &|| sys!(SYS_pwrite64, file, at, 1, 8192),
    );
    dies(
        "ftruncate",
        "behind the limit, who does not mind the signal",
        &|| sys!(SYS_ftruncate, file, 8193),
    );
    dies(
        "truncate",
        "behind the limit, who does not mind the signal",
        &|| sys!(SYS_truncate, c"other", 8193),
    );
    dies(
        "ftruncate",
        "at the limit, who does not mind the signal",
        &|| sys!(SYS_ftruncate, file, 8192),
    );
}

/// Returns how many pages the process has addresses for.
fn pages() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("there");
    let first = text.split(' ').next().expect("a number");
    first.parse().expect("a number")
}

const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

fn map(bytes: u64, rights: i32, flags: i32) -> Answer {
    sys!(SYS_mmap, 0, bytes, rights, flags, -1, 0)
}

fn memory() {
    apart(|| {
        limit(libc::RLIMIT_AS, (pages() + 256 * 64) * PAGE);
        let kept = map(32 * MEGABYTE, 3, ANONYMOUS).expect("room");
        let done = |case: &str, answer: Answer| check("mmap", case, answer.map(|_| 0));
        done("more than there may be", map(33 * MEGABYTE, 0, ANONYMOUS));
        done(
            "more than there may be, shared",
            map(33 * MEGABYTE, 1, libc::MAP_SHARED | libc::MAP_ANONYMOUS),
        );
        let fixed = ANONYMOUS | libc::MAP_FIXED;
        let over = |bytes: u64| sys!(SYS_mmap, kept, bytes, 3, fixed, -1, 0);
        done("what is there already", over(32 * MEGABYTE));
        let end = sys!(SYS_brk, 0).expect("told");
        let moved = sys!(SYS_brk, end + 40 * MEGABYTE as i64).expect("told");
        say("brk", "over the limit of memory", moved == end);
        let remap = |case: &str, bytes: u64| {
            let answer = sys!(SYS_mremap, kept, 32 * MEGABYTE, bytes, libc::MREMAP_MAYMOVE);
            check("mremap", case, answer.map(|_| 0));
        };
        remap("over the limit of memory", 80 * MEGABYTE);
        remap("smaller, at the limit of memory", 16 * MEGABYTE);
        done("what was given back", map(33 * MEGABYTE, 3, ANONYMOUS));
    });
}

fn data() {
    apart(|| {
        let end = sys!(SYS_brk, 0).expect("told");
        let readable = map(MEGABYTE, 1, ANONYMOUS).expect("room");
        let mut pipe = [0; 2];
        sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
        limit(libc::RLIMIT_DATA, PAGE);
        // What tells of it needs memory: it is kept until there is some again.
        let answers = [
            map(MEGABYTE, 3, ANONYMOUS),
            map(MEGABYTE, 1, ANONYMOUS),
            map(MEGABYTE, 3, libc::MAP_SHARED | libc::MAP_ANONYMOUS),
            sys!(SYS_mprotect, readable, MEGABYTE, 3),
            sys!(SYS_mprotect, readable, MEGABYTE, 5),
            sys!(SYS_brk, end + MEGABYTE as i64).map(|moved| moved - end),
        ];
        limit(libc::RLIMIT_DATA, libc::RLIM_INFINITY);
        for ((call, case), answer) in [
            ("mmap", "memory of its own, over the limit of data"),
            ("mmap", "memory that is only read"),
            ("mmap", "memory that is shared"),
            ("mprotect", "to be written to, over the limit of data"),
            ("mprotect", "to be executed"),
            ("brk", "over the limit of data"),
        ]
        .into_iter()
        .zip(answers)
        {
            check(call, case, answer.map(|value| value.min(1)));
        }
    });
}

/// Writes so far below the stack pointer.
fn touch(below: usize) {
    let here = 0_u8;
    let at = (&raw const here).cast_mut().wrapping_sub(below);
    // SAFETY: the stack grows down to there, or the process, which does nothing else, ends.
    unsafe { at.write_volatile(1) };
}

fn stack() {
    for (case, below) in [
        ("below its limit", MEGABYTE as usize / 2),
        ("behind its limit", MEGABYTE as usize),
    ] {
        let pid = child(|| {
            limit(libc::RLIMIT_STACK, MEGABYTE);
            touch(below);
            0
        });
        ended("stack", case, pid);
    }
    let pid = child(|| {
        limit(libc::RLIMIT_AS, pages() * PAGE + MEGABYTE / 4);
        touch(MEGABYTE as usize / 2 * 3);
        0
    });
    ended("stack", "over the limit of memory", pid);
}

/// Executes this program with strings of so many bytes; a counter of arguments tells how many there were.
fn execute(bytes: [usize; 2], stack: u64) -> i32 {
    child(|| {
        limit(libc::RLIMIT_STACK, stack);
        let strings = bytes.map(|bytes| {
            let mut string = vec![b'x'; bytes];
            string[bytes - 1] = 0;
            string
        });
        let list = [
            c"conform".as_ptr(),
            c"--count".as_ptr(),
            strings[0].as_ptr().cast(),
            strings[1].as_ptr().cast(),
            std::ptr::null(),
        ];
        let none = [std::ptr::null::<u8>()];
        let answer = sys!(SYS_execve, c"/proc/self/exe", list.as_ptr(), none.as_ptr());
        answer.map_or_else(|errno| errno, |_| 0)
    })
}

fn arguments() {
    for (case, bytes, stack) in [
        (
            "arguments within a small stack's share",
            [50_000, 50_000],
            MEGABYTE / 4,
        ),
        (
            "arguments over a small stack's share",
            [100_000, 100_000],
            MEGABYTE / 4,
        ),
        (
            "arguments within a larger stack's share",
            [100_000, 100_000],
            MEGABYTE,
        ),
    ] {
        ended("execve", case, execute(bytes, stack));
    }
}

fn fork() -> Answer {
    match sys!(SYS_fork) {
        Ok(0) => {
            let _ = sys!(SYS_exit_group, 0);
            unreachable!("it has ended")
        }
        answer => answer,
    }
}

fn tasks(user: u32) {
    apart(|| {
        limit(libc::RLIMIT_NPROC, 2);
        sys!(SYS_setresuid, user, user, user).expect("root");
        let first = fork();
        check("fork", "the second one of a user", first.map(|_| 0));
        check("fork", "the third one of a user", fork().map(|_| 0));
        status_of(first.expect("a child") as i32);
        let again = fork();
        check("fork", "the second one again", again.map(|_| 0));
        status_of(again.expect("a child") as i32);
        limit(libc::RLIMIT_NPROC, 1);
        let shared = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        check("clone", "one too many", sys!(SYS_clone, shared, 0));
        let mut asked = [0_u64; 8];
        asked[4] = libc::SIGCHLD as u64;
        check(
            "clone3",
            "one too many",
            sys!(SYS_clone3, asked.as_ptr(), 64),
        );
    });
    let execute = || {
        child(|| {
            limit(libc::RLIMIT_NPROC, 0);
            sys!(SYS_setresuid, user, user, user).expect("root");
            let list = [c"conform".as_ptr(), c"--count".as_ptr(), std::ptr::null()];
            let none = [std::ptr::null::<u8>()];
            let answer = sys!(SYS_execve, c"/proc/self/exe", list.as_ptr(), none.as_ptr());
            answer.map_or_else(|errno| errno, |_| 0)
        })
    };
    ended(
        "execve",
        "as the first one of a user who may have none",
        execute(),
    );
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    let sleeper = child(|| {
        sys!(SYS_setresuid, user, user, user).expect("root");
        sys!(SYS_write, pipe[1], [1_u8].as_ptr(), 1).expect("open");
        let _ = sys!(SYS_pause);
        0
    });
    sys!(SYS_read, pipe[0], [0_u8].as_mut_ptr(), 1).expect("open");
    ended("execve", "as a user who has too many", execute());
    sys!(SYS_kill, sleeper, libc::SIGKILL).expect("it lives");
    ended("execve", "whom the user had", sleeper);
}

fn descriptors() {
    apart(|| {
        let high = sys!(SYS_fcntl, 1, libc::F_DUPFD, 50).expect("room");
        limit(libc::RLIMIT_NOFILE, 40);
        check("dup2", "to the limit", sys!(SYS_dup2, 1, 40));
        check("dup2", "below the limit", sys!(SYS_dup2, 1, 39));
        check("dup3", "to the limit", sys!(SYS_dup3, 1, 40, 0));
        check(
            "fcntl",
            "at the limit, who does not mind the signal",
            sys!(SYS_fcntl, 1, libc::F_DUPFD, 40),
        );
        check(
            "fcntl",
            "all below are taken",
            sys!(SYS_fcntl, 1, libc::F_DUPFD, 39),
        );
        check(
            "fcntl",
            "one that was there",
            sys!(SYS_fcntl, high, libc::F_GETFD),
        );
        let mut polled = [libc::pollfd {
            fd: -1,
            events: 0,
            revents: 0,
        }; 41];
        for (case, count) in [("as many as the limit", 40), ("over the limit", 41)] {
            check("poll", case, sys!(SYS_poll, polled.as_mut_ptr(), count, 0));
        }
        limit(libc::RLIMIT_NOFILE, 3);
        check(
            "open",
            "over the limit",
            sys!(SYS_open, c"/", libc::O_RDONLY),
        );
        check(
            "pipe",
            "over the limit",
            sys!(SYS_pipe, [0_i32; 2].as_mut_ptr()),
        );
        check(
            "epoll_create1",
            "over the limit",
            sys!(SYS_epoll_create1, 0),
        );
        check(
            "socket",
            "over the limit",
            sys!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0),
        );
        check("dup", "over the limit", sys!(SYS_dup, 1));
    });
}

fn others(user: u32) {
    apart(|| {
        let set = |case: &str, limits: [u64; 2]| {
            let answer = sys!(SYS_setrlimit, libc::RLIMIT_RSS, limits.as_ptr());
            check("setrlimit", case, answer);
        };
        set("less", [100, 200]);
        set("the soft one above the hard one", [201, 200]);
        sys!(SYS_setresuid, user, user, user).expect("root");
        set("the soft one up to the hard one", [200, 200]);
        set("the hard one higher, as a user", [200, 201]);
        set("without end, as a user", [libc::RLIM_INFINITY; 2]);
        set("both lower", [0, 0]);
        let mut known = [9_u64; 2];
        let parent = sys!(SYS_getppid).expect("told");
        let answer = sys!(
            SYS_prlimit64,
            parent,
            libc::RLIMIT_RSS,
            0,
            known.as_mut_ptr()
        );
        check("prlimit64", "root's, of another, as a user", answer);
        let own = sys!(SYS_getpid).expect("told");
        let answer = sys!(SYS_prlimit64, own, libc::RLIMIT_RSS, 0, known.as_mut_ptr());
        check("prlimit64", "its own by number", answer);
        say("prlimit64", "what it is told", format!("{known:?}"));
    });
}
