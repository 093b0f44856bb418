//! `mote prune`: away with what nobody needs any more.

use crate::cache;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::named::place::Place;
use clap::Args;
use serde_json::json;

/// Remove what dead VMs left, and converted images
///
/// A VM leaves something only if its supervisor and its watchdog were both killed. Images are removed on request.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Also remove the images that --oci converted; they are converted again when they are needed
    #[arg(long)]
    images: bool,

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
    let images = if arguments.images { cache::clear()? } else { 0 };
    if arguments.json {
        println!("{}", json!({ "vms": removed, "images": images }));
        return Ok(ExitCode(0));
    }
    for name in removed {
        println!("removed what {name} left");
    }
    if images > 0 {
        println!("removed {images} converted images");
    }
    Ok(ExitCode(0))
}
