//! Random system calls, in short. `cargo xtask calls` makes long runs.

use e2e::DEADLINE;
use e2e::random_calls::{Calls, run};

#[test]
fn a_hundred_thousand_random_calls_leave_the_machine_as_it_was() {
    let said = run(Calls {
        calls: 100_000,
        seed: 1,
        first: 0,
        limit: 2 * DEADLINE,
    });
    eprintln!("{said}");
}
