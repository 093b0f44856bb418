//! `mote`: run Linux programs in a VM of their own.
//!
//! One subcommand per file. Each returns the exit code of this process, or a [`failure::Failure`] that names it.
#![forbid(unsafe_code)]

mod attach_disk;
mod cache;
mod completions;
mod down;
mod dump;
mod exec;
mod exit_code;
mod explain;
mod failure;
mod host_process;
mod image;
mod inspect;
mod interrupt;
mod job;
mod kill;
mod layer;
mod logs;
mod ls;
mod man;
mod named;
mod option;
mod program;
mod progress;
mod prune;
mod ps;
mod relay;
mod run;
mod stats;
mod style;
mod table;
mod terminal;
mod top;
mod up;
mod user;
mod wait;
mod wrap;

use clap::{CommandFactory, Parser, Subcommand};
use exit_code::ExitCode;
use std::process;
use style::Stream;

/// Run unmodified Linux programs in micro-VMs
///
/// A VM is QEMU with the mote unikernel inside: it boots in tens of milliseconds, runs the program with its standard
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
    Up(up::Arguments),
    Exec(exec::Arguments),
    Ls(ls::Arguments),
    Ps(ps::Arguments),
    Stats(stats::Arguments),
    Top(top::Arguments),
    Logs(logs::Arguments),
    Kill(kill::Arguments),
    Wait(wait::Arguments),
    AttachDisk(attach_disk::Arguments),
    Dump(dump::Arguments),
    Inspect(inspect::Arguments),
    Down(down::Arguments),
    Prune(prune::Arguments),
    Layer(layer::Arguments),
    Image(image::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    /// What `up` starts.
    #[command(hide = true)]
    Supervise(up::Arguments),
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
    let result = match cli.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::Exec(arguments) => exec::run(&arguments),
        Command::Ls(arguments) => ls::run(&arguments),
        Command::Ps(arguments) => ps::run(&arguments),
        Command::Stats(arguments) => stats::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Logs(arguments) => logs::run(&arguments),
        Command::Kill(arguments) => kill::run(&arguments),
        Command::Wait(arguments) => wait::run(&arguments),
        Command::AttachDisk(arguments) => attach_disk::run(&arguments),
        Command::Dump(arguments) => dump::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Down(arguments) => down::run(&arguments),
        Command::Prune(arguments) => prune::run(&arguments),
        Command::Layer(arguments) => layer::run(&arguments),
        Command::Image(arguments) => image::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
        Command::Man(arguments) => man::run(&arguments, Cli::command()),
        Command::Supervise(arguments) => named::supervisor::run(&arguments),
    };
    let ExitCode(code) = result.unwrap_or_else(|failure| {
        let text = wrap::wrapped(&format!("mote: {failure}"), terminal::width(Stream::Error));
        let rest = text.trim_start_matches("mote:");
        eprintln!("{}{rest}", style::red(Stream::Error, "mote:"));
        failure.code
    });
    process::exit(code);
}
