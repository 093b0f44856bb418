//! The heap of the booted image is not called once caches are warm: one process after the other, many at once, containers;
//! and never for the host's dials and the end of the VM.

use crate::load::{PROCESSES, assert_all_echo};
use e2e::{Bed, DEADLINE, busybox_disk, config};
use mote_host::{
    Container, ContainerConfig, ContainerExit, GuestConnection, Machine, ProcessConfig,
    PropertyType, Timeouts, Vm,
};
use serde_json::json;
use std::io::{Read, Write};
use std::time::Duration;

/// Containers at once, each with its init process and another.
const CONTAINERS: usize = 16;

/// Rounds behind the first, each of which must call nothing.
const ROUNDS: usize = 5;

/// Returns how often the guest's allocator was called since it booted.
fn heap_calls(bed: &Bed) -> u64 {
    calls_of(&bed.guest)
}

fn calls_of(guest: &GuestConnection) -> u64 {
    calls_in(&guest.dump_stacks().expect("answered"))
}

/// Finds the count in what the guest says.
fn calls_in(text: &str) -> u64 {
    text.lines()
        .find_map(|line| {
            let (_, count) = line.split_once("heap: ")?;
            count.split(' ').next()?.parse().ok()
        })
        .unwrap_or_else(|| panic!("no count of heap calls in:\n{text}"))
}

/// Plays `round` once to warm the caches, then some times more, in none of which the allocator may be called.
fn assert_calls_nothing(bed: &Bed, round: impl Fn()) {
    round();
    let mut before = heap_calls(bed);
    assert!(before > 0, "start-up calls it");
    let mut calls = [0; ROUNDS];
    for count in &mut calls {
        round();
        let now = heap_calls(bed);
        *count = now - before;
        before = now;
    }
    assert_eq!(calls, [0; ROUNDS], "heap calls in each round");
}

fn small_cycle(bed: &Bed, input: &[u8]) {
    assert_eq!(bed.output(&["/programs/true"]).exit_code, 0);
    let output = bed.run(&ProcessConfig::new(["/programs/echo"]), input);
    assert!(output.stdout == input);
    let spinner = bed
        .guest
        .create_process(&ProcessConfig::new(["/programs/spin"]).without_stdio())
        .expect("runs");
    assert!(spinner.kill().expect("delivered"));
    assert_eq!(spinner.wait_timeout(DEADLINE).expect("ended"), 128 + 9);
}

#[test]
fn no_message_and_no_stream_calls_the_allocator() {
    let bed = Bed::busybox();
    let input = vec![b'x'; 300_000];
    assert_calls_nothing(&bed, || {
        for _ in 0..10 {
            small_cycle(&bed, &input);
        }
    });
}

#[test]
fn more_processes_at_once_than_ever_before_call_nothing() {
    let bed = Bed::busybox();
    let input = vec![b'x'; 10_000];
    small_cycle(&bed, &input);
    let before = heap_calls(&bed);
    many_at_once(&bed);
    assert_eq!(
        heap_calls(&bed) - before,
        0,
        "only the second level of concurrency calls it"
    );
    assert_calls_nothing(&bed, || many_at_once(&bed));
}

/// Lets as many processes as are promised live at once and answer, then ends half of them by a signal.
fn many_at_once(bed: &Bed) {
    let processes: Vec<_> = (0..PROCESSES)
        .map(|_| {
            bed.guest
                .create_process(&ProcessConfig::new(["/programs/echo"]))
                .unwrap_or_else(|error| panic!("{error}"))
        })
        .collect();
    assert_all_echo(&processes);
    for (number, process) in processes.iter().enumerate() {
        let status = if number % 2 == 0 {
            assert!(process.kill().expect("delivered"));
            128 + 9
        } else {
            0
        };
        let output = process.output_within(b"", DEADLINE).expect("ended");
        assert_eq!(output.exit_code, status);
    }
}

#[test]
fn containers_from_creation_to_deletion_call_nothing() {
    let bed = Bed::boot(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .memory_mib(128),
    );
    assert_calls_nothing(&bed, || {
        let containers: Vec<_> = (0..CONTAINERS).map(|number| live(&bed, number)).collect();
        for (number, (container, init)) in containers.iter().enumerate() {
            let output = init
                .output_within(b"through init", DEADLINE)
                .expect("ended");
            assert_eq!(output.stdout, b"through init");
            match container.wait_timeout(DEADLINE).expect("ended") {
                ContainerExit::Notified(_) => {}
                ContainerExit::BridgeEnded(reason) => panic!("{reason}"),
            }
            bed.guest
                .delete_container_state(&id(number))
                .expect("deleted");
        }
    });
}

#[test]
fn terminals_from_spawn_to_exit_call_nothing() {
    let bed = Bed::busybox();
    assert_calls_nothing(&bed, || {
        let people: Vec<_> = (0..8)
            .map(|_| {
                let config = ProcessConfig::new(["/bin/busybox", "cat"]).terminal();
                bed.guest.create_process(&config).expect("runs")
            })
            .collect();
        for process in &people {
            process.resize_console(80, 24).expect("it has one");
            let mut keyboard = process.stdin().expect("asked for");
            keyboard.write_all(b"typed\r").expect("taken");
            let mut seen = [0; 14];
            let mut screen = process.stdout().expect("asked for");
            screen.read_exact(&mut seen).expect("seen");
            assert_eq!(&seen, b"typed\r\ntyped\r\n");
            keyboard.write_all(b"\x04").expect("taken");
        }
        for process in people {
            let output = process.output_within(b"", DEADLINE).expect("ended");
            assert_eq!(output.exit_code, 0);
        }
    });
}

fn id(number: usize) -> String {
    format!("container-{number}")
}

/// Creates and starts a container, executes its init process, which goes on, and another one to its end.
fn live(bed: &Bed, number: usize) -> (Container, mote_host::Process) {
    let init = ProcessConfig::new(["/bin/busybox", "cat"]);
    let container = bed
        .guest
        .create_container(&id(number), &ContainerConfig::new(&init))
        .unwrap_or_else(|error| panic!("{error}\n{}", bed.vm.console()));
    container.start().expect("started");
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    let exec = container
        .create_process(&ProcessConfig::new(["/programs/true"]))
        .expect("runs");
    assert_eq!(
        exec.output_within(b"", DEADLINE).expect("ended").exit_code,
        0
    );
    (container, init)
}

#[test]
fn no_question_refusal_timeout_shutdown_or_new_connection_calls_the_allocator() {
    let bed = Bed::busybox();
    assert_calls_nothing(&bed, || {
        let init = ProcessConfig::new(["/programs/spin"]);
        let container = bed
            .guest
            .create_container("x", &ContainerConfig::new(&init))
            .expect("created");
        container.start().expect("started");
        let init = container
            .create_process(&ProcessConfig::init().without_stdio())
            .expect("runs");
        assert_eq!(container.process_list().expect("answered").len(), 1);
        for kind in [PropertyType::Statistics, PropertyType::Memory] {
            // Answered or refused, as the guest can.
            let _ = container.properties(&[kind]);
        }
        assert!(init.wait_timeout(Duration::from_millis(1)).is_err());
        let _ = init.resize_console(80, 25);
        bed.guest
            .modify(&json!({"ResourceType": "Network", "RequestType": "Add", "Settings": {}}))
            .expect_err("there is no network");
        bed.guest
            .open_container("nobody")
            .and_then(|nobody| nobody.process_list())
            .expect_err("there is no such container");
        bed.guest
            .create_process(&ProcessConfig::new(["/no/such/program"]))
            .expect_err("there is no such program");
        container.shutdown().expect("asked");
        assert_eq!(init.wait_timeout(DEADLINE).expect("ended"), 128 + 15);
        container.wait_timeout(DEADLINE).expect("notified");
        bed.guest.delete_container_state("x").expect("deleted");
        let forced = bed
            .guest
            .create_container(
                "y",
                &ContainerConfig::new(&ProcessConfig::new(["/programs/spin"])),
            )
            .expect("created");
        forced.start().expect("started");
        forced.terminate().expect("asked");
        forced.wait_timeout(DEADLINE).expect("notified");
        bed.guest.delete_container_state("y").expect("deleted");
    });
    let before = heap_calls(&bed);
    for _ in 0..ROUNDS {
        bed.guest.close();
        let guest = bed.vm.connect().expect("dialled again");
        assert_eq!(calls_of(&guest), before, "negotiated again");
        guest.close();
    }
}

#[test]
fn dialling_the_host_and_taking_its_entropy_calls_no_allocator() {
    let with = Bed::boot(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .log_level("debug"),
    );
    with.await_log("took 512 bytes of entropy");
    // A machine that is refused both beside the bridge does all the rest.
    const PORT: u32 = 2000;
    let ports = "mote.entropy_port=2001 mote.log_port=2002 mote.bridge_port=2000";
    let without = Vm::start(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .log_level("debug")
            .kernel_options(ports),
    )
    .expect("starts");
    let listener = without.ports().listen(PORT).expect("bound");
    let stream = listener.accept(DEADLINE).expect("polled").expect("dialled");
    let guest =
        GuestConnection::connect(stream, without.ports(), Timeouts::default()).expect("negotiates");
    assert_eq!(heap_calls(&with), calls_of(&guest));
}

#[test]
fn the_graceful_end_of_the_vm_calls_no_allocator() {
    let bed = Bed::boot(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .kernel_options("mote.serial_level=debug"),
    );
    small_cycle(&bed, b"input");
    let before = heap_calls(&bed);
    bed.vm.power_off().expect("ended");
    let console = bed.vm.console();
    let last = console.lines().rfind(|line| line.contains("power off"));
    assert_eq!(calls_in(last.expect("said at the end")), before);
}
