//! From asking for a process to knowing that it has ended.

use crate::bed::Effort;
use anyhow::{Result, ensure};
use mote_host::{GuestConnection, ProcessConfig};
use std::sync::Barrier;
use std::thread;
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

/// Runs `config` to its end, one after the other: ExecuteProcess sent to the answer of WaitForProcess read.
///
/// # Errors
///
/// The guest's refusal, or an exit code that is not 0.
pub fn one_at_a_time(
    guest: &GuestConnection,
    config: &ProcessConfig,
    effort: Effort,
) -> Result<Vec<Duration>> {
    // The first ones read the disk; what is measured is what follows.
    for _ in 0..3 {
        run_once(guest, config)?;
    }
    (0..effort.repetitions(500))
        .map(|_| run_once(guest, config))
        .collect()
}

/// Runs [`AT_ONCE`] small programs at once, again and again; returns processes per second of each round.
///
/// # Errors
///
/// As [`one_at_a_time`].
pub fn at_once(guest: &GuestConnection, effort: Effort) -> Result<Vec<f64>> {
    let rounds = effort.repetitions(30);
    let config = small();
    let barrier = Barrier::new(AT_ONCE + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mut result = Ok(());
                    for _ in 0..rounds {
                        barrier.wait();
                        // A worker that failed still comes to every barrier: the others wait there for it.
                        result = result.and_then(|()| run_once(guest, &config).map(drop));
                        barrier.wait();
                    }
                    result
                })
            })
            .collect();
        let rates = (0..rounds)
            .map(|_| {
                barrier.wait();
                let started = Instant::now();
                barrier.wait();
                AT_ONCE as f64 / started.elapsed().as_secs_f64()
            })
            .collect();
        for worker in workers {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(rates)
    })
}

fn run_once(guest: &GuestConnection, config: &ProcessConfig) -> Result<Duration> {
    let started = Instant::now();
    let process = guest.create_process(config)?;
    if process.stdio().iter().any(Option::is_some) {
        let output = process.output(b"")?;
        ensure!(output.exit_code == 0, "exit code {}", output.exit_code);
    } else {
        let code = process.wait()?;
        ensure!(code == 0, "exit code {code}");
    }
    Ok(started.elapsed())
}
