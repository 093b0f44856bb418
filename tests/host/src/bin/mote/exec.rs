//! `mote exec`: a program in a named VM.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Interrupt, Messenger};
use crate::job::Job;
use crate::named::client::Client;
use crate::named::place::Name;
use crate::named::remote::Remote;
use crate::option::process::ProcessOptions;
use crate::relay::{Input, Relay};
use crate::terminal;
use clap::Args;
use mote_host::oci::ImageDefaults;
use std::process;
use std::sync::Arc;

/// Run a program in a VM that `up` started
///
/// This command exits with the program's exit code.
///
/// The program ends with this command: Ctrl-C is passed on to it, a second one kills it, and so does the end of this
/// process, however it comes.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  mote exec box -- ls -l /\n  mote exec -it box -- sh\n  tar c . | mote exec box -- tar x -C /tmp"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    process: ProcessOptions,

    /// The VM's name
    name: Name,

    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

/// Runs the program and returns its exit code.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let program = arguments
        .process
        .program(&arguments.program, &ImageDefaults::default())?;
    let client = Client::connect(&arguments.name)?;
    let interrupts = interrupt::catch()?;
    let raw = if program.terminal {
        Some(terminal::Raw::take()?)
    } else {
        None
    };
    let (remote, streams) = Remote::start(client, program)?;
    let job: Arc<dyn Job> = Arc::new(remote);
    let messenger = Messenger::start(Arc::clone(&job))?;
    let input = if raw.is_some() {
        messenger.resize();
        Input::Terminal(Box::new(|| give_up(Interrupt::ESCAPE)))
    } else {
        Input::Bytes
    };
    let relay = Relay::start(streams, input)
        .map_err(|error| Failure::io("cannot start a thread", &error))?;
    interrupt::forward(interrupts, messenger, give_up)?;
    let code = job.wait(None)?.expect("without a limit it comes");
    relay.finish();
    drop(raw);
    Ok(ExitCode::of_program(code))
}

/// Ends this process as the signal would have; the supervisor ends the program.
fn give_up(interrupt: Interrupt) {
    terminal::give_back();
    eprintln!("mote: interrupted; leaving the program to its end");
    let ExitCode(code) = interrupt.exit_code();
    process::exit(code);
}
