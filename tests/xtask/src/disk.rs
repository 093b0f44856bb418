//! A disk image from a directory: ext4, as small as its contents, made by `mkfs.ext4 -d` without mounting anything.

use crate::place;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A page of the guest. The default of `mkfs.ext4` for a small disk is 1 KiB, which costs the guest four reads a page.
const BLOCK_BYTES: u64 = 4096;
/// Room for ext4's own tables, beside a tenth of the contents.
const TABLE_BYTES: u64 = 4 << 20;

#[derive(Args)]
pub(crate) struct Options {
    /// The directory that becomes the root of the disk
    directory: PathBuf,
    /// The image to write
    image: PathBuf,
    /// Size in MiB [default: the contents and a little more]
    #[arg(long, value_name = "MIB")]
    size: Option<u64>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let contents = occupied_bytes(&options.directory)?;
    let bytes = options
        .size
        .map_or(contents + contents / 10 + TABLE_BYTES, |mib| mib << 20);
    let bytes = bytes.next_multiple_of(BLOCK_BYTES);
    let image = File::create(&options.image)
        .with_context(|| format!("cannot write {}", options.image.display()))?;
    image
        .set_len(bytes)
        .with_context(|| format!("no room for {bytes} bytes in {}", options.image.display()))?;
    make_file_system(&options.directory, &options.image)?;
    println!("{} {bytes} bytes", place::shown(&options.image));
    Ok(())
}

fn make_file_system(directory: &Path, image: &Path) -> Result<()> {
    let status = Command::new("mkfs.ext4")
        .env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
        .args([
            "-q",
            "-F",
            "-m",
            "0",
            "-O",
            "^has_journal",
            "-E",
            "root_owner=0:0",
            "-b",
        ])
        .arg(BLOCK_BYTES.to_string())
        .arg("-d")
        .args([directory, image])
        .status()
        .context("mkfs.ext4 could not be started; `cargo xtask setup` installs it")?;
    if !status.success() {
        bail!("mkfs.ext4 failed ({status}); is the disk too small? --size makes it larger");
    }
    Ok(())
}

/// Bytes of every file below `folder`, each rounded up to its blocks; links are not followed.
fn occupied_bytes(folder: &Path) -> Result<u64> {
    let mut total = BLOCK_BYTES;
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += match metadata.is_dir() {
            true => occupied_bytes(&entry.path())?,
            false => metadata.size().next_multiple_of(BLOCK_BYTES),
        };
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_whole_blocks_of_every_file_below_the_directory() {
        let folder = std::env::temp_dir().join(format!("mote-disk-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("empty"), b"").unwrap();
        fs::write(folder.join("one"), b"1").unwrap();
        fs::write(folder.join("below/page"), [0; 4096]).unwrap();
        fs::write(folder.join("below/more"), [0; 4097]).unwrap();
        let bytes = occupied_bytes(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(bytes, (1 + 1 + 1 + 1 + 2) * BLOCK_BYTES);
    }
}
