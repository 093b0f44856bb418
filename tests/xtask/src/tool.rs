//! Chores that are programs of their own: they are built optimized, which this one is not worth.

use crate::image::Image;
use crate::{cargo, image, libfuzzer, linux, place, program, setup};
use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Inputs under libFuzzer unless told otherwise.
const LIBFUZZER_RUNS: u64 = 1_000_000;

#[derive(Args)]
pub(crate) struct BenchOptions {
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Fewer repetitions: numbers for a first look, not for a comparison
    #[arg(long)]
    quick: bool,
    /// Compare with Debian's cloud kernel instead: the same program on both, in the same QEMU, taking turns
    #[arg(long)]
    linux: bool,
}

#[derive(Args)]
pub(crate) struct FuzzOptions {
    /// Inputs per target
    #[arg(long, value_name = "N")]
    iterations: Option<u64>,
    /// Where the random numbers start; the same seed gives the same inputs
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Feed this file once instead: look at a finding again
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    /// Have libFuzzer choose the inputs, guided by coverage (needs a C++ compiler)
    #[arg(long, requires = "target")]
    libfuzzer: bool,
    /// Run this target only; `list` names them
    target: Option<String>,
}

#[derive(Args)]
pub(crate) struct StormOptions {
    /// Containers, each of which exits once
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    exits: u32,
    /// Where the random numbers start; the same seed gives the same cuts and the same containers
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Bytes of the bridge between two cuts, on average
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    bytes_between_cuts: u64,
}

#[derive(Args)]
pub(crate) struct CallsOptions {
    /// System calls, at least
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    calls: u64,
    /// Where the random numbers start; the same seed makes the same calls
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The round to begin with: look at a finding again
    #[arg(long, value_name = "ROUND", default_value_t = 0)]
    first: u64,
}

/// Makes random system calls in a VM with a freshly built image.
pub(crate) fn calls(options: &CallsOptions) -> Result<ExitCode> {
    prepare()?;
    let package = ["--package", "e2e", "--bin", "calls", "--release"];
    cargo::build("Building the driver of the calls", &package)?;
    let mut command = Command::new(place::target().join("release/calls"));
    let number = |flag: &str, value: u64| format!("--{flag}={value}");
    command
        .arg(number("calls", options.calls))
        .arg(number("seed", options.seed))
        .arg(number("first", options.first));
    finish(command)
}

/// Runs a reconnect storm over a freshly built image.
pub(crate) fn storm(options: &StormOptions) -> Result<ExitCode> {
    prepare()?;
    let package = ["--package", "e2e", "--bin", "storm", "--release"];
    cargo::build("Building the storm", &package)?;
    let mut command = Command::new(place::target().join("release/storm"));
    let number = |flag: &str, value: u64| format!("--{flag}={value}");
    command
        .arg(number("exits", options.exits.into()))
        .arg(number("seed", options.seed))
        .arg(number("bytes-between-cuts", options.bytes_between_cuts));
    finish(command)
}

/// Runs the measurements over a freshly built image.
pub(crate) fn bench(options: &BenchOptions) -> Result<ExitCode> {
    prepare()?;
    cargo::build(
        "Building the measurements",
        // The command is measured as a whole, too.
        &["--package", "bench", "--package", "mote-host", "--release"],
    )?;
    let mut command = Command::new(place::target().join("release/bench"));
    command
        .args(options.json.then_some("--json"))
        .args(options.quick.then_some("--quick"));
    if options.linux {
        command.arg("--linux").arg(linux::kernel()?);
    }
    finish(command)
}

/// Runs the fuzz targets.
pub(crate) fn fuzz(options: &FuzzOptions) -> Result<ExitCode> {
    if let (true, Some(target)) = (options.libfuzzer, &options.target) {
        let runs = options.iterations.unwrap_or(LIBFUZZER_RUNS);
        return finish(libfuzzer::command(target, runs, options.seed.unwrap_or(1))?);
    }
    let number = |flag: &str, value: Option<u64>| value.map(|value| format!("{flag}={value}"));
    let mut command = fuzz_command(&[]);
    command
        .args(number("--iterations", options.iterations))
        .args(number("--seed", options.seed))
        .args(&options.target);
    if let Some(input) = &options.input {
        let file = input
            .canonicalize()
            .with_context(|| format!("cannot find {}", input.display()))?;
        command.arg("--input").arg(file);
    }
    finish(command)
}

/// The fuzz program: optimized, but with overflow checks and debug assertions, for that is what they are for.
pub(crate) fn fuzz_command(arguments: &[&str]) -> Command {
    let mut command = cargo::command(&[
        "run",
        "--locked",
        "--quiet",
        "--package",
        "fuzz",
        "--profile",
        "fuzz",
        "--",
    ]);
    command.args(arguments);
    command
}

/// Brings about what every chore needs that boots the image.
pub(crate) fn prepare() -> Result<Image> {
    setup::run()?;
    let image = image::build()?;
    program::build()?;
    Ok(image)
}

fn finish(mut command: Command) -> Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("{program} could not be started"))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
