//! Many VMs, several at a time, started, used and stopped by one process with nothing left behind.

use e2e::{busybox_disk, config};
use mote_host::{Machine, ProcessConfig, Vm};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// VMs in the short form; `MOTE_MANY` asks for more.
const VMS: usize = 24;

/// How many at a time.
const AT_ONCE: usize = 8;

/// Set for the process that has the VMs: one of its own, in which nobody else opens anything.
const ALONE: &str = "MOTE_MANY_ALONE";

#[test]
fn one_process_starts_uses_and_stops_many_vms_and_leaves_nothing() {
    if std::env::var_os(ALONE).is_some() {
        return start_use_and_stop();
    }
    let name = "many::one_process_starts_uses_and_stops_many_vms_and_leaves_nothing";
    let own = std::env::current_exe().expect("/proc is there");
    let output = Command::new(own)
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "yes")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("1 passed"), "{said}");
}

fn start_use_and_stop() {
    let count = std::env::var("MOTE_MANY").map_or(VMS, |text| text.parse().expect("a number"));
    let directory = tempfile::tempdir().expect("a directory");
    let next = AtomicUsize::new(0);
    let descriptors = open_descriptors();
    let outputs: BTreeSet<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mut outputs = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return outputs;
                        }
                        outputs.push(use_one(directory.path().join(number.to_string()), number));
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("ended"))
            .collect()
    });
    assert_eq!(outputs.len(), count, "every VM said a word of its own");
    assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 0);
    let path = directory.path().to_string_lossy().into_owned();
    assert_eq!(crate::tool::process_of(&[&path]), None);
    assert!(
        open_descriptors() <= descriptors + AT_ONCE,
        "descriptors are left open"
    );
}

fn use_one(run_directory: std::path::PathBuf, number: usize) -> String {
    let vm = Vm::start(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .run_directory(run_directory),
    )
    .unwrap_or_else(|error| panic!("VM {number}: {error}"));
    let guest = vm
        .connect()
        .unwrap_or_else(|error| panic!("VM {number}: {error}"));
    let word = format!("vm-{number}");
    let output = guest
        .create_process(&ProcessConfig::new(["/bin/busybox", "cat"]))
        .and_then(|process| process.output_within(word.as_bytes(), e2e::DEADLINE))
        .unwrap_or_else(|error| panic!("VM {number}: {error}"));
    // Some end in order, some are dropped as they are.
    if number.is_multiple_of(2) {
        vm.power_off()
            .unwrap_or_else(|error| panic!("VM {number}: {error}"));
    }
    String::from_utf8(output.stdout).expect("what was sent")
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd")
        .expect("/proc is there")
        .count()
}
