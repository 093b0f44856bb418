//! A root file system of Debian packages, and the same one as the host's kernel sees it.

use crate::build;
use mote_host::Output;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What every program of the tests finds in its environment.
pub const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/bin:/bin"), ("LC_ALL", "C")];

/// Returns the disk, made by `cargo xtask debian` unless it is there.
///
/// # Panics
///
/// With the words of that chore: without a Debian machine, or a network at the first time, it cannot be made.
#[must_use]
pub fn debian_disk() -> &'static Path {
    static DISK: OnceLock<PathBuf> = OnceLock::new();
    DISK.get_or_init(|| {
        build::chore("debian");
        build::target().join("debian/root.ext4")
    })
}

/// Runs a program of the disk on the host's kernel, in the tree the disk was made from.
///
/// # Panics
///
/// When the host does not let us enter the tree.
#[must_use]
pub fn on_debian_host(args: &[&str]) -> Output {
    // The tree lies beside the disk.
    let tree = debian_disk().with_extension("");
    let mut command = if is_root() {
        Command::new("chroot")
    } else {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "chroot"]);
        command
    };
    let output = command
        .arg(tree)
        .args(["/usr/bin/env", "-i"])
        .args(ENVIRONMENT.map(|(name, value)| format!("{name}={value}")))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("chroot is part of coreutils, unshare of util-linux");
    Output {
        exit_code: output.status.code().expect("not signalled").cast_unsigned(),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
