//! Running Cargo with our own progress line in place of its screen of crate names.

use crate::place;
use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// A Cargo command at the workspace's root, by the toolchain that runs us.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(place::root()).args(arguments);
    command
}

/// Builds with `arguments` (those of `cargo build`), showing which crate is being compiled.
///
/// Cargo reports every finished crate as one line of JSON; warnings and errors come readable on stderr and pass through.
pub(crate) fn build(title: &str, arguments: &[&str]) -> Result<()> {
    let mut progress = Progress::start(title);
    let mut child = command(&["build", "--locked", "--quiet", "--message-format=json"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo could not be started")?;
    let lines = BufReader::new(child.stdout.take().expect("stdout was piped above")).lines();
    let mut crates = 0;
    for line in lines {
        let line = line.context("cargo's messages could not be read")?;
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            progress.print(&line);
            continue;
        };
        match message["reason"].as_str() {
            Some("compiler-artifact") if message["fresh"] == false => {
                crates += 1;
                let name = message["target"]["name"].as_str().unwrap_or("?");
                progress.say(format!("{crates} crates compiled, last {name}"));
            }
            Some("compiler-message") => {
                progress.print(
                    message["message"]["rendered"]
                        .as_str()
                        .unwrap_or(&line)
                        .trim_end(),
                );
            }
            _ => {}
        }
    }
    let status = child.wait().context("cargo was lost")?;
    if !status.success() {
        bail!("`cargo build {}` failed ({status})", arguments.join(" "));
    }
    progress.finish();
    Ok(())
}
