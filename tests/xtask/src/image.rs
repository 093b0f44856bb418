//! The bare-metal image: built alone, weighed, and held to its size.

use crate::{cargo, place, toolchain};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;

/// The most the image may weigh. A VMM copies the image into the guest's RAM at every start, so its size is boot time
/// and memory of every VM; `cargo xtask test` fails above this.
///
/// What boots, dials, negotiates and runs a program was held to 400 KiB and met it; this is the bound of the image with
/// the whole protocol and programs of several processes in it.
pub(crate) const IMAGE_BYTES: u64 = 512 * 1024;

/// What makes the code generator's work smaller, beyond what a profile can say. Each was measured: the image without it is
/// larger, system calls and processes are not faster. Cargo's own `cargo build --package boot --profile image` builds the
/// same image, only larger.
const SMALL: [&str; 4] = [
    // Blocks are laid out to share jumps, also where size counts more than speed.
    "-Cllvm-args=-apply-ext-tsp-for-size",
    // A function with many variables on the stack stays a function of its own even when it has one caller: in a larger frame
    // every access to a variable takes a longer instruction.
    "-Cllvm-args=-inline-max-stacksize=128",
    // A little less is copied into its callers (`opt-level = "s"` stands for 50); with 30 a null call takes 5 % longer.
    "-Cllvm-args=-inline-threshold=40",
    // Two conditions are two jumps, not bits that are put together for one.
    "-Cllvm-args=-x86-br-merging-base-cost=0",
];

/// A built image.
pub(crate) struct Image {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// Builds `boot` alone with the profile `image`. The bytes depend on the sources and the toolchain, not on where either lies.
pub(crate) fn build() -> Result<Image> {
    let mut flags = toolchain::without_places()?;
    flags.extend(SMALL.map(String::from));
    let flags = format!("build.rustflags={flags:?}");
    let arguments = [
        "--package",
        "boot",
        "--profile",
        "image",
        "--config",
        &flags,
    ];
    cargo::build("Building the image", &arguments)?;
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
            "the image has {} bytes; the limit is {IMAGE_BYTES} (512 KiB)",
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
            error.contains("524289") && error.contains("524288"),
            "{error}"
        );
    }
}
