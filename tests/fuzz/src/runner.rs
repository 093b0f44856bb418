//! Drives targets with mutated inputs, a fixed number of them, and keeps the input that broke one.

use crate::mutation::{self, Source};
use crate::random::Random;
use crate::target::Target;
use anyhow::{Context, Result, bail};
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How many mutated inputs are added to the good examples, oldest forgotten first, so that mutations pile up.
const KEPT_INPUTS: usize = 64;
/// One input in this many is kept.
const KEEP_ONE_IN: usize = 16;
/// A target that works on one input for so long hangs: the honest ones take microseconds, on the slowest machine
/// milliseconds.
const HANG_MS: u64 = 20_000;

/// What to run.
pub struct Plan {
    /// Inputs per target, fewer of one that is heavier.
    pub iterations: u64,
    /// Where the random numbers start.
    pub seed: u64,
    /// Where a breaking input is written.
    pub findings: PathBuf,
}

/// Feeds `target` its good examples and then mutated ones. Fails at the first input that breaks it.
pub fn run(target: &Target, plan: &Plan) -> Result<()> {
    let watch = Watch::start(target.name, &plan.findings);
    let examples = (target.corpus)();
    for example in &examples {
        try_input(target, example, &watch, plan)?;
    }
    let mut random = Random::new(plan.seed ^ hash(target.name));
    let mut corpus = examples.clone();
    for _ in 0..plan.iterations / target.weight {
        let source = Source {
            corpus: &corpus,
            words: target.words,
            max_bytes: target.max_bytes,
        };
        let input = mutation::input(&source, &mut random);
        try_input(target, &input, &watch, plan)?;
        if random.is_once_in(KEEP_ONE_IN) {
            if corpus.len() >= examples.len() + KEPT_INPUTS {
                corpus.remove(examples.len());
            }
            corpus.push(input);
        }
    }
    Ok(())
}

/// Runs `target` on the bytes of a file: how a finding is looked at again.
pub fn replay(target: &Target, file: &Path) -> Result<()> {
    let input = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    (target.run)(&input);
    Ok(())
}

/// Writes the good examples of `target` into `folder`, one file each.
pub fn export(target: &Target, folder: &Path) -> Result<()> {
    for example in (target.corpus)() {
        keep(target.name, &example, folder)?;
    }
    Ok(())
}

fn try_input(target: &Target, input: &[u8], watch: &Watch, plan: &Plan) -> Result<()> {
    watch.begin(input);
    // A target makes its subject anew from the input each time, so nothing broken is seen again.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    if outcome.is_err() {
        let file = keep(target.name, input, &plan.findings)?;
        bail!(
            "{} broke (seed {}); look again with `cargo xtask fuzz {} --input {}`",
            target.name,
            plan.seed,
            target.name,
            file.display()
        );
    }
    Ok(())
}

/// Writes an input under a name that is the same for the same bytes.
fn keep(name: &str, input: &[u8], folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(format!("{name}-{:016x}", hash_bytes(input)));
    fs::write(&file, input).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

fn hash(name: &str) -> u64 {
    hash_bytes(name.as_bytes())
}

/// FNV-1a, 64 bits.
fn hash_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Ends the program, input kept, when one input takes for ever: a loop cannot be caught like a panic.
struct Watch {
    inputs: mpsc::Sender<Vec<u8>>,
}

impl Watch {
    fn start(name: &'static str, findings: &Path) -> Self {
        let (inputs, begun) = mpsc::channel::<Vec<u8>>();
        let findings = findings.to_owned();
        thread::spawn(move || {
            let mut current = Vec::new();
            loop {
                match begun.recv_timeout(Duration::from_millis(HANG_MS)) {
                    Ok(input) => current = input,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => hang(name, &current, &findings),
                }
            }
        });
        Self { inputs }
    }

    fn begin(&self, input: &[u8]) {
        self.inputs
            .send(input.to_vec())
            .expect("the watch listens as long as it is owned");
    }
}

fn hang(name: &str, input: &[u8], findings: &Path) -> ! {
    match keep(name, input, findings) {
        Ok(file) => eprintln!("error: {name} hangs on {}", file.display()),
        Err(error) => eprintln!("error: {name} hangs; {error:#}"),
    }
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(run: fn(&[u8])) -> Target {
        Target {
            name: "try",
            about: "",
            corpus: || vec![b"good".to_vec()],
            words: &[],
            weight: 1,
            max_bytes: 64,
            run,
        }
    }

    fn plan(folder: &str) -> Plan {
        let findings =
            std::env::temp_dir().join(format!("mote-fuzz-{folder}-{}", std::process::id()));
        Plan {
            iterations: 500,
            seed: 1,
            findings,
        }
    }

    #[test]
    fn a_target_that_always_returns_passes() {
        assert!(run(&target(|_| ()), &plan("good")).is_ok());
    }

    #[test]
    fn the_input_that_breaks_a_target_is_kept_and_breaks_it_again() {
        let plan = plan("bad");
        let breaks = |input: &[u8]| assert!(input.first() == Some(&b'g'), "on purpose");
        let error = run(&target(breaks), &plan).unwrap_err().to_string();
        let kept: Vec<_> = fs::read_dir(&plan.findings)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(kept.len(), 1, "{error}");
        assert!(panic::catch_unwind(|| replay(&target(breaks), &kept[0])).is_err());
        fs::remove_dir_all(&plan.findings).unwrap();
    }
}
