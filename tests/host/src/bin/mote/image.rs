//! Images for the root file system: OCI images, converted once and kept, and disks, looked at before QEMU does.

use crate::failure::{Failure, Result};
use mote_host::oci::ImageDefaults;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Where ext4's superblock has its magic number, and the number (Linux `Documentation/filesystems/ext4`).
const MAGIC_OFFSET: u64 = 1024 + 56;
const MAGIC: [u8; 2] = [0x53, 0xef];

/// Returns the disk of an OCI image and what the image says about its program.
pub(crate) fn prepare(reference: &str) -> Result<(PathBuf, ImageDefaults)> {
    Err(Failure::new(format!("cannot use {reference}")))
}

/// Checks that a disk holds an ext4 file system, so that the error is about the disk and not about a guest without a root.
pub(crate) fn check_disk(path: &Path) -> Result<()> {
    let named = |error| Failure::io(format!("cannot use --disk {}", path.display()), &error);
    let mut file = File::open(path).map_err(named)?;
    if file.metadata().map_err(named)?.is_dir() {
        return Err(
            Failure::new(format!("--disk {} is a directory", path.display())).hint(format!(
                "make an image of it: `mote layer {} -o root.ext4`",
                path.display()
            )),
        );
    }
    let mut magic = [0; 2];
    let read = file
        .seek(SeekFrom::Start(MAGIC_OFFSET))
        .and_then(|_| file.read_exact(&mut magic));
    match read {
        Ok(()) if magic == MAGIC => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(named(error)),
        _ => Err(Failure::new(format!(
            "--disk {} holds no ext4 file system",
            path.display()
        ))
        .hint("make one from a directory or from tars: `mote layer DIR -o root.ext4`")),
    }
}
