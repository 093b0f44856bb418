//! `mote completions`: what a shell needs to complete words.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use std::io::{Write, stdout};

/// Print completions for a shell
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  mote completions bash >/etc/bash_completion.d/mote\n  mote completions fish >~/.config/fish/completions/mote.fish"
)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints them.
pub(crate) fn run(arguments: &Arguments, mut command: Command) -> Result<ExitCode> {
    let mut text = Vec::new();
    generate(arguments.shell, &mut command, "mote", &mut text);
    stdout()
        .write_all(&text)
        .map_err(|error| Failure::io("cannot write", &error))?;
    Ok(ExitCode(0))
}
