//! What no program may do, tried one by one, each in a child, with how the child must end:
//!
//! ```text
//! read the kernel's text | SIGSEGV | SIGSEGV
//! write(2) from a bad pointer | EFAULT | EFAULT
//! ```
//!
//! A line is the case, what must come of it, and what came of it: `done` when the act is allowed or changes nothing, the
//! error of a call, or the signal that ended the child. The same program runs on Linux, which is the oracle for all cases
//! but those that hang on the machine or are this kernel's own business.
//!
//! `isolation` tries every case, `isolation --linux` those that Linux is the oracle of, `isolation --list` names them,
//! `isolation CASE…` tries some, `isolation --neighbour` answers `untouched` to every line as long as its memory and its
//! registers are its own. The exit code is 0 when every case ended as it must.

mod address;
mod case;
mod entry;
mod exception;
mod flag;
mod frame;
mod machine;
mod neighbour;
mod pointer;
mod privileged;
mod race;
mod size;
mod stack;

use case::{Case, Oracle};
use std::process::ExitCode;

fn cases() -> Vec<Case> {
    [
        exception::cases,
        privileged::cases,
        entry::cases,
        address::cases,
        flag::cases,
        frame::cases,
        stack::cases,
        pointer::cases,
        size::cases,
        race::cases,
        machine::cases,
    ]
    .iter()
    .flat_map(|cases| cases())
    .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut chosen = cases();
    match words[..] {
        [] => {}
        ["--neighbour"] => return neighbour::answer(),
        ["--list"] => {
            for case in &chosen {
                println!("{}", case.name);
            }
            return ExitCode::SUCCESS;
        }
        ["--linux"] => chosen.retain(|case| case.oracle == Oracle::Linux),
        _ => {
            chosen.retain(|case| words.contains(&case.name.as_str()));
            if chosen.len() != words.len() {
                eprintln!("isolation: one of {words:?} is no case");
                return ExitCode::from(2);
            }
        }
    }
    let failed = chosen.iter().filter(|case| !case.holds()).count();
    ExitCode::from(u8::from(failed > 0))
}
