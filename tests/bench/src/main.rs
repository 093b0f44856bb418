//! Measures the booted image: see the library.
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use bench::bed::{Bed, Effort};
use clap::Parser;
use std::path::PathBuf;

/// Measures the booted image and prints the goals beside the values.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Fewer repetitions: numbers for a first look, not for a comparison
    #[arg(long)]
    quick: bool,
    /// Compare with this Linux kernel instead: the same program on both, taking turns
    #[arg(long, value_name = "KERNEL")]
    linux: Option<PathBuf>,
    /// Where the image and the test programs were built [default: beside this program's profile]
    #[arg(long, value_name = "FOLDER")]
    built: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = arguments
        .built
        .or_else(default_folder)
        .context("where is the image? --built FOLDER says it")?;
    let effort = if arguments.quick {
        Effort::Quick
    } else {
        Effort::Full
    };
    let bed = Bed::make(&folder)?;
    if let Some(kernel) = arguments.linux {
        let comparison = bench::linux::compare(&bed, &kernel, effort)?;
        if arguments.json {
            println!("{}", comparison.json());
        } else {
            print!("{comparison}");
        }
        return Ok(());
    }
    let report = bench::run::all(&bed, effort)?;
    if arguments.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    Ok(())
}

/// `target/release/bench` finds `target/image`.
fn default_folder() -> Option<PathBuf> {
    Some(
        std::env::current_exe()
            .ok()?
            .parent()?
            .parent()?
            .join("image"),
    )
}
