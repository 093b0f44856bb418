//! Round trips beside programs that would like the machine for themselves.

use crate::bed::Effort;
use crate::call;
use anyhow::{Result, ensure};
use mote_host::{ContainerConfig, GuestConnection, ProcessConfig};
use std::time::Duration;

/// How many programs spin.
const SPINNERS: usize = 4;

/// How many processes the fork bomb may be at once, and how much memory it may have.
const BOMB_PROCESSES: u64 = 64;
const BOMB_BYTES: u64 = 24 << 20;

/// Round trips before the first that counts, in which it grows.
const KINDLING: usize = 200;

/// Each copy makes copies until it is refused one, and ends over that.
const BOMB: &str = "f() { while :; do f & done; }; f";

/// Round trips beside [`SPINNERS`] programs that do nothing but run.
///
/// # Errors
///
/// The guest's refusal, or the end of the bridge.
pub fn beside_spinners(guest: &GuestConnection, effort: Effort) -> Result<Vec<Duration>> {
    let spin = ProcessConfig::new(["/bin/spin"]).without_stdio();
    let spinners = (0..SPINNERS)
        .map(|_| guest.create_process(&spin))
        .collect::<mote_host::Result<Vec<_>>>()?;
    let times = call::round_trips(guest, effort);
    for spinner in &spinners {
        ensure!(spinner.kill()?, "a program that spins has ended");
        spinner.wait()?;
    }
    times
}

/// Round trips beside a fork bomb in a container. Copies are refused all at once in the end, and then it goes out: another
/// one is lit as soon as the one before has ended, unless that left too many copies.
///
/// # Errors
///
/// The guest's refusal, or the end of the bridge.
pub fn beside_a_fork_bomb(guest: &GuestConnection, effort: Effort) -> Result<Vec<Duration>> {
    const ID: &str = "bomb";
    let init = ProcessConfig::new(["/bin/busybox", "sleep", "3600"]);
    let limits = ContainerConfig::new(&init)
        .pids_limit(BOMB_PROCESSES)
        .memory_limit(BOMB_BYTES);
    let container = guest.create_container(ID, &limits)?;
    container.start()?;
    let init = container.create_process(&ProcessConfig::init().without_stdio())?;
    let config = ProcessConfig::new(["/bin/busybox", "sh", "-c", BOMB]).without_stdio();
    let mut bomb = container.create_process(&config)?;
    let mut times = Vec::new();
    for turn in 0..KINDLING + effort.repetitions(1000) {
        if bomb.exit_code().is_ok() {
            match container.create_process(&config) {
                Ok(next) => bomb = next,
                Err(error) if error.hresult().is_some() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let time = call::round_trip(guest)?;
        if turn >= KINDLING {
            times.push(time);
        }
    }
    container.terminate()?;
    init.wait()?;
    container.wait()?;
    guest.delete_container_state(ID)?;
    Ok(times)
}
