//! Stack pointers that point nowhere, when a call, an interrupt, a fault or a signal comes.

use crate::case::Case;
use core::arch::asm;
use hostile::memory::{PAGE, pages};
use hostile::sys;

/// Where a stack should not be.
const GARBAGE: [(&str, i64); 6] = [
    ("zero", 0),
    ("one", 1),
    ("the kernel", 0xffff_ffff_8010_0000_u64 as i64),
    ("the direct map", 0xffff_8880_0010_0000_u64 as i64),
    ("no canonical address", i64::MIN),
    ("the end of the lower half", 0x7fff_ffff_f000),
];

/// Makes a call with this stack pointer and comes back.
fn call_on(stack: i64) -> String {
    let result: i64;
    // SAFETY: the stack pointer is put back before anything uses it.
    unsafe {
        asm!(
            "mov r12, rsp",
            "mov rsp, {stack}",
            "syscall",
            "mov rsp, r12",
            stack = in(reg) stack,
            inlateout("rax") libc::SYS_getpid => result,
            out("rcx") _, out("r11") _, out("r12") _,
        );
    }
    if result == i64::from(std::process::id()) {
        "done".to_owned()
    } else {
        format!("{result}")
    }
}

/// Spins with this stack pointer until interrupts must have come, and comes back.
fn spin_on(stack: i64) -> String {
    // SAFETY: the stack pointer is put back before anything uses it.
    unsafe {
        asm!(
            "mov r12, rsp",
            "mov rsp, {stack}",
            "2:",
            "dec {turns}",
            "jnz 2b",
            "mov rsp, r12",
            stack = in(reg) stack,
            turns = inout(reg) 20_000_000_u64 => _,
            out("r12") _,
        );
    }
    "done".to_owned()
}

/// Breaks with this stack pointer.
fn break_on(stack: i64) -> String {
    // SAFETY: the process ends.
    unsafe { asm!("mov rsp, {stack}", "ud2", stack = in(reg) stack, options(noreturn)) }
}

extern "C" fn ignore(_: i32) {}

/// Has the signal of an undefined instruction handled.
fn handle(flags: i32) {
    // SAFETY: all zeros is an action.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = ignore as extern "C" fn(i32) as usize;
    action.sa_flags = flags;
    for signal in [libc::SIGILL, libc::SIGUSR1] {
        // SAFETY: the handler does nothing.
        unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) };
    }
}

/// Sends itself a signal with this stack pointer and comes back.
fn signal_on(stack: i64) -> String {
    // SAFETY: the stack pointer is put back before anything uses it; a handler runs on another one.
    unsafe {
        asm!(
            "mov r12, rsp",
            "mov rsp, {stack}",
            "syscall",
            "mov rsp, r12",
            stack = in(reg) stack,
            inlateout("rax") libc::SYS_kill => _,
            in("rdi") i64::from(std::process::id()),
            in("rsi") i64::from(libc::SIGUSR1),
            out("rcx") _, out("r11") _, out("r12") _,
        );
    }
    "done".to_owned()
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (place, stack) in GARBAGE {
        cases.push(Case::new(
            format!("a call with the stack at {place}"),
            "done",
            move || call_on(stack),
        ));
        cases.push(Case::new(
            format!("interrupts with the stack at {place}"),
            "done",
            move || spin_on(stack),
        ));
        cases.push(Case::new(
            format!("an exception with the stack at {place}"),
            "SIGILL",
            move || break_on(stack),
        ));
        cases.push(Case::new(
            format!("an exception with a handler and the stack at {place}"),
            "SIGSEGV",
            move || {
                handle(0);
                break_on(stack)
            },
        ));
        cases.push(Case::new(
            format!("a signal with the stack at {place}"),
            "SIGSEGV",
            move || {
                handle(0);
                signal_on(stack)
            },
        ));
        cases.push(Case::new(
            format!("a signal with the stack at {place}, and another stack"),
            "done",
            move || {
                let other = [pages(16) as i64, 0, 16 * PAGE as i64];
                sys!(SYS_sigaltstack, other.as_ptr(), 0).expect("a stack");
                handle(libc::SA_ONSTACK);
                signal_on(stack)
            },
        ));
    }
    cases.push(Case::new("a stack without an end", "SIGSEGV", || {
        fn deepen(level: u64) -> u64 {
            let frame = std::hint::black_box([level; 64]);
            if frame[0] == u64::MAX {
                return 0;
            }
            deepen(level + 1) + std::hint::black_box(frame)[3]
        }
        deepen(0).to_string()
    }));
    cases.push(Case::new(
        "an exception of the handler of an exception",
        "SIGILL",
        || {
            extern "C" fn again(_: i32) {
                hostile::code::run(&[0x0f, 0x0b]);
            }
            // SAFETY: the process ends.
            unsafe { libc::signal(libc::SIGILL, again as extern "C" fn(i32) as usize) };
            hostile::code::run(&[0x0f, 0x0b])
        },
    ));
    cases
}
