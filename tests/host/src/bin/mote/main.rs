//! `mote`: run Linux programs in a VM of their own.
//!
//! One subcommand per file. Each returns the exit code of this process.
#![forbid(unsafe_code)]

mod exit_code;
mod interrupt;
mod relay;
mod run;

use clap::{Parser, Subcommand};
use exit_code::ExitCode;
use std::process;

/// Run unmodified static Linux programs, each in a micro-VM of its own.
///
/// The VM is QEMU with the mote unikernel inside: it boots in tens of milliseconds, runs the program with its standard
/// streams connected to yours, and is gone when the program has ended.
#[derive(Debug, Parser)]
#[command(name = "mote", version, max_term_width = 100, after_long_help = exit_code::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
}

fn main() {
    // clap ends the process itself for --help, --version and usage errors; its code for the latter means something else
    // here.
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        // Nothing can be said about a terminal that does not take what is said.
        let _ = error.print();
        process::exit(match error.use_stderr() {
            true => ExitCode::VM_FAILED.0,
            false => 0,
        });
    });
    let ExitCode(code) = match cli.command {
        Command::Run(arguments) => run::run(arguments),
    };
    process::exit(code);
}
