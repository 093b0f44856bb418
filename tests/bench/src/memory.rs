//! The least RAM with which the image boots, runs a program and reports its exit.

use crate::bed::Bed;
use anyhow::{Result, ensure};
use mote_host::{ProcessConfig, Timeouts, Vm};
use std::time::Duration;

/// No machine has less.
const LEAST_MIB: u32 = 1;
/// With so much it must work.
const MOST_MIB: u32 = 64;
/// A size counts when it works so many times in a row.
const PROOFS: usize = 3;
/// Boots and runs take tens of milliseconds; what takes so long does not work.
const PATIENCE: Duration = Duration::from_secs(5);

/// Finds it by bisection, in MiB: QEMU takes nothing smaller than one.
///
/// # Errors
///
/// That it does not work with [`MOST_MIB`] either.
pub fn least_mib(bed: &Bed, program: &ProcessConfig) -> Result<u32> {
    ensure!(
        works(bed, program, MOST_MIB),
        "the program does not run in {MOST_MIB} MiB either"
    );
    let mut too_small = LEAST_MIB - 1;
    let mut enough = MOST_MIB;
    while enough - too_small > 1 {
        let middle = too_small.midpoint(enough);
        if (0..PROOFS).all(|_| works(bed, program, middle)) {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    Ok(enough)
}

fn works(bed: &Bed, program: &ProcessConfig, mib: u32) -> bool {
    let timeouts = Timeouts {
        call: PATIENCE,
        abandonable_call: PATIENCE,
        dial: PATIENCE,
        power_off: PATIENCE,
    };
    let config = bed.config().memory_mib(mib).timeouts(timeouts);
    let cycle = || -> mote_host::Result<u32> {
        let vm = Vm::start(config)?;
        vm.connect()?
            .create_process(program)?
            .wait_timeout(PATIENCE)
    };
    matches!(cycle(), Ok(0))
}
