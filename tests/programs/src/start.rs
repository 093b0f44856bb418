//! The first instructions of a program, and what the kernel left on its stack.
//!
//! ```text
//! rsp ─► argc
//!        argv[0] … argv[argc-1]  0
//!        envp[0] … envp[n-1]     0
//!        (type, value) …         (0, 0)        the auxiliary vector
//! ```
//!
//! Source: System V ABI, AMD64 supplement, 3.4.1 "Initial Stack and Register State".

use crate::call;
use core::arch::global_asm;
use core::ffi::CStr;

unsafe extern "Rust" {
    /// Defined once in every program by [`crate::entry!`].
    safe fn program(arguments: &Arguments) -> u8;
}

global_asm!(
    ".section .text._start, \"ax\", @progbits",
    ".globl _start",
    "_start:",
    "xor ebp, ebp",  // the outermost frame, by the ABI
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    ".text",
    start = sym start,
);

extern "C" fn start(stack: *const u64) -> ! {
    call::exit(program(&Arguments { stack }))
}

/// What a program was started with. Made once by `start`, from the stack that the kernel built.
pub struct Arguments {
    /// Points to `argc`; the vectors behind it end in zeroes and live as long as the program.
    stack: *const u64,
}

impl Arguments {
    /// Where the stack pointer stood at the first instruction.
    pub fn stack_address(&self) -> u64 {
        self.stack as u64
    }

    /// The number of arguments as the kernel says it.
    pub fn count(&self) -> u64 {
        self.word(0)
    }

    /// The arguments up to the zero behind them.
    pub fn arguments(&self) -> impl Iterator<Item = &'static CStr> + '_ {
        self.strings(1)
    }

    /// Argument `index`, as text; `None` where there is none or it is not UTF-8.
    pub fn text(&self, index: usize) -> Option<&'static str> {
        self.arguments().nth(index)?.to_str().ok()
    }

    /// Argument `index` as a decimal number.
    pub fn number(&self, index: usize) -> Option<u64> {
        self.text(index)?.parse().ok()
    }

    /// The environment, `NAME=value` each.
    pub fn environment(&self) -> impl Iterator<Item = &'static CStr> + '_ {
        self.strings(self.environment_index())
    }

    /// The auxiliary vector up to its end.
    pub fn auxiliary(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let first = self.environment_index() + self.environment().count() + 1;
        (first..)
            .step_by(2)
            .map(|index| (self.word(index), self.word(index + 1)))
            .take_while(|&(kind, _)| kind != 0)
    }

    /// The value of one kind of the auxiliary vector.
    pub fn auxiliary_value(&self, kind: u64) -> Option<u64> {
        self.auxiliary()
            .find_map(|(found, value)| (found == kind).then_some(value))
    }

    fn environment_index(&self) -> usize {
        1 + self.arguments().count() + 1
    }

    fn strings(&self, first: usize) -> impl Iterator<Item = &'static CStr> + '_ {
        (first..)
            .map(|index| self.word(index))
            .take_while(|&word| word != 0)
            .map(|word| {
                // SAFETY: the word is not zero and stands in argv or envp, whose entries the kernel points at strings that
                // end in a zero and are never taken away.
                unsafe { CStr::from_ptr(word as *const _) }
            })
    }

    fn word(&self, index: usize) -> u64 {
        // SAFETY: callers in this file stop at the zeroes that end each vector, so the word is inside of what the kernel
        // wrote.
        let word = unsafe { self.stack.add(index) };
        // SAFETY: as above; a stack is aligned for words.
        unsafe { word.read() }
    }
}
