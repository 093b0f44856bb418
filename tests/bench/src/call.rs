//! Two kinds of calls: a request of the host that does nothing, and a system call that does nothing.

use crate::bed::Effort;
use crate::parallel;
use anyhow::{Context, Result, ensure};
use mote_host::{GuestConnection, ProcessConfig};
use std::time::{Duration, Instant};

/// Round trips of a request that has the guest look something up and answer, one at a time.
///
/// The request is the deletion of a container that does not exist: the smallest that is decoded and dispatched in full.
///
/// # Errors
///
/// The end of the bridge.
pub fn round_trips(guest: &GuestConnection, effort: Effort) -> Result<Vec<Duration>> {
    for _ in 0..50 {
        round_trip(guest)?;
    }
    (0..effort.repetitions(5000))
        .map(|_| round_trip(guest))
        .collect()
}

/// One of these.
///
/// # Errors
///
/// The end of the bridge.
pub fn round_trip(guest: &GuestConnection) -> Result<Duration> {
    let started = Instant::now();
    ask(guest)?;
    Ok(started.elapsed())
}

/// How many of the same requests wait for their answers at once.
pub const OUTSTANDING: usize = 64;

/// The same requests with [`OUTSTANDING`] of them on their way; answers per second.
///
/// # Errors
///
/// The end of the bridge.
pub fn rates(guest: &GuestConnection, effort: Effort) -> Result<Vec<f64>> {
    parallel::rates(OUTSTANDING, effort.repetitions(30), 50, || ask(guest))
}

fn ask(guest: &GuestConnection) -> Result<()> {
    match guest.delete_container_state("no-such-container") {
        Err(error) if !error.is_not_exist() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Nanoseconds of a `umask`, which has next to nothing to do in the kernel, as a program in the guest measures it.
///
/// # Errors
///
/// What the program said.
pub fn null_call(guest: &GuestConnection, effort: Effort) -> Result<Vec<f64>> {
    (0..effort.repetitions(10))
        .map(|_| null_call_once(guest))
        .collect()
}

fn null_call_once(guest: &GuestConnection) -> Result<f64> {
    let output = guest
        .create_process(&ProcessConfig::new(["/bin/nullcall"]))?
        .output(b"")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.exit_code == 0,
        "nullcall: exit code {}",
        output.exit_code
    );
    let word = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("call_ns="));
    let number = word.with_context(|| format!("nullcall said {said:?}"))?;
    number
        .parse()
        .with_context(|| format!("nullcall said {said:?}"))
}
