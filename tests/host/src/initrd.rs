//! Initrds: cpio archives in the "newc" format (Linux `Documentation/driver-api/early-userspace/buffer-format.rst`).

use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";

/// The users and groups of the default initrd.
const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &[u8] = b"root:x:0:\nnogroup:x:65534:\n";

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// An archive being written. Directories above an entry are added by themselves.
///
/// ```
/// let archive = mote_host::initrd::Archive::new()
///     .file("bin/hello", 0o755, b"#!/bin/sh\necho hello\n")
///     .symlink("bin/greet", "hello")
///     .finish();
/// assert!(archive.starts_with(b"070701"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    directories: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// An empty archive.
    ///
    /// # Example
    ///
    /// ```
    /// let empty = mote_host::initrd::Archive::new().finish();
    /// assert!(empty.starts_with(b"070701"));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory.
    ///
    /// # Example
    ///
    /// ```
    /// let archive = mote_host::initrd::Archive::new().directory("var/log").finish();
    /// assert!(archive.windows(7).any(|name| name == b"var/log"));
    /// ```
    #[must_use]
    pub fn directory(mut self, path: &str) -> Self {
        self.add_directory(path.trim_matches('/'));
        self
    }

    /// Adds a file with these permissions.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let archive = initrd::Archive::new()
    ///     .file("bin/busybox", 0o755, &initrd::find_busybox()?.1)
    ///     .file("etc/motd", 0o644, b"welcome\n")
    ///     .finish();
    /// let vm = Vm::start(VmConfig::new().initrd_bytes(archive))?;
    /// let cat = ProcessConfig::new(["/bin/busybox", "cat", "/etc/motd"]);
    /// let output = vm.connect()?.create_process(&cat)?.output(b"")?;
    /// assert_eq!(output.stdout, b"welcome\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn file(mut self, path: &str, permissions: u32, content: &[u8]) -> Self {
        self.add(path, S_IFREG | permissions, content);
        self
    }

    /// Adds a symbolic link.
    ///
    /// # Example
    ///
    /// ```
    /// let archive = mote_host::initrd::Archive::new()
    ///     .file("bin/busybox", 0o755, b"...")
    ///     .symlink("bin/sh", "busybox")
    ///     .finish();
    /// assert!(archive.windows(6).any(|name| name == b"bin/sh"));
    /// ```
    #[must_use]
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.add(path, S_IFLNK | 0o777, target.as_bytes());
        self
    }

    /// Returns the archive's bytes.
    ///
    /// # Example
    ///
    /// ```
    /// let archive = mote_host::initrd::Archive::new().file("hello", 0o644, b"hello\n").finish();
    /// assert_eq!(archive.len() % 4, 0);
    /// ```
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.write(TRAILER, 0, b"");
        self.bytes
    }

    fn add(&mut self, path: &str, mode: u32, content: &[u8]) {
        let path = path.trim_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.add_directory(parent);
        }
        self.write(path, mode, content);
    }

    /// Adds a directory and those above it, each once.
    fn add_directory(&mut self, path: &str) {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let directory = &path[..end];
            if !directory.is_empty() && self.directories.insert(directory.to_owned()) {
                self.write(directory, S_IFDIR | 0o755, b"");
            }
        }
    }

    fn write(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let inode = self.entries;
        let links = if mode & S_IFMT == S_IFDIR { 2 } else { 1 };
        let size = u32::try_from(content.len())
            .expect("a file of an initrd is smaller than 4 GiB: QEMU loads it below");
        let name_size = u32::try_from(name.len() + 1).expect("a name is short");
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(MAGIC.as_bytes());
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}

/// Returns an initrd with the host's static busybox as `/bin/busybox`, a link for each of its applets, and the
/// directories programs expect.
///
/// # Errors
///
/// [`Error::Io`] when there is no busybox, or it is not static.
///
/// # Example
///
/// ```
/// if let Ok(archive) = mote_host::initrd::busybox() {
///     assert!(archive.starts_with(b"070701"));
/// }
/// ```
pub fn busybox() -> Result<Vec<u8>> {
    let (path, content) = find_busybox()?;
    let mut archive = Archive::new()
        .directory("dev")
        .directory("etc")
        .directory("proc")
        .directory("root")
        .directory("tmp")
        .file("etc/passwd", 0o644, PASSWD)
        .file("etc/group", 0o644, GROUP)
        .file("bin/busybox", 0o755, &content);
    for applet in applets(&path)? {
        archive = archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    Ok(archive.finish())
}

/// Returns the host's static busybox and its content.
///
/// # Errors
///
/// [`Error::Io`] when there is none, or it is not static.
///
/// # Example
///
/// ```
/// match mote_host::initrd::find_busybox() {
///     Ok((path, content)) => println!("{}: {} bytes", path.display(), content.len()),
///     Err(error) => println!("{error}"), // It says what to install.
/// }
/// ```
pub fn find_busybox() -> Result<(PathBuf, Vec<u8>)> {
    const HINT: &str = "install it: `apt-get install busybox-static`";
    let mut reason = format!("not found; {HINT}");
    for path in ["/bin/busybox", "/usr/bin/busybox", "/sbin/busybox"] {
        match fs::read(path) {
            Ok(content) if is_static(&content) => return Ok((path.into(), content)),
            Ok(_) => reason = format!("{path} is linked dynamically; {HINT}"),
            Err(_) => {}
        }
    }
    Err(Error::io(
        "no static busybox for the default initrd",
        std::io::Error::new(std::io::ErrorKind::NotFound, reason),
    ))
}

/// Returns the names busybox can be called by.
///
/// # Errors
///
/// [`Error::Io`] when it cannot be run.
///
/// # Example
///
/// ```
/// if let Ok((path, _)) = mote_host::initrd::find_busybox() {
///     assert!(mote_host::initrd::applets(&path)?.contains(&"sh".to_owned()));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn applets(busybox: &Path) -> Result<Vec<String>> {
    let output = Command::new(busybox)
        .arg("--list")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::io(format!("cannot run {} --list", busybox.display()), error))?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|name| *name != "busybox" && !name.contains('/'))
        .map(str::to_owned)
        .collect())
}

/// Returns whether an ELF file asks for no interpreter.
fn is_static(elf: &[u8]) -> bool {
    /// Program header type of the interpreter's path (ELF specification, `PT_INTERP`).
    const PT_INTERP: u32 = 3;
    let u16_at = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?));
    let headers = || {
        let start = u32_at(0x20)? as usize;
        let (size, count) = (u16_at(0x36)? as usize, u16_at(0x38)? as usize);
        (0..count)
            .map(|index| u32_at(start + index * size))
            .collect::<Option<Vec<_>>>()
    };
    elf.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|types| !types.contains(&PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_cpio_reads() {
        let archive = Archive::new()
            .file("a/b/c", 0o640, b"hello")
            .symlink("a/l", "b/c")
            .directory("empty")
            .finish();
        let mut cpio = Command::new("cpio")
            .args(["-t", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cpio is installed");
        std::io::Write::write_all(&mut cpio.stdin.take().expect("piped"), &archive).expect("taken");
        let output = cpio.wait_with_output().expect("ran");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "a\na/b\na/b/c\na/l\nempty\n"
        );
    }

    #[test]
    fn knows_a_static_program_from_a_dynamic_one() {
        let shell = fs::read("/bin/sh").expect("there is a shell");
        assert!(!is_static(&shell));
        assert!(!is_static(b"#!/bin/sh"));
        assert!(!is_static(&shell[..0x30]));
    }
}
