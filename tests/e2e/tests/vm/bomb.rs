//! Programs that take as much of one thing as they get: they are refused it, and nobody else notices.

use e2e::{Bed, DEADLINE, Tree, bomb, config};
use mote_host::{ContainerConfig, Machine, ProcessConfig};
use std::io::{BufRead, BufReader};
use std::time::Instant;

const MEMORY_MIB: u32 = 256;
const CONTAINER_BYTES: u64 = 32 << 20;

/// How often the bridge answers while a bomb holds what it has.
const ANSWERS: usize = 10;

/// Returns the part of a dump that tells what there is of processes and open files.
fn counts(bed: &Bed) -> [String; 2] {
    let text = bed.guest.dump_stacks().expect("answered");
    let find = |start: &str, part: usize| {
        let line = text.lines().find(|line| line.starts_with(start));
        let part = line.expect("told").split(", ").nth(part);
        part.expect("told").to_owned()
    };
    [find("kernel: ", 0), find("files: ", 3)]
}

#[test]
fn whoever_takes_all_there_is_of_something_is_refused_it_alone() {
    let tree = Tree::with_busybox();
    tree.copy(bomb(), "bin/bomb");
    let config = config(Machine::Microvm).disk(tree.image());
    let bed = Bed::boot(config.memory_mib(MEMORY_MIB));
    bed.assert_alive();
    let before = counts(&bed);
    // What takes memory until there is none is killed for it.
    for (bomb, reason) in [
        ("descriptors", "EMFILE"),
        ("memory", ""),
        ("areas", "ENOMEM"),
        // So many, and it asks for no more.
        ("depth", "after 10000: ELOOP"),
        ("pipe", "EAGAIN"),
        ("signals", "EAGAIN"),
        ("sockets", "EMFILE"),
        ("messages", ""),
        ("datagrams", "ENOMEM"),
        ("epoll", ""),
    ] {
        let init = ProcessConfig::new(["/bin/bomb", bomb]);
        let limits = ContainerConfig::new(&init).memory_limit(CONTAINER_BYTES);
        let container = bed.guest.create_container(bomb, &limits).expect("created");
        container.start().expect("started");
        let init = container
            .create_process(&ProcessConfig::init())
            .expect("runs");
        // While it takes …
        for _ in 0..ANSWERS {
            bed.assert_alive();
        }
        let mut said = String::new();
        let mut output = BufReader::new(init.stdout().expect("asked for"));
        output.read_line(&mut said).expect("readable");
        // … and while it holds.
        for _ in 0..ANSWERS {
            bed.assert_alive();
        }
        if said.is_empty() {
            assert_eq!(init.wait_timeout(DEADLINE).expect("ended"), 137, "{bomb}");
            assert_eq!(reason, "", "{bomb} was killed");
        } else {
            assert!(said.contains(reason), "{bomb}: {said}");
            assert!(!said.contains("no limit"), "{bomb}: {said}");
            assert!(init.kill().expect("it lives"), "{bomb}");
        }
        container.wait_timeout(DEADLINE).expect("notified");
        bed.guest.delete_container_state(bomb).expect("deleted");
        bed.assert_alive();
        // What was open is closed piece by piece.
        let start = Instant::now();
        while counts(&bed) != before {
            assert!(start.elapsed() < DEADLINE, "{bomb}: {:?}", counts(&bed));
        }
    }
}
