//! `storm [--exits N] [--seed S] [--workers N] [--bytes-between-cuts N]`: a reconnect storm over a VM (see [`e2e::storm`]).
#![forbid(unsafe_code)]

use clap::Parser;
use e2e::storm::{Storm, run};

#[derive(Parser)]
struct Arguments {
    /// Containers, each of which exits once
    #[arg(long, default_value_t = 10_000)]
    exits: u32,
    /// Where the random numbers start; the same seed gives the same cuts and the same containers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Containers at once
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// Bytes between two cuts, on average, counted one way
    #[arg(long, default_value_t = 5_000)]
    bytes_between_cuts: u64,
}

fn main() {
    let arguments = Arguments::parse();
    let weather = run(Storm {
        exits: arguments.exits,
        seed: arguments.seed,
        workers: arguments.workers,
        bytes_between_cuts: arguments.bytes_between_cuts,
    });
    println!(
        "{} exits learnt once each, {} bytes in order, {} cuts, {} calls made again, in {:.1} s; gap {:.1} ms, longest {:.1} ms",
        weather.exits,
        weather.bytes,
        weather.cuts,
        weather.interrupted,
        weather.duration.as_secs_f64(),
        weather.mean_gap.as_secs_f64() * 1e3,
        weather.longest_gap.as_secs_f64() * 1e3,
    );
}
