//! One door to every chore: `cargo xtask <chore>`.
//!
//! ```text
//! setup ─► what the machine must have        image ─► the bare-metal ELF        programs ─► what it runs in tests
//!   ▲          ▲                               ▲                                   ▲
//!   └── demo ──┴── test ── bench ── storm ─ calls ┴───────────────────────────────────┘
//! ```
//!
//! The guest packages (`boot`, `programs`) share the host's target triple, so Cargo would unify their features with
//! those of the host tools. Every chore here builds them alone, with a profile of their own; nobody else has to know.
#![forbid(unsafe_code)]

mod cargo;
mod debian;
mod demo;
mod disk;
mod image;
mod libfuzzer;
mod linux;
mod output;
mod place;
mod plan;
mod program;
mod progress;
mod setup;
mod test;
mod tool;
mod toolchain;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The chores of mote.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what is missing to build, boot and test (Debian packages, the vsock back end)
    Setup,
    /// Build the bare-metal image; the last line is its path and its size
    Image,
    /// Build the user programs that the tests run inside the image
    Programs,
    /// Boot the image in QEMU and carry one job through it, step by step
    Demo,
    /// Run every check there is: format, lints, unit tests, fuzzing, the booted image
    Test(test::Options),
    /// Measure the booted image and print the goals beside the values
    Bench(tool::BenchOptions),
    /// Cut the bridge at random bytes while containers come and go, and miss nothing
    Storm(tool::StormOptions),
    /// Make random system calls in a VM, which must not keep anything of them
    Calls(tool::CallsOptions),
    /// Feed hostile input to every decoder, the same bytes for the same seed
    Fuzz(tool::FuzzOptions),
    /// Make an ext4 disk image from a directory
    Disk(disk::Options),
    /// Make a disk of Debian packages, for tests of unmodified programs; they are downloaded once
    Debian,
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<ExitCode> {
    match chore {
        Chore::Setup => setup::run()?,
        Chore::Image => image::report(&image::build()?),
        Chore::Programs => program::report(&program::build()?),
        Chore::Demo => return demo::run(),
        Chore::Test(options) => return Ok(test::run(&options)),
        Chore::Bench(options) => return tool::bench(&options),
        Chore::Storm(options) => return tool::storm(&options),
        Chore::Calls(options) => return tool::calls(&options),
        Chore::Fuzz(options) => return tool::fuzz(&options),
        Chore::Debian => debian::run()?,
        Chore::Disk(options) => disk::run(&options)?,
    }
    Ok(ExitCode::SUCCESS)
}
