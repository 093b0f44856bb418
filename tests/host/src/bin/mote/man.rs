//! `mote man`: manual pages.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

/// Print manual pages
///
/// That is the page of mote, of one of its commands, or all of them into a directory.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  mote man | man -l -\n  mote man run | man -l -\n  mote man --directory /usr/local/share/man/man1"
)]
pub(crate) struct Arguments {
    /// The command whose page it is; without it mote's own
    command: Option<String>,

    /// Write the pages of all commands to this directory
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "command")]
    directory: Option<PathBuf>,
}

/// Prints or writes them.
pub(crate) fn run(arguments: &Arguments, command: Command) -> Result<ExitCode> {
    if let Some(directory) = &arguments.directory {
        write(directory, &command)?;
        for subcommand in shown(&command) {
            write(directory, &of_command(&command, subcommand))?;
        }
        return Ok(ExitCode(0));
    }
    let page = match &arguments.command {
        None => command,
        Some(name) => {
            let subcommand = shown(&command)
                .find(|subcommand| subcommand.get_name() == name)
                .ok_or_else(|| {
                    Failure::new(format!("mote has no command {name:?}"))
                        .hint("`mote --help` lists them")
                })?;
            of_command(&command, subcommand)
        }
    };
    stdout()
        .write_all(&render(&page)?)
        .map_err(|error| Failure::io("cannot write", &error))?;
    Ok(ExitCode(0))
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set())
}

/// Returns a subcommand with the name its page has.
fn of_command(command: &Command, subcommand: &Command) -> Command {
    let name = format!("mote-{}", subcommand.get_name());
    let usage = format!("mote {}", subcommand.get_name());
    subcommand
        .clone()
        .name(name)
        .bin_name(usage)
        .version(command.get_version().unwrap_or_default().to_owned())
}

fn render(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| Failure::io("cannot make a manual page", &error))?;
    Ok(page)
}

fn write(directory: &Path, command: &Command) -> Result<()> {
    let path = directory.join(format!("{}.1", command.get_name()));
    fs::write(&path, render(command)?)
        .map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))
}
