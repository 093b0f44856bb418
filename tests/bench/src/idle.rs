//! What a VM that does nothing costs its host.

use crate::bed::Effort;
use anyhow::{Context, Result};
use mote_host::Vm;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::thread;
use std::time::{Duration, Instant};

/// Ticks of the times in `/proc/<pid>/stat`, per second: `USER_HZ` is part of the ABI and 100 on x86-64.
const TICKS_PER_SECOND: f64 = 100.0;
/// The guest's timer slows down while nothing happens; that is waited for.
const SETTLE: Duration = Duration::from_secs(2);

/// Percent of one host core that QEMU uses while the guest idles.
///
/// # Errors
///
/// That QEMU was not found among the processes.
pub fn percent(vm: &Vm, effort: Effort) -> Result<f64> {
    let pid = qemu(vm)?;
    thread::sleep(SETTLE);
    let started = Instant::now();
    let before = ticks(pid)?;
    thread::sleep(match effort {
        Effort::Quick => Duration::from_secs(3),
        Effort::Full => Duration::from_secs(10),
    });
    let used = (ticks(pid)? - before) / TICKS_PER_SECOND;
    Ok(used / started.elapsed().as_secs_f64() * 100.0)
}

/// The process whose command line names this VM's directory, and that is QEMU.
fn qemu(vm: &Vm) -> Result<u32> {
    let directory = vm.run_directory().as_os_str().as_bytes();
    let processes = fs::read_dir("/proc").context("/proc cannot be listed")?;
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = line.split(|&byte| byte == 0);
            let is_qemu = words
                .next()
                .is_some_and(|program| contains(program, b"qemu-system"));
            is_qemu && words.any(|word| contains(word, directory))
        })
        .context("QEMU is not among the running processes")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// User and system time: fields 14 and 15 (proc_pid_stat(5)); the name before them may contain anything but ends in `)`.
fn ticks(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("QEMU has ended")?;
    let fields = text
        .rsplit_once(')')
        .map(|(_, fields)| fields)
        .context("/proc/<pid>/stat has changed its form")?;
    let times: Vec<f64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    Ok(times.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_of_a_running_process() {
        assert!(ticks(std::process::id()).is_ok());
    }
}
