//! System calls answer as Linux's do: one program, run on the host's kernel first and in the VM second, line by line.

use e2e::{Bed, Tree, config, conform};
use mote_host::{Machine, ProcessConfig};
use rustix::thread::{CapabilitySet, capabilities};
use std::collections::BTreeSet;
use std::process::Command;

/// How many checks there are at least: none gets lost unnoticed.
const CHECKS: usize = 3900;

/// The families that answer the same to any user; the guest's program is root.
const WITHOUT_ROOT: &[&str] = &[
    "address",
    "advice",
    "closed",
    "descriptor",
    "epoll",
    "event",
    "exec",
    "fifo",
    "file",
    "frame",
    "full",
    "group",
    "interrupt",
    "lock",
    "memory",
    "nameless",
    "open",
    "owner",
    "poll",
    "process",
    "resolve",
    "signal",
    "socket",
    "splice",
    "task",
    "thread",
    "time",
    "walk",
    "variant",
    "io_priority",
];

/// The families that the host's Linux lets this test run, as `conform` is asked for them: root in a container may not always
/// be less nice.
fn families() -> &'static [&'static str] {
    let capabilities = capabilities(None).expect("told").effective;
    match rustix::process::geteuid().is_root() {
        true if capabilities.contains(CapabilitySet::SYS_NICE) => &[],
        true => &["-priority"],
        false => WITHOUT_ROOT,
    }
}

/// A check that mote answers otherwise than Linux, and why.
struct Difference {
    check: &'static str,
    reason: &'static str,
}

/// Every difference there is. One that went away has to go from here too.
const DIFFERENCES: &[Difference] = &[
    Difference {
        check: "read | the end, to a bad address",
        reason: "the buffer is looked at before the file is",
    },
    Difference {
        check: "wait4 | then it is gone",
        reason: "a child whose status could not be told is not lost",
    },
];

/// Splits a line into its check and its answer.
fn split(line: &str) -> (&str, &str) {
    line.rsplit_once(" | ").unwrap_or((line, ""))
}

#[test]
fn every_difference_is_a_row_of_the_readme() {
    let rows = DIFFERENCES.iter().map(|known| {
        let (call, what) = known.check.split_once(" | ").expect("a call and a case");
        format!("| `{call}`: {what} | {} |", known.reason)
    });
    e2e::readme::assert_rows("differences", &rows.collect::<Vec<_>>());
}

#[test]
fn every_call_answers_as_on_linux_but_for_the_differences_stated() {
    let is_root = rustix::process::geteuid().is_root();
    let families = families();
    let host = Command::new(conform())
        .args(families)
        .output()
        .expect("it runs here");
    assert!(
        host.status.success(),
        "{}",
        String::from_utf8_lossy(&host.stderr)
    );
    let tree = Tree::with_busybox();
    tree.copy(conform(), "bin/conform");
    let bed = Bed::boot(config(Machine::Microvm).disk(tree.image()));
    let guest = {
        let program = ["/bin/conform"].iter().chain(families);
        bed.run(&ProcessConfig::new(program.copied()), b"")
    };
    let errors = String::from_utf8_lossy(&guest.stderr);
    assert_eq!(guest.exit_code, 0, "{errors}");
    let (host, guest) = (text(&host.stdout), text(&guest.stdout));
    let mut checks = BTreeSet::new();
    for (check, _) in host.lines().map(split) {
        assert!(checks.insert(check), "{check}: two checks of one name");
    }
    let mut found = Vec::new();
    let mut unexpected = Vec::new();
    for (nth, line) in host.lines().enumerate() {
        let (check, linux) = split(line);
        let answer = guest.lines().nth(nth).unwrap_or("nothing");
        if answer == line {
            continue;
        }
        match DIFFERENCES.iter().find(|known| known.check == check) {
            Some(known) => found.push(known.check),
            None => unexpected.push(format!("{check}: Linux {linux}, mote {answer}")),
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    assert_eq!(host.lines().count(), guest.lines().count());
    for known in DIFFERENCES {
        assert!(
            !is_root || found.contains(&known.check),
            "{} is as on Linux now ({})",
            known.check,
            known.reason
        );
    }
    assert!(!is_root || host.lines().count() >= CHECKS);
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("checks are text")
}
