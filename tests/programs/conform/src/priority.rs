//! Who has how much of the processor: niceness, policies, the times of processes and threads on it; names of threads.

use crate::check::{BAD, check, say, sys};
use crate::child::{apart, child, status_of};

/// Policies.
const OTHER: i32 = libc::SCHED_OTHER;
const BATCH: i32 = libc::SCHED_BATCH;
const IDLE: i32 = libc::SCHED_IDLE;
const FIFO: i32 = libc::SCHED_FIFO;
const RESET_ON_FORK: i32 = 0x4000_0000;

pub(crate) fn run() {
    apart(niceness);
    apart(policies);
    apart(attributes);
    bounds();
    apart(clocks);
    names();
}

fn become_user(user: u32) {
    sys!(SYS_setresuid, user, user, user).expect("root");
}

fn niceness() {
    sys!(SYS_setsid).expect("a session of its own");
    let nice = |case: &str, which: i32, who: i64, nice: i32| {
        check("setpriority", case, sys!(SYS_setpriority, which, who, nice));
    };
    let is = |case: &str, which: i32, who: i64| {
        check("getpriority", case, sys!(SYS_getpriority, which, who));
    };
    is("at first", 0, 0);
    nice("5", 0, 0, 5);
    is("5", 0, 0);
    nice("less nice, as root", 0, 0, -3);
    is("less nice", 0, 0);
    nice("nicer than can be", 0, 0, 100);
    is("the nicest", 0, 0);
    nice("less nice than can be", 0, 0, -100);
    is("the least nice", 0, 0);
    nice("nobody", 0, 4_000_000, 1);
    nice("a group nobody is in", 1, 4_000_000, 1);
    is("a group nobody is in", 1, 4_000_000);
    is("a user who has nothing", 2, 54_321);
    nice("of an unknown kind", 3, 0, 1);
    nice("its group", 1, 0, 7);
    is("its group", 1, 0);
    let heir = child(|| sys!(SYS_getpriority, 0, 0).map_or(99, |nice| nice as i32));
    say("getpriority", "a child's", status_of(heir) >> 8);
    let parent = sys!(SYS_getppid).expect("one");
    apart(|| {
        become_user(54_321);
        let nice = |case: &str, which: i32, who: i64, nice: i32| {
            check("setpriority", case, sys!(SYS_setpriority, which, who, nice));
        };
        nice("nicer, as a user", 0, 0, 9);
        nice("as nice, as a user", 0, 0, 9);
        nice("less nice, as a user", 0, 0, 8);
        nice("root's process, as a user", 0, parent, 19);
        nice("a user's own", 2, 0, 12);
        check("getpriority", "a user's own", sys!(SYS_getpriority, 2, 0));
        check(
            "getpriority",
            "a user's, by its number",
            sys!(SYS_getpriority, 2, 54_321),
        );
        check(
            "getpriority",
            "root's process, as a user",
            sys!(SYS_getpriority, 0, parent).map(|_| 0),
        );
    });
}

fn policies() {
    let set = |case: &str, pid: i64, policy: i32, parameter: *const i32| {
        let answer = sys!(SYS_sched_setscheduler, pid, policy, parameter);
        check("sched_setscheduler", case, answer);
    };
    let is = |case: &str| check("sched_getscheduler", case, sys!(SYS_sched_getscheduler, 0));
    let (none, one, many) = (0_i32, 1_i32, 100_i32);
    is("at first");
    set("batch", 0, BATCH, &raw const none);
    is("batch");
    set("idle", 0, IDLE, &raw const none);
    is("idle");
    set(
        "as usual, children start anew",
        0,
        OTHER | RESET_ON_FORK,
        &raw const none,
    );
    is("as usual, children start anew");
    sys!(SYS_setpriority, 0, 0, -5).expect("root");
    let heir = child(|| {
        let nice = sys!(SYS_getpriority, 0, 0).map_or(99, |nice| nice as i32);
        let policy = sys!(SYS_sched_getscheduler, 0).map_or(9, |policy| policy as i32);
        nice + policy * 50
    });
    say(
        "sched_setscheduler",
        "a child that started anew",
        status_of(heir) >> 8,
    );
    set("as usual", 0, OTHER, &raw const none);
    set("with a priority there is none of", 0, OTHER, &raw const one);
    set("in real time without a priority", 0, FIFO, &raw const none);
    set(
        "in real time with too high a priority",
        0,
        FIFO,
        &raw const many,
    );
    set("an unknown policy", 0, 77, &raw const none);
    set("a negative policy", 0, -1, &raw const none);
    set("a negative process", -1, OTHER, &raw const none);
    set("nobody", 4_000_000, OTHER, &raw const none);
    set("without a parameter", 0, OTHER, std::ptr::null());
    set("a bad parameter", 0, OTHER, BAD.cast());
    for (case, pid) in [("a negative process", -1_i64), ("nobody", 4_000_000)] {
        check(
            "sched_getscheduler",
            case,
            sys!(SYS_sched_getscheduler, pid),
        );
        let mut parameter = 9_i32;
        let at = &raw mut parameter;
        check("sched_getparam", case, sys!(SYS_sched_getparam, pid, at));
        check(
            "sched_setparam",
            case,
            sys!(SYS_sched_setparam, pid, &raw const none),
        );
        check(
            "sched_rr_get_interval",
            case,
            sys!(SYS_sched_rr_get_interval, pid, [0_u64; 2].as_mut_ptr()),
        );
        let mask = 1_u64;
        if pid > 0 {
            check(
                "sched_setaffinity",
                case,
                sys!(SYS_sched_setaffinity, pid, 8, &raw const mask),
            );
        }
    }
    let mut parameter = 9_i32;
    check(
        "sched_getparam",
        "its own",
        sys!(SYS_sched_getparam, 0, &raw mut parameter),
    );
    say("sched_getparam", "no priority", parameter);
    check("sched_getparam", "nowhere", sys!(SYS_sched_getparam, 0, 0));
    check(
        "sched_getparam",
        "a bad address",
        sys!(SYS_sched_getparam, 0, BAD),
    );
    check(
        "sched_setparam",
        "none",
        sys!(SYS_sched_setparam, 0, &raw const none),
    );
    check(
        "sched_setparam",
        "a priority",
        sys!(SYS_sched_setparam, 0, &raw const one),
    );
    check("sched_setparam", "nowhere", sys!(SYS_sched_setparam, 0, 0));
    check(
        "sched_setparam",
        "a bad address",
        sys!(SYS_sched_setparam, 0, BAD),
    );
    check(
        "sched_rr_get_interval",
        "its own",
        sys!(SYS_sched_rr_get_interval, 0, [0_u64; 2].as_mut_ptr()),
    );
    check(
        "sched_rr_get_interval",
        "a bad address",
        sys!(SYS_sched_rr_get_interval, 0, BAD),
    );
    let parent = sys!(SYS_getppid).expect("one");
    let mask = 1_u64;
    set(
        "idle, children start anew",
        0,
        IDLE | RESET_ON_FORK,
        &raw const none,
    );
    become_user(54_321);
    set("root's process, as a user", parent, BATCH, &raw const none);
    set("in real time, as a user", 0, FIFO, &raw const one);
    set("children as they are, as a user", 0, IDLE, &raw const none);
    set(
        "as usual after idle, as a user",
        0,
        OTHER | RESET_ON_FORK,
        &raw const none,
    );
    check(
        "sched_setaffinity",
        "root's process, as a user",
        sys!(SYS_sched_setaffinity, parent, 8, &raw const mask),
    );
}

fn bounds() {
    for (case, policy) in [
        ("as usual", OTHER),
        ("batch", BATCH),
        ("idle", IDLE),
        ("first in, first out", FIFO),
        ("in turns", libc::SCHED_RR),
        ("deadline", 6),
        ("unknown", 4),
        ("negative", -1),
    ] {
        check(
            "sched_get_priority_max",
            case,
            sys!(SYS_sched_get_priority_max, policy),
        );
        check(
            "sched_get_priority_min",
            case,
            sys!(SYS_sched_get_priority_min, policy),
        );
    }
}

/// `struct sched_attr` as it was first: size and policy, flags, niceness and priority, three times.
fn attributes() {
    let mut told = [0_u32; 14];
    let get = |case: &str, told: *mut u32, pid: i64, size: u32, flags: u32| {
        check(
            "sched_getattr",
            case,
            sys!(SYS_sched_getattr, pid, told, size, flags),
        );
    };
    let set = |case: &str, pid: i64, attributes: &[u32], flags: u32| {
        let answer = sys!(SYS_sched_setattr, pid, attributes.as_ptr(), flags);
        check("sched_setattr", case, answer);
    };
    let made = |policy: i32, flags: u32, nice: i32, priority: u32| {
        let mut words = [0_u32; 14];
        words[0] = 48;
        words[1] = policy as u32;
        words[2] = flags;
        words[4] = nice as u32;
        words[5] = priority;
        words
    };
    get("its own", told.as_mut_ptr(), 0, 48, 0);
    say("sched_getattr", "what it is", format!("{:?}", &told[..6]));
    set("batch, nice", 0, &made(BATCH, 1, 4, 0), 0);
    get("batch, nice", told.as_mut_ptr(), 0, 48, 0);
    say(
        "sched_getattr",
        "batch, nice, children start anew",
        format!("{:?}", &told[..6]),
    );
    set("the policy as it is", 0, &made(OTHER, 8, 6, 0), 0);
    get("the policy as it is", told.as_mut_ptr(), 0, 48, 0);
    say(
        "sched_getattr",
        "the policy as it was",
        format!("{:?}", &told[..6]),
    );
    set(
        "a size of 0",
        0,
        &{
            let mut it = made(OTHER, 0, 0, 0);
            it[0] = 0;
            it
        },
        0,
    );
    let mut small = made(OTHER, 0, 0, 0);
    small[0] = 40;
    check(
        "sched_setattr",
        "too small",
        sys!(SYS_sched_setattr, 0, small.as_mut_ptr(), 0),
    );
    say("sched_setattr", "it learns what is known", small[0] >= 48);
    let mut large = made(OTHER, 0, 0, 0);
    large[0] = 8192;
    set("too large", 0, &large, 0);
    set("with a priority", 0, &made(OTHER, 0, 0, 3), 0);
    set("an unknown policy", 0, &made(77, 0, 0, 0), 0);
    set("a negative policy", 0, &made(-1, 0, 0, 0), 0);
    set("unknown flags", 0, &made(OTHER, 1 << 20, 0, 0), 0);
    set("flags of the call", 0, &made(OTHER, 0, 0, 0), 1);
    set("a negative process", -1, &made(OTHER, 0, 0, 0), 0);
    set("nobody", 4_000_000, &made(OTHER, 0, 0, 0), 0);
    check("sched_setattr", "nowhere", sys!(SYS_sched_setattr, 0, 0, 0));
    check(
        "sched_setattr",
        "a bad address",
        sys!(SYS_sched_setattr, 0, BAD, 0),
    );
    get("too small", told.as_mut_ptr(), 0, 47, 0);
    get("too large", told.as_mut_ptr(), 0, 4097, 0);
    get("flags of the call", told.as_mut_ptr(), 0, 48, 1);
    get("a negative process", told.as_mut_ptr(), -1, 48, 0);
    get("nobody", told.as_mut_ptr(), 4_000_000, 48, 0);
    get("nowhere", std::ptr::null_mut(), 0, 48, 0);
    get("a bad address", BAD.cast(), 0, 48, 0);
    become_user(54_321);
    set("nicer, as a user", 0, &made(OTHER, 0, 15, 0), 0);
    set("less nice, as a user", 0, &made(OTHER, 0, 14, 0), 0);
}

fn clocks() {
    let (pid, tid) = (
        sys!(SYS_getpid).expect("one"),
        sys!(SYS_gettid).expect("one"),
    );
    let parent = sys!(SYS_getppid).expect("one");
    let id = |number: i64, kind: i64| (!number << 3) | kind;
    let time = |clock: i64| {
        let mut time = [0_u64; 2];
        let answer = sys!(SYS_clock_gettime, clock, time.as_mut_ptr());
        answer.map(|_| time[0] * 1_000_000_000 + time[1])
    };
    for (case, clock) in [
        ("a process's, by its number", id(pid, 2)),
        ("a process's in user mode", id(pid, 1)),
        ("a process's, for profiles", id(pid, 0)),
        ("its own process's", id(0, 2)),
        ("a thread's, by its number", id(tid, 6)),
        ("its own thread's", id(0, 6)),
        ("its parent's", id(parent, 2)),
        ("its parent's thread", id(parent, 6)),
        ("nobody's", id(4_000_000, 2)),
        ("nobody's thread", id(4_000_000, 6)),
        ("of an unknown kind", id(pid, 3)),
    ] {
        check("clock_gettime", case, time(clock).map(|_| 0));
        check("clock_getres", case, sys!(SYS_clock_getres, clock, 0));
    }
    let spinner = std::thread::spawn(|| {
        let mut sum = 0_u64;
        let mut time = [0_u64; 2];
        while time[1] < 20_000_000 {
            sum = std::hint::black_box(sum + 1);
            sys!(
                SYS_clock_gettime,
                libc::CLOCK_THREAD_CPUTIME_ID,
                time.as_mut_ptr()
            )
            .expect("told");
        }
        time[0] * 1_000_000_000 + time[1]
    });
    let theirs = spinner.join().expect("it ends");
    let own = time(i64::from(libc::CLOCK_THREAD_CPUTIME_ID)).expect("told");
    let whole = time(i64::from(libc::CLOCK_PROCESS_CPUTIME_ID)).expect("told");
    say(
        "clock_gettime",
        "a thread's time is its own",
        own < whole && theirs + own <= whole,
    );
    let used = |who: i32| {
        let mut usage = [0_u64; 18];
        sys!(SYS_getrusage, who, usage.as_mut_ptr()).expect("told");
        (usage[0] + usage[2]) * 1_000_000 + usage[1] + usage[3]
    };
    say(
        "getrusage",
        "a thread's is less than the process's",
        used(1) < used(0),
    );
    let mut times = [0_u64; 4];
    sys!(SYS_times, times.as_mut_ptr()).expect("told");
    say(
        "times",
        "of who had no children",
        format!("{:?}", &times[2..]),
    );
}

fn names() {
    let own = || {
        let mut name = [0_u8; 16];
        sys!(SYS_prctl, libc::PR_GET_NAME, name.as_mut_ptr()).expect("told");
        String::from_utf8_lossy(&name)
            .trim_end_matches('\0')
            .to_owned()
    };
    sys!(SYS_prctl, libc::PR_SET_NAME, c"first").expect("set");
    let other = std::thread::spawn(move || {
        let inherited = own();
        sys!(SYS_prctl, libc::PR_SET_NAME, c"second").expect("set");
        format!("{inherited} {}", own())
    });
    say(
        "prctl",
        "a thread's name, before and after",
        other.join().expect("it ends"),
    );
    say("prctl", "the first one's name stays", own());
    let shown = std::fs::read_to_string("/proc/self/comm").expect("told");
    say(
        "prctl",
        "the process's name is the first one's",
        shown.trim(),
    );
    let mut register = 9_u32;
    check(
        "prctl",
        "who may read the time stamp counter",
        sys!(SYS_prctl, 25, &raw mut register),
    );
    say("prctl", "everybody may read it", register);
}
