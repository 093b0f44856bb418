//! Stopping and going on through the VMM.

use e2e::{Bed, DEADLINE, MACHINES, busybox_disk, config};
use mote_host::{ContainerConfig, ProcessConfig};
use std::thread;

#[test]
fn a_paused_vm_answers_after_it_is_resumed() {
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).disk(busybox_disk()));
        assert!(!bed.vm.is_paused().expect("QEMU answers"));
        bed.vm.pause().expect("paused");
        assert!(bed.vm.is_paused().expect("QEMU answers"));
        thread::scope(|scope| {
            let call = scope.spawn(|| bed.guest.dump_stacks());
            bed.vm.resume().expect("resumed");
            assert!(!call.join().expect("ended").expect("answered").is_empty());
        });
        assert!(!bed.vm.is_paused().expect("QEMU answers"));
        bed.assert_alive();
    }
}

#[test]
fn pausing_a_container_pauses_its_vm() {
    let bed = Bed::busybox();
    let init = ProcessConfig::new(["/bin/busybox", "cat"]);
    let container = bed
        .guest
        .create_container("paused", &ContainerConfig::new(&init))
        .expect("created");
    let process = container
        .create_process(&ProcessConfig::init())
        .expect("running");
    container.pause().expect("paused");
    assert!(bed.vm.is_paused().expect("QEMU answers"));
    container.resume().expect("resumed");
    let output = process.output_within(b"on\n", DEADLINE).expect("ended");
    assert_eq!(output.stdout, b"on\n");
}

#[test]
fn qemus_refusal_is_passed_on_with_its_words() {
    let bed = Bed::busybox();
    let error = bed
        .vm
        .qmp("no-such-command", &serde_json::Value::Null)
        .expect_err("QEMU does not know it");
    assert!(error.to_string().contains("no-such-command"), "{error}");
}
