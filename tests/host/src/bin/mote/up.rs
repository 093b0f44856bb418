//! `mote up`: a VM with a name.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::named::message::Reply;
use crate::named::place::Name;
use crate::option::limit::LimitOptions;
use crate::option::process::ProcessOptions;
use crate::option::vm::VmOptions;
use crate::program::Program;
use crate::progress::Progress;
use clap::Args;
use mote_host::oci::ImageDefaults;
use std::env;
use std::io::Read;
use std::process::{Command, Stdio};

/// Start a VM that stays, under a name
///
/// A supervisor owns the VM; this command returns when the guest has answered. Programs are run in it with `mote exec`.
/// A PROGRAM given here, or named by the --oci image, is the VM's main program: `mote logs` shows what it writes, `mote
/// wait` waits for it. The VM stays when it has ended, until `mote down`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The VM's name: letters, digits, `-`, `_`, `.`
    pub(crate) name: Name,

    #[command(flatten)]
    pub(crate) vm: VmOptions,

    #[command(flatten)]
    process: ProcessOptions,

    #[command(flatten)]
    pub(crate) limits: LimitOptions,

    /// The main program and its arguments
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  mote up box
  mote up web --oci ./image --memory 128 --limit-memory 64m
  mote up job --disk root.ext4 -- /bin/prog --flag && mote wait job";

impl Arguments {
    /// Returns the main program, if there is one.
    pub(crate) fn program(&self, image: &ImageDefaults) -> Result<Option<Program>> {
        if self.program.is_empty() && image.arguments(&[]).is_empty() {
            return Ok(None);
        }
        if self.process.tty {
            return Err(
                Failure::new("the main program of a named VM has no terminal").hint(format!(
                    "leave out -t, and use `mote exec -it {} -- PROGRAM`",
                    self.name
                )),
            );
        }
        self.process.program(&self.program, image).map(Some)
    }
}

/// Starts the supervisor and waits until it says how that went.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let progress = Progress::start(format!("starting {}", arguments.name));
    let program = env::current_exe()
        .map_err(|error| Failure::io("cannot find this program to start a supervisor", &error))?;
    // The same words behind another one: what was parsed here is parsed again there.
    let words = env::args_os()
        .skip(1)
        .skip_while(|word| word != "up")
        .skip(1);
    let mut supervisor = Command::new(program)
        .arg("supervise")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| Failure::io("cannot start a supervisor", &error))?;
    let mut text = String::new();
    let mut stdout = supervisor.stdout.take().expect("piped above");
    stdout
        .read_to_string(&mut text)
        .map_err(|error| Failure::io("cannot read the supervisor's answer", &error))?;
    drop(progress);
    match serde_json::from_str::<Reply>(&text) {
        Ok(reply) => reply.into_result()?,
        Err(_) => {
            let end = supervisor
                .try_wait()
                .ok()
                .flatten()
                .map_or_else(|| "it still runs".to_owned(), |status| status.to_string());
            return Err(Failure::new(format!(
                "the supervisor of {} ended without an answer: {end}",
                arguments.name
            )));
        }
    };
    println!("{}", arguments.name);
    Ok(ExitCode(0))
}
