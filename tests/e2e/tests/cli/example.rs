//! The examples of the library's documentation, run against booted VMs, and the rule that everything public has one.
//!
//! `build.rs` takes them out of the sources. Those that need a VM that runs share a few, one after the other.

use e2e::Bed;
use mote_host::{GuestConnection, Machine, Result, Vm, VmConfig};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// VMs that wait for the next example, and since when they run.
static WAITING: Mutex<Vec<(Bed, Instant)>> = Mutex::new(Vec::new());

/// How long a VM is handed on: well below the time after which a [`Bed`] is taken for stuck.
const LONGEST_USE: Duration = Duration::from_secs(60);

/// A VM whose guest has said something.
fn new_bed() -> Bed {
    let bed = Bed::busybox();
    bed.await_log("");
    bed
}

fn with_bed(name: &str, example: impl FnOnce(&Bed) -> Result<()>) {
    let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let (bed, since) = waiting
        .filter(|(_, since)| since.elapsed() < LONGEST_USE)
        .unwrap_or_else(|| (new_bed(), Instant::now()));
    example(&bed).unwrap_or_else(|error| panic!("{name}: {error}"));
    let is_well = bed.guest.end_reason().is_none() && bed.vm.exit().is_none();
    if is_well && bed.vm.is_paused().is_ok_and(|paused| !paused) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((bed, since));
    }
}

fn with_guest(name: &str, example: fn(&GuestConnection) -> Result<()>) {
    with_bed(name, |bed| example(&bed.guest));
}

fn with_vm(name: &str, example: fn(&Vm) -> Result<()>) {
    with_bed(name, |bed| example(&bed.vm));
}

fn with_config(name: &str, example: fn(VmConfig) -> Result<()>) {
    let config = e2e::config(Machine::Microvm).disk(e2e::busybox_disk());
    example(config).unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[test]
fn every_public_item_of_the_library_has_an_example() {
    assert!(WITH_EXAMPLE.len() > 200, "{}", WITH_EXAMPLE.len());
    assert_eq!(WITHOUT_EXAMPLE, &[] as &[&str]);
}

#[test]
fn the_table_of_hcsshims_interfaces_names_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/doc/hcsshim.md");
    let table = fs::read_to_string(path).expect("there is one");
    let names: Vec<&str> = table
        .split("[`")
        .skip(1)
        .filter_map(|rest| rest.split_once("`]"))
        .map(|(name, _)| name)
        .filter(|name| {
            name.contains("::")
                && name
                    .split("::")
                    .last()
                    .is_some_and(|last| last.starts_with(char::is_lowercase))
        })
        .collect();
    assert!(names.len() > 60, "the table is not where it was: {names:?}");
    for name in &names {
        let is_there = WITH_EXAMPLE.contains(name) || WITHOUT_EXAMPLE.contains(name);
        assert!(is_there, "{name} is not a function of the library");
    }
    // And the other way round: nothing of the three interfaces is left out.
    for item in WITH_EXAMPLE.iter().chain(WITHOUT_EXAMPLE) {
        let is_interface = ["GuestConnection::", "Container::", "Process::"]
            .iter()
            .any(|owner| item.starts_with(owner));
        let is_ours = ["Process::output", "Process::output_within"].contains(item);
        assert!(
            !is_interface || is_ours || names.contains(item),
            "{item} is not in the table"
        );
    }
}

/// Includes a file of `tests/host/doc`, whose one function has the file's name, and runs it.
macro_rules! example {
    ($name:ident) => {
        mod $name {
            include!(concat!("../../../host/doc/", stringify!($name), ".rs"));

            #[test]
            fn the_documented_example_runs() {
                let bed = e2e::Bed::busybox();
                $name(&bed.guest).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    };
}

example!(connection);
example!(container);
example!(error);
example!(process);

mod vm {
    include!("../../../host/doc/vm.rs");

    #[test]
    fn the_documented_example_runs() {
        let config = e2e::config(mote_host::Machine::Microvm).disk(e2e::busybox_disk());
        vm(config).unwrap_or_else(|error| panic!("{error}"));
    }
}
