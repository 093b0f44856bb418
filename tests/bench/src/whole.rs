//! What `mote run` costs as a whole process, and what an idle VM costs its host in memory.

use crate::bed::{Bed, Effort};
use anyhow::{Context, Result, ensure};
use mote_host::Vm;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// From the start of `mote run -- true` to its end: a VM launched, booted, used, powered off, and nothing of it left.
///
/// # Errors
///
/// That the command is not beside this program, or what it said.
pub fn run_true(bed: &Bed, effort: Effort) -> Result<Vec<Duration>> {
    let mote = mote()?;
    (0..effort.repetitions(40))
        .map(|_| {
            let started = Instant::now();
            let output = Command::new(&mote)
                .args(["run", "--kernel"])
                .arg(bed.image())
                .arg("--disk")
                .arg(bed.disk())
                .args(["--", "true"])
                .stdin(Stdio::null())
                .output()
                .context("mote could not be started")?;
            let time = started.elapsed();
            ensure!(
                output.status.success(),
                "mote run failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            Ok(time)
        })
        .collect()
}

/// The command, built beside this program.
fn mote() -> Result<PathBuf> {
    let program = env::current_exe().context("this program does not know where it lies")?;
    let path = program.with_file_name("mote");
    ensure!(
        path.is_file(),
        "{} was not built; `cargo xtask bench` builds it",
        path.display()
    );
    Ok(path)
}

/// Memory of the host that belongs to one VM, in MiB: the proportional shares of the VMM, the vsock back end and the
/// watchdog (`Pss` of proc_pid_smaps_rollup(5)), so that what they share counts once.
///
/// # Errors
///
/// That no process of the VM was found.
pub fn memory_mib(vm: &Vm) -> Result<f64> {
    let directory = vm.run_directory().to_string_lossy().into_owned();
    let mut kib = 0;
    for entry in fs::read_dir("/proc")
        .context("/proc cannot be listed")?
        .flatten()
    {
        let path = entry.path();
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&directory) {
            kib += share_kib(&fs::read_to_string(path.join("smaps_rollup")).unwrap_or_default());
        }
    }
    ensure!(kib > 0, "no process of the VM was found");
    Ok(kib as f64 / 1024.0)
}

fn share_kib(rollup: &str) -> u64 {
    rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_proportional_share() {
        let text = "55d0-7ffe ---p 0 00:00 0 [rollup]\nRss:    9000 kB\nPss:    4321 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(share_kib(text), 4321);
        assert_eq!(share_kib(""), 0);
    }
}
