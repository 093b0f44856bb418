//! The compiler, asked where things lie on this machine, so that nothing built here has to tell.

use crate::output;
use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the compiler's options that keep this machine's folders out of what panics say of their place: a crate of the
/// registry is named by its name and version, the standard library by its commit, as the compiler does itself where the
/// library's sources are not installed.
pub(crate) fn without_places() -> Result<Vec<String>> {
    let mut options = Vec::new();
    // One folder for each index, mirrors included.
    let registry = cargo_home()?.join("registry/src");
    for index in fs::read_dir(&registry).into_iter().flatten() {
        options.push(renamed(&index?.path(), ""));
    }
    let library = Path::new(rustc(&["--print", "sysroot"])?.trim()).join("lib/rustlib/src/rust");
    let version = rustc(&["--version", "--verbose"])?;
    let commit = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))
        .context("rustc does not tell its commit")?;
    options.push(renamed(&library, &format!("/rustc/{commit}/")));
    Ok(options)
}

fn renamed(folder: &Path, name: &str) -> String {
    format!("--remap-path-prefix={}/={name}", folder.display())
}

fn cargo_home() -> Result<PathBuf> {
    match env::var_os("CARGO_HOME") {
        Some(home) => Ok(home.into()),
        None => Ok(env::home_dir()
            .context("neither CARGO_HOME nor HOME is set")?
            .join(".cargo")),
    }
}

fn rustc(arguments: &[&str]) -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    output::of(Command::new(rustc).args(arguments))
}
