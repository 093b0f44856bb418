//! What signals say of themselves: who sent them and why, queued values, children, exceptions.

use crate::check::{Answer, BAD, check, say, sys};
use crate::child::{child, status_of};
use crate::mask::{mask, set_of};
use libc::{SIG_BLOCK, SIG_SETMASK, SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2};

/// A `siginfo_t`, word by word.
type Info = [u32; 32];

/// A real-time signal no C library uses.
const REAL_TIME: i32 = 40;

pub(crate) fn run() {
    mask(
        SIG_BLOCK,
        &[SIGUSR1, SIGUSR2, SIGTERM, SIGCHLD, REAL_TIME, REAL_TIME + 1],
    );
    senders();
    queued();
    refused();
    order();
    read();
    children();
    unwanted_children();
    exceptions();
    mask(SIG_SETMASK, &[]);
}

/// Takes a signal that waits, or comes within 10 s.
fn take(signals: &[i32], seconds: u64) -> (Answer, Info) {
    let set = set_of(signals);
    let time = [seconds, 0];
    let mut info = [9; 32];
    let answer = sys!(
        SYS_rt_sigtimedwait,
        &raw const set,
        info.as_mut_ptr(),
        time.as_ptr(),
        8
    );
    (answer, info)
}

/// Says what a signal said, but for numbers that differ from run to run.
fn tell(case: &str, signals: &[i32], sender: i64) {
    let (answer, info) = take(signals, 10);
    let sent_by = i64::from(info[4]) == sender;
    let told = format!(
        "{} {} {} {sent_by} {} {}",
        info[0], info[1], info[2] as i32, info[5], info[6]
    );
    check("rt_sigtimedwait", case, answer);
    say("siginfo", case, told);
}

/// What a program lets a signal say.
fn said(code: i32, pid: i64, value: u32) -> Info {
    let mut info = [0; 32];
    info[0] = 77;
    info[1] = 5;
    info[2] = code as u32;
    info[4] = pid as u32;
    info[5] = 12;
    info[6] = value;
    info
}

fn own() -> (i64, i64) {
    (
        sys!(SYS_getpid).expect("one"),
        sys!(SYS_gettid).expect("one"),
    )
}

fn senders() {
    let (pid, tid) = own();
    sys!(SYS_kill, pid, SIGUSR1).expect("sent");
    tell("by kill", &[SIGUSR1], pid);
    sys!(SYS_tkill, tid, SIGUSR1).expect("sent");
    tell("by tkill", &[SIGUSR1], pid);
    sys!(SYS_tgkill, pid, tid, SIGUSR1).expect("sent");
    tell("by tgkill", &[SIGUSR1], pid);
    let other = child(|| {
        let parent = sys!(SYS_getppid).expect("one");
        i32::from(sys!(SYS_kill, parent, SIGUSR2).is_err())
    });
    tell("by a child", &[SIGUSR2], other.into());
    status_of(other);
    let _ = take(&[SIGCHLD], 0);
}

fn queued() {
    let (pid, tid) = own();
    let queue = |case: &str, signal: i32, info: &Info| {
        let answer = sys!(SYS_rt_sigqueueinfo, pid, signal, info.as_ptr());
        check("rt_sigqueueinfo", case, answer);
    };
    queue("a value", SIGUSR1, &said(-1, 4, 1000));
    tell("a value", &[SIGUSR1], 4);
    for value in 1..=3 {
        let info = said(-1, 4, value);
        sys!(SYS_rt_sigqueueinfo, pid, REAL_TIME, info.as_ptr()).expect("room");
    }
    for case in [
        "the first of three",
        "the second of three",
        "the third of three",
    ] {
        tell(case, &[REAL_TIME], 4);
    }
    check("rt_sigtimedwait", "no fourth", take(&[REAL_TIME], 0).0);
    for value in 1..=2 {
        let info = said(-1, 4, value);
        sys!(SYS_rt_sigqueueinfo, pid, SIGTERM, info.as_ptr()).expect("room");
    }
    tell("the first of two standard ones", &[SIGTERM], 4);
    check(
        "rt_sigtimedwait",
        "no second standard one",
        take(&[SIGTERM], 0).0,
    );
    queue("as if by kill, to itself", SIGUSR1, &said(0, 4, 5));
    tell("as if by kill, to itself", &[SIGUSR1], 4);
    queue("as if by the kernel, to itself", SIGUSR1, &said(0x80, 4, 5));
    tell("as if by the kernel, to itself", &[SIGUSR1], 4);
    queue("signal 0", 0, &said(-1, 4, 5));
    let to_task = |case: &str, tid: i64, signal: i32, info: &Info| {
        let answer = sys!(SYS_rt_tgsigqueueinfo, pid, tid, signal, info.as_ptr());
        check("rt_tgsigqueueinfo", case, answer);
    };
    to_task("a value to a task", tid, REAL_TIME, &said(-1, 4, 6));
    tell("a value to a task", &[REAL_TIME], 4);
    to_task("as if by tkill", tid, SIGUSR1, &said(-6, 4, 5));
    tell("as if by tkill", &[SIGUSR1], 4);
    to_task("to task 0", 0, SIGUSR1, &said(-1, 4, 5));
    to_task("to nobody's task", 4_000_000, SIGUSR1, &said(-1, 4, 5));
    to_task("a signal nobody has", tid, 65, &said(-1, 4, 5));
}

fn refused() {
    let (pid, tid) = own();
    let info = said(-1, 4, 5);
    let parent = sys!(SYS_getppid).expect("one");
    let feigned = said(0, 4, 5);
    let by_tkill = said(-6, 4, 5);
    for (case, answer) in [
        (
            "signal 65 to itself",
            sys!(SYS_rt_sigqueueinfo, pid, 65, info.as_ptr()),
        ),
        (
            "a negative signal to itself",
            sys!(SYS_rt_sigqueueinfo, pid, -1, info.as_ptr()),
        ),
        (
            "to nobody",
            sys!(SYS_rt_sigqueueinfo, 4_000_000, SIGUSR1, info.as_ptr()),
        ),
        (
            "to process 0",
            sys!(SYS_rt_sigqueueinfo, 0, SIGUSR1, info.as_ptr()),
        ),
        (
            "to a negative process",
            sys!(SYS_rt_sigqueueinfo, -1, SIGUSR1, info.as_ptr()),
        ),
        (
            "without information",
            sys!(SYS_rt_sigqueueinfo, pid, SIGUSR1, BAD),
        ),
        (
            "as if by kill, to another",
            sys!(SYS_rt_sigqueueinfo, parent, 0, feigned.as_ptr()),
        ),
        (
            "as if by tkill, to another",
            sys!(SYS_rt_sigqueueinfo, parent, 0, by_tkill.as_ptr()),
        ),
        (
            "a value to another, only asked",
            sys!(SYS_rt_sigqueueinfo, parent, 0, info.as_ptr()),
        ),
    ] {
        check("rt_sigqueueinfo", case, answer);
    }
    for (case, answer) in [
        (
            "of another process",
            sys!(
                SYS_rt_tgsigqueueinfo,
                4_000_000,
                tid,
                SIGUSR1,
                info.as_ptr()
            ),
        ),
        (
            "without information",
            sys!(SYS_rt_tgsigqueueinfo, pid, tid, SIGUSR1, BAD),
        ),
    ] {
        check("rt_tgsigqueueinfo", case, answer);
    }
}

/// Lower numbers come first, a task's own before its process's.
fn order() {
    let (pid, tid) = own();
    for signal in [REAL_TIME + 1, REAL_TIME, SIGTERM, SIGUSR2] {
        sys!(SYS_kill, pid, signal).expect("sent");
    }
    sys!(SYS_tkill, tid, SIGTERM).expect("sent");
    let all = [SIGUSR1, SIGUSR2, SIGTERM, REAL_TIME, REAL_TIME + 1];
    let mut came = Vec::new();
    while let (Ok(signal), info) = take(&all, 0) {
        came.push(format!("{signal} by {}", info[2] as i32));
    }
    say("rt_sigtimedwait", "the order of several", came.join(", "));
}

/// What a signalfd tells of signals.
fn read() {
    let (pid, _) = own();
    let set = set_of(&[SIGUSR1, REAL_TIME, SIGCHLD]);
    let fd = sys!(SYS_signalfd4, -1, &raw const set, 8, libc::SFD_NONBLOCK).expect("one");
    let told = |case: &str, sender: i64| {
        let mut info = [9_u32; 32];
        let answer = sys!(SYS_read, fd, info.as_mut_ptr(), 128);
        check("signalfd", case, answer);
        let sent_by = i64::from(info[3]) == sender;
        let fields = [4, 5, 6, 7, 8, 9, 10, 11, 12].map(|nth: usize| info[nth]);
        say(
            "signalfd_siginfo",
            case,
            format!("{:?} {sent_by} {fields:?}", &info[..3]),
        );
    };
    sys!(SYS_kill, pid, SIGUSR1).expect("sent");
    told("by kill, read", pid);
    let info = said(-1, 4, 31);
    sys!(SYS_rt_sigqueueinfo, pid, REAL_TIME, info.as_ptr()).expect("room");
    told("a value, read", 4);
    let ended = child(|| 9);
    let mut none = [0_u32; 32];
    sys!(
        SYS_waitid,
        libc::P_PID,
        ended,
        none.as_mut_ptr(),
        libc::WEXITED | libc::WNOWAIT
    )
    .expect("it ends");
    told("a child's end, read", ended.into());
    status_of(ended);
    sys!(SYS_close, fd).expect("open");
}

fn children() {
    let ended = child(|| 7);
    tell("a child that exited", &[SIGCHLD], ended.into());
    status_of(ended);
    let paused = child(|| {
        let _ = sys!(SYS_pause);
        0
    });
    let wait = |options: i32| {
        let mut info = [0_u32; 32];
        let answer = sys!(SYS_waitid, libc::P_PID, paused, info.as_mut_ptr(), options);
        (answer, info)
    };
    for (signal, case, option) in [
        (SIGSTOP, "a child that stopped", libc::WSTOPPED),
        (SIGCONT, "a child that goes on", libc::WCONTINUED),
        (SIGKILL, "a child that was killed", libc::WEXITED),
    ] {
        sys!(SYS_kill, paused, signal).expect("sent");
        tell(case, &[SIGCHLD], paused.into());
        let (answer, info) = wait(option);
        check("waitid", case, answer);
        let is_it = info[3] as i32 == 0 && i64::from(info[4]) == i64::from(paused);
        let meant = [0, 1, 2, 5, 6].map(|nth: usize| info[nth]);
        say(
            "waitid",
            &format!("of {case}"),
            format!("{is_it} {meant:?}"),
        );
    }
}

/// SA_NOCLDSTOP, SA_NOCLDWAIT, and SIGCHLD ignored.
fn unwanted_children() {
    let act = |handler: usize, flags: u64| {
        let action = [handler as u64, flags | 0x0400_0000, restorer(), 0];
        sys!(SYS_rt_sigaction, SIGCHLD, action.as_ptr(), 0, 8).expect("an action");
    };
    let handler = never as *const () as usize;
    act(handler, libc::SA_NOCLDSTOP as u64);
    let paused = child(|| {
        let _ = sys!(SYS_pause);
        0
    });
    sys!(SYS_kill, paused, SIGSTOP).expect("sent");
    let mut info = [0_u32; 32];
    sys!(
        SYS_waitid,
        libc::P_PID,
        paused,
        info.as_mut_ptr(),
        libc::WSTOPPED
    )
    .expect("it stops");
    check(
        "SA_NOCLDSTOP",
        "a child that stopped",
        take(&[SIGCHLD], 0).0,
    );
    sys!(SYS_kill, paused, SIGKILL).expect("sent");
    tell(
        "with SA_NOCLDSTOP, a child that was killed",
        &[SIGCHLD],
        paused.into(),
    );
    status_of(paused);
    act(handler, libc::SA_NOCLDWAIT as u64);
    let ended = child(|| 3);
    tell(
        "with SA_NOCLDWAIT, a child that exited",
        &[SIGCHLD],
        ended.into(),
    );
    check("wait4", "with SA_NOCLDWAIT", sys!(SYS_wait4, -1, 0, 0, 0));
    act(1, 0);
    child(|| 3);
    check(
        "wait4",
        "with SIGCHLD ignored",
        sys!(SYS_wait4, -1, 0, 0, 0),
    );
    act(0, 0);
}

extern "C" fn never(_: i32) {}

/// The C library's way back from a handler.
fn restorer() -> u64 {
    let mut action = [0_u64; 4];
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(SIGUSR1, never as *const () as usize) };
    sys!(SYS_rt_sigaction, SIGUSR1, 0, action.as_mut_ptr(), 8).expect("told");
    action[2]
}

extern "C" fn on_exception(_: i32, info: *const libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel made it.
    let info = unsafe { &*info };
    // SAFETY: an exception's information has an address.
    let (code, address) = (info.si_code, unsafe { info.si_addr() } as u64);
    // What is told of the address: nothing, what was asked for, or a place in the program.
    let place = match address {
        0 => 0,
        0x5000 | WRITTEN => 1,
        _ => 2,
    };
    let _ = sys!(SYS_exit_group, (code & 0x8f) | place << 4);
}

/// Where pages of the checks lie.
const WRITTEN: u64 = 0x7100_0000_0000;

/// What exceptions say.
fn exceptions() {
    let raise = |case: &str, act: fn()| {
        let pid = child(|| {
            // SAFETY: all zero bytes are the default action.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = on_exception as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            for signal in [
                libc::SIGSEGV,
                libc::SIGBUS,
                libc::SIGFPE,
                libc::SIGILL,
                libc::SIGTRAP,
            ] {
                // SAFETY: the handler ends the process.
                unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
            }
            act();
            0
        });
        say("si_code", case, format!("{:#x}", status_of(pid) >> 8));
    };
    raise("nothing at an address", || write_at(0x5000));
    raise("a page that may not be written", || {
        map(libc::PROT_READ, libc::MAP_ANONYMOUS, -1);
        write_at(WRITTEN);
    });
    raise("behind the end of a file", || {
        let fd = sys!(SYS_open, c"short", libc::O_CREAT | libc::O_RDWR, 0o600).expect("new");
        map(libc::PROT_READ | libc::PROT_WRITE, 0, fd as i32);
        write_at(WRITTEN);
    });
    raise("an address no page can have", || {
        write_at(0x8000_0000_0000_0000)
    });
    // SAFETY: each is an exception, which is the check.
    raise("division by zero", || unsafe {
        std::arch::asm!("xor ecx, ecx", "div ecx", out("ecx") _, out("eax") _, inout("edx") 0 => _);
    });
    // SAFETY: as above.
    raise("an unknown instruction", || unsafe {
        std::arch::asm!("ud2");
    });
    // SAFETY: as above.
    raise("a breakpoint", || unsafe {
        std::arch::asm!("int3");
    });
    // SAFETY: as above.
    raise("a privileged instruction", || unsafe {
        std::arch::asm!("hlt");
    });
}

fn write_at(address: u64) {
    // SAFETY: what happens is the check; the process has nothing to lose.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(address as usize).write_volatile(1) };
}

fn map(protection: i32, flags: i32, fd: i32) {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_FIXED;
    sys!(SYS_mmap, WRITTEN, 4096, protection, flags, fd, 0).expect("a page");
}
