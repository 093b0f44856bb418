//! A container's life, and a process in one.

use crate::bed::Effort;
use crate::exec;
use anyhow::{Context, Result, ensure};
use mote_host::{ContainerConfig, ContainerExit, ExitType, GuestConnection, ProcessConfig};
use std::time::{Duration, Instant};

/// How long anything here may take; reaching it is a failure, not a number.
const DEADLINE: Duration = Duration::from_secs(10);

/// Containers that come and go, one after the other: Create, Start, ExecuteProcess of a small init, its exit code, the
/// notification, DeleteContainerState.
///
/// # Errors
///
/// The guest's refusal, or an end that is not the expected one.
pub fn cycles(guest: &GuestConnection, effort: Effort) -> Result<Vec<Duration>> {
    let config = ContainerConfig::new(&exec::small());
    let mut number = 0;
    let mut once = || {
        number += 1;
        cycle(guest, &format!("cycle-{number}"), &config)
    };
    // The first ones read the disk.
    for _ in 0..3 {
        once()?;
    }
    (0..effort.repetitions(200)).map(|_| once()).collect()
}

fn cycle(guest: &GuestConnection, id: &str, config: &ContainerConfig) -> Result<Duration> {
    let started = Instant::now();
    let container = guest.create_container(id, config)?;
    container.start()?;
    let init = container.create_process(&ProcessConfig::init().without_stdio())?;
    let code = init.wait()?;
    ensure!(code == 0, "exit code {code}");
    let exit = container.wait_timeout(DEADLINE)?;
    ensure!(
        exit == ContainerExit::Notified(ExitType::Unexpected),
        "the container's end: {exit:?}"
    );
    guest.delete_container_state(id)?;
    Ok(started.elapsed())
}

/// Small processes in a container whose init sleeps, one after the other: ExecuteProcess sent to the answer of
/// WaitForProcess read.
///
/// # Errors
///
/// The guest's refusal, or an exit code that is not 0.
pub fn processes(guest: &GuestConnection, effort: Effort) -> Result<Vec<Duration>> {
    const ID: &str = "processes";
    let init = ProcessConfig::new(["/bin/busybox", "sleep", "3600"]);
    let container = guest.create_container(ID, &ContainerConfig::new(&init))?;
    let init = container.create_process(&ProcessConfig::init().without_stdio())?;
    let config = exec::small();
    let times = exec::one_at_a_time(|| container.create_process(&config), effort);
    container.terminate()?;
    init.wait().context("the init was killed")?;
    container.wait_timeout(DEADLINE)?;
    guest.delete_container_state(ID)?;
    times
}
