//! Every check there is, in the order in which a mistake is cheapest to find.

use crate::plan::Plan;
use crate::{cargo, image, program, setup};
use anyhow::bail;
use clap::Args;
use std::process::{Command, ExitCode};

/// Guest packages stay out of every workspace-wide build; the booting tests need an image first.
const HOST_PACKAGES: [&str; 5] = ["--workspace", "--exclude", "boot", "--exclude", "programs"];
/// Inputs per fuzz target in the short form: some seconds on two cores.
const FUZZ_ITERATIONS: &str = "20000";

#[derive(Args)]
pub(crate) struct Options {
    /// Leave out what boots the image: only checks that run on the host
    #[arg(long)]
    host_only: bool,
    /// Only boot the image, this many times over the whole suite, and count the runs that pass
    #[arg(long, value_name = "N", conflicts_with = "host_only", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,
    /// Only start, use and stop this many VMs by one process, eight at a time
    #[arg(long, value_name = "N", conflicts_with_all = ["host_only", "repeat"], value_parser = clap::value_parser!(u32).range(1..))]
    vms: Option<u32>,
}

/// Runs them all; the exit code is a failure when any fails, and the last line names it.
pub(crate) fn run(options: &Options) -> ExitCode {
    if let Some(runs) = options.repeat {
        return repeat(runs);
    }
    if let Some(count) = options.vms {
        return many(count);
    }
    let mut plan = Plan::default();
    if !options.host_only {
        plan.work("set up the machine", setup::run);
    }
    plan.command("format", cargo::command(&["fmt", "--all", "--check"]));
    plan.command("lint the host packages", host_lint());
    plan.command("lint the image", guest_lint("boot"));
    plan.command("lint the user programs", guest_lint("programs"));
    plan.command("unit tests, conversations, mock devices", unit_tests());
    plan.command(
        "fuzz, short form",
        crate::tool::fuzz_command(&["--iterations", FUZZ_ITERATIONS]),
    );
    plan.work("build the image and weigh it", || {
        image::check_size(&image::build()?)
    });
    plan.work("build the user programs", || program::build().map(drop));
    if !options.host_only {
        plan.command("boot the image in QEMU", booted_tests());
    }
    plan.run()
}

fn booted_tests() -> Command {
    cargo::command(&["test", "--locked", "--package", "e2e"])
}

/// Runs the long form of the test that starts many VMs.
fn many(count: u32) -> ExitCode {
    let mut plan = Plan::default();
    plan.work("set up the machine", setup::run);
    let mut command = booted_tests();
    command
        .args(["--test", "cli", "--", "many", "--nocapture"])
        .env("MOTE_MANY", count.to_string());
    plan.command("start, use and stop VMs", command);
    plan.run()
}

/// Runs the booting tests again and again: a test that fails now and then is a mistake in it or in the image.
fn repeat(runs: u32) -> ExitCode {
    let mut plan = Plan::default();
    plan.work("set up the machine", setup::run);
    plan.work("boot the image in QEMU, repeatedly", move || {
        let mut failed = Vec::new();
        for run in 1..=runs {
            eprintln!("\n── run {run} of {runs}, {} failed so far", failed.len());
            if !booted_tests().status()?.success() {
                failed.push(run);
            }
        }
        println!(
            "{runs} runs: {} passed, {} failed",
            runs as usize - failed.len(),
            failed.len()
        );
        if !failed.is_empty() {
            bail!("runs {failed:?} of {runs} failed");
        }
        Ok(())
    });
    plan.run()
}

fn host_lint() -> Command {
    let mut command = cargo::command(&["clippy", "--locked", "--all-targets"]);
    command
        .args(HOST_PACKAGES)
        .args(["--", "--deny", "warnings"]);
    command
}

fn guest_lint(package: &str) -> Command {
    cargo::command(&[
        "clippy",
        "--locked",
        "--profile",
        "image",
        "--package",
        package,
        "--",
        "--deny",
        "warnings",
    ])
}

fn unit_tests() -> Command {
    let mut command = cargo::command(&["test", "--locked"]);
    command.args(HOST_PACKAGES).args(["--exclude", "e2e"]);
    command
}
