//! Disk images for tests.

use mote_host::disk::build_ext4;
use mote_host::initrd::find_busybox;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// What busybox and the tests expect of a root file system.
const FOLDERS: [&str; 8] = ["bin", "dev", "etc", "proc", "root", "run", "tmp", "data"];

/// Names that are links to busybox on the disk, as an installation makes them.
const APPLETS: [&str; 22] = [
    "sh",
    "true",
    "false",
    "echo",
    "cat",
    "ls",
    "stat",
    "head",
    "wc",
    "sha256sum",
    "dd",
    "sleep",
    "date",
    "env",
    "printf",
    "pwd",
    "uname",
    "seq",
    "sort",
    "grep",
    "sed",
    "awk",
];

/// A directory tree in the making, and the image made from it. Both are removed with it.
#[derive(Debug)]
pub struct Tree {
    directory: TempDir,
}

impl Tree {
    /// An empty tree.
    ///
    /// # Panics
    ///
    /// When there is no room for it.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("mote-e2e-").expect("a temporary directory");
        fs::create_dir(directory.path().join("tree")).expect("a new directory is empty");
        Self { directory }
    }

    /// A tree with busybox under `/bin` and some files to look at under `/data`.
    ///
    /// # Panics
    ///
    /// When the host has no static busybox.
    #[must_use]
    pub fn with_busybox() -> Self {
        let tree = Self::new();
        for folder in FOLDERS {
            fs::create_dir(tree.path(folder)).expect("new");
        }
        let (busybox, _) = host_busybox();
        tree.copy(busybox, "bin/busybox");
        for applet in APPLETS {
            symlink("busybox", tree.path(&format!("bin/{applet}"))).expect("new");
        }
        let numbers: String = (1..=5000)
            .map(|n| format!("{} line {n}\n", n * 7919 % 5000))
            .collect();
        tree.file("data/numbers", numbers.as_bytes());
        tree.file("data/empty", b"");
        tree.file("data/binary", &pattern(3 * 1024 * 1024 + 17));
        tree.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n");
        tree
    }

    /// Returns where a file of the tree lies on the host.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("tree").join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn file(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("written");
    }

    /// Copies a program from the host.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn copy(&self, source: &Path, name: &str) {
        fs::copy(source, self.path(name)).expect("copied");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("owned");
    }

    /// Makes the image, in the tree's own directory.
    ///
    /// # Panics
    ///
    /// With mke2fs's words, when it cannot.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        let image = self.directory.path().join("image.ext4");
        build_ext4(&self.path(""), &image).unwrap_or_else(|error| panic!("{error}"));
        image
    }
}

/// Returns the host's static busybox and its bytes.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn host_busybox() -> &'static (PathBuf, Vec<u8>) {
    static BUSYBOX: OnceLock<(PathBuf, Vec<u8>)> = OnceLock::new();
    BUSYBOX.get_or_init(|| find_busybox().unwrap_or_else(|error| panic!("{error}")))
}

/// Returns the disk most tests boot from. It also holds every program of `tests/programs` under `/programs`.
#[must_use]
pub fn busybox_disk() -> &'static Path {
    static DISK: OnceLock<PathBuf> = OnceLock::new();
    DISK.get_or_init(|| {
        let tree = Tree::with_busybox();
        fs::create_dir(tree.path("programs")).expect("new");
        for program in crate::build::programs() {
            let name = program.file_name().and_then(|name| name.to_str());
            tree.copy(program, &format!("programs/{}", name.expect("text")));
        }
        // A static is never dropped, so this one image lies where builds do, and replaces that of the run before.
        let kept = crate::build::target().join("e2e-busybox.ext4");
        let new = kept.with_extension(std::process::id().to_string());
        fs::copy(tree.image(), &new)
            .and_then(|_| fs::rename(&new, &kept))
            .expect("the target folder takes it");
        kept
    })
}

/// Returns a disk that holds one file with its number.
#[must_use]
pub fn marker_disk(number: usize) -> (Tree, PathBuf) {
    let tree = Tree::new();
    tree.file("marker", format!("disk {number}\n").as_bytes());
    let image = tree.image();
    (tree, image)
}

/// Changes an image as debugfs(8) is told to.
///
/// # Panics
///
/// With its words, when it cannot.
pub fn debugfs(image: &Path, commands: &[&str]) {
    let script = image.with_extension("debugfs");
    fs::write(&script, commands.join("\n")).expect("written");
    let output = Command::new("/usr/sbin/debugfs")
        .args(["-w", "-f"])
        .args([&script, image])
        .output()
        .expect("e2fsprogs is installed");
    let words = String::from_utf8_lossy(&output.stderr);
    // It prints its version, and nothing else when all went well.
    assert!(words.lines().count() == 1, "{words}");
}

/// Puts an image into the second partition of a disk with a GUID partition table (UEFI 2.10, 5.3). Returns the disk, and
/// where the partition starts and how long it is, in bytes.
///
/// # Panics
///
/// When there is no room for it.
#[must_use]
pub fn gpt_disk(tree: &Tree, image: &Path) -> (PathBuf, u64, u64) {
    const FIRST: u64 = 2053;
    let content = fs::read(image).expect("readable");
    let sectors = content.len() as u64 / 512;
    let last = FIRST + sectors - 1;
    let total = last + 34;
    let mut entries = vec![0; 128 * 128];
    for (nth, (start, end)) in [(40, FIRST - 1), (FIRST, last)].into_iter().enumerate() {
        let entry = &mut entries[nth * 128..][..128];
        entry[..16].fill(0xaa);
        entry[16..32].fill(nth as u8 + 1);
        entry[32..40].copy_from_slice(&u64::to_le_bytes(start));
        entry[40..48].copy_from_slice(&u64::to_le_bytes(end));
    }
    let header = |here: u64, other: u64, list: u64| {
        let mut header = vec![0; 512];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x0001_0000_u32.to_le_bytes());
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        for (at, value) in [
            (24, here),
            (32, other),
            (40, 34),
            (48, total - 34),
            (72, list),
        ] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        for (at, value) in [(80, 128), (84, 128), (88, crc32(&entries))] {
            header[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        }
        let crc = crc32(&header[..92]);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header
    };
    let mut disk = vec![0; total as usize * 512];
    let mut put = |sector: u64, bytes: &[u8]| {
        disk[sector as usize * 512..][..bytes.len()].copy_from_slice(bytes);
    };
    put(1, &header(1, total - 1, 2));
    put(2, &entries);
    put(FIRST, &content);
    put(total - 33, &entries);
    put(total - 1, &header(total - 1, 1, total - 33));
    let path = tree.directory.path().join("partitioned");
    fs::write(&path, disk).expect("written");
    (path, FIRST * 512, sectors * 512)
}

/// CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc: u32, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

/// Returns a disk with busybox and a file `/data/large` that no page cache holds, and the file's length. All of the file
/// is a hole but its last byte.
///
/// # Panics
///
/// When there is no room for it.
#[must_use]
pub fn large_file_disk() -> (Tree, PathBuf, u64) {
    const LENGTH: u64 = (640 << 20) + 7;
    let tree = Tree::with_busybox();
    let file = fs::File::create(tree.path("data/large")).expect("new");
    file.set_len(LENGTH).expect("a hole takes no room");
    let image = tree.image();
    (tree, image, LENGTH)
}

/// Returns bytes in which a lost, doubled or exchanged block shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}
