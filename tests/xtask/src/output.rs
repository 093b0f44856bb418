//! What a tool of this machine says.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// Runs a tool to its end and returns what it prints; what it complains of is part of the error.
pub(crate) fn of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{name} cannot be started"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{name} failed ({}): {words}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}
