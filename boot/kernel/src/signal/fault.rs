//! Which signal an exception is, and what it says (Linux arch/x86/kernel/traps.c, arch/x86/kernel/fpu/core.c).

use super::{Info, known, number};
use crate::space::Denial;
use agent::kernel::Signal;
use hal::user::{Context, Fault};

/// Values of `si_code` (asm-generic/siginfo.h).
const ILL_ILLOPN: i32 = 2;
const FPE_INTDIV: i32 = 1;
const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const BUS_ADRALN: i32 = 1;
const BUS_ADRERR: i32 = 2;
const TRAP_TRACE: i32 = 2;

/// Exceptions of the floating-point units by their bits in the status words, in the order they are asked for, with the
/// `si_code` each is told by: invalid, divide by zero, overflow, underflow and denormal, precision.
const FLOATING: [(u32, i32); 5] = [(0x01, 7), (0x04, 3), (0x08, 4), (0x12, 5), (0x20, 6)];

/// Places of control word, status word and MXCSR in the extended state (Intel SDM vol. 1, table 10-2).
const CONTROL: usize = 0;
const STATUS: usize = 2;
const MXCSR: usize = 24;

/// Returns the signal of an exception. For a page, `denial` says why it was not brought in.
pub(crate) fn cause_of(fault: &Fault, denial: Denial, context: &mut Context) -> (Signal, Info) {
    let here = context.registers.rip;
    let (number, info) = match (fault.vector, denial) {
        (Fault::PAGE, Denial::Bus) => (number::BUS, Info::fault(BUS_ADRERR, fault.address)),
        (Fault::PAGE, Denial::Protected) => (number::SEGV, Info::fault(SEGV_ACCERR, fault.address)),
        // An address that no page can have is a general protection exception on other machines.
        (Fault::PAGE, _) => (number::SEGV, Info::fault(SEGV_MAPERR, fault.address)),
        (0, _) => (number::FPE, Info::fault(FPE_INTDIV, here)),
        (1, _) => (number::TRAP, Info::fault(TRAP_TRACE, here)),
        (3, _) => (number::TRAP, Info::KERNEL),
        (6, _) => (number::ILL, Info::fault(ILL_ILLOPN, here)),
        (11 | 12, _) => (number::BUS, Info::KERNEL),
        (16 | 19, _) => {
            let is_x87 = fault.vector == 16;
            let code = floating(context.extended.as_bytes(), is_x87);
            (
                number::FPE,
                code.map_or(Info::KERNEL, |code| Info::fault(code, here)),
            )
        }
        (17, _) => (number::BUS, Info::fault(BUS_ADRALN, 0)),
        _ => (number::SEGV, Info::KERNEL),
    };
    (known(number), info)
}

/// Returns the code of the floating-point exception that is pending and not masked.
fn floating(state: &[u8], is_x87: bool) -> Option<i32> {
    let word = |at: usize| u32::from(state[at]) | u32::from(state[at + 1]) << 8;
    let raised = if is_x87 {
        word(STATUS) & !word(CONTROL)
    } else {
        word(MXCSR) & !(word(MXCSR) >> 7)
    };
    let found = FLOATING.iter().find(|(bits, _)| raised & bits != 0);
    found.map(|&(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(vector: u8) -> Fault {
        Fault {
            vector,
            code: 0,
            address: if vector == Fault::PAGE { 0x5000 } else { 0 },
        }
    }

    fn cause(vector: u8, denial: Denial) -> (u8, Info) {
        let mut context = Context::default();
        context.registers.rip = 0x40_0000;
        let (signal, info) = cause_of(&fault(vector), denial, &mut context);
        (signal.number(), info)
    }

    #[test]
    fn a_page_fault_says_whether_there_is_anything_at_its_address() {
        for (denial, expected) in [
            (Denial::Unmapped, (number::SEGV, 1)),
            (Denial::Protected, (number::SEGV, 2)),
            (Denial::Bus, (number::BUS, 2)),
        ] {
            let (signal, info) = cause(Fault::PAGE, denial);
            assert_eq!((signal, info.code), expected);
            assert_eq!(info.words[0], 0x5000);
        }
    }

    #[test]
    fn every_other_exception_has_linux_s_signal_code_and_address() {
        for (vector, signal, code, address) in [
            (0, number::FPE, 1, 0x40_0000),
            (1, number::TRAP, 2, 0x40_0000),
            (3, number::TRAP, 0x80, 0),
            (4, number::SEGV, 0x80, 0),
            (6, number::ILL, 2, 0x40_0000),
            (11, number::BUS, 0x80, 0),
            (12, number::BUS, 0x80, 0),
            (13, number::SEGV, 0x80, 0),
            (17, number::BUS, 1, 0),
        ] {
            let (found, info) = cause(vector, Denial::Unmapped);
            assert_eq!((found, info.code, info.words[0]), (signal, code, address));
        }
    }

    #[test]
    fn a_floating_point_exception_is_the_first_one_that_is_not_masked() {
        let mut state = [0; 32];
        // Division by zero and precision were raised; all are masked but division.
        state[CONTROL] = 0x7b;
        state[STATUS] = 0x24;
        assert_eq!(floating(&state, true), Some(3));
        // MXCSR: overflow and precision, precision masked.
        state[MXCSR] = 0x28;
        state[MXCSR + 1] = 0x10;
        assert_eq!(floating(&state, false), Some(4));
        assert_eq!(floating(&[0; 32], false), None);
    }
}
