//! Options about the program: its environment, directory, user and terminal.

use crate::failure::{Failure, Result};
use crate::program::Program;
use crate::user::User;
use clap::Args;
use mote_host::oci::ImageDefaults;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;

/// Where programs are looked for unless PATH says otherwise.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Args, Clone, Debug)]
pub(crate) struct ProcessOptions {
    /// Environment variable of the program; NAME alone passes this process's one on (may be repeated)
    #[arg(short = 'e', long = "env", value_name = "NAME[=VALUE]", value_parser = parse_variable, help_heading = "Program")]
    environment: Vec<(String, Option<String>)>,

    /// File with one NAME=VALUE per line; empty lines and lines that begin with # are skipped (may be repeated)
    #[arg(long = "env-file", value_name = "FILE", help_heading = "Program")]
    environment_files: Vec<PathBuf>,

    /// Working directory of the program [default: the image's, else /]
    #[arg(short = 'w', long, value_name = "DIRECTORY", help_heading = "Program")]
    cwd: Option<String>,

    /// User of the program, by number or by a name the root's /etc/passwd knows
    #[arg(
        short = 'u',
        long,
        value_name = "USER[:GROUP]",
        help_heading = "Program"
    )]
    user: Option<User>,

    /// Keep standard input connected; it always is, this is for fingers used to other tools
    #[arg(short = 'i', long, help_heading = "Program")]
    interactive: bool,

    /// Give the program a terminal, yours: it gets your keys as they are, ^C included. Ctrl-] three times gives up on it
    #[arg(short = 't', long, help_heading = "Program")]
    pub(crate) tty: bool,
}

fn parse_variable(text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), Some(value.into()))),
        None if !text.is_empty() => Ok((text.into(), None)),
        _ => Err(format!("expected NAME=VALUE or NAME, got {text:?}")),
    }
}

impl ProcessOptions {
    /// Returns the program to run: what was asked for, over what the image says.
    pub(crate) fn program(&self, args: &[String], image: &ImageDefaults) -> Result<Program> {
        let args = image.arguments(args);
        if args.is_empty() {
            return Err(
                Failure::new("no program: the image names none, and none was given")
                    .hint("give one behind `--`"),
            );
        }
        let user = match (&self.user, image.user.as_str()) {
            (Some(user), _) => user.clone(),
            (None, "") => User::root(),
            (None, text) => text.parse().map_err(Failure::new)?,
        };
        Ok(Program {
            args,
            environment: self.environment(image)?,
            cwd: match (&self.cwd, image.cwd.as_str()) {
                (Some(cwd), _) => cwd.clone(),
                (None, "") => "/".into(),
                (None, cwd) => cwd.into(),
            },
            user,
            terminal: self.tty,
        })
    }

    fn environment(&self, image: &ImageDefaults) -> Result<BTreeMap<String, String>> {
        let mut all = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
        if self.tty
            && let Ok(terminal) = env::var("TERM")
        {
            all.insert("TERM".into(), terminal);
        }
        all.extend(image.environment.iter().cloned());
        for file in &self.environment_files {
            let text = fs::read_to_string(file).map_err(|error| {
                Failure::io(format!("cannot read --env-file {}", file.display()), &error)
            })?;
            for (number, line) in (1..).zip(text.lines()) {
                if line.trim().is_empty() || line.starts_with('#') {
                    continue;
                }
                let (name, value) = parse_variable(line).map_err(|reason| {
                    Failure::new(format!("{}, line {number}: {reason}", file.display()))
                })?;
                add(&mut all, name, value);
            }
        }
        for (name, value) in &self.environment {
            add(&mut all, name.clone(), value.clone());
        }
        Ok(all)
    }
}

/// A name without a value takes this process's value; one this process does not have is left out, as docker does.
fn add(all: &mut BTreeMap<String, String>, name: String, value: Option<String>) {
    if let Some(value) = value.or_else(|| env::var(&name).ok()) {
        all.insert(name, value);
    }
}
