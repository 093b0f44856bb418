//! Disk images: an ext4 file system from a directory, made by e2fsprogs.

use crate::error::{Error, Result};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Block size of the images.
const BLOCK_BYTES: u64 = 4096;

/// Bytes of an inode (mke2fs's default).
const INODE_BYTES: u64 = 256;

/// Bytes an image has beside its files: superblock, descriptors, bitmaps and `lost+found`.
const BASE_BYTES: u64 = 1024 * 1024;

/// What a directory needs in an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Need {
    inodes: u64,
    blocks: u64,
}

/// Writes an ext4 image with the content of a directory: owners, modes, links and times as they are there. Returns the
/// image's size in bytes. An image that exists is replaced.
///
/// # Errors
///
/// [`Error::Io`] when the directory cannot be read, e2fsprogs is missing, or mke2fs fails (with its words).
///
/// # Example
///
/// ```
/// use mote_host::disk;
/// let directory = tempfile::tempdir()?;
/// let tree = directory.path().join("tree");
/// std::fs::create_dir(&tree)?;
/// std::fs::write(tree.join("hello"), "hello\n")?;
/// let image = directory.path().join("root.ext4");
/// let bytes = disk::build_ext4(&tree, &image)?;
/// assert_eq!(std::fs::metadata(&image)?.len(), bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn build_ext4(directory: &Path, image: &Path) -> Result<u64> {
    let need = measure(directory)
        .map_err(|error| Error::io(format!("cannot read {}", directory.display()), error))?;
    // Room for indirect extent blocks and rounding, and a tenth to be safe: the image is sparse, so it costs nothing.
    let inodes = need.inodes + 64;
    let bytes = need.blocks * BLOCK_BYTES * 11 / 10 + inodes * INODE_BYTES + BASE_BYTES;
    let blocks = bytes.div_ceil(BLOCK_BYTES);

    match fs::remove_file(image) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(
                format!("cannot replace {}", image.display()),
                error,
            ));
        }
        _ => {}
    }
    let program = find_mke2fs();
    let output = Command::new(program)
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0"])
        // A read-only image has no use for a journal.
        .args(["-O", "^has_journal", "-E", "lazy_itable_init=0"])
        .args(["-N", &inodes.to_string()])
        .arg("-d")
        .args([directory, image])
        .arg(blocks.to_string())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Error::io(
                format!("cannot run {program} (install it: `apt-get install e2fsprogs`)"),
                error,
            )
        })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::io(
            format!(
                "{program} failed ({}) on {}",
                output.status,
                image.display()
            ),
            std::io::Error::other(words),
        ));
    }
    Ok(blocks * BLOCK_BYTES)
}

/// Reads a file out of an ext4 image. Empty when there is no such file.
///
/// # Errors
///
/// [`Error::Io`] when e2fsprogs is missing, or debugfs cannot read the image (with its words).
///
/// # Example
///
/// ```
/// use mote_host::disk;
/// let directory = tempfile::tempdir()?;
/// let tree = directory.path().join("tree");
/// std::fs::create_dir(&tree)?;
/// std::fs::write(tree.join("hello"), "hello\n")?;
/// let image = directory.path().join("root.ext4");
/// disk::build_ext4(&tree, &image)?;
/// assert_eq!(disk::read_file(&image, "/hello")?, b"hello\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_file(image: &Path, path: &str) -> Result<Vec<u8>> {
    let program = find_debugfs();
    let output = Command::new(program)
        .args(["-R", &format!("cat \"{}\"", path.replace('"', "\"\""))])
        .arg(image)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Error::io(
                format!("cannot run {program} (install it: `apt-get install e2fsprogs`)"),
                error,
            )
        })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::io(
            format!("cannot read {path} of {}", image.display()),
            std::io::Error::other(words),
        ));
    }
    Ok(output.stdout)
}

pub(crate) fn find_debugfs() -> &'static str {
    ["/usr/sbin/debugfs", "/sbin/debugfs"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("debugfs")
}

/// Debian keeps it where a user's PATH does not look.
pub(crate) fn find_mke2fs() -> &'static str {
    ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("mkfs.ext4")
}

fn measure(path: &Path) -> std::io::Result<Need> {
    let mut need = Need::default();
    // A list instead of recursion: a directory tree may be deeper than a stack.
    let mut unseen = vec![path.to_owned()];
    while let Some(path) = unseen.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        need.inodes += 1;
        need.blocks += metadata.size().div_ceil(BLOCK_BYTES).max(1);
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                unseen.push(entry?.path());
            }
        }
    }
    Ok(need)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_every_file_in_whole_blocks() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("a"), [0; 4096]).expect("written");
        fs::write(directory.path().join("b"), [0; 4097]).expect("written");
        let need = measure(directory.path()).expect("readable");
        assert_eq!(need.inodes, 3);
        assert!(need.blocks >= 1 + 1 + 2);
    }

    #[test]
    fn builds_an_image_that_holds_the_superblock_magic() {
        let directory = tempfile::tempdir().expect("a directory");
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("bin")).expect("made");
        fs::write(tree.join("bin/data"), vec![7; 3_000_000]).expect("written");
        let image = directory.path().join("image");
        let size = build_ext4(&tree, &image).expect("built");
        let bytes = fs::read(&image).expect("readable");
        assert_eq!(bytes.len() as u64, size);
        assert_eq!(bytes[1024 + 56..][..2], [0x53, 0xef]);
    }

    #[test]
    fn names_the_directory_it_cannot_read() {
        let error = build_ext4(Path::new("/no/such"), Path::new("/tmp/never")).expect_err("absent");
        assert!(error.to_string().contains("/no/such"), "{error}");
    }
}
