//! Static Linux programs that try one thing each.
//!
//! Every file of `src/bin` is one program, run inside the booted image by `tests/e2e`, `tests/bench` and the demo. They
//! also run on any x86-64 Linux, which is how a test's expectation is checked against the real thing. What they share
//! stands here: how a program starts ([`entry!`], [`Arguments`]), how it asks the kernel ([`call`]), how it speaks
//! ([`say!`]), and the instructions that a program should not execute ([`instruction`]).
//!
//! Exit codes: 0 when what was tried is as Linux has it, 1 with a line on stderr when not, 2 for a wrong command line.
//!
//! `unsafe` stands in five files: [`call`] (the system call instruction), [`task`] (what makes a second flow of
//! instructions), [`instruction`] (the others), [`vdso`] (what the kernel lends) and `start`.
#![no_std]

pub mod call;
pub mod instruction;
mod memory;
pub mod print;
mod start;
pub mod task;
pub mod text;
pub mod vdso;

pub use start::Arguments;

/// The exit code of a program called with arguments it cannot read.
pub const USAGE: u8 = 2;

/// Names the function that a program is: `fn(&Arguments) -> u8`, the exit code.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        #[expect(
            unsafe_code,
            reason = "the start file of the library calls this symbol; nothing else has its name"
        )]
        #[unsafe(no_mangle)]
        fn program(arguments: &$crate::Arguments) -> u8 {
            $run(arguments)
        }
    };
}

#[panic_handler]
fn on_panic(info: &core::panic::PanicInfo<'_>) -> ! {
    complain!("{info}");
    call::exit(101)
}
