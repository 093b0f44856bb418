//! Runs the fuzz targets: see the library.
#![forbid(unsafe_code)]

use anyhow::{Result, anyhow};
use clap::Parser;
use fuzz::runner::{self, Plan};
use fuzz::target::{self, TARGETS, Target};
use std::path::PathBuf;
use std::time::Instant;

/// Feeds hostile input to every decoder.
#[derive(Parser)]
#[command(name = "cargo xtask fuzz")]
struct Arguments {
    /// Inputs per target, fewer of one that is heavier
    #[arg(long, default_value_t = 1_000_000)]
    iterations: u64,
    /// Where the random numbers start
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where inputs that break a target are kept
    #[arg(long, default_value = "target/findings")]
    findings: PathBuf,
    /// Feed this file once instead: look at a finding again
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
    /// Write the target's good examples into this folder instead: where another fuzzer begins
    #[arg(long, requires = "target", conflicts_with = "input")]
    export: Option<PathBuf>,
    /// Run this target only; `list` names them
    target: Option<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let targets: Vec<&Target> = match arguments.target.as_deref() {
        None => TARGETS.iter().collect(),
        Some("list") => return list(),
        Some(name) => vec![
            target::find(name)
                .ok_or_else(|| anyhow!("no target is called {name}; `list` names them"))?,
        ],
    };
    if let (Some(file), [target]) = (&arguments.input, targets.as_slice()) {
        return runner::replay(target, file);
    }
    if let (Some(folder), [target]) = (&arguments.export, targets.as_slice()) {
        return runner::export(target, folder);
    }
    let plan = Plan {
        iterations: arguments.iterations,
        seed: arguments.seed,
        findings: arguments.findings,
    };
    for target in targets {
        let started = Instant::now();
        runner::run(target, &plan)?;
        println!(
            "{:<12} {:>9} inputs {:>7.1} s",
            target.name,
            plan.iterations / target.weight,
            started.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn list() -> Result<()> {
    for target in TARGETS {
        println!("{:<12} {}", target.name, target.about);
    }
    Ok(())
}
