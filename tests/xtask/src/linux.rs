//! Debian's cloud kernel, which `bench --linux` puts beside ours: `target/linux/vmlinuz`.
//!
//! The package is downloaded once (`apt-get download`) and unpacked; nothing is installed on this machine.

use crate::progress::Progress;
use crate::{output, place};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that depends on the current kernel for virtual machines.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// Makes sure that the kernel is there and returns its path.
pub(crate) fn kernel() -> Result<PathBuf> {
    let path = place::target().join("linux/vmlinuz");
    if path.is_file() {
        return Ok(path);
    }
    let progress = Progress::start("Downloading Debian's cloud kernel");
    let depends = output::of(Command::new("apt-cache").args(["depends", PACKAGE]))?;
    let name = versioned(&depends)
        .with_context(|| format!("{PACKAGE} depends on no kernel; does `apt-get update` help?"))?;
    // Complete or not there, whoever else does it at the same time.
    let folder = place::target().join(format!("linux-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let mut fetch = Command::new("apt-get");
    fetch.args(["-q", "-o", "APT::Sandbox::User=root", "download", name]);
    output::of(fetch.current_dir(&folder)).context(
        "the kernel cannot be downloaded: that needs a Debian machine with a network and `apt-get update`",
    )?;
    let package = file(&folder, "linux-image-")?;
    let tree = folder.join("tree");
    let mut unpack = Command::new("dpkg-deb");
    output::of(unpack.arg("-x").args([&package, &tree]))?;
    let kernel = file(&tree.join("boot"), "vmlinuz-")?;
    fs::create_dir_all(place::target().join("linux"))?;
    fs::rename(kernel, &path)?;
    fs::remove_dir_all(&folder)?;
    progress.finish();
    Ok(path)
}

/// Returns the kernel's package in what `apt-cache depends` prints.
fn versioned(depends: &str) -> Option<&str> {
    let mut names = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.rfind(|name| name.starts_with("linux-image-") && *name != PACKAGE)
}

/// Returns the file of a folder whose name begins so.
fn file(folder: &Path, beginning: &str) -> Result<PathBuf> {
    let paths = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(beginning)
    };
    paths
        .into_iter()
        .find(is_wanted)
        .with_context(|| format!("no {beginning}… in {}", place::shown(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_package_of_the_current_kernel() {
        let words = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(versioned(words), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(versioned("linux-image-cloud-amd64\n"), None);
    }
}
