//! The image boots, dials and negotiates on every machine, and ends.

use e2e::{Bed, DEADLINE, MACHINES, Tree, busybox_disk, config, host_busybox, marker_disk};
use mote_host::initrd::{self, Archive};
use mote_host::vm::{LogLevel, Vm};
use mote_host::{Machine, Timeouts};
use std::time::Duration;

#[test]
fn negotiates_on_every_machine_with_1_to_4_disks() {
    let markers: Vec<_> = (1..4).map(marker_disk).collect();
    for machine in MACHINES {
        for count in 1..=4 {
            let mut config = config(machine).disk(busybox_disk());
            for (_, image) in &markers[..count - 1] {
                config = config.disk(image);
            }
            let bed = Bed::boot(config);
            assert_eq!(bed.guest.os(), "linux", "{machine:?}, {count} disks");
            bed.assert_alive();
        }
    }
}

#[test]
fn runs_from_an_initrd_alone_on_every_machine() {
    let archive = initrd::busybox().expect("a static busybox");
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).initrd_bytes(archive.clone()));
        bed.assert_alive();
        // By the applet's own name, found on the PATH.
        assert_eq!(bed.output(&["uname"]).stdout, b"Linux\n", "{machine:?}");
    }
}

#[test]
fn a_disk_is_the_root_even_beside_an_initrd() {
    let archive = Archive::new().file("marker", 0o644, b"initrd").finish();
    let bed = Bed::boot(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .initrd_bytes(archive),
    );
    bed.assert_alive();
}

#[test]
fn tells_only_what_it_can_do() {
    let bed = Bed::busybox();
    let capabilities = bed.guest.capabilities();
    assert!(capabilities.signal_process && capabilities.dump_stacks);
    assert!(capabilities.delete_container_state);
    assert!(!capabilities.namespace_add_request, "there is no network");
    assert!(!capabilities.send_host_create && !capabilities.send_host_start);
}

#[test]
fn powers_off_when_asked_on_every_machine() {
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).disk(busybox_disk()));
        let exit = bed
            .vm
            .power_off()
            .unwrap_or_else(|error| panic!("{machine:?}: {error}"));
        assert_eq!((exit.status, exit.by_host), (Some(0), false), "{machine:?}");
        assert!(bed.guest.wait_end(DEADLINE).is_some());
    }
}

#[test]
fn logs_json_records_and_nothing_else() {
    let bed = Bed::boot(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .log_level("debug"),
    );
    bed.assert_alive();
    bed.await_log("");
    let exit = bed.vm.power_off().expect("powered off");
    assert_eq!(exit.status, Some(0));
    for record in &bed.vm.log() {
        assert!(record.level < LogLevel::Error, "{record}");
    }
}

#[test]
fn dumps_the_state_of_its_processes() {
    let bed = Bed::busybox();
    let sleeper = bed
        .guest
        .create_process(&mote_host::ProcessConfig::new([
            "/bin/busybox",
            "sleep",
            "1000",
        ]))
        .expect("runs");
    let text = bed.guest.dump_stacks().expect("answered");
    assert!(text.contains("busybox"), "{text}");
    assert!(text.contains(&sleeper.pid().to_string()), "{text}");
}

#[test]
fn a_kernel_that_is_no_pvh_image_is_told_with_the_vmms_words() {
    let vm = Vm::start(config(Machine::Microvm).kernel(&host_busybox().0)).expect("launched");
    let error = vm.connect().expect_err("nothing dials").to_string();
    assert!(error.contains("PVH"), "{error}");
    assert!(error.contains("exit status 1"), "{error}");
}

#[test]
fn a_guest_that_never_dials_is_told_with_its_console() {
    // Stopped before its first instruction, as a hanging guest would be.
    let timeouts = Timeouts {
        dial: Duration::from_millis(500),
        ..Timeouts::default()
    };
    let vm = Vm::start(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .timeouts(timeouts)
            .qemu_option("-S"),
    )
    .expect("launched");
    let error = vm.connect().expect_err("nothing dials");
    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().contains("the VM is running"), "{error}");
    let directory = vm.run_directory().to_owned();
    assert!(directory.exists());
    drop(vm);
    assert!(!directory.exists(), "the run directory is left behind");
}

#[test]
fn a_disk_that_does_not_exist_is_named() {
    let tree = Tree::new();
    let missing = tree.path("no-such-disk");
    let error = Vm::start(config(Machine::Microvm).disk(&missing)).expect_err("absent");
    assert!(error.to_string().contains("no-such-disk"), "{error}");
}

#[test]
fn a_vm_that_is_killed_outside_ends_the_connection_and_says_how() {
    let bed = Bed::busybox();
    let sleeper = bed
        .guest
        .create_process(&mote_host::ProcessConfig::new([
            "/bin/busybox",
            "sleep",
            "1000",
        ]))
        .expect("runs");
    let pid = crate::mote::qemu_of(&bed.vm.run_directory().to_string_lossy());
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("ours");
    let exit = bed.vm.wait(DEADLINE).expect("ended");
    assert_eq!((exit.status, exit.by_host), (Some(128 + 9), false));
    let error = sleeper
        .wait_timeout(DEADLINE)
        .expect_err("the bridge is gone");
    assert!(error.is_bridge_ended(), "{error}");
}
