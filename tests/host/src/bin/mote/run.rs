//! `mote run`: one program, one VM.

use crate::exit_code::{self, ExitCode};
use crate::explain::explain;
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Interrupt, Messenger};
use crate::job::Job;
use crate::option;
use crate::option::limit::LimitOptions;
use crate::option::process::ProcessOptions;
use crate::option::vm::VmOptions;
use crate::program::{self, Shell};
use crate::progress::Progress;
use crate::relay::{Input, Relay};
use crate::terminal;
use clap::Args;
use mote_host::Vm;
use signal_hook::consts::{SIGKILL, SIGTERM};
use std::process;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// The id of the container of `--container`.
const CONTAINER_ID: &str = "mote";

/// How long a program may take to end after SIGTERM when its time is over; then SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// Run a program in a new VM
///
/// This command exits with the program's exit code.
///
/// The root file system is the --oci image, else the first --disk (ext4), else the --initrd, else an initrd with this
/// machine's static busybox under all its names. What the program writes there stays in the VM's memory and is gone
/// with it.
///
/// Ctrl-C is passed on to the program; a second one kills it; a third one pulls the VM's plug.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit_code::HELP))]
pub(crate) struct Arguments {
    #[command(flatten)]
    vm: VmOptions,

    #[command(flatten)]
    process: ProcessOptions,

    #[command(flatten)]
    limits: LimitOptions,

    /// Run the program as the init process of a container instead of directly in the VM; limits and a user do so too
    #[arg(long, help_heading = "Program")]
    container: bool,

    /// End the program after so many seconds (exit code 124): SIGTERM, then SIGKILL
    #[arg(long, value_name = "SECONDS", value_parser = option::parse_seconds, help_heading = "Limits")]
    timeout: Option<Duration>,

    /// Remove the VM when the program has ended; it always is, this is for fingers used to other tools
    #[arg(long)]
    rm: bool,

    /// The program and its arguments; a name without a slash is looked for in PATH
    #[arg(
        required_unless_present = "oci",
        trailing_var_arg = true,
        value_name = "PROGRAM"
    )]
    program: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  mote run -- uname -a
  echo hello | mote run -- sha256sum
  mote run -it -- sh
  mote run --disk root.ext4 --memory 256 --env LANG=C -- /usr/bin/prog --flag
  mote run --oci ./image --limit-memory 32m -- --flag-of-the-entrypoint
  mote run --timeout 10 -- sh -c 'sleep 60'    # exit code 124";

/// Runs the program and returns its exit code.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let plan = arguments.vm.plan()?;
    let program = arguments.process.program(&arguments.program, &plan.image)?;
    let config = program.config(plan.root.as_deref())?;
    let progress = Progress::start("starting the VM");
    let vm = Arc::new(Vm::start(plan.config)?);
    let guest = vm.connect()?;
    drop(progress);
    // Until here an interrupt ends this process, and the watchdog the VM.
    let interrupts = interrupt::catch()?;
    let shell = if arguments.container {
        Shell::Container
    } else {
        Shell::VmIfPossible
    };
    let limits = arguments.limits.limits();
    let raw = if program.terminal {
        Some(terminal::Raw::take()?)
    } else {
        None
    };
    let (mut process, container) = program::start(&guest, &config, shell, CONTAINER_ID, limits)
        .map_err(|failure| explain(&vm, failure))?;
    let streams = process.detach_stdio()?;
    let job: Arc<dyn Job> = Arc::new(process);
    let plug = Plug::of(&vm);
    let messenger = Messenger::start(Arc::clone(&job))?;
    let input = if raw.is_some() {
        messenger.resize();
        let pull = plug.puller();
        Input::Terminal(Box::new(move || pull(Interrupt::ESCAPE)))
    } else {
        Input::Bytes
    };
    let relay = Relay::start(streams, input)
        .map_err(|error| Failure::io("cannot start a thread", &error))?;
    interrupt::forward(interrupts, messenger.clone(), plug.puller())?;

    let end =
        wait(job.as_ref(), &messenger, arguments.timeout).map_err(|failure| explain(&vm, failure));
    if let Some(interrupt) = plug.pulled_by() {
        // The connection ended because the user gave up: that is no failure of the VM.
        vm.kill();
        return Ok(interrupt.exit_code());
    }
    if !matches!(end, Ok(End::Exited(_))) {
        // A program that did not end leaves its output open.
        vm.kill();
    }
    relay.finish();
    drop((raw, container));
    match end? {
        End::Exited(code) => {
            if vm.power_off().is_err() {
                vm.kill();
            }
            Ok(ExitCode::of_program(code))
        }
        End::TimedOut => Ok(ExitCode::TIMED_OUT),
    }
}

/// How waiting for a program ends.
enum End {
    Exited(u32),
    TimedOut,
}

/// Waits for the program's end, and brings it about when its time is over.
fn wait(job: &dyn Job, messenger: &Messenger, timeout: Option<Duration>) -> Result<End> {
    if let Some(code) = job.wait(timeout)? {
        return Ok(End::Exited(code));
    }
    for signal in [SIGTERM, SIGKILL] {
        messenger.signal(signal);
        if job.wait(Some(TERM_GRACE))?.is_some() {
            break;
        }
    }
    Ok(End::TimedOut)
}

/// What a user who has given up on a program pulls: this process ends as the signal would have ended it, and with it the VM.
struct Plug {
    /// Weak: however the command is left, the VM is dropped with it, and so is all it needed.
    vm: Weak<Vm>,
    pulled: Arc<OnceLock<Interrupt>>,
}

impl Plug {
    fn of(vm: &Arc<Vm>) -> Self {
        Self {
            vm: Arc::downgrade(vm),
            pulled: Arc::default(),
        }
    }

    /// Returns who pulled it.
    fn pulled_by(&self) -> Option<Interrupt> {
        self.pulled.get().copied()
    }

    /// Returns what pulls it.
    fn puller(&self) -> impl Fn(Interrupt) + Send + 'static {
        let (vm, pulled) = (Weak::clone(&self.vm), Arc::clone(&self.pulled));
        move |interrupt| {
            let Some(vm) = vm.upgrade() else {
                return;
            };
            // Before the VM ends: who waits for the program learns of that end at once.
            if pulled.set(interrupt).is_err() {
                return;
            }
            terminal::give_back();
            eprintln!("mote: interrupted; ending the VM");
            vm.kill();
            let ExitCode(code) = interrupt.exit_code();
            // The caller may be blocked on an output that nobody reads.
            process::exit(code);
        }
    }
}
