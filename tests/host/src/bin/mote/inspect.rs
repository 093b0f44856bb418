//! `mote inspect`: everything about a VM.

use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::named::client::ask_quickly;
use crate::named::message::{Reply, Request};
use crate::named::place::Name;
use clap::Args;

/// Print all that is known about a VM, as JSON
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The VM's name
    name: Name,

    /// Print one line, for scripts; without it, indented for people
    #[arg(long)]
    json: bool,
}

/// Prints it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Reply::Status(status) = ask_quickly(&arguments.name, &Request::Status)? else {
        unreachable!("a status is answered")
    };
    let text = match arguments.json {
        true => serde_json::to_string(&status),
        false => serde_json::to_string_pretty(&status),
    };
    println!("{}", text.expect("a status has string keys only"));
    Ok(ExitCode(0))
}
