//! `mote prune`: away with what nobody needs any more.

use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::named::place::Place;
use clap::Args;
use serde_json::json;

/// Remove what VMs left whose supervisor and watchdog were both killed, and on request the converted images.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Removes it and tells.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let place = Place::open()?;
    let held = place.lock()?;
    let mut removed = Vec::new();
    for name in place.names()? {
        if place.remove_dead(&name, &held)? {
            removed.push(name.to_string());
        }
    }
    if arguments.json {
        println!("{}", json!({ "vms": removed }));
    } else {
        removed.iter().for_each(|name| println!("{name}"));
    }
    Ok(ExitCode(0))
}
