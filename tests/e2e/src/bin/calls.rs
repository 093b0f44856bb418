//! `calls [--calls N] [--seed S] [--first ROUND]`: random system calls in a VM (see [`e2e::random_calls`]).
#![forbid(unsafe_code)]

use clap::Parser;
use e2e::random_calls::{Calls, run};
use std::time::Duration;

/// What a call may take altogether, on a machine that is busy.
const LONGEST_CALL: Duration = Duration::from_millis(5);

#[derive(Parser)]
struct Arguments {
    /// System calls, at least
    #[arg(long, default_value_t = 10_000_000)]
    calls: u64,
    /// Where the random numbers start; the same seed makes the same calls
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The round to begin with
    #[arg(long, default_value_t = 0)]
    first: u64,
}

fn main() {
    let arguments = Arguments::parse();
    let calls = u32::try_from(arguments.calls).unwrap_or(u32::MAX);
    let said = run(Calls {
        calls: arguments.calls,
        seed: arguments.seed,
        first: arguments.first,
        limit: e2e::DEADLINE + LONGEST_CALL * calls,
    });
    print!("{said}");
}
