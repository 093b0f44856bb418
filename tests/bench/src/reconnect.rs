//! How soon a host that comes back is dialled.

use crate::bed::Effort;
use anyhow::Result;
use mote_host::{GuestConnection, Vm};
use std::thread;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(10);

/// Hangs up, stays away for a while, listens again: from the listener's return to the connection. `guest` is the connection
/// that is closed first.
///
/// # Errors
///
/// When the guest does not dial.
pub fn times(vm: &Vm, guest: GuestConnection, effort: Effort) -> Result<Vec<Duration>> {
    guest.close();
    drop(guest);
    let mut times = Vec::new();
    for nth in 0..effort.repetitions(100) {
        // Away for 20 to 119 ms, so that the return meets the guest's attempts at every moment between two of them.
        thread::sleep(Duration::from_millis(20 + (nth as u64 * 37) % 100));
        let returned = Instant::now();
        let stream = vm.accept_bridge(DEADLINE)?;
        times.push(returned.elapsed());
        drop(stream);
    }
    Ok(times)
}
