//! A root file system of Debian packages, for tests of unmodified programs: `target/debian/root` and an ext4 disk made
//! from it, `target/debian/root.ext4`.
//!
//! The packages are those of the release this machine runs, with everything they depend on. They are downloaded once
//! (`apt-get download`), unpacked and never configured: what their scripts would do that tests need is done here. The tree
//! also gets the scripts of `tests/e2e/scripts`, as `/scripts`.

use crate::progress::Progress;
use crate::{output, place};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What tests run. Dependencies follow by themselves.
const WANTED: [&str; 16] = [
    "bash",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "gawk",
    "grep",
    "gzip",
    "libc6",
    "libpython3-stdlib",
    "perl-base",
    "procps",
    "python3-minimal",
    "sed",
    "tar",
    "xz-utils",
];

/// Folders of the packages that no program needs to run.
const UNNEEDED: [&str; 5] = [
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/lintian",
];

/// Folders that are made, and stay empty.
const FOLDERS: [&str; 7] = ["dev", "proc", "root", "run", "tmp", "sys", "var/tmp"];

/// The file that says what the tree was made from.
const STAMP: &str = "made-from";

/// Makes the disk, unless it is there and what it is made from is as it was; prints its path.
pub(crate) fn run() -> Result<()> {
    let folder = place::target().join("debian");
    let image = folder.join("root.ext4");
    fs::create_dir_all(folder.join("packages"))?;
    let scripts = place::root().join("tests/e2e/scripts");
    let source = describe(&scripts)?;
    let stamp = folder.join(STAMP);
    if image.is_file() && fs::read_to_string(&stamp).is_ok_and(|known| known == source) {
        println!("{}", place::shown(&image));
        return Ok(());
    }
    let progress = Progress::start("Making a disk of Debian packages");
    let packages = download(&folder.join("packages"))?;
    let tree = folder.join("root");
    if tree.exists() {
        fs::remove_dir_all(&tree).context("the old tree cannot be removed")?;
    }
    fs::create_dir(&tree)?;
    for package in &packages {
        let mut unpack = Command::new("dpkg-deb");
        output::of(unpack.arg("-x").args([package, &tree]))?;
    }
    furnish(&tree, &scripts)?;
    // Complete or not there, whoever else makes it at the same time.
    let new = image.with_extension(std::process::id().to_string());
    mote_host::disk::build_ext4(&tree, &new)?;
    fs::rename(&new, &image)?;
    fs::write(stamp, source)?;
    progress.finish();
    println!("{}", place::shown(&image));
    Ok(())
}

/// Says what the disk is made from: the packages' names, and the scripts with their content.
fn describe(scripts: &Path) -> Result<String> {
    let mut source = WANTED.join(" ");
    for script in files(scripts)? {
        source += &format!("\n{}\n", script.display());
        source += &fs::read_to_string(script)?;
    }
    Ok(source)
}

/// Downloads the packages that are not there yet; returns all of them.
fn download(folder: &Path) -> Result<Vec<PathBuf>> {
    let known = files(folder)?;
    if !known.is_empty() {
        return Ok(known);
    }
    let mut depends = Command::new("apt-cache");
    depends.args(["depends", "--recurse", "--no-recommends", "--no-suggests"]);
    depends.args(["--no-conflicts", "--no-breaks", "--no-replaces"]);
    let listed = output::of(depends.arg("--no-enhances").args(WANTED))?;
    // A package stands at the start of a line; `<…>` is a name several packages provide.
    let names = listed
        .lines()
        .filter(|line| !line.starts_with([' ', '<']))
        .filter(|line| !line.contains(':'));
    // Downloaded as root, so that the folder's owner does not matter; complete or not there.
    let new = folder.with_extension(std::process::id().to_string());
    fs::create_dir(&new)?;
    let mut fetch = Command::new("apt-get");
    fetch.args(["-q", "-o", "APT::Sandbox::User=root", "download"]);
    output::of(fetch.args(names).current_dir(&new)).context(
        "the Debian packages cannot be downloaded: that needs a Debian machine with a network and `apt-get update`",
    )?;
    fs::remove_dir(folder)?;
    fs::rename(&new, folder)?;
    files(folder)
}

/// Does what the packages' scripts would do, as far as tests need it.
fn furnish(tree: &Path, scripts: &Path) -> Result<()> {
    for folder in UNNEEDED {
        let path = tree.join(folder);
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    for folder in FOLDERS {
        fs::create_dir_all(tree.join(folder))?;
    }
    if !tree.join("bin/sh").exists() {
        symlink("dash", tree.join("bin/sh"))?;
    }
    let awk = tree.join("usr/bin/awk");
    if !awk.exists() {
        symlink("gawk", awk)?;
    }
    fs::create_dir_all(tree.join("etc"))?;
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n")?;
    fs::write(tree.join("etc/group"), "root:x:0:\n")?;
    // Where the tree is entered on the host, for comparison, nothing is mounted there.
    fs::write(tree.join("dev/null"), "")?;
    fs::create_dir(tree.join("scripts"))?;
    for script in files(scripts)? {
        let name = script.file_name().context("a file has a name")?;
        let path = tree.join("scripts").join(name);
        fs::copy(&script, &path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Returns the files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("{} cannot be listed", place::shown(folder)))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
