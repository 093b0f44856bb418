//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

/// The workspace's root: this package lies two rooms below it.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .expect("tests/xtask lies two folders below the root")
}

/// Cargo's target folder, `CARGO_TARGET_DIR` respected.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Where guest packages are built to: the folder of the profile `image`.
pub(crate) fn image_folder() -> PathBuf {
    target().join("image")
}

/// The bare-metal image, as a VMM loads it.
pub(crate) fn image() -> PathBuf {
    image_folder().join("mote-guest")
}

/// Tools built by `setup`, apart from what the user has installed.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// A path as a person at the root of the workspace would type it.
pub(crate) fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}
