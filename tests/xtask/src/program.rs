//! The user programs of `tests/programs`, built to where the tests look for them: `target/image/<name>`.
//!
//! Most are `no_std` and built by Cargo like the image. The two of `tests/programs/std` are what a Rust user would
//! ship: the standard library, linked statically, once at a fixed address and once position-independent.

use crate::progress::Progress;
use crate::{cargo, place};
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The programs on the standard library: name and how it is linked.
const STD_PROGRAMS: [(&str, &str); 2] = [("std-hello", "static"), ("std-hello-pie", "pic")];

/// Those that the demo runs.
pub(crate) const DEMO: [&str; 2] = ["exit", "spin"];

/// Builds them all and returns their paths.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    cargo::build(
        "Building the test programs",
        &["--package", "programs", "--profile", "image"],
    )?;
    let mut paths = no_std_programs()?;
    for (name, relocation_model) in STD_PROGRAMS {
        paths.push(build_std(name, relocation_model)?);
    }
    Ok(paths)
}

/// Prints each program and its size.
pub(crate) fn report(paths: &[PathBuf]) {
    for path in paths {
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        println!("{} {bytes} bytes", place::shown(path));
    }
}

/// One binary per file of `src/bin`, as Cargo has it.
fn no_std_programs() -> Result<Vec<PathBuf>> {
    let folder = place::root().join("tests/programs/src/bin");
    let entries = fs::read_dir(&folder)
        .with_context(|| format!("{} cannot be listed", place::shown(&folder)))?;
    let mut paths = Vec::new();
    for entry in entries {
        let source = entry?.path();
        let name = source.file_stem().context("a source file has a name")?;
        let path = place::image_folder().join(name);
        if !path.is_file() {
            bail!(
                "{} was not built; is its [[bin]] in tests/programs/Cargo.toml?",
                place::shown(&path)
            );
        }
        paths.push(path);
    }
    paths.sort();
    Ok(paths)
}

fn build_std(name: &str, relocation_model: &str) -> Result<PathBuf> {
    let source = place::root().join("tests/programs/std/hello.rs");
    let path = place::image_folder().join(name);
    if is_newer(&path, &source) {
        return Ok(path);
    }
    let progress = Progress::start(&format!("Building {name}"));
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    // Complete or not there, whoever else builds it at the same time. The name has no extension: rustc names its object
    // files, which lie beside it, after what stands before one, and two that run at once would share them.
    let new = path.with_file_name(format!("{name}-{}", std::process::id()));
    let status = Command::new(rustc)
        .args([
            "--edition",
            "2024",
            "--crate-name",
            "std_hello",
            "-C",
            "opt-level=s",
            "-C",
            "strip=symbols",
        ])
        .args(["-C", "target-feature=+crt-static", "-C"])
        .arg(format!("relocation-model={relocation_model}"))
        .arg("-o")
        .args([&new, &source])
        .status()
        .context("rustc could not be started")?;
    if !status.success() {
        bail!("{} could not be built ({status})", place::shown(&path));
    }
    fs::rename(&new, &path)?;
    progress.finish();
    Ok(path)
}

fn is_newer(built: &Path, source: &Path) -> bool {
    let modified = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    matches!((modified(built), modified(source)), (Some(built), Some(source)) if built > source)
}
