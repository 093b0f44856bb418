//! `mote ls`: the VMs there are.

use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::named::client::ask_quickly;
use crate::named::message::{Reply, Request, Status};
use crate::named::place::{Name, Place};
use crate::table::{Align, Table, size, span};
use clap::Args;
use serde_json::{Value, json};

/// List the VMs
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Print one JSON array instead of the table
    #[arg(long)]
    json: bool,

    /// Print names only
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

/// Lists them.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let names = Place::open()?.names()?;
    if arguments.quiet {
        names.iter().for_each(|name| println!("{name}"));
        return Ok(ExitCode(0));
    }
    let states: Vec<(Name, Option<Status>)> = names
        .into_iter()
        .map(|name| {
            let status = match ask_quickly(&name, &Request::Status) {
                Ok(Reply::Status(status)) => Some(*status),
                _ => None,
            };
            (name, status)
        })
        .collect();
    if arguments.json {
        let all: Vec<Value> = states
            .iter()
            .map(|(name, status)| entry(name, status))
            .collect();
        println!("{}", Value::Array(all));
        return Ok(ExitCode(0));
    }
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("UP", Align::Right),
        ("MEMORY", Align::Right),
        ("RESIDENT", Align::Right),
        ("PROCS", Align::Right),
        ("MAIN PROGRAM", Align::Left),
    ]);
    for (name, status) in &states {
        table.row(row(name, status.as_ref()));
    }
    table.print();
    Ok(ExitCode(0))
}

fn entry(name: &Name, status: &Option<Status>) -> Value {
    match status {
        Some(status) => {
            let mut entry = json!(status);
            entry["state"] = state(status).into();
            entry
        }
        None => json!({ "name": name.to_string(), "state": "dead" }),
    }
}

fn state(status: &Status) -> &'static str {
    if status.paused { "paused" } else { "running" }
}

fn row(name: &Name, status: Option<&Status>) -> Vec<String> {
    let Some(status) = status else {
        let mut row = vec![name.to_string(), "dead".into()];
        row.resize(7, String::new());
        return row;
    };
    let main = match &status.main {
        None => String::new(),
        Some(main) => match main.exit_code {
            Some(code) => format!("{} (exited {code})", main.command.join(" ")),
            None => main.command.join(" "),
        },
    };
    vec![
        status.name.clone(),
        state(status).into(),
        span(status.uptime_seconds),
        format!("{} MiB", status.memory_mib),
        status.resident_bytes.map(size).unwrap_or_default(),
        status.processes_running.to_string(),
        main,
    ]
}
