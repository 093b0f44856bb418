//! Alarms and timers, and limits: of time on the processor, of signals that wait, of niceness.

use crate::check::{Answer, BAD, check, say, sys};
use crate::child::{apart, child, status_of};
use crate::mask::{install, mask, set_of};
use libc::{SIG_BLOCK, SIGALRM, SIGPROF, SIGUSR1, SIGVTALRM};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// How often the handler ran.
static CALLS: AtomicI32 = AtomicI32::new(0);

extern "C" fn handler(_: i32) {
    CALLS.fetch_add(1, SeqCst);
}

const MILLISECOND: u64 = 1_000_000;

pub(crate) fn run() {
    apart(alarms);
    apart(made);
    apart(refused);
    apart(told);
    apart(used);
    limits();
}

fn handle(signal: i32) {
    // SAFETY: the handler touches an atomic only.
    unsafe { install(signal, handler, libc::SA_RESTART) };
}

/// Waits until the handler has run so often.
fn await_calls(count: i32, mut meanwhile: impl FnMut()) -> bool {
    for _ in 0..100_000_000 {
        if CALLS.load(SeqCst) >= count {
            CALLS.store(0, SeqCst);
            return true;
        }
        meanwhile();
    }
    false
}

fn sleep() {
    let time = [0_u64, MILLISECOND];
    let _ = sys!(SYS_nanosleep, time.as_ptr(), 0);
}

fn alarms() {
    let set = |case: &str, which: i32, value: &[u64; 4]| {
        check(
            "setitimer",
            case,
            sys!(SYS_setitimer, which, value.as_ptr(), 0),
        );
    };
    handle(SIGALRM);
    set("again and again", 0, &[0, 2000, 0, 1000]);
    say(
        "setitimer",
        "it goes off again and again",
        await_calls(3, sleep),
    );
    let mut left = [0_u64; 4];
    check(
        "setitimer",
        "back",
        sys!(SYS_setitimer, 0, 0, left.as_mut_ptr()),
    );
    say("setitimer", "how it repeated", format!("{:?}", &left[..2]));
    sys!(SYS_getitimer, 0, left.as_mut_ptr()).expect("told");
    say("getitimer", "once it was taken back", format!("{left:?}"));
    for (case, which, signal) in [
        ("of time in user mode", 1, SIGVTALRM),
        ("of time on the processor", 2, SIGPROF),
    ] {
        handle(signal);
        set(case, which, &[0, 4000, 0, 4000]);
        say(
            "setitimer",
            &format!("{case}: it goes off"),
            await_calls(2, || ()),
        );
        sys!(SYS_getitimer, which, left.as_mut_ptr()).expect("told");
        say(
            "getitimer",
            case,
            format!("{:?} {}", &left[..2], left[3] <= 4000),
        );
        set(&format!("{case}, back"), which, &[0; 4]);
    }
    set("negative seconds", 0, &[0, 0, -1_i64 as u64, 0]);
    set(
        "too many microseconds of an interval",
        0,
        &[0, 1_000_000, 0, 1],
    );
    set("of nothing there is", 3, &[0; 4]);
    check(
        "setitimer",
        "a bad old value",
        sys!(SYS_setitimer, 0, [0_u64; 4].as_ptr(), BAD),
    );
    check("getitimer", "a bad address", sys!(SYS_getitimer, 0, BAD));
    sys!(SYS_setitimer, 0, [0_u64, 0, 100, 0].as_ptr(), 0).expect("set");
    let heir = child(|| sys!(SYS_alarm, 0).map_or(9, |left| left as i32));
    say("alarm", "a child has none", status_of(heir) >> 8);
    let left = sys!(SYS_alarm, 0).map(|left| i64::from((50..=100).contains(&left)));
    check("alarm", "most of the other was left", left);
}

/// `struct sigevent`: a value, a signal, how, and which thread.
fn event(value: u64, signal: i32, how: u32, tid: u32) -> [u64; 8] {
    let mut words = [0; 8];
    words[0] = value;
    words[1] = u64::from(signal as u32) | u64::from(how) << 32;
    words[2] = tid.into();
    words
}

fn create(clock: i32, event: *const u64) -> Result<i32, i32> {
    let mut timer = -7_i32;
    sys!(SYS_timer_create, clock, event, &raw mut timer).map(|_| timer)
}

fn number(answer: Result<i32, i32>) -> Answer {
    answer.map(i64::from)
}

/// Sets a timer to expire after `first` nanoseconds and then every `interval`.
fn set(timer: i32, first: u64, interval: u64) -> Answer {
    let time = [0, interval, 0, first];
    sys!(SYS_timer_settime, timer, 0, time.as_ptr(), 0)
}

/// Takes a signal and tells what it said.
fn take(signal: i32) -> String {
    let set = set_of(&[signal]);
    let mut info = [0_u32; 32];
    let time = [10_u64, 0];
    let answer = sys!(
        SYS_rt_sigtimedwait,
        &raw const set,
        info.as_mut_ptr(),
        time.as_ptr(),
        8
    );
    format!("{answer:?} {} {} {}", info[2] as i32, info[4], info[6])
}

fn made() {
    mask(SIG_BLOCK, &[SIGALRM, SIGUSR1, 40]);
    let null = std::ptr::null();
    let first = create(libc::CLOCK_MONOTONIC, null);
    check("timer_create", "the first", number(first));
    let valued = event(77, SIGUSR1, 0, 0);
    let second = create(libc::CLOCK_REALTIME, valued.as_ptr());
    check("timer_create", "the second, with a value", number(second));
    let tid = sys!(SYS_gettid).expect("one") as u32;
    let threaded = event(78, 40, 4, tid);
    let third = create(libc::CLOCK_BOOTTIME, threaded.as_ptr());
    check("timer_create", "the third, for a thread", number(third));
    let silent = event(0, 0, 1, 0);
    let fourth = create(libc::CLOCK_MONOTONIC, silent.as_ptr());
    check("timer_create", "the fourth, for nobody", number(fourth));
    let [first, second, third, fourth] = [first, second, third, fourth].map(|it| it.expect("made"));
    for (case, timer, signal) in [
        ("without an event", first, SIGALRM),
        ("with a value", second, SIGUSR1),
        ("for a thread", third, 40),
    ] {
        check("timer_settime", case, set(timer, MILLISECOND, 0));
        say("timer", case, take(signal));
        check("timer_getoverrun", case, sys!(SYS_timer_getoverrun, timer));
    }
    let past = [0_u64, 0, 0, 5];
    check(
        "timer_settime",
        "a moment that has passed",
        sys!(SYS_timer_settime, second, 1, past.as_ptr(), 0),
    );
    say("timer", "of a moment that has passed", take(SIGUSR1));
    check(
        "timer_settime",
        "again and again",
        set(third, MILLISECOND, 2 * MILLISECOND),
    );
    for _ in 0..12 {
        sleep();
    }
    let told = take(40);
    say(
        "timer",
        "one signal for many",
        told.starts_with("Ok(40) -2 2"),
    );
    let overrun = sys!(SYS_timer_getoverrun, third).expect("told");
    say("timer_getoverrun", "many", overrun >= 3);
    say(
        "timer",
        "and it goes on",
        take(40).starts_with("Ok(40) -2 2"),
    );
    let mut left = [0_u64; 4];
    sys!(
        SYS_timer_settime,
        third,
        0,
        [0_u64; 4].as_ptr(),
        left.as_mut_ptr()
    )
    .expect("set");
    say(
        "timer_settime",
        "how it was",
        format!("{:?} {}", &left[..3], left[3] <= 2 * MILLISECOND),
    );
    check(
        "timer_gettime",
        "once it is off",
        sys!(SYS_timer_gettime, third, left.as_mut_ptr()),
    );
    say("timer_gettime", "nothing is left", format!("{left:?}"));
    check("timer_settime", "for nobody", set(fourth, 0, 0));
    sys!(SYS_timer_settime, fourth, 0, [0_u64, 0, 100, 0].as_ptr(), 0).expect("set");
    sys!(SYS_timer_gettime, fourth, left.as_mut_ptr()).expect("told");
    say(
        "timer_gettime",
        "of one for nobody",
        (50..100).contains(&left[2]),
    );
    let heir =
        child(|| sys!(SYS_timer_gettime, 0, [0_u64; 4].as_mut_ptr()).map_or_else(|it| it, |_| 0));
    say(
        "timer_gettime",
        "a child has none",
        status_of(heir) >> 8 == libc::EINVAL,
    );
    for (case, timer) in [
        ("the second", second),
        ("the second again", second),
        ("nobody's", 99),
    ] {
        check("timer_delete", case, sys!(SYS_timer_delete, timer));
    }
}

fn refused() {
    let case = |case: &str, clock: i32, event: *const u64| {
        check("timer_create", case, number(create(clock, event)));
    };
    let null = std::ptr::null();
    case("an unknown clock", 99, null);
    case("a raw clock", libc::CLOCK_MONOTONIC_RAW, null);
    case("a coarse clock", libc::CLOCK_REALTIME_COARSE, null);
    case("nobody's clock", !4_000_000 << 3 | 2, null);
    case("signal 0", 1, event(0, 0, 0, 0).as_ptr());
    case("signal 65", 1, event(0, 65, 0, 0).as_ptr());
    case("told in an unknown way", 1, event(0, 10, 3, 0).as_ptr());
    case(
        "told to nobody's thread",
        1,
        event(0, 10, 4, 4_000_000).as_ptr(),
    );
    let parent = sys!(SYS_getppid).expect("one") as u32;
    case(
        "told to another's thread",
        1,
        event(0, 10, 4, parent).as_ptr(),
    );
    case("a bad event", 1, BAD.cast());
    check(
        "timer_create",
        "a bad address",
        sys!(SYS_timer_create, 1, 0, BAD),
    );
    let timer = create(1, null).expect("made");
    let time = |case: &str, timer: i32, time: [u64; 4]| {
        check(
            "timer_settime",
            case,
            sys!(SYS_timer_settime, timer, 0, time.as_ptr(), 0),
        );
    };
    time("nobody's", 99, [0; 4]);
    time("too many nanoseconds", timer, [0, 0, 0, 1_000_000_000]);
    time(
        "too many nanoseconds between",
        timer,
        [0, 1_000_000_000, 0, 1],
    );
    time("negative seconds", timer, [0, 0, -1_i64 as u64, 0]);
    check(
        "timer_settime",
        "no value",
        sys!(SYS_timer_settime, timer, 0, 0, 0),
    );
    check(
        "timer_settime",
        "a bad value",
        sys!(SYS_timer_settime, timer, 0, BAD, 0),
    );
    check(
        "timer_gettime",
        "nobody's",
        sys!(SYS_timer_gettime, 99, [0_u64; 4].as_mut_ptr()),
    );
    check(
        "timer_gettime",
        "a bad address",
        sys!(SYS_timer_gettime, timer, BAD),
    );
    check(
        "timer_getoverrun",
        "nobody's",
        sys!(SYS_timer_getoverrun, 99),
    );
}

/// A signal that is ignored lets its timer go on; one that waits does not count against another.
fn told() {
    // SAFETY: the action is a constant of the C library.
    unsafe { libc::signal(SIGUSR1, libc::SIG_IGN) };
    let valued = event(5, SIGUSR1, 0, 0);
    let timer = create(libc::CLOCK_MONOTONIC, valued.as_ptr()).expect("made");
    set(timer, MILLISECOND, MILLISECOND).expect("set");
    for _ in 0..5 {
        sleep();
    }
    handle(SIGUSR1);
    say(
        "timer",
        "it goes on once its signal is handled",
        await_calls(2, sleep),
    );
    sys!(SYS_timer_delete, timer).expect("there");
    mask(SIG_BLOCK, &[SIGALRM]);
    let timer = create(libc::CLOCK_MONOTONIC, std::ptr::null()).expect("made");
    sys!(SYS_kill, sys!(SYS_getpid).expect("one"), SIGALRM).expect("sent");
    set(timer, MILLISECOND, 0).expect("set");
    for _ in 0..5 {
        sleep();
    }
    let first = take(SIGALRM);
    say(
        "timer",
        "a signal that waited before it",
        first.split(' ').nth(1).unwrap_or_default(),
    );
    say("timer", "its own behind that", take(SIGALRM));
}

/// Timers of time on the processor.
fn used() {
    for (case, clock) in [
        ("the process's time", libc::CLOCK_PROCESS_CPUTIME_ID),
        ("the thread's time", libc::CLOCK_THREAD_CPUTIME_ID),
    ] {
        handle(SIGUSR1);
        CALLS.store(0, SeqCst);
        let valued = event(5, SIGUSR1, 0, 0);
        let timer = create(clock, valued.as_ptr());
        works(case, timer);
        let timer = timer.expect("made");
        check(
            "timer_settime",
            case,
            set(timer, 5 * MILLISECOND, 5 * MILLISECOND),
        );
        say("timer", case, await_calls(2, || ()));
        sys!(SYS_timer_delete, timer).expect("there");
    }
}

fn works(case: &str, timer: Result<i32, i32>) {
    check("timer_create", case, timer.map(|_| 0));
}

fn limits() {
    let get = |resource: u32| {
        let mut limit = [9_u64; 2];
        sys!(SYS_prlimit64, 0, resource, 0, limit.as_mut_ptr()).expect("told");
        limit
    };
    let set = |case: &str, resource: u32, limit: [u64; 2]| {
        check(
            "setrlimit",
            case,
            sys!(SYS_setrlimit, resource, limit.as_ptr()),
        );
    };
    apart(|| {
        for (case, resource, limit) in [
            ("memory", libc::RLIMIT_AS, [1 << 40, 1 << 41]),
            ("files' size", libc::RLIMIT_FSIZE, [1 << 40, 1 << 41]),
            ("time on the processor", libc::RLIMIT_CPU, [60, 70]),
            ("signals", libc::RLIMIT_SIGPENDING, [60, 70]),
        ] {
            set(&format!("{case}, less"), resource, limit);
            say(
                "getrlimit",
                &format!("{case}, less"),
                format!("{:?}", get(resource)),
            );
        }
        set("more than the hard one", libc::RLIMIT_CPU, [80, 70]);
        check(
            "setrlimit",
            "a bad address",
            sys!(SYS_setrlimit, libc::RLIMIT_CPU, BAD),
        );
        let heir = child(|| get(libc::RLIMIT_CPU)[1] as i32);
        say("getrlimit", "a child's", status_of(heir) >> 8);
        let parent = sys!(SYS_getppid).expect("one");
        let mut limit = [0_u64; 2];
        let other = |case: &str, pid: i64, limit: *mut u64| {
            check(
                "prlimit64",
                case,
                sys!(SYS_prlimit64, pid, libc::RLIMIT_CPU, 0, limit),
            );
        };
        other("the parent's", parent, limit.as_mut_ptr());
        other("nobody's", 4_000_000, limit.as_mut_ptr());
        sys!(SYS_setresuid, 54_321, 54_321, 54_321).expect("root");
        other("root's, as a user", parent, limit.as_mut_ptr());
        set(
            "more than the hard one, as a user",
            libc::RLIMIT_CPU,
            [50, 71],
        );
        set("less, as a user", libc::RLIMIT_CPU, [50, 65]);
        set("back, as a user", libc::RLIMIT_CPU, [50, 70]);
    });
    apart(|| {
        mask(SIG_BLOCK, &[SIGUSR1, 40]);
        set("no signals", libc::RLIMIT_SIGPENDING, [0, 0]);
        let pid = sys!(SYS_getpid).expect("one");
        let info = |code: i32| {
            let mut words = [0_u32; 32];
            words[2] = code as u32;
            words[6] = 7;
            words
        };
        let queue = |case: &str, signal: i32, code: i32| {
            let info = info(code);
            let answer = sys!(SYS_rt_sigqueueinfo, pid, signal, info.as_ptr());
            check("rt_sigqueueinfo", case, answer);
        };
        queue("a real-time signal above the limit", 40, -1);
        queue("a standard signal above the limit", SIGUSR1, -1);
        say(
            "siginfo",
            "a standard signal above the limit",
            take(SIGUSR1),
        );
        check(
            "kill",
            "a real-time signal above the limit",
            sys!(SYS_kill, pid, 40),
        );
        say(
            "siginfo",
            "a real-time signal above the limit",
            take(40).split(' ').next().unwrap_or_default(),
        );
        check(
            "timer_create",
            "above the limit",
            number(create(1, std::ptr::null())),
        );
    });
    let spin = |limit: [u64; 2], handles: bool| {
        let pid = child(|| {
            if handles {
                handle(libc::SIGXCPU);
            }
            sys!(SYS_setrlimit, libc::RLIMIT_CPU, limit.as_ptr()).expect("less");
            loop {
                std::hint::black_box(0);
            }
        });
        format!("{:#x}", status_of(pid))
    };
    say("RLIMIT_CPU", "the soft limit", spin([1, 5], false));
    say("RLIMIT_CPU", "the hard limit", spin([1, 2], true));
}
