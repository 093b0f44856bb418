//! What no program may do, done: the program ends as it must, and nobody else notices.

use e2e::{Bed, DEADLINE, MACHINES, Tree, config, isolation};
use mote_host::{Container, ContainerConfig, Process, ProcessConfig};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;

/// How many acts there are at least: none gets lost unnoticed.
const ACTS: usize = 400;

/// Where QEMU's translator is not the processor it plays: it knows no `int1`, checks neither alignment nor MXCSR nor what is
/// flushed, raises no exceptions of vector instructions, takes a stack fault for a general one, and reads the stack of far
/// and interrupt returns with the kernel's rights, which the kernel has none of there.
const TCG_DIFFERS: &[(&str, &str)] = &[
    ("#DB: int1", "SIGILL"),
    ("#AC: a load across its alignment", "done"),
    ("#XM: divide by zero, SSE", "done"),
    ("#GP: reserved bits of MXCSR", "done"),
    ("#SS: a load by rbp from no canonical address", "SIGSEGV"),
    ("clflush of the kernel", "done"),
    ("a far return to every selector", ""),
    ("an interrupt return to every selector", ""),
    ("an interrupt return to every stack selector", ""),
    (
        "an interrupt return with every flag that gives rights",
        "SIGSEGV",
    ),
];

/// A case, what must come of it, and what came of it.
fn split(line: &str) -> (&str, &str, &str) {
    let mut parts = line.splitn(3, " | ");
    let mut part = || parts.next().unwrap_or_default();
    (part(), part(), part())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("cases are text")
}

/// A process that tells whether anybody touched it, in a container or beside all of them.
struct Neighbour {
    process: Process,
    answers: BufReader<mote_host::StdioStream>,
    _container: Option<Container>,
}

impl Neighbour {
    fn of(process: Process, container: Option<Container>) -> Self {
        let answers = BufReader::new(process.stdout().expect("asked for"));
        Self {
            process,
            answers,
            _container: container,
        }
    }

    fn in_container(bed: &Bed) -> Self {
        let init = ProcessConfig::new(["/bin/isolation", "--neighbour"]);
        let container = bed
            .guest
            .create_container("neighbour", &ContainerConfig::new(&init))
            .expect("created");
        container.start().expect("started");
        let process = container.create_process(&ProcessConfig::init());
        Self::of(process.expect("runs"), Some(container))
    }

    fn beside(bed: &Bed) -> Self {
        let config = ProcessConfig::new(["/bin/isolation", "--neighbour"]);
        Self::of(bed.guest.create_process(&config).expect("runs"), None)
    }

    fn assert_untouched(&mut self, after: &str) {
        let mut stdin = self.process.stdin().expect("asked for");
        stdin.write_all(b"?\n").expect("taken");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("answered");
        assert_eq!(answer, "untouched\n", "after {after}");
    }
}

/// Returns how many processes and tasks the guest says it has.
fn counts(bed: &Bed) -> String {
    let text = bed.guest.dump_stacks().expect("answered");
    let line = text.lines().find(|line| line.starts_with("kernel: "));
    let parts = line.expect("counted").split(" (").next();
    parts.expect("there is a first").to_owned()
}

#[test]
fn the_forbidden_acts_end_on_linux_as_they_are_said_to() {
    let output = Command::new(isolation())
        .arg("--linux")
        .output()
        .expect("it runs here");
    let odd: Vec<_> = text(&output.stdout)
        .lines()
        .filter(|line| {
            let (_, expected, found) = split(line);
            !expected.split(" or ").any(|it| it == found)
        })
        .collect();
    assert!(odd.is_empty(), "{odd:#?}");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn every_forbidden_act_ends_its_process_alone() {
    let tree = Tree::with_busybox();
    tree.copy(isolation(), "bin/isolation");
    let disk = tree.image();
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).disk(&disk));
        let mut neighbours = [Neighbour::in_container(&bed), Neighbour::beside(&bed)];
        let list = bed.output(&["/bin/isolation", "--list"]);
        let cases: Vec<&str> = text(&list.stdout).lines().collect();
        assert!(cases.len() >= ACTS, "{} cases", cases.len());
        let before = counts(&bed);
        let mut odd = Vec::new();
        for case in &cases {
            let process = bed
                .guest
                .create_process(&ProcessConfig::new(["/bin/isolation", case]));
            let output = process.and_then(|process| process.output_within(b"", DEADLINE));
            let output =
                output.unwrap_or_else(|error| panic!("{case}: {error}\n{}", bed.vm.console()));
            let (_, expected, found) = split(text(&output.stdout).trim_end());
            if output.exit_code != 0 && !TCG_DIFFERS.contains(&(case, found)) {
                odd.push(format!("{case}: {found} instead of {expected}"));
            }
            for neighbour in &mut neighbours {
                neighbour.assert_untouched(case);
            }
            bed.assert_alive();
        }
        assert!(odd.is_empty(), "{machine:?}: {odd:#?}");
        assert_eq!(counts(&bed), before, "{machine:?}");
    }
}
