//! A process that only wants to be left alone.

use core::arch::asm;
use std::io::{BufRead, Write};
use std::process::ExitCode;

const WORDS: usize = 64 << 10;

fn pattern(index: usize) -> u64 {
    (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Keeps a value in registers over a million turns of a loop and returns what is left of it.
fn kept(value: u64) -> [u64; 2] {
    let (general, vector);
    // SAFETY: only the registers named change.
    unsafe {
        asm!(
            "movq xmm5, {general}",
            "2:",
            "sub {turns}, 1",
            "jnz 2b",
            "movq {vector}, xmm5",
            general = inout(reg) value => general,
            vector = out(reg) vector,
            turns = inout(reg) 1_000_000_u64 => _,
            out("xmm5") _,
            options(nomem, nostack),
        );
    }
    [general, vector]
}

/// Answers every line until there are no more.
pub(crate) fn answer() -> ExitCode {
    let memory: Vec<u64> = (0..WORDS).map(pattern).collect();
    let mut output = std::io::stdout();
    for (nth, line) in std::io::stdin().lock().lines().enumerate() {
        let is_ours = line.is_ok()
            && (0..WORDS).all(|index| memory[index] == pattern(index))
            && kept(pattern(nth)) == [pattern(nth); 2];
        let answer: &[u8] = if is_ours {
            b"untouched\n"
        } else {
            b"touched\n"
        };
        if output
            .write_all(answer)
            .and_then(|()| output.flush())
            .is_err()
        {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
