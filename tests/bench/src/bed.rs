//! The test bed: the image, the programs, a disk with both kinds of programs on it, and the machine they run in.

use anyhow::{Context, Result};
use mote_host::disk::build_ext4;
use mote_host::initrd::find_busybox;
use mote_host::vm::Acceleration;
use mote_host::{Machine, VmConfig};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The RAM of every measurement but that of the smallest RAM.
pub const MEMORY_MIB: u32 = 64;
/// Static programs of ours that are put on the disk.
const PROGRAMS: [&str; 5] = ["nullcall", "reader", "spin", "true", "writer"];

/// What all measurements stand on.
pub struct Bed {
    folder: PathBuf,
    disk: PathBuf,
    /// Removes the disk when the bed is dropped.
    _scratch: TempDir,
}

/// How often things are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Enough for a first look.
    Quick,
    /// Enough to compare.
    Full,
}

impl Effort {
    /// `full` repetitions, or a tenth of them, but never fewer than three.
    #[must_use]
    pub fn repetitions(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => (full / 10).max(3),
        }
    }
}

impl Bed {
    /// Makes the disk. `folder` holds what `cargo xtask image` and `cargo xtask programs` built.
    ///
    /// # Errors
    ///
    /// Which file is missing, or what `mkfs.ext4` said.
    pub fn make(folder: &Path) -> Result<Self> {
        let scratch = tempfile::tempdir().context("no room for a disk image")?;
        let root = scratch.path().join("root");
        for directory in ["bin", "dev", "proc", "tmp"] {
            fs::create_dir_all(root.join(directory))?;
        }
        let copy = |from: PathBuf, to: &str| {
            let to = root.join("bin").join(to);
            fs::copy(&from, to).with_context(|| format!("{} cannot be copied", from.display()))
        };
        copy(find_busybox()?.0, "busybox")?;
        for name in PROGRAMS {
            copy(folder.join(name), name)?;
        }
        let disk = scratch.path().join("root.ext4");
        build_ext4(&root, &disk)?;
        Ok(Self {
            folder: folder.to_owned(),
            disk,
            _scratch: scratch,
        })
    }

    /// The image that is measured.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.folder.join("mote-guest")
    }

    /// A program of `tests/programs`, on this machine.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The image that ends the machine with its first instruction.
    #[must_use]
    pub fn floor(&self) -> PathBuf {
        self.folder.join("mote-floor")
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &Path {
        &self.disk
    }

    /// The machine of every measurement: a microvm under QEMU's translator, with the disk.
    #[must_use]
    pub fn config(&self) -> VmConfig {
        VmConfig::new()
            .machine(Machine::Microvm)
            .acceleration(Acceleration::Tcg)
            .memory_mib(MEMORY_MIB)
            .kernel(self.image())
            .disk(&self.disk)
    }
}
