//! `mote attach-disk`: one more disk for a VM that runs.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::image::check_disk;
use crate::named::client::ask;
use crate::named::message::Request;
use crate::named::place::Name;
use clap::Args;
use std::path::PathBuf;

/// Attach a disk to a VM that runs
///
/// The disk is an ext4 image and read-only; the VM's machine must have PCI (`mote up --machine q35`).
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The VM's name
    name: Name,

    /// The image
    file: PathBuf,

    /// Directory of the VM to mount it on; without it, it is attached only
    #[arg(long, value_name = "DIRECTORY")]
    mount: Option<String>,
}

/// Attaches it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    check_disk(&arguments.file)?;
    let file = std::path::absolute(&arguments.file)
        .map_err(|error| Failure::io(arguments.file.display(), &error))?;
    let request = Request::AttachDisk {
        file,
        mount: arguments.mount.clone(),
    };
    ask(&arguments.name, &request)?;
    Ok(ExitCode(0))
}
