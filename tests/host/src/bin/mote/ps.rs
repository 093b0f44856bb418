//! `mote ps`: the processes of a VM.

use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::named::client::ask;
use crate::named::message::{ProcessRow, Reply, Request};
use crate::named::place::Name;
use crate::table::{Align, Table, size, span};
use clap::Args;
use serde_json::json;

/// List the processes of a VM
///
/// These are those that mote started, on request the ended ones too, and what else the guest tells of.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The VM's name
    name: Name,

    /// Also list processes that have ended
    #[arg(short, long)]
    all: bool,

    /// Print one JSON array instead of the table
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let rows: Vec<ProcessRow> = rows(&arguments.name)?
        .into_iter()
        .filter(|row| arguments.all || row.exit_code.is_none())
        .collect();
    if arguments.json {
        println!("{}", json!(rows));
    } else {
        table(&rows).print();
    }
    Ok(ExitCode(0))
}

/// Asks for the rows.
pub(crate) fn rows(name: &Name) -> Result<Vec<ProcessRow>> {
    match ask(name, &Request::Processes)? {
        Reply::Processes(rows) => Ok(rows),
        other => unreachable!("a list of processes is answered to, not {other:?}"),
    }
}

/// Returns the table.
pub(crate) fn table(rows: &[ProcessRow]) -> Table {
    let mut table = Table::new(&[
        ("PID", Align::Right),
        ("STATE", Align::Left),
        ("AGE", Align::Right),
        ("CPU", Align::Right),
        ("MEMORY", Align::Right),
        ("COMMAND", Align::Left),
    ]);
    for row in rows {
        table.row(vec![
            row.pid.to_string(),
            row.exit_code
                .map_or_else(|| "running".into(), |code| format!("exited {code}")),
            row.age_seconds.map(span).unwrap_or_default(),
            row.cpu_microseconds
                .map(|time| format!("{:.2}s", time as f64 / 1e6))
                .unwrap_or_default(),
            row.memory_bytes.map(size).unwrap_or_default(),
            row.command.join(" "),
        ]);
    }
    table
}
