//! The bare-metal image: built alone, packed, weighed, and held to its size.
//!
//! Cargo leaves two binaries: the kernel, `target/image/mote-kernel`, and the stub that unpacks it, `mote-unpack`. Of both
//! `tests/pack` makes what a VMM loads, `target/image/mote-guest`. Addresses that the guest tells, in dumps and last words,
//! are those of the kernel as it is linked: look them up in `mote-kernel`, which a VMM loads too.

use crate::{cargo, place, toolchain};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The most the file may weigh that a VMM loads: 400 KiB. A VMM copies it into the guest's RAM at every start, and it is what
/// is kept and shipped; `cargo xtask test` fails above this.
pub(crate) const IMAGE_BYTES: u64 = 400 * 1024;

/// The most the kernel may weigh unpacked: 704 KiB. It is RAM of every VM, and time of every start: with the
/// 230 KiB of bss and stacks behind it, it is to leave more than half of the smallest machine's 4 MiB to buffers and programs.
/// What packs well, such as a table of zeros, would pass the other limit.
pub(crate) const KERNEL_BYTES: u64 = 704 * 1024;

/// What makes the code generator's work smaller, beyond what a profile can say. Each was measured: the image without it is
/// larger, system calls and processes are not faster. Cargo's own `cargo build --package boot --profile image` builds the
/// same kernel, only larger, and packs nothing.
const SMALL: [&str; 4] = [
    // Blocks are laid out to share jumps, also where size counts more than speed.
    "-Cllvm-args=-apply-ext-tsp-for-size",
    // A function with many variables on the stack stays a function of its own even when it has one caller: in a larger frame
    // every access to a variable takes a longer instruction.
    "-Cllvm-args=-inline-max-stacksize=128",
    // Less is copied into its callers (`opt-level = "s"` stands for 50): against 40 it saves 3 KB, and requests per second, signals
    // and polls take up to 5 % more. What every system call goes through is marked to be copied anyway.
    "-Cllvm-args=-inline-threshold=30",
    // Two conditions are two jumps, not bits that are put together for one.
    "-Cllvm-args=-x86-br-merging-base-cost=0",
];

/// A built image.
pub(crate) struct Image {
    /// What a VMM loads.
    pub(crate) path: PathBuf,
    /// Its size.
    pub(crate) bytes: u64,
    /// The size of the kernel in it, as linked.
    pub(crate) kernel_bytes: u64,
}

/// Builds `boot` alone with the profile `image`, and packs it. The bytes depend on the sources and the toolchain, not on where
/// either lies.
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
    let kernel = built("mote-kernel")?;
    let packed = pack::pack(&kernel, &built("mote-unpack")?).context("packing the kernel")?;
    let path = place::image();
    replace(&path, &packed)?;
    Ok(Image {
        path,
        bytes: packed.len() as u64,
        kernel_bytes: kernel.len() as u64,
    })
}

fn built(name: &str) -> Result<Vec<u8>> {
    let path = place::image_folder().join(name);
    fs::read(&path).with_context(|| format!("{} was not built", place::shown(&path)))
}

/// Has the file hold these bytes, complete at every moment: other VMs may be starting from it. One that holds them already is
/// left alone.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let new = path.with_file_name(format!("mote-guest-{}", std::process::id()));
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("{} cannot be written", place::shown(path)))
}

/// Prints the kernel's size, then the path and the size of the image: the last line of `cargo xtask image`, meant for scripts.
pub(crate) fn report(image: &Image) {
    println!(
        "{} {} bytes, packed to",
        place::shown(&image.path.with_file_name("mote-kernel")),
        image.kernel_bytes
    );
    println!("{} {} bytes", place::shown(&image.path), image.bytes);
}

/// Refuses an image above [`IMAGE_BYTES`], and one whose kernel is above [`KERNEL_BYTES`].
pub(crate) fn check_size(image: &Image) -> Result<()> {
    report(image);
    for (what, bytes, limit) in [
        ("image", image.bytes, IMAGE_BYTES),
        ("unpacked kernel", image.kernel_bytes, KERNEL_BYTES),
    ] {
        if bytes > limit {
            bail!(
                "the {what} has {bytes} bytes; the limit is {limit} ({} KiB)",
                limit / 1024
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_of(bytes: u64, kernel_bytes: u64) -> Image {
        Image {
            path: place::image(),
            bytes,
            kernel_bytes,
        }
    }

    #[test]
    fn an_image_one_byte_below_and_at_its_limits_is_accepted() {
        assert!(check_size(&image_of(IMAGE_BYTES - 1, KERNEL_BYTES - 1)).is_ok());
        assert!(check_size(&image_of(IMAGE_BYTES, KERNEL_BYTES)).is_ok());
    }

    #[test]
    fn an_image_one_byte_above_the_limit_is_refused_with_both_numbers() {
        let error = check_size(&image_of(IMAGE_BYTES + 1, KERNEL_BYTES))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("409601") && error.contains("409600"),
            "{error}"
        );
    }

    #[test]
    fn a_kernel_one_byte_above_its_own_limit_is_refused_whatever_it_packs_to() {
        let error = check_size(&image_of(1, KERNEL_BYTES + 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("unpacked kernel") && error.contains("720897"),
            "{error}"
        );
    }
}
