//! Images for the root file system: OCI images, converted once and kept, and disks, looked at before QEMU does.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::layer::Bar;
use crate::{cache, layer};
use clap::{Args, Subcommand};
use mote_host::oci::{Image, ImageDefaults};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Where ext4's superblock has its magic number, and the number (Linux `Documentation/filesystems/ext4`).
const MAGIC_OFFSET: u64 = 1024 + 56;
const MAGIC: [u8; 2] = [0x53, 0xef];

/// Returns the disk of an OCI image and what the image says about its program.
pub(crate) fn prepare(reference: &str) -> Result<(PathBuf, ImageDefaults)> {
    let image = Image::open(reference)?;
    let defaults = image.defaults();
    let disk = cache::directory()?.join(format!("{}.ext4", image.key()));
    if !disk.exists() {
        let bar = Bar::new();
        bar.say(&format!("opening {reference}"));
        let scratch = tempfile::tempdir()
            .map_err(|error| Failure::io("cannot make a directory for temporary files", &error))?;
        let tree = image.tree(scratch.path(), &mut |number, count| {
            bar.say(&format!("reading layer {number} of {count}"));
        })?;
        layer::write(&bar, &tree, &disk)?;
    }
    Ok((disk, defaults))
}

/// Look at OCI images
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what an image says about its program, and its layers, as JSON
    Inspect {
        /// OCI image layout or `docker save` tar
        #[arg(value_name = "LAYOUT[:TAG]")]
        reference: String,
        /// Print one line, for scripts; without it, indented for people
        #[arg(long)]
        json: bool,
    },
}

/// Looks at one.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Command::Inspect { reference, json } = &arguments.command;
    let image = Image::open(reference)?;
    let defaults = image.defaults();
    let disk = cache::directory()?.join(format!("{}.ext4", image.key()));
    let environment: Vec<String> = defaults
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let document = json!({
        "entrypoint": defaults.entrypoint,
        "command": defaults.command,
        "environment": environment,
        "cwd": defaults.cwd,
        "user": defaults.user,
        "layers": image.layer_digests(),
        "disk": disk,
        "converted": disk.exists(),
    });
    match json {
        true => println!("{document}"),
        false => println!("{document:#}"),
    }
    Ok(ExitCode(0))
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
