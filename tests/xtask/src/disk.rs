//! A disk image from a directory.

use crate::place;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Options {
    /// The directory that becomes the root of the disk
    directory: PathBuf,
    /// The image to write; one that exists is replaced
    image: PathBuf,
}

/// Makes the image; the last line is its path and its size.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bytes = mote_host::disk::build_ext4(&options.directory, &options.image)?;
    println!("{} {bytes} bytes", place::shown(&options.image));
    Ok(())
}
