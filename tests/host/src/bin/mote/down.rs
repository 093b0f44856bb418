//! `mote down`: the end of a named VM.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::named::client::ask;
use crate::named::message::Request;
use crate::named::place::{Name, Place};
use crate::progress::Progress;
use clap::Args;
use std::thread;
use std::time::{Duration, Instant};

/// How long the directory of an ended VM may take to go.
const REMOVAL: Duration = Duration::from_secs(20);

/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// End VMs
///
/// The guest powers off; nothing of them is left when this command returns.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The VMs' names
    #[arg(required_unless_present = "all")]
    names: Vec<Name>,

    /// End all of them
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// Pull the plug instead of asking the guest
    #[arg(short, long)]
    force: bool,
}

/// Ends them, all of them even when one fails.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let place = Place::open()?;
    let names = if arguments.all {
        place.names()?
    } else {
        arguments.names.clone()
    };
    let mut failures = Vec::new();
    for name in &names {
        if let Err(failure) = end(&place, name, arguments.force) {
            failures.push(failure.to_string());
        }
    }
    if failures.is_empty() {
        return Ok(ExitCode(0));
    }
    Err(Failure::new(failures.join("\n")))
}

fn end(place: &Place, name: &Name, force: bool) -> Result<()> {
    let _progress = Progress::start(format!("ending {name}"));
    ask(name, &Request::Down { force })?;
    let directory = place.directory(name);
    let start = Instant::now();
    while directory.exists() {
        if start.elapsed() > REMOVAL {
            return Err(Failure::new(format!(
                "{name} has ended, but {} is still there after {REMOVAL:?}",
                directory.display()
            ))
            .hint("`mote prune` removes what dead VMs left"));
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
