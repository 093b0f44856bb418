//! Signal frames that a handler has changed before it returns: the program may go on wherever it says, but only as itself.

use crate::case::Case;
use core::arch::asm;
use hostile::call::words;
use hostile::memory::{PAGE, pages};
use hostile::sys;
use libc::{REG_CSGSFS, REG_EFL, REG_RIP, REG_RSP, c_void, siginfo_t, ucontext_t};
use std::sync::OnceLock;

const KERNEL: i64 = 0xffff_ffff_8010_0000_u64 as i64;

/// Places in the extended state (Intel SDM vol. 1, 10.5.1 and 13.4.2).
const MXCSR: usize = 24;
const FEATURES: usize = 512;
const COMPACTION: usize = 520;
const RESERVED: usize = 528;
/// Where Linux says how much there is (asm/sigcontext.h, `struct _fpx_sw_bytes`).
const SOFTWARE: usize = 464;
/// Bytes of the frame's extended state that are ours to write.
const STATE_BYTES: usize = 576;

/// What a handler does to its frame.
type Change = fn(&mut ucontext_t);

static EDIT: OnceLock<Change> = OnceLock::new();

extern "C" fn edit(_: i32, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the frame's context, which nobody else uses.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    if let Some(edit) = EDIT.get() {
        edit(context);
    }
}

/// Takes a signal, changes its frame and returns from the handler.
fn resume(change: Change) -> String {
    assert!(EDIT.set(change).is_ok(), "a child changes one frame");
    install(libc::SIGUSR1, 0);
    // SAFETY: the signal has a handler.
    unsafe { libc::raise(libc::SIGUSR1) };
    "done".to_owned()
}

/// Has `edit` handle a signal.
fn install(signal: i32, flags: i32) {
    // SAFETY: all zeros is an action.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = edit as extern "C" fn(i32, *mut siginfo_t, *mut c_void) as usize;
    action.sa_flags = libc::SA_SIGINFO | flags;
    // SAFETY: the handler keeps to its own frame.
    unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) };
}

/// Returns the bytes of the frame's extended state.
fn state(context: &mut ucontext_t) -> &mut [u8] {
    // SAFETY: the kernel has laid this many bytes there, or more; the context is borrowed for as long.
    unsafe { core::slice::from_raw_parts_mut(context.uc_mcontext.fpregs.cast(), STATE_BYTES) }
}

fn set(context: &mut ucontext_t, register: i32, value: i64) {
    context.uc_mcontext.gregs[register as usize] = value;
}

/// Frames whose fate is the processor's, and so the same everywhere.
const SAME: &[(&str, &str, Change)] = &[
    ("a frame as it was", "done", |_| ()),
    ("rip in the kernel", "SIGSEGV", |it| {
        set(it, REG_RIP, KERNEL)
    }),
    ("rip at nothing", "SIGSEGV", |it| set(it, REG_RIP, 0)),
    ("rip at the lower half's last byte", "SIGSEGV", |it| {
        set(it, REG_RIP, 0x7fff_ffff_ffff)
    }),
    ("rip behind the lower half", "SIGSEGV", |it| {
        set(it, REG_RIP, 0x8000_0000_0000)
    }),
    ("rip before the upper half", "SIGSEGV", |it| {
        set(it, REG_RIP, 0xffff_7fff_ffff_ffff_u64 as i64)
    }),
    ("rip of all ones", "SIGSEGV", |it| set(it, REG_RIP, -1)),
    ("rsp in the kernel", "SIGSEGV", |it| {
        set(it, REG_RSP, KERNEL)
    }),
    ("rsp of no canonical address", "SIGBUS or SIGSEGV", |it| {
        set(it, REG_RSP, i64::MIN)
    }),
    ("rsp of zero", "SIGSEGV", |it| set(it, REG_RSP, 0)),
    ("single step", "SIGTRAP", |it| set(it, REG_EFL, 0x302)),
    ("every flag but single step", "done", |it| {
        set(it, REG_EFL, 0xffff_ffff_fffb_faff_u64 as i64)
    }),
    ("no flag, not even interrupts", "done", |it| {
        set(it, REG_EFL, 0)
    }),
    ("extended state in the kernel", "SIGSEGV", |it| {
        it.uc_mcontext.fpregs = KERNEL as *mut _
    }),
    (
        "extended state at an address that is not canonical",
        "SIGSEGV",
        |it| it.uc_mcontext.fpregs = i64::MIN as *mut _,
    ),
    ("extended state at the end of memory", "SIGSEGV", |it| {
        it.uc_mcontext.fpregs = hostile::memory::cliff().wrapping_sub(512).cast()
    }),
    ("no extended state", "done", |it| {
        it.uc_mcontext.fpregs = core::ptr::null_mut()
    }),
    ("every signal blocked", "SIGKILL", |it| {
        // SAFETY: the mask is ours.
        unsafe { libc::sigfillset(&raw mut it.uc_sigmask) };
        // Nothing blocks this one, so that the child ends here.
        let _ = sys!(SYS_kill, std::process::id(), libc::SIGKILL);
    }),
];

/// Frames that Linux tries to restore as they are. Here selectors do not count, and what the processor would refuse of the
/// extended state is passed over.
const OWN: &[(&str, &str, Change)] = &[
    ("the kernel's selectors", "done", |it| {
        set(it, REG_CSGSFS, 0x0010_0000_0000_0008)
    }),
    ("no selectors", "done", |it| set(it, REG_CSGSFS, 0)),
    ("selectors of all ones", "done", |it| {
        set(it, REG_CSGSFS, -1)
    }),
    ("every bit of MXCSR", "done", |it| {
        state(it)[MXCSR..MXCSR + 4].fill(0xff)
    }),
    ("every feature in the header", "done", |it| {
        state(it)[FEATURES..FEATURES + 8].fill(0xff)
    }),
    ("the compacted form", "done", |it| {
        state(it)[COMPACTION..COMPACTION + 8].fill(0xff)
    }),
    ("reserved bytes of the header", "done", |it| {
        state(it)[RESERVED..RESERVED + 48].fill(0xff)
    }),
    ("a size of all ones", "done", |it| {
        state(it)[SOFTWARE..SOFTWARE + 48].fill(0xff)
    }),
    ("extended state of all ones", "done", |it| {
        state(it).fill(0xff)
    }),
    ("extended state across its alignment", "done", |it| {
        let from = state(it).as_ptr();
        let to = pages(2).wrapping_add(1);
        // SAFETY: both are longer, and apart from each other.
        unsafe { to.copy_from_nonoverlapping(from, STATE_BYTES) };
        it.uc_mcontext.fpregs = to.cast();
    }),
];

pub(crate) fn cases() -> Vec<Case> {
    let name = |name: &str| format!("a frame to return by: {name}");
    let same = SAME
        .iter()
        .map(|&(case, expected, change)| Case::new(name(case), expected, move || resume(change)));
    let own = OWN
        .iter()
        .map(|&(case, expected, change)| Case::own(name(case), expected, move || resume(change)));
    same.chain(own).chain(others()).collect()
}

/// Returns from a handler that nobody called, with this stack pointer.
fn return_without_handler(stack: i64) -> String {
    // SAFETY: the process ends, or goes on wherever the memory there says.
    unsafe {
        asm!("mov rsp, {stack}", "mov eax, 15", "syscall", "ud2", stack = in(reg) stack, options(noreturn))
    }
}

fn others() -> Vec<Case> {
    vec![
        Case::new("a return from no handler, at nothing", "SIGSEGV", || {
            return_without_handler(0)
        }),
        Case::new("a return from no handler, in the kernel", "SIGSEGV", || {
            return_without_handler(KERNEL)
        }),
        Case::new("a return from no handler, at zeros", "SIGSEGV", || {
            return_without_handler(pages(2) as i64)
        }),
        Case::new(
            "a return from no handler, at the end of memory",
            "SIGSEGV",
            || return_without_handler(hostile::memory::cliff() as i64 - 64),
        ),
        Case::new("a handler in the kernel", "SIGSEGV", || {
            // SAFETY: the child ends when the signal comes.
            unsafe { libc::signal(libc::SIGUSR1, KERNEL as usize) };
            // SAFETY: as above.
            unsafe { libc::raise(libc::SIGUSR1) };
            "done".to_owned()
        }),
        Case::new("a handler's stack in the kernel", "SIGSEGV", || {
            let stack = [KERNEL, 0, PAGE as i64 * 4];
            let made = words(sys!(SYS_sigaltstack, stack.as_ptr(), 0));
            install(libc::SIGUSR1, libc::SA_ONSTACK);
            // SAFETY: the child ends when the signal comes.
            unsafe { libc::raise(libc::SIGUSR1) };
            made
        }),
        Case::new(
            "a handler's stack that ends behind all memory",
            "SIGSEGV",
            || {
                let stack = [-4096_i64, 0, PAGE as i64 * 4];
                let made = words(sys!(SYS_sigaltstack, stack.as_ptr(), 0));
                install(libc::SIGUSR1, libc::SA_ONSTACK);
                // SAFETY: the child ends when the signal comes.
                unsafe { libc::raise(libc::SIGUSR1) };
                made
            },
        ),
        Case::new("a handler's stack that is too small", "ENOMEM", || {
            let stack = [pages(1) as i64, 0, 256];
            words(sys!(SYS_sigaltstack, stack.as_ptr(), 0))
        }),
        Case::new("a handler without a way back", "SIGSEGV", || {
            // struct sigaction of the kernel: handler, flags without SA_RESTORER, restorer, mask.
            let handler = edit as extern "C" fn(i32, *mut siginfo_t, *mut c_void) as usize;
            let action = [handler, 0, 0, 0];
            sys!(SYS_rt_sigaction, libc::SIGUSR1, action.as_ptr(), 0, 8).expect("installed");
            // SAFETY: the child ends when the signal comes.
            unsafe { libc::raise(libc::SIGUSR1) };
            "done".to_owned()
        }),
    ]
}
