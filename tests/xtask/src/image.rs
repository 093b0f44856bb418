//! The bare-metal image: built alone, weighed, and held to its size.

use crate::{cargo, place};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;

/// The most the image may weigh. A VMM copies the image into the guest's RAM at every start, so its size is boot time
/// and memory of every VM; `cargo xtask test` fails above this.
pub(crate) const IMAGE_BYTES: u64 = 400 * 1024;

/// A built image.
pub(crate) struct Image {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// Builds `boot` alone with the profile `image`.
pub(crate) fn build() -> Result<Image> {
    cargo::build(
        "Building the image",
        &["--package", "boot", "--profile", "image"],
    )?;
    let path = place::image();
    let bytes = fs::metadata(&path)
        .with_context(|| format!("{} was not built", place::shown(&path)))?
        .len();
    Ok(Image { path, bytes })
}

/// Prints the path and the size: the last line of `cargo xtask image`, meant for scripts.
pub(crate) fn report(image: &Image) {
    println!("{} {} bytes", place::shown(&image.path), image.bytes);
}

/// Refuses an image above [`IMAGE_BYTES`].
pub(crate) fn check_size(image: &Image) -> Result<()> {
    report(image);
    if image.bytes > IMAGE_BYTES {
        bail!(
            "the image has {} bytes; the limit is {IMAGE_BYTES} (400 KiB)",
            image.bytes
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_of(bytes: u64) -> Image {
        Image {
            path: place::image(),
            bytes,
        }
    }

    #[test]
    fn an_image_one_byte_below_and_at_the_limit_is_accepted() {
        assert!(check_size(&image_of(IMAGE_BYTES - 1)).is_ok());
        assert!(check_size(&image_of(IMAGE_BYTES)).is_ok());
    }

    #[test]
    fn an_image_one_byte_above_the_limit_is_refused_with_both_numbers() {
        let error = check_size(&image_of(IMAGE_BYTES + 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("409601") && error.contains("409600"),
            "{error}"
        );
    }
}
