//! The fuzz targets under libFuzzer.
//!
//! Coverage is collected by an LLVM pass that the stable compiler has as well, so neither a nightly toolchain nor
//! `cargo-fuzz` is needed; libFuzzer itself is C++ and wants a C++ compiler.

use crate::progress::Progress;
use crate::{cargo, place};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The flags that `cargo-fuzz` passes when no sanitizer is asked for.
const COVERAGE: &str = "-Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares \
     -Ccodegen-units=1";
/// Naming the target keeps the flags away from build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Builds the driver and returns the command that feeds `target`. Inputs that reached something new are kept in
/// `target/findings/corpus`, breaking ones in `target/findings`.
pub(crate) fn command(target: &str, runs: u64, seed: u64) -> Result<Command> {
    let findings = place::target().join("findings");
    let corpus = findings.join("corpus").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    export_examples(target, &corpus)?;

    let folder = place::target().join("libfuzzer");
    let progress = Progress::start("Building the libFuzzer driver");
    let status = cargo::command(&["build", "--quiet", "--release", "--target", TRIPLE])
        .args([
            "--manifest-path",
            "tests/fuzz/libfuzzer/Cargo.toml",
            "--target-dir",
        ])
        .arg(&folder)
        .env("RUSTFLAGS", COVERAGE)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("the libFuzzer driver could not be built ({status}); is there a C++ compiler?");
    }
    progress.finish();

    let mut command = Command::new(folder.join(TRIPLE).join("release/mote-libfuzzer"));
    command
        .current_dir(place::root())
        .env("MOTE_FUZZ_TARGET", target)
        .arg(format!("-runs={runs}"))
        .arg(format!("-seed={seed}"))
        .arg(format!("-artifact_prefix={}/{target}-", findings.display()))
        .arg(&corpus);
    Ok(command)
}

fn export_examples(target: &str, corpus: &Path) -> Result<()> {
    let status = crate::tool::fuzz_command(&["--export"])
        .args([corpus.as_os_str(), target.as_ref()])
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("the examples of {target} could not be written");
    }
    Ok(())
}
