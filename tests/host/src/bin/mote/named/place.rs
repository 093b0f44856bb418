//! Where named VMs are, and who may start one: a directory per name below one that only its user can enter.
//!
//! Two locks, both on directories, so that they leave nothing behind: the one on the runtime directory is held while a VM
//! is started or dead ones are removed, the one on a VM's directory as long as its supervisor lives.

use crate::failure::{Failure, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use std::env;
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Longest name: what a socket address leaves beside the longest runtime directory.
const LONGEST_NAME: usize = 32;

/// The name of a VM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_good = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let starts_well = text.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        if starts_well && text.len() <= LONGEST_NAME && text.chars().all(is_good) {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "a name has 1 to {LONGEST_NAME} letters, digits, `-`, `_` and `.`, the first one a letter or a digit; got {text:?}"
        ))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The runtime directory.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
}

/// A held lock; it ends with this value, and with the process.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl Place {
    /// Opens the runtime directory, making it if need be.
    pub(crate) fn open() -> Result<Self> {
        let root = match env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
            Some(directory) if directory.is_dir() => directory.join("mote"),
            _ => PathBuf::from(format!("/tmp/mote-{}", geteuid().as_raw())),
        };
        let failed = |error| {
            Failure::io(
                format!("cannot use the runtime directory {}", root.display()),
                &error,
            )
            .hint("set XDG_RUNTIME_DIR to a directory of yours that nobody else can enter")
        };
        match DirBuilder::new().mode(0o700).create(&root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let metadata = fs::symlink_metadata(&root).map_err(failed)?;
        if !metadata.is_dir()
            || metadata.uid() != geteuid().as_raw()
            || metadata.mode() & 0o077 != 0
        {
            return Err(Failure::new(format!(
                "{} is not a directory that you own and nobody else can enter",
                root.display()
            ))
            .hint("remove it, or set XDG_RUNTIME_DIR to a directory of your own"));
        }
        Ok(Self { root })
    }

    /// Returns the directory of a VM.
    pub(crate) fn directory(&self, name: &Name) -> PathBuf {
        self.root.join(&name.0)
    }

    /// Returns the names that have a directory, in order.
    pub(crate) fn names(&self) -> Result<Vec<Name>> {
        let entries = fs::read_dir(&self.root)
            .map_err(|error| Failure::io(format!("cannot list {}", self.root.display()), &error))?;
        let mut names: Vec<Name> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Waits until nobody else starts or removes a VM, and keeps it so.
    pub(crate) fn lock(&self) -> Result<Lock> {
        File::open(&self.root)
            .and_then(|directory| {
                flock(&directory, FlockOperation::LockExclusive)?;
                Ok(Lock(directory))
            })
            .map_err(|error| Failure::io(format!("cannot lock {}", self.root.display()), &error))
    }

    /// Marks a VM's directory as that of a living supervisor.
    pub(crate) fn claim(&self, name: &Name) -> Result<Lock> {
        let path = self.directory(name);
        try_lock(&path)
            .map_err(|error| Failure::io(format!("cannot lock {}", path.display()), &error))?
            .ok_or_else(|| Failure::new(format!("{} is locked", path.display())))
    }

    /// Removes the directory of a VM whose supervisor and watchdog are both gone. Returns whether there was one. To be
    /// called with [`Place::lock`] held: a VM that is being started has not claimed its directory yet.
    pub(crate) fn remove_dead(&self, name: &Name, _held: &Lock) -> Result<bool> {
        let path = self.directory(name);
        match try_lock(&path) {
            Ok(Some(_lock)) => {}
            Ok(None) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                return Err(Failure::io(
                    format!("cannot lock {}", path.display()),
                    &error,
                ));
            }
        }
        match fs::remove_dir_all(&path) {
            // A watchdog was still at it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(Failure::io(
                format!("cannot remove {}", path.display()),
                &error,
            )),
            Ok(()) => Ok(true),
        }
    }
}

/// Locks a directory; `None` when somebody else has it locked.
fn try_lock(path: &Path) -> io::Result<Option<Lock>> {
    let directory = File::open(path)?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock(directory))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "web-1", "A.b_c", &"x".repeat(LONGEST_NAME)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "-a",
            "a/b",
            "a b",
            "é",
            &"x".repeat(LONGEST_NAME + 1),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_without_a_living_owner_is_removed_and_one_with_one_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place {
            root: directory.path().to_owned(),
        };
        let name: Name = "web".parse().expect("good");
        let held = place.lock().expect("free");
        assert!(!place.remove_dead(&name, &held).expect("absent"));
        fs::create_dir(place.directory(&name)).expect("made");
        let owner = place.claim(&name).expect("free");
        assert!(!place.remove_dead(&name, &held).expect("alive"));
        drop(owner);
        assert!(place.remove_dead(&name, &held).expect("dead"));
        assert!(!place.directory(&name).exists());
    }
}
