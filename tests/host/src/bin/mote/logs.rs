//! `mote logs`: what a VM says.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::named::client::Client;
use crate::named::message::{JournalLine, Reply, Request};
use crate::named::place::Name;
use crate::style::{self, Stream};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::io::{self, Write, stdout};

/// Print what a VM has said
///
/// That is its main program, the guest's log and console, the VMM.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The VM's name
    name: Name,

    /// Go on until the VM ends
    #[arg(short, long)]
    follow: bool,

    /// Only what this one says (may be repeated)
    #[arg(short, long, value_enum)]
    source: Vec<SourceName>,

    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SourceName {
    Program,
    Guest,
    Console,
    Vmm,
}

impl SourceName {
    const fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Guest => "guest",
            Self::Console => "console",
            Self::Vmm => "vmm",
        }
    }
}

/// Prints it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = Client::connect(&arguments.name)?;
    client.send(&Request::Journal {
        from: 0,
        follow: arguments.follow,
    })?;
    while let Reply::Lines(lines) = client.receive()? {
        for line in lines {
            let is_wanted = arguments.source.is_empty()
                || arguments
                    .source
                    .iter()
                    .any(|source| source.name() == line.source);
            if !is_wanted {
                continue;
            }
            match print(arguments, &line) {
                Ok(()) => {}
                // Who reads has had enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode(0)),
                Err(error) => return Err(Failure::io("cannot write", &error)),
            }
        }
    }
    Ok(ExitCode(0))
}

fn print(arguments: &Arguments, line: &JournalLine) -> io::Result<()> {
    let mut stdout = stdout().lock();
    if arguments.json {
        return writeln!(stdout, "{}", json!(line));
    }
    // What a guest writes to a terminal it does not own must not steer it.
    let text = line
        .text
        .replace(|letter: char| letter.is_control() && letter != '\t', "?");
    if let [_] = arguments.source[..] {
        return writeln!(stdout, "{text}");
    }
    let source = style::dim(Stream::Output, &format!("{:7}", line.source));
    writeln!(stdout, "{source} {text}")
}
