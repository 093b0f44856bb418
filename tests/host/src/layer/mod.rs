//! Layers: file trees from directories and tars, stacked, and written as read-only ext4 images (OCI image specification,
//! `layer.md`; Linux `Documentation/filesystems/overlayfs.rst`).
//!
//! ```text
//! directory ─► Tree ┐
//! tar.gz    ─► Tree ┼─ stack ─► Tree ─► script for debugfs ─► ext4 image
//! tar.zst   ─► Tree ┘
//! ```
//!
//! A [`Tree`] holds names and attributes; the content of its files stays where it lies, that of tars in a temporary
//! directory. The same trees give the same bytes: the image's identity, its hash seed and its times are constants, and
//! everything in it is written in the order of names. e2fsprogs writes the image; no rights are needed for owners,
//! devices and `trusted` attributes, since nothing of it is ever a file of the host.

mod archive;
mod compression;
mod directory;
mod image;
mod path;
mod script;
mod stack;
mod tree;

pub(crate) use compression::open as open_compressed;
pub use image::{Progress, Written, write_image};
pub use tree::{Attributes, Content, Kind, Tree};

use crate::error::Result;
use std::path::Path;

/// Reads a directory, or a tar, plain, gzipped or compressed with zstd.
///
/// # Errors
///
/// [`crate::Error::Io`], naming what cannot be read or what is not acceptable in a tar.
///
/// # Example
///
/// ```
/// use mote_host::layer;
///
/// let directory = tempfile::tempdir()?;
/// std::fs::write(directory.path().join("hello"), "hello\n")?;
/// let scratch = tempfile::tempdir()?;
/// let lower = layer::read(directory.path(), scratch.path())?;
/// let image = scratch.path().join("layer.ext4");
/// let written = layer::write_image(&lower, &image, &mut |_| {})?;
/// assert_eq!(written.files, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(source: &Path, scratch: &Path) -> Result<Tree> {
    if source.is_dir() {
        directory::read(source)
    } else {
        archive::read(source, scratch)
    }
}

/// What becomes of a whiteout when trees are stacked.
///
/// # Example
///
/// ```
/// use mote_host::layer::{self, Whiteouts};
/// let directory = tempfile::tempdir()?;
/// let (lower, upper) = (directory.path().join("lower"), directory.path().join("upper"));
/// std::fs::create_dir(&lower)?;
/// std::fs::create_dir(&upper)?;
/// std::fs::write(lower.join("gone"), "")?;
/// std::fs::write(upper.join(".wh.gone"), "")?;
/// let read = |source| layer::read(source, directory.path());
/// let tree = layer::stack(read(&lower)?, read(&upper)?, Whiteouts::Drop);
/// assert!(tree.get("gone").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteouts {
    /// It stays, for a layer that lies over others later: a character device 0/0, or `trusted.overlay.opaque`.
    Keep,
    /// It is gone with what it hid: nothing lies below.
    Drop,
}

/// Lays one tree over another.
///
/// # Example
///
/// ```
/// use mote_host::layer::{self, Tree, Whiteouts};
/// let both = layer::stack(Tree::new(), Tree::new(), Whiteouts::Drop);
/// assert!(both.is_empty());
/// ```
#[must_use]
pub fn stack(lower: Tree, upper: Tree, whiteouts: Whiteouts) -> Tree {
    stack::stack(lower, upper, whiteouts)
}
