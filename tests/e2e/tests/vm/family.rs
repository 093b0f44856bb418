//! What becomes of the children of processes that end, and of those that make too many.

use e2e::{Bed, DEADLINE, busybox_disk, config};
use mote_host::{Container, ContainerConfig, Machine, ProcessConfig};

/// Memory for two hundred shells beside what tests do.
const MEMORY_MIB: u32 = 256;

fn shell(script: &str) -> ProcessConfig {
    ProcessConfig::new(["/bin/sh", "-c", script])
}

fn create(bed: &Bed, id: &str, config: &ContainerConfig) -> Container {
    let container = bed.guest.create_container(id, config);
    let container = container.unwrap_or_else(|error| panic!("{error}\n{}", bed.vm.console()));
    container.start().expect("started");
    container
}

fn pids(container: &Container) -> Vec<u32> {
    let list = container.process_list().expect("listed");
    list.iter().map(|process| process.pid).collect()
}

#[test]
fn a_container_s_first_process_takes_all_others_with_it() {
    let bed = Bed::busybox();
    let config = ContainerConfig::new(&shell("sleep 1000 & sleep 1000 & read line; exit 3"));
    let container = create(&bed, "family", &config);
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    let exec = container
        .create_process(&shell("sleep 1000"))
        .expect("runs");
    // Its children hold its output; that they end is why its end can be told.
    let output = init.output_within(b"\n", DEADLINE).expect("ended");
    assert_eq!(output.exit_code, 3);
    assert_eq!(exec.wait_timeout(DEADLINE).expect("killed"), 137);
    assert_eq!(pids(&container), [0_u32; 0]);
    bed.assert_alive();
}

#[test]
fn what_other_processes_leave_behind_lives_on_with_the_container() {
    let bed = Bed::busybox();
    let config = ContainerConfig::new(&shell("read line"));
    let container = create(&bed, "orphans", &config);
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    let exec = container
        .create_process(&shell("sleep 1000 </dev/null >/dev/null 2>&1 & exit 4"))
        .expect("runs");
    let output = exec.output_within(b"", DEADLINE).expect("ended");
    assert_eq!(output.exit_code, 4);
    let left = pids(&container);
    assert_eq!((left.len(), left[0]), (2, init.pid()), "{left:?}");
    init.output_within(b"\n", DEADLINE).expect("ended");
    assert_eq!(pids(&container), [0_u32; 0]);
    bed.assert_alive();
}

#[test]
fn output_ends_with_the_last_process_that_can_write_it() {
    let bed = Bed::busybox();
    let process = bed
        .guest
        .create_process(&shell("(sleep 0.3; echo late) & echo early"));
    let output = process.and_then(|process| process.output_within(b"", DEADLINE));
    let output = output.expect("ended");
    assert_eq!(output.stdout, b"early\nlate\n");
}

#[test]
fn a_fork_bomb_leaves_the_bridge_answering_and_ends_with_its_container() {
    let config = config(Machine::Microvm).disk(busybox_disk());
    let bed = Bed::boot(config.memory_mib(MEMORY_MIB));
    let config =
        ContainerConfig::new(&shell("f() { f | f & wait; }; f; sleep 1000")).pids_limit(200);
    let container = create(&bed, "bomb", &config);
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    for _ in 0..20 {
        bed.assert_alive();
    }
    assert!(init.kill().expect("it lives"));
    assert_eq!(init.wait_timeout(DEADLINE).expect("killed"), 137);
    assert_eq!(pids(&container), [0_u32; 0]);
    bed.assert_alive();
}
