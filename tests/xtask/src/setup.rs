//! What the machine must have, and how it gets it.
//!
//! Two kinds of things: Debian packages, and the vsock back end that no distribution packages yet, which Cargo builds
//! into `target/tools` at a pinned version. When nothing is missing nothing is said.

use crate::{cargo, place};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A Debian package and a file of it that we run. Where there is no `dpkg`, the file alone is asked for.
struct Package {
    name: &'static str,
    program: &'static str,
}

const PACKAGES: [Package; 3] = [
    Package {
        name: "qemu-system-x86",
        program: "qemu-system-x86_64",
    },
    Package {
        name: "busybox-static",
        program: "busybox",
    },
    Package {
        name: "e2fsprogs",
        program: "mkfs.ext4",
    },
];

/// The user-space vsock device beside QEMU, and the version that the guest is tested with.
const BACK_END: &str = "vhost-device-vsock";
const BACK_END_VERSION: &str = "0.3.0";

/// Folders that hold system programs though a user's `PATH` may lack them.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Installs what is missing; says so; returns at once when nothing is.
pub(crate) fn run() -> Result<()> {
    install_packages(&missing_packages())?;
    if !has_back_end() {
        install_back_end()?;
    }
    Ok(())
}

fn missing_packages() -> Vec<&'static str> {
    let is_missing = |package: &&Package| {
        !is_installed(package.name).unwrap_or_else(|| has_program(package.program))
    };
    PACKAGES
        .iter()
        .filter(is_missing)
        .map(|package| package.name)
        .collect()
}

/// Asks `dpkg`; `None` where the machine has none.
fn is_installed(package: &str) -> Option<bool> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f=${Status}", package])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Some(output.stdout.ends_with(b" installed"))
}

fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(Into::into))
        .any(|folder| folder.join(name).is_file())
}

fn install_packages(missing: &[&str]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !has_program("apt-get") {
        bail!("these Debian packages, or your system's like of them, are missing: {names}");
    }
    if !is_root()? {
        bail!(
            "missing packages; install them and try again:\n\n    sudo apt-get install --no-install-recommends {names}\n"
        );
    }
    eprintln!("setup: installing {names} with apt-get");
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], missing].concat())
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context("apt-get could not be started")?;
    if !status.success() {
        bail!("`apt-get {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}

fn is_root() -> Result<bool> {
    let output = Command::new("id")
        .arg("-u")
        .output()
        .context("`id -u` could not be started")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// Whether the pinned version is installed: Cargo keeps its own record beside the binaries.
fn has_back_end() -> bool {
    let tools = place::tools();
    let record = fs::read_to_string(tools.join(".crates.toml")).unwrap_or_default();
    tools.join("bin").join(BACK_END).is_file()
        && records_version(&record, BACK_END, BACK_END_VERSION)
}

fn records_version(record: &str, name: &str, version: &str) -> bool {
    record.contains(&format!("\"{name} {version} ("))
}

fn install_back_end() -> Result<()> {
    let root = place::tools();
    eprintln!(
        "setup: building {BACK_END} {BACK_END_VERSION} into {} (about a minute)",
        place::shown(&root)
    );
    let status = cargo::command(&["install", "--locked", "--quiet", "--force", "--root"])
        .arg(&root)
        .args(["--version", &format!("={BACK_END_VERSION}"), BACK_END])
        // Outside the workspace, so that its settings are not applied to somebody else's program.
        .current_dir(
            root.parent()
                .filter(|folder| folder.is_dir())
                .unwrap_or(Path::new("/")),
        )
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("`cargo install {BACK_END}` failed ({status})");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "[v1]\n\"vhost-device-vsock 0.3.0 (registry+https://example.org/index)\" = [\"vhost-device-vsock\"]\n";

    #[test]
    fn finds_the_pinned_version_in_cargos_record() {
        assert!(records_version(RECORD, BACK_END, "0.3.0"));
    }

    #[test]
    fn does_not_take_another_version_or_another_crate_for_it() {
        assert!(!records_version(RECORD, BACK_END, "0.3.1"));
        assert!(!records_version(RECORD, BACK_END, "0.3"));
        assert!(!records_version(RECORD, "vhost-device", "0.3.0"));
        assert!(!records_version("", BACK_END, "0.3.0"));
    }
}
