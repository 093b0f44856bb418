//! `mote stats`: what VMs use.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::named::client::ask;
use crate::named::message::{Reply, Request};
use crate::named::place::{Name, Place};
use crate::table::{Align, Table, size};
use clap::Args;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Clears the terminal and goes to its upper left corner.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Show what VMs use
///
/// That is processor and memory of the VMM on this machine, and of the programs as the guest counts them.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The VMs' names; without any, all of them
    names: Vec<Name>,

    /// Show them anew every second until interrupted
    #[arg(short, long)]
    watch: bool,

    /// Print one JSON array, one line per look with --watch
    #[arg(long)]
    json: bool,
}

/// What one VM uses.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    name: String,
    document: Value,
    at: Instant,
}

/// Shows it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut before = BTreeMap::new();
    if !arguments.json {
        before = look(&arguments.names)?;
        // Something to compare with: a share of the processor needs two looks.
        thread::sleep(INTERVAL / 5);
    }
    loop {
        let now = look(&arguments.names)?;
        if arguments.json {
            let all: Vec<&Value> = now.values().map(|sample| &sample.document).collect();
            println!("{}", serde_json::json!(all));
        } else {
            if arguments.watch && stdout().is_terminal() {
                print!("{CLEAR}");
            }
            table(&before, &now).print();
        }
        stdout()
            .flush()
            .map_err(|error| Failure::io("cannot write", &error))?;
        if !arguments.watch {
            return Ok(ExitCode(0));
        }
        thread::sleep(INTERVAL);
        before = now;
    }
}

/// Asks all of these VMs, or all there are.
pub(crate) fn look(names: &[Name]) -> Result<BTreeMap<Name, Sample>> {
    if names.is_empty() {
        // One that ends meanwhile is left out.
        let names = Place::open()?.names()?;
        return Ok(names
            .into_iter()
            .filter_map(|name| Some((name.clone(), sample(&name).ok()?)))
            .collect());
    }
    names
        .iter()
        .map(|name| Ok((name.clone(), sample(name)?)))
        .collect()
}

fn sample(name: &Name) -> Result<Sample> {
    match ask(name, &Request::Statistics)? {
        Reply::Statistics(document) => Ok(Sample {
            name: name.to_string(),
            document,
            at: Instant::now(),
        }),
        other => unreachable!("statistics are answered, not {other:?}"),
    }
}

/// Returns the table of two looks.
pub(crate) fn table(before: &BTreeMap<Name, Sample>, now: &BTreeMap<Name, Sample>) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("CPU", Align::Right),
        ("RESIDENT", Align::Right),
        ("GUEST CPU", Align::Right),
        ("GUEST MEM", Align::Right),
        ("OF", Align::Right),
        ("PROCS", Align::Right),
    ]);
    for (name, sample) in now {
        let guest = &sample.document["guest"];
        let usage = &guest["memory"]["usage"];
        let bytes = |value: &Value| value.as_u64().map(size).unwrap_or_default();
        table.row(vec![
            sample.name.clone(),
            before
                .get(name)
                .and_then(|before| share(before, sample))
                .map(|share| format!("{share:.1}%"))
                .unwrap_or_default(),
            bytes(&sample.document["host"]["resident_bytes"]),
            guest["cpu"]["usage"]["total"]
                .as_u64()
                .map(|total| format!("{:.2}s", total as f64 / 1e9))
                .unwrap_or_default(),
            if guest.is_null() {
                String::new()
            } else {
                size(usage["usage"].as_u64().unwrap_or(0))
            },
            sample.document["memory_mib"]
                .as_u64()
                .map(|mib| format!("{mib} MiB"))
                .unwrap_or_default(),
            guest["pids"]["current"]
                .as_u64()
                .map(|count| count.to_string())
                .unwrap_or_default(),
        ]);
    }
    table
}

/// Percent of one processor of this machine between two looks.
fn share(before: &Sample, now: &Sample) -> Option<f64> {
    let used = |sample: &Sample| sample.document["host"]["cpu_microseconds"].as_u64();
    let spent = used(now)?.checked_sub(used(before)?)? as f64;
    let passed = now.at.duration_since(before.at).as_secs_f64() * 1e6;
    (passed > 0.0).then(|| spent / passed * 100.0)
}
