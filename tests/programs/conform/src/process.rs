//! Processes: how they end, and how they are made.

use crate::check::{BAD, check, say, sys};
use crate::child::{ANY, child, reap, status_of};
use libc::{SIGCHLD, SIGKILL, SIGTERM};

/// Reads what the kernel wrote.
fn unsafe_read(value: &i32) -> i32 {
    // SAFETY: a reference is good to be read.
    unsafe { std::ptr::from_ref(value).read_volatile() }
}

pub(crate) fn run() {
    ends();
    ending();
    clones();
    families();
}

fn ends() {
    let end = |case: &str, pid: i32| say("wait4", case, reap(pid));
    end("exit with 0", child(|| 0));
    end("exit with 255", child(|| 255));
    end("exit with 256 is 0", child(|| 256));
    end("exit with -1", child(|| -1));
    end(
        "killed",
        child(|| sys!(SYS_kill, std::process::id(), SIGKILL).map_or(1, |_| 2)),
    );
    end(
        "terminated",
        child(|| sys!(SYS_kill, std::process::id(), SIGTERM).map_or(1, |_| 2)),
    );
    end(
        "exit of the only thread",
        child(|| {
            let _ = sys!(SYS_exit, 6);
            7
        }),
    );
    end(
        "a bad access",
        child(|| {
            // SAFETY: it is the child's end that is tried.
            unsafe { BAD.read_volatile() }.into()
        }),
    );
}

fn ending() {
    let ends = |case: &str, act: &dyn Fn() -> i32| {
        say("wait4", case, format!("{:#x}", status_of(child(act))))
    };
    ends("exit code 0", &|| 0);
    ends("exit code 7", &|| 7);
    ends("exit code 256 + 3", &|| 259);
    let raise = |signal: i32| {
        sys!(SYS_kill, std::process::id(), signal).expect("sent");
        0
    };
    for (case, signal) in [
        ("SIGKILL", libc::SIGKILL),
        ("SIGTERM", libc::SIGTERM),
        ("SIGUSR1", libc::SIGUSR1),
        ("SIGALRM", libc::SIGALRM),
    ] {
        ends(case, &|| {
            // SAFETY: the action is a constant of the C library.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            raise(signal)
        });
    }
    ends("SIGCHLD does nothing", &|| raise(libc::SIGCHLD));
    ends("exit", &|| sys!(SYS_exit, 5).map_or(1, |_| 1));
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    let pid = child(|| sys!(SYS_write, pipe[1], b"from the child".as_ptr(), 14).map_or(1, |_| 0));
    sys!(SYS_close, pipe[1]).expect("open");
    let mut bytes = [0_u8; 32];
    check(
        "read",
        "what the child wrote",
        sys!(SYS_read, pipe[0], bytes.as_mut_ptr(), 32),
    );
    check("read", "the end once it has ended", {
        status_of(pid);
        sys!(SYS_read, pipe[0], bytes.as_mut_ptr(), 32)
    });
    sys!(SYS_close, pipe[0]).expect("open");
    let mut memory = vec![1_u8; 3 * 4096];
    let pid = child(|| {
        memory.fill(2);
        i32::from(memory[5000])
    });
    say(
        "fork",
        "the child's memory is its own",
        format!("{:#x} {}", status_of(pid), memory[5000]),
    );
    let pid =
        child(|| i32::from(sys!(SYS_getppid).is_ok_and(|it| it != i64::from(std::process::id()))));
    say("getppid", "is the parent", status_of(pid));
}

/// Makes a child that has its parent's stack and ends at once, and returns its number.
fn vfork_and_exit(code: i32) -> i64 {
    let result: i64;
    // SAFETY: between the two calls the child touches no memory, so that its parent finds its stack as it left it.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, 231", // exit_group
            "syscall",
            "2:",
            inlateout("rax") libc::SYS_vfork => result,
            in("edi") code,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

fn clones() {
    let pid = i32::try_from(vfork_and_exit(9)).expect("a child");
    say("vfork", "a child that ends", reap(pid));

    let clone = |case: &str, flags: i64| {
        let answer = sys!(SYS_clone, flags, 0, 0, 0, 0);
        if answer == Ok(0) {
            let _ = sys!(SYS_exit_group, 0);
        }
        if let Ok(pid) = answer {
            let _ = sys!(SYS_wait4, pid, 0, libc::__WALL, 0);
        }
        check("clone", case, answer.map(|_| 1));
    };
    clone("like fork", i64::from(SIGCHLD));
    clone("without a signal", 0);
    clone(
        "a thread without signal actions",
        i64::from(libc::CLONE_THREAD | libc::CLONE_VM),
    );
    clone("files shared", i64::from(libc::CLONE_FILES | SIGCHLD));
    clone("directories shared", i64::from(libc::CLONE_FS | SIGCHLD));
    let clone3 = |case: &str, bytes: usize, set: &[(usize, u64)]| {
        let mut arguments = [0_u64; 600];
        arguments[4] = SIGCHLD as u64;
        for &(at, value) in set {
            arguments[at] = value;
        }
        let answer = sys!(SYS_clone3, arguments.as_ptr(), bytes);
        if answer == Ok(0) {
            let _ = sys!(SYS_exit_group, 0);
        }
        if let Ok(pid) = answer {
            let _ = sys!(SYS_wait4, pid, 0, libc::__WALL, 0);
        }
        check("clone3", case, answer.map(|_| 1));
    };
    clone3("the first version", 64, &[]);
    clone3("the latest version", 88, &[]);
    clone3("too short", 63, &[]);
    clone3("longer, with zeroes", 96, &[]);
    clone3("longer, with something", 96, &[(11, 1)]);
    clone3("a page", 4096, &[]);
    clone3("more than a page", 4104, &[]);
    clone3("a stack without a size", 88, &[(5, 4096)]);
    clone3("a size without a stack", 88, &[(6, 4096)]);
    clone3("a signal that is none", 88, &[(4, 65)]);
    clone3("a signal for a thread", 88, &[(0, 0x1_0f00)]);
    clone3("detached", 88, &[(0, 0x40_0000)]);
    clone3(
        "signal actions kept and forgotten",
        88,
        &[(0, 0x1_0000_0900)],
    );
    clone3("signal actions forgotten", 88, &[(0, 0x1_0000_0000)]);
    check("clone3", "a bad address", sys!(SYS_clone3, BAD, 88));
    let mut told = 0_i32;
    let flags = libc::CLONE_PARENT_SETTID | SIGCHLD;
    match sys!(SYS_clone, flags, 0, &raw mut told, 0, 0).expect("a child") {
        0 => {
            let _ = sys!(SYS_exit_group, 0);
        }
        pid => {
            say(
                "clone",
                "the parent is told the number",
                i64::from(told) == pid,
            );
            let _ = sys!(SYS_wait4, pid, 0, 0, 0);
        }
    }
    let mut told = 0_i32;
    let flags = libc::CLONE_CHILD_SETTID | SIGCHLD;
    match sys!(SYS_clone, flags, 0, 0, &raw mut told, 0).expect("a child") {
        0 => {
            let is_told = i64::from(unsafe_read(&told)) == sys!(SYS_getpid).unwrap_or(0);
            let _ = sys!(SYS_exit_group, i32::from(is_told));
        }
        pid => {
            let ended = reap(i32::try_from(pid).expect("a number"));
            say("clone", "the child is told its number", ended);
            say("clone", "in its own memory", told);
        }
    }
}

fn families() {
    let same = |case: &str, answer: bool| say("fork", case, answer);
    let own = sys!(SYS_getpid).expect("a number");
    let told = reap(child(|| i32::from(sys!(SYS_getppid) == Ok(own))));
    say("getppid", "of a child", told);
    same(
        "a child is its first thread",
        reap(child(|| i32::from(sys!(SYS_gettid) == sys!(SYS_getpid)))) == "0x0100",
    );
    let mut ends = [0_i32; 2];
    sys!(SYS_pipe, &raw mut ends).expect("a pipe");
    let pid = child(|| {
        let grandchild = child(|| {
            // Until the parent has ended.
            while sys!(SYS_getppid) == Ok(sys!(SYS_getpid).unwrap_or(0)) {}
            let _ = sys!(SYS_write, ends[1], c"grandchild", 10);
            0
        });
        i32::from(grandchild < 0)
    });
    say("fork", "a child that leaves a child", reap(pid));
    let _ = sys!(SYS_close, ends[1]);
    let mut text = [0_u8; 16];
    let length = sys!(SYS_read, ends[0], &raw mut text, 16).expect("it is written");
    say(
        "fork",
        "the orphan works on",
        String::from_utf8_lossy(&text[..length as usize]),
    );
    let _ = sys!(SYS_close, ends[0]);
    // A subreaper gets it instead.
    let adopted = reap(child(|| {
        let _ = sys!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        let middle = child(|| {
            child(|| 7);
            0
        });
        let first = reap(middle);
        let mut status = 0_i32;
        let _ = sys!(SYS_wait4, ANY, &raw mut status, 0, 0);
        i32::from(first == "0x0000" && status == 0x700)
    }));
    say("prctl", "a subreaper reaps", adopted);
    let died = reap(child(|| {
        let mut ends = [0_i32; 2];
        sys!(SYS_pipe, &raw mut ends).expect("a pipe");
        let middle = child(|| {
            child(|| {
                let _ = sys!(SYS_prctl, libc::PR_SET_PDEATHSIG, SIGKILL);
                let _ = sys!(SYS_write, ends[1], c"x", 1);
                let _ = sys!(SYS_pause);
                0
            });
            let mut byte = [0_u8; 1];
            let _ = sys!(SYS_read, ends[0], &raw mut byte, 1);
            0
        });
        reap(middle);
        let _ = sys!(SYS_close, ends[1]);
        let mut byte = [0_u8; 1];
        i32::from(sys!(SYS_read, ends[0], &raw mut byte, 1) == Ok(0))
    }));
    say("prctl", "a signal when the parent ends", died);
}
