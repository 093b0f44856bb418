//! What the handler of a signal finds in the processor's registers, and what the program has after it has changed them in
//! its frame (sigreturn(2)).

use crate::check::say;
use core::arch::asm;
use libc::{SIGUSR1, SYS_kill, c_void, siginfo_t, ucontext_t};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Control words of the program: rounding towards zero; single precision, rounding up.
const OWN: (u32, u16) = (0x7f80, 0x087f);

/// What the handler makes of them: rounding down; double precision, rounding down.
const NEW: (u32, u16) = (0x3f80, 0x067f);

/// MXCSR without the flags that any operation may have raised.
const LASTING: u32 = 0xffc0;

static MXCSR: AtomicU32 = AtomicU32::new(0);
static X87: AtomicU32 = AtomicU32::new(0);

extern "C" fn edit(_: i32, _: *mut siginfo_t, context: *mut c_void) {
    let (mut mxcsr, mut x87) = (0_u32, 0_u16);
    // SAFETY: both have room.
    unsafe {
        asm!("stmxcsr [{}]", "fnstcw [{}]", in(reg) &raw mut mxcsr, in(reg) &raw mut x87, options(nostack));
    }
    MXCSR.store(mxcsr, SeqCst);
    X87.store(x87.into(), SeqCst);
    // SAFETY: the kernel passes the frame's context, which nobody else uses.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    // SAFETY: its extended state lies behind it in the frame.
    let state = unsafe { &mut *context.uc_mcontext.fpregs };
    say(
        "frame",
        "MXCSR of the program",
        format!("{:#x}", state.mxcsr & LASTING),
    );
    say("frame", "its x87 control word", format!("{:#x}", state.cwd));
    say(
        "frame",
        "its first vector register",
        format!("{:?}", state._xmm[0].element),
    );
    state._xmm[0].element = [9, 10, 11, 12];
    (state.mxcsr, state.cwd) = NEW;
}

pub(crate) fn run() {
    // SAFETY: all zero bytes are the default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = edit as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler keeps to its own frame.
    unsafe { libc::sigaction(SIGUSR1, &raw const action, std::ptr::null_mut()) };
    let mut vectors = [[1_u32, 2, 3, 4], [5, 6, 7, 8]];
    let mut own = OWN;
    let mut saved = (0_u32, 0_u16);
    // SAFETY: loads and stores inside of the variables; the control words are as before when the block ends, and all
    // registers touched are declared. The signal comes before the call has returned.
    unsafe {
        asm!(
            "stmxcsr [{saved_mxcsr}]",
            "fnstcw [{saved_x87}]",
            "ldmxcsr [{mxcsr}]",
            "fldcw [{x87}]",
            "movdqu xmm0, [{vectors}]",
            "movdqu xmm15, [{vectors} + 16]",
            "syscall",
            "movdqu [{vectors}], xmm0",
            "movdqu [{vectors} + 16], xmm15",
            "stmxcsr [{mxcsr}]",
            "fnstcw [{x87}]",
            "ldmxcsr [{saved_mxcsr}]",
            "fldcw [{saved_x87}]",
            saved_mxcsr = in(reg) &raw mut saved.0,
            saved_x87 = in(reg) &raw mut saved.1,
            mxcsr = in(reg) &raw mut own.0,
            x87 = in(reg) &raw mut own.1,
            vectors = in(reg) &raw mut vectors,
            inlateout("rax") SYS_kill => _,
            in("rdi") std::process::id(),
            in("rsi") SIGUSR1,
            out("rcx") _, out("r11") _, out("xmm0") _, out("xmm15") _,
        );
    }
    say("handler", "its MXCSR", format!("{:#x}", MXCSR.load(SeqCst)));
    say(
        "handler",
        "its x87 control word",
        format!("{:#x}", X87.load(SeqCst)),
    );
    say(
        "rt_sigreturn",
        "a vector register that was changed",
        format!("{:?}", vectors[0]),
    );
    say(
        "rt_sigreturn",
        "one that was not",
        format!("{:?}", vectors[1]),
    );
    say(
        "rt_sigreturn",
        "MXCSR that was changed",
        format!("{:#x}", own.0 & LASTING),
    );
    say(
        "rt_sigreturn",
        "the x87 control word that was",
        format!("{:#x}", own.1),
    );
}
