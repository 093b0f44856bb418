//! From the start of QEMU to the negotiated protocol, beside what no image can be faster than.

use crate::bed::{Bed, Effort, MEMORY_MIB};
use anyhow::{Context, Result, ensure};
use mote_host::Vm;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What `mote-floor` has QEMU exit with: it writes 0x10 to the debug exit, which gives `0x10 << 1 | 1`.
const FLOOR_STATUS: i32 = 33;

/// The times of both, measured in turn so that both see the same machine.
pub struct Boots {
    /// Start of QEMU to its end, with an image of two instructions.
    pub floor: Vec<Duration>,
    /// Start of QEMU to the host having read the answer to its Negotiate.
    pub negotiated: Vec<Duration>,
}

/// Measures both.
///
/// # Errors
///
/// Why an image did not boot.
pub fn measure(bed: &Bed, effort: Effort) -> Result<Boots> {
    let mut boots = Boots {
        floor: Vec::new(),
        negotiated: Vec::new(),
    };
    for _ in 0..effort.repetitions(100) {
        boots.floor.push(floor(bed)?);
        boots.negotiated.push(negotiated(bed)?);
    }
    Ok(boots)
}

fn floor(bed: &Bed) -> Result<Duration> {
    let started = Instant::now();
    let status = Command::new("qemu-system-x86_64")
        .args([
            "-M",
            "microvm,acpi=off,accel=tcg",
            "-cpu",
            "max",
            "-m",
            &format!("{MEMORY_MIB}M"),
        ])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel"])
        .arg(bed.floor())
        .stdin(Stdio::null())
        .status()
        .context("qemu-system-x86_64 could not be started")?;
    let time = started.elapsed();
    ensure!(
        status.code() == Some(FLOOR_STATUS),
        "the floor image ended QEMU with {status}"
    );
    Ok(time)
}

fn negotiated(bed: &Bed) -> Result<Duration> {
    let vm = Vm::start(bed.config())?;
    let guest = vm.connect()?;
    let timeline = vm.timeline();
    let moment = timeline
        .negotiated_at
        .context("negotiated, but not in the time line")?;
    drop(guest);
    Ok(moment.duration_since(timeline.launched_at))
}
