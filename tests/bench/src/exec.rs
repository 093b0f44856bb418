//! From asking for a process to knowing that it has ended.

use crate::bed::Effort;
use crate::parallel;
use anyhow::{Result, ensure};
use mote_host::{GuestConnection, Process, ProcessConfig};
use std::time::{Duration, Instant};

/// How many processes are asked for at once.
pub const AT_ONCE: usize = 64;

/// The small program: 1 KiB of file, one system call.
#[must_use]
pub fn small() -> ProcessConfig {
    ProcessConfig::new(["/bin/true"]).without_stdio()
}

/// The small program with its three streams connected.
#[must_use]
pub fn small_with_streams() -> ProcessConfig {
    ProcessConfig::new(["/bin/true"])
}

/// Debian's static busybox: 2 MB of file, glibc's start-up.
#[must_use]
pub fn busybox() -> ProcessConfig {
    ProcessConfig::new(["/bin/busybox", "true"]).without_stdio()
}

/// Runs what `create` creates to its end, one after the other: ExecuteProcess sent to the answer of WaitForProcess read.
///
/// # Errors
///
/// The guest's refusal, or an exit code that is not 0.
pub fn one_at_a_time(
    create: impl Fn() -> mote_host::Result<Process>,
    effort: Effort,
) -> Result<Vec<Duration>> {
    // The first ones read the disk; what is measured is what follows.
    for _ in 0..3 {
        run_once(&create)?;
    }
    (0..effort.repetitions(500))
        .map(|_| run_once(&create))
        .collect()
}

/// Runs [`AT_ONCE`] small programs at once, again and again; returns processes per second of each round.
///
/// # Errors
///
/// As [`one_at_a_time`].
pub fn at_once(guest: &GuestConnection, effort: Effort) -> Result<Vec<f64>> {
    let config = small();
    parallel::rates(AT_ONCE, effort.repetitions(30), 1, || {
        run_once(|| guest.create_process(&config)).map(drop)
    })
}

fn run_once(create: impl Fn() -> mote_host::Result<Process>) -> Result<Duration> {
    let started = Instant::now();
    let process = create()?;
    if process.stdio().iter().any(Option::is_some) {
        let output = process.output(b"")?;
        ensure!(output.exit_code == 0, "exit code {}", output.exit_code);
    } else {
        let code = process.wait()?;
        ensure!(code == 0, "exit code {code}");
    }
    Ok(started.elapsed())
}
