//! What is fed.

mod agent;
mod frame;
mod json;
mod kernel;
mod mounts;
mod request;
mod start;
mod vsock;

/// One decoder, or one party of a conversation, under hostile input.
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// One line on what it feeds.
    pub about: &'static str,
    /// Good examples to begin with.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Words of the format.
    pub words: &'static [&'static [u8]],
    /// One input is so much work (or leaks so much memory) as this many of a decoder's.
    pub weight: u64,
    /// The longest input that makes sense.
    pub max_bytes: usize,
    /// Must return, whatever the bytes.
    pub run: fn(&[u8]),
}

/// All targets, in the order in which they run.
pub const TARGETS: &[Target] = &[
    frame::FRAME,
    json::CHECK,
    json::STRING,
    request::REQUEST,
    agent::AGENT,
    start::COMMAND_LINE,
    start::START_INFO,
    vsock::VSOCK,
    kernel::INITRD,
    kernel::PROGRAM,
    kernel::CALLS,
    kernel::TERMINAL,
    kernel::DISK,
    mounts::MOUNTS,
];

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::{self, Plan};

    /// Enough to see a target that is broken, few enough for every test run; `cargo xtask fuzz` does more.
    const ITERATIONS: u64 = 2000;

    #[test]
    fn every_target_returns_on_its_examples_and_on_some_mutations_of_them() {
        for target in TARGETS {
            let findings = std::env::temp_dir().join("mote-fuzz-findings");
            let plan = Plan {
                iterations: ITERATIONS,
                seed: 1,
                findings,
            };
            runner::run(target, &plan).unwrap_or_else(|error| panic!("{error:#}"));
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TARGETS.len());
    }
}
