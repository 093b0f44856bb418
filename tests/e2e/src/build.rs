//! What is booted and what is run: built by Cargo, once, as `cargo xtask` builds it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the guest image, built and packed as it is shipped.
///
/// # Panics
///
/// With Cargo's words, when it cannot be built.
#[must_use]
pub fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        chore("image");
        existing(target().join("image/mote-guest"))
    })
}

/// Returns the kernel of [`image`] as it is linked, built. A VMM loads it too.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn kernel() -> PathBuf {
    existing(image().with_file_name("mote-kernel"))
}

/// Returns the linked stub that unpacks the kernel, built.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn stub() -> PathBuf {
    existing(image().with_file_name("mote-unpack"))
}

/// Returns the kernel with checks on (profile `image-debug`), built; it is not packed.
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
        existing(target().join("image-debug/mote-kernel"))
    })
}

/// Returns one of the programs of `tests/programs`, built.
///
/// # Panics
///
/// As [`image`], and when there is no program of this name.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = target().join("image").join(name);
    assert!(programs().contains(&path), "there is no program {name}");
    path
}

/// Returns the programs of `tests/programs`, built.
pub(crate) fn programs() -> &'static [PathBuf] {
    static PROGRAMS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        // Not all of them are built by Cargo: the chore knows how, and says what there is, a program and its size in a line.
        let said = chore("programs");
        let paths = said.lines().filter_map(|line| line.split(' ').next());
        let names = paths.filter_map(|path| Path::new(path).file_name());
        names
            .map(|name| existing(target().join("image").join(name)))
            .collect()
    })
}

/// Returns the program that tries system calls, built: static, so that it needs nothing from the system it runs on.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn conform() -> &'static Path {
    static CONFORM: OnceLock<PathBuf> = OnceLock::new();
    CONFORM.get_or_init(|| static_program("conform", "conform"))
}

/// Returns the program that does what no program may, built as [`conform`] is.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn isolation() -> &'static Path {
    static ISOLATION: OnceLock<PathBuf> = OnceLock::new();
    ISOLATION.get_or_init(|| static_program("hostile", "isolation"))
}

/// Returns the program that makes random calls, built as [`conform`] is.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn random_calls_program() -> &'static Path {
    static CALLS: OnceLock<PathBuf> = OnceLock::new();
    CALLS.get_or_init(|| static_program("hostile", "random-calls"))
}

/// Returns the program that takes as much as it gets, built as [`conform`] is.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn bomb() -> &'static Path {
    static BOMB: OnceLock<PathBuf> = OnceLock::new();
    BOMB.get_or_init(|| static_program("hostile", "bomb"))
}

/// Returns the program that asks for what there is not, built as [`conform`] is.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn refused() -> &'static Path {
    static REFUSED: OnceLock<PathBuf> = OnceLock::new();
    REFUSED.get_or_init(|| static_program("hostile", "refused"))
}

/// Returns the program that speaks with its host, built as [`conform`] is.
///
/// # Panics
///
/// As [`image`].
#[must_use]
pub fn vsock_program() -> &'static Path {
    static VSOCK: OnceLock<PathBuf> = OnceLock::new();
    VSOCK.get_or_init(|| static_program("vsock-program", "vsock-program"))
}

/// Builds a program on the standard library, linked statically.
fn static_program(package: &str, name: &str) -> PathBuf {
    cargo(&[
        "rustc",
        "--package",
        package,
        "--bin",
        name,
        "--profile",
        "image",
        "--locked",
        "--",
        "-C",
        "target-feature=+crt-static",
    ]);
    existing(target().join("image").join(name))
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

/// Has `cargo xtask` do a chore, and returns what it says.
pub(crate) fn chore(name: &str) -> String {
    cargo(&[
        "run",
        "--quiet",
        "--locked",
        "--package",
        "xtask",
        "--",
        name,
    ])
}

pub(crate) fn cargo(arguments: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo).args(arguments).current_dir(root()))
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

pub(crate) fn root() -> &'static Path {
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
