//! Floating point and vector state between traps: what the kernel can spoil is moved at every trap, the rest when
//! another program is about to run.
//!
//! XSAVE and XRSTOR at every trap were half the price of a system call. The kernel is compiled for baseline x86-64: its
//! SSE instructions have the legacy encoding, which leaves the upper halves of the vector registers alone, and it uses
//! no x87. So the stubs of [`super::trap`] move the sixteen XMM registers and MXCSR only; x87 and the upper halves stay
//! in the processor *on loan* to the one context that ran last.
//!
//! A loan has a number, in the context's [`ExtendedState`] and here. Everything that reads the state settles the loan
//! first, so that nobody sees half of it; a loan that is not the processor's any more means that a context was run while
//! another's was not settled, and ends the machine: wrong numbers in a program would be worse.

use super::trap;
use crate::user::{ExtendedState, LEGACY_MXCSR, LEGACY_XMM};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// MXCSR of the kernel: all SSE exceptions masked, round to nearest.
static KERNEL_MXCSR: u32 = 0x1f80;

/// Loans made so far.
static LOANS: AtomicU64 = AtomicU64::new(0);

/// The loan whose state the processor holds.
static LOAN: AtomicU64 = AtomicU64::new(0);

/// Runs instructions on the state at `at`, with `components` in EDX:EAX. They may spoil the vector registers and MXCSR;
/// behind them the kernel's MXCSR comes back.
macro_rules! with_state {
    ($at:expr, $components:expr, $($line:literal),+ $(,)?) => {
        asm!(
            $($line,)+
            "ldmxcsr [{kernel}]",
            at = in(reg) $at,
            kernel = in(reg) &raw const KERNEL_MXCSR,
            xmm = const LEGACY_XMM,
            mxcsr = const LEGACY_MXCSR,
            in("eax") $components as u32,
            in("edx") 0,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            options(nostack),
        )
    };
}

/// Lends the processor `state`, which must be settled: loads all of it, and leaves in memory what the stubs load.
#[inline(never)]
pub(crate) fn lend(state: &mut ExtendedState) {
    let components = trap::scratch(|scratch| scratch.components);
    state.limit_components(components);
    let at = state.as_mut_ptr();
    // SAFETY: the state is aligned and long enough, its components are those of XCR0 or fewer, and what a program
    // could have put in that would be refused was cleared (`ExtendedState::restore`). The kernel's MXCSR comes back.
    unsafe {
        with_state!(
            at,
            components,
            "test eax, eax",
            "jz 2f",
            "xrstor64 [{at}]",
            "jmp 3f",
            "2: fxrstor64 [{at}]",
            "3:",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movaps [{at} + {xmm} + 16 * \\n], xmm\\n",
            ".endr",
            "stmxcsr [{at} + {mxcsr}]",
        );
    }
    let loan = LOANS.fetch_add(1, Ordering::Relaxed) + 1;
    LOAN.store(loan, Ordering::Relaxed);
    state.set_loan(loan);
}

/// Returns whether `state` is the one on loan.
///
/// # Panics
///
/// When it was, and another was lent before it was settled: its x87 and upper halves are lost.
#[inline(always)]
pub(crate) fn is_lent(state: &ExtendedState) -> bool {
    let loan = state.loan();
    if loan != 0 && loan != LOAN.load(Ordering::Relaxed) {
        lost();
    }
    loan != 0
}

#[cold]
fn lost() -> ! {
    panic!("extended state lost: its loan was not settled");
}

/// Completes the bytes of a state on loan, or of a copy of one, with what the processor holds.
#[inline(never)]
pub(crate) fn complete(state: &mut ExtendedState) {
    let components = trap::scratch(|scratch| scratch.components);
    let at = state.as_mut_ptr();
    // SAFETY: the state is aligned and long enough; its XMM registers and MXCSR are in memory and go back to the
    // processor first, whose other registers are the program's (the loan). The kernel's MXCSR comes back.
    unsafe {
        with_state!(
            at,
            components,
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "movaps xmm\\n, [{at} + {xmm} + 16 * \\n]",
            ".endr",
            "ldmxcsr [{at} + {mxcsr}]",
            "test eax, eax",
            "jz 2f",
            "xsave64 [{at}]",
            "jmp 3f",
            "2: fxsave64 [{at}]",
            "3:",
        );
    }
}
