//! What is booted and what is run: built by Cargo, once, as `cargo xtask` builds it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the guest image, built.
///
/// # Panics
///
/// With Cargo's words, when it cannot be built.
#[must_use]
pub fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        cargo(&[
            "build",
            "--locked",
            "--package",
            "boot",
            "--profile",
            "image",
        ]);
        existing(target().join("image/mote-guest"))
    })
}

/// Returns the guest image with checks on (profile `image-debug`), built.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn checked_image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        cargo(&[
            "build",
            "--locked",
            "--package",
            "boot",
            "--profile",
            "image-debug",
        ]);
        existing(target().join("image-debug/mote-guest"))
    })
}

/// Returns one of the programs of `tests/programs`, built.
///
/// # Panics
///
/// As [`image`], and when there is no program of this name.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static PROGRAMS: OnceLock<()> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        cargo(&[
            "build",
            "--locked",
            "--package",
            "programs",
            "--profile",
            "image",
        ]);
        std_program("std-hello", "static");
        std_program("std-hello-pie", "pic");
    });
    existing(target().join("image").join(name))
}

/// Returns the program that tries system calls, built: static, so that it needs nothing from the system it runs on.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn conform() -> &'static Path {
    static CONFORM: OnceLock<PathBuf> = OnceLock::new();
    CONFORM.get_or_init(|| {
        cargo(&[
            "rustc",
            "--package",
            "conform",
            "--profile",
            "image",
            "--locked",
            "--",
            "-C",
            "target-feature=+crt-static",
        ]);
        existing(target().join("image/conform"))
    })
}

/// Returns the command `mote`, built.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn mote() -> &'static Path {
    static MOTE: OnceLock<PathBuf> = OnceLock::new();
    MOTE.get_or_init(|| {
        cargo(&[
            "build",
            "--locked",
            "--package",
            "mote-host",
            "--bin",
            "mote",
        ]);
        existing(target().join("debug/mote"))
    })
}

/// Builds a program on the standard library as a user would ship it: linked statically.
fn std_program(name: &str, relocation_model: &str) {
    let source = root().join("tests/programs/std/hello.rs");
    let output = target().join("image").join(name);
    // Complete or not there, whoever else builds it at the same time.
    let new = output.with_extension(std::process::id().to_string());
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let model = format!("relocation-model={relocation_model}");
    run(Command::new(rustc)
        .args(["--edition", "2024", "--crate-name", "std_hello"])
        .args(["-C", "opt-level=s", "-C", "strip=symbols"])
        .args(["-C", "target-feature=+crt-static", "-C", &model])
        .arg("-o")
        .args([&new, &source]));
    fs::rename(&new, &output).expect("the target folder takes it");
}

pub(crate) fn cargo(arguments: &[&str]) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo).args(arguments).current_dir(root()));
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/e2e lies two folders below the root")
}

pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}
