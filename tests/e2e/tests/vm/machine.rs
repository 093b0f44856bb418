//! What only the machine can show: its traps, its interrupts, its idle, its end, its sizes.

use e2e::{Bed, DEADLINE, MACHINES, Tree, busybox_disk, checked_image, config, large_file_disk};
use mote_host::{Machine, ProcessConfig, Vm, VmConfig};
use std::thread;
use std::time::Duration;

/// `isa-debug-exit` ends QEMU with twice the value it is told, plus one (hal's `power` and `last_words`).
const ORDERLY: i32 = 0x10 << 1 | 1;
const PANIC: i32 = 0x19 << 1 | 1;
const KERNEL_FAULT: i32 = 0x1a << 1 | 1;

fn checked(machine: Machine, options: &str) -> VmConfig {
    config(machine)
        .kernel(checked_image())
        .kernel_options(options)
}

/// Boots a self-test, waits for its end and returns the exit status and the console.
fn self_test(machine: Machine, options: &str) -> (Option<i32>, String) {
    let vm = Vm::start(checked(machine, options)).unwrap_or_else(|error| panic!("{error}"));
    let exit = vm
        .wait(DEADLINE)
        .unwrap_or_else(|error| panic!("{options}: {error}\n{}", vm.console()));
    (exit.status, vm.console())
}

/// Returns the number in front of a word of DumpStacks' line on the machine.
fn count(bed: &Bed, of: &str) -> u64 {
    let text = bed.guest.dump_stacks().expect("answered");
    text.lines()
        .find_map(|line| line.strip_prefix("machine: "))
        .and_then(|counts| {
            counts
                .split(", ")
                .find_map(|count| count.strip_suffix(of)?.trim().parse().ok())
        })
        .unwrap_or_else(|| panic!("no count of {of} in:\n{text}"))
}

#[test]
fn the_self_test_passes_on_every_machine() {
    for machine in MACHINES {
        let (status, console) = self_test(
            machine,
            "mote.self_test mote.debug_exit mote.serial_level=info",
        );
        assert_eq!(status, Some(ORDERLY), "{machine:?}:\n{console}");
        assert!(console.contains("self-test passed"), "{console}");
    }
}

#[test]
fn the_image_with_checks_runs_programs_on_every_machine() {
    for machine in MACHINES {
        let bed = Bed::boot(checked(machine, "").disk(busybox_disk()));
        bed.assert_alive();
        let input = vec![b'x'; 300_000];
        let output = bed.run(&ProcessConfig::new(["/bin/busybox", "cat"]), &input);
        assert!(output.stdout == input, "{machine:?}");
        assert_eq!(bed.vm.power_off().expect("ended").status, Some(0));
    }
}

#[test]
fn the_shipped_image_refuses_a_self_test_by_name() {
    let vm = Vm::start(config(Machine::Microvm).kernel_options("mote.self_test=panic"))
        .expect("launched");
    let exit = vm.wait(DEADLINE).expect("ended");
    assert_eq!(exit.status, Some(0x18 << 1 | 1), "{}", vm.console());
    assert!(vm.console().contains("image-debug"), "{}", vm.console());
}

#[test]
fn a_panic_leaves_its_words_and_a_status_of_its_own() {
    for machine in MACHINES {
        let (status, console) = self_test(machine, "mote.self_test=panic");
        assert_eq!(status, Some(PANIC), "{console}");
        for part in [
            "mote: panic: ",
            "self_test.rs",
            "the self-test asked for it",
        ] {
            assert!(console.contains(part), "{part} is missing:\n{console}");
        }
    }
}

#[test]
fn the_last_words_of_a_panic_reach_the_hosts_log() {
    for machine in MACHINES {
        let vm = Vm::start(checked(machine, "mote.self_test=late").disk(busybox_disk()))
            .expect("launched");
        // The guest may be gone before the answer is read.
        let _guest = vm.connect();
        let exit = vm.wait(DEADLINE).expect("ended");
        assert_eq!(exit.status, Some(PANIC), "{}", vm.console());
        let told = e2e::await_log(&vm, "the self-test asked for it");
        assert!(told.message.starts_with("panic: "), "{told}");
    }
}

#[test]
fn a_fault_of_the_kernel_leaves_its_registers_and_a_status_of_its_own() {
    for machine in MACHINES {
        let (status, console) = self_test(machine, "mote.self_test=fault");
        assert_eq!(status, Some(KERNEL_FAULT), "{console}");
        for part in [
            "mote: fatal: page fault in the kernel, code 0x0",
            "rip=ffffffff8",
            "cr2=0000000000000123",
            "r15=",
        ] {
            assert!(console.contains(part), "{part} is missing:\n{console}");
        }
    }
}

#[test]
fn a_stack_that_is_used_up_ends_in_its_guard_page() {
    for machine in MACHINES {
        let (status, console) = self_test(machine, "mote.self_test=overflow");
        assert_eq!(status, Some(KERNEL_FAULT), "{console}");
        let register = |name: &str| {
            let (_, rest) = console.split_once(name).expect("it is dumped");
            u64::from_str_radix(&rest[..16], 16).expect("it is a number")
        };
        let (stack, address) = (register("rsp="), register("cr2="));
        // A frame of the self-test is smaller than the guard page, so the first access behind the stack's end is in it.
        assert!(
            address.abs_diff(stack) < 4096,
            "{address:#x} is not at the stack's end {stack:#x}:\n{console}"
        );
    }
}

#[test]
fn devices_interrupt_on_every_machine() {
    for machine in [Machine::Microvm, Machine::MicrovmPci, Machine::Q35] {
        let bed = Bed::boot(config(machine).disk(busybox_disk()));
        let before = count(&bed, "device interrupts");
        bed.assert_alive();
        // Halts are what interrupts end; each answer is waited for, so that the guest comes to rest in between.
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(20));
            bed.guest.dump_stacks().expect("answered");
        }
        let after = count(&bed, "device interrupts");
        assert!(after >= before + 10, "{machine:?}: {before} then {after}");
    }
}

#[test]
fn an_idle_machine_halts() {
    /// Looking is work itself: the loop polls for 50 µs behind each message before it halts, about a turn per µs.
    const TURNS_OF_LOOKING: u64 = 5000;
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).disk(busybox_disk()));
        bed.assert_alive();
        let sleeper = bed
            .guest
            .create_process(&ProcessConfig::new(["/bin/busybox", "sleep", "1000"]))
            .expect("runs");
        let (halts, turns) = (count(&bed, "halts"), count(&bed, "turns"));
        thread::sleep(Duration::from_secs(2));
        let (halts, turns) = (count(&bed, "halts") - halts, count(&bed, "turns") - turns);
        assert!(halts > 0, "{machine:?} never halted");
        // A machine that polls makes hundreds of thousands of turns in this time.
        assert!(turns < TURNS_OF_LOOKING, "{machine:?}: {turns} turns");
        assert!(sleeper.kill().expect("delivered"));
    }
}

#[test]
fn pci_that_nobody_tells_of_and_nobody_assigned_works() {
    let bed = Bed::boot(config(Machine::MicrovmPci).disk(busybox_disk()));
    bed.assert_alive();
    let output = bed.output(&["/bin/busybox", "wc", "-c", "/data/binary"]);
    assert_eq!(output.exit_code, 0, "{output:?}");
}

#[test]
fn registers_above_4_gib_are_reached() {
    // A function that wants 4 GiB makes the firmware assign all 64-bit prefetchable base addresses, which those of
    // virtio are, above 4 GiB.
    let bed = Bed::boot(
        config(Machine::Q35)
            .disk(busybox_disk())
            .qemu_option("-device")
            .qemu_option("pci-testdev,membar=4G"),
    );
    bed.assert_alive();
}

#[test]
fn four_mebibytes_run_the_small_program() {
    let tree = Tree::new();
    tree.copy(&e2e::program("true"), "true");
    let bed = Bed::boot(config(Machine::Microvm).memory_mib(4).disk(tree.image()));
    for _ in 0..20 {
        assert_eq!(bed.output(&["/true"]).exit_code, 0);
    }
}

#[test]
fn a_file_larger_than_the_cache_is_read_to_its_end() {
    let (_kept, image, length) = large_file_disk();
    let bed = Bed::boot(config(Machine::Microvm).memory_mib(1024).disk(image));
    let output = bed.output(&["/bin/busybox", "wc", "-c", "/data/large"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{length} /data/large\n"),
        "{output:?}"
    );
    bed.assert_alive();
}
