//! `mote dump`: what the guest is doing.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::named::client::Client;
use crate::named::message::{Reply, Request};
use crate::named::place::Name;
use clap::Args;
use std::io::{Write, stdout};

/// Print what the guest is doing
///
/// That is every process with its registers and what it waits for, and the kernel's counters.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The VM's name
    name: Name,
}

/// Prints it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = Client::connect(&arguments.name)?;
    client.send(&Request::DumpStacks)?;
    let mut stdout = stdout().lock();
    while let Reply::Text(text) = client.receive()? {
        stdout
            .write_all(text.as_bytes())
            .map_err(|error| Failure::io("cannot write", &error))?;
    }
    Ok(ExitCode(0))
}
