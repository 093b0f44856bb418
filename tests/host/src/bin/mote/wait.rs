//! `mote wait`: until a process of a VM has ended.

use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::named::client::ask;
use crate::named::message::{Reply, Request};
use crate::named::place::Name;
use clap::Args;

/// Wait for a process of a VM
///
/// This command exits with the process's exit code.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The VM's name
    name: Name,

    /// The process; without it the main program
    pid: Option<u32>,
}

/// Waits.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match ask(&arguments.name, &Request::Wait { pid: arguments.pid })? {
        Reply::Exited { code } => Ok(ExitCode::of_program(code)),
        other => unreachable!("an exit code is answered, not {other:?}"),
    }
}
