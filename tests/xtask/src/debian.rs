//! A root file system of Debian packages, for tests of unmodified programs: `target/debian/root` and an ext4 disk made
//! from it, `target/debian/root.ext4`.
//!
//! The packages are those of the release this machine runs, with everything they depend on. They are downloaded once
//! (`apt-get download`), unpacked and never configured: what their scripts would do that tests need is done here. The tree
//! also gets the scripts of `tests/e2e/scripts`, as `/scripts`, the C sources of `tests/e2e/project` and `tests/e2e/musl`, as
//! `/project` and `/musl`, and the program of `tests/e2e/go`, compiled here by Debian's Go, whose half a gigabyte is thrown away then.

use crate::progress::Progress;
use crate::{output, place};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What tests run. Dependencies follow by themselves.
const WANTED: [&str; 21] = [
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
    "make",
    "musl",
    "musl-dev",
    "ncurses-base",
    "perl-base",
    "procps",
    "python3-minimal",
    "sed",
    "tar",
    "tcc",
    "xz-utils",
];

/// The compiler of Go and its library, without what they depend on: they run here, and nothing of them on the disk.
const GO: [&str; 2] = ["golang-1.19-go", "golang-1.19-src"];

/// Where these are, once they are unpacked.
const GO_ROOT: &str = "usr/lib/go-1.19";

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
    let source = describe()?;
    let stamp = folder.join(STAMP);
    if image.is_file() && fs::read_to_string(&stamp).is_ok_and(|known| known == source) {
        println!("{}", place::shown(&image));
        return Ok(());
    }
    let progress = Progress::start("Making a disk of Debian packages");
    let packages = download(&folder.join("packages"), &dependencies()?)?;
    let tree = folder.join("root");
    if tree.exists() {
        fs::remove_dir_all(&tree).context("the old tree cannot be removed")?;
    }
    fs::create_dir(&tree)?;
    unpack(&packages, &tree)?;
    furnish(&tree)?;
    compile_go(&folder, &tree.join("usr/bin/goroutines"))?;
    // Complete or not there, whoever else makes it at the same time.
    let new = image.with_extension(std::process::id().to_string());
    mote_host::disk::build_ext4(&tree, &new)?;
    fs::rename(&new, &image)?;
    fs::write(stamp, source)?;
    progress.finish();
    println!("{}", place::shown(&image));
    Ok(())
}

/// Says what the disk is made from: the packages' names, and our own files with their content.
fn describe() -> Result<String> {
    let mut source = WANTED.join(" ");
    source += &GO.join(" ");
    for name in OURS {
        for file in files(&ours(name))? {
            source += &format!("\n{}\n", file.display());
            source += &fs::read_to_string(file)?;
        }
    }
    Ok(source)
}

/// Folders of `tests/e2e` whose files the disk is made from, too.
const OURS: [&str; 4] = ["scripts", "project", "musl", "go"];

fn ours(name: &str) -> PathBuf {
    place::root().join("tests/e2e").join(name)
}

/// Returns the names of the packages that are wanted and of those they depend on.
fn dependencies() -> Result<Vec<String>> {
    let mut depends = Command::new("apt-cache");
    depends.args(["depends", "--recurse", "--no-recommends", "--no-suggests"]);
    depends.args(["--no-conflicts", "--no-breaks", "--no-replaces"]);
    let listed = output::of(depends.arg("--no-enhances").args(WANTED))?;
    // A package stands at the start of a line; `<…>` is a name several packages provide.
    let names = listed
        .lines()
        .filter(|line| !line.starts_with([' ', '<']))
        .filter(|line| !line.contains(':'));
    Ok(names.map(str::to_owned).collect())
}

/// Downloads packages to a folder, unless it holds just these; returns their files.
fn download(folder: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
    let stamp = folder.with_extension("names");
    let wanted = names.join(" ");
    let known = files(folder).unwrap_or_default();
    if !known.is_empty() && fs::read_to_string(&stamp).is_ok_and(|known| known == wanted) {
        return Ok(known);
    }
    // Downloaded as root, so that the folder's owner does not matter; complete or not there.
    let new = folder.with_extension(std::process::id().to_string());
    fs::create_dir(&new)?;
    let mut fetch = Command::new("apt-get");
    fetch.args(["-q", "-o", "APT::Sandbox::User=root", "download"]);
    output::of(fetch.args(names).current_dir(&new)).context(
        "the Debian packages cannot be downloaded: that needs a Debian machine with a network and `apt-get update`",
    )?;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(&new, folder)?;
    fs::write(stamp, wanted)?;
    files(folder)
}

/// Unpacks packages into a tree.
fn unpack(packages: &[PathBuf], tree: &Path) -> Result<()> {
    for package in packages {
        let mut unpack = Command::new("dpkg-deb");
        output::of(unpack.arg("-x").arg(package).arg(tree))?;
    }
    Ok(())
}

/// Compiles the program of Go to `program`: static, as Go's are without C.
fn compile_go(folder: &Path, program: &Path) -> Result<()> {
    let packages = download(&folder.join("go"), &GO.map(str::to_owned))?;
    let tree = folder.join("go-tree");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    unpack(&packages, &tree)?;
    let root = tree.join(GO_ROOT);
    let mut compile = Command::new(root.join("bin/go"));
    compile
        .args(["build", "-trimpath", "-o"])
        .arg(program)
        .arg("goroutines.go")
        .current_dir(ours("go"))
        .env("GOROOT", &root)
        .env("GOCACHE", tree.join("cache"))
        .env("GOPATH", tree.join("path"))
        .envs([("GO111MODULE", "off"), ("CGO_ENABLED", "0")]);
    output::of(&mut compile).context("the program of Go does not compile")?;
    fs::remove_dir_all(&tree)?;
    Ok(())
}

/// Does what the packages' scripts would do, as far as tests need it.
fn furnish(tree: &Path) -> Result<()> {
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
    for name in ["scripts", "project", "musl"] {
        fs::create_dir(tree.join(name))?;
        for file in files(&ours(name))? {
            let path = tree
                .join(name)
                .join(file.file_name().context("a file has a name")?);
            fs::copy(&file, &path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
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
