//! `mote run`: one program, one VM.

use crate::exit_code::{self, ExitCode};
use crate::interrupt::{self, Interrupt};
use crate::relay::Relay;
use clap::{Args, ValueEnum};
use mote_host::vm::{Vm, VmConfig};
use mote_host::{
    Container, ContainerConfig, Error, GuestConnection, Machine, Process, ProcessConfig, Result,
    Timeouts, initrd,
};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

/// The id of the container of `--container`.
const CONTAINER_ID: &str = "mote";

/// How long a program may take to end after SIGTERM when its time is over; then SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// How long the VM may take to boot and dial. Generous: the guest needs tens of milliseconds.
const DIAL_LIMIT: Duration = Duration::from_secs(30);

/// How long the VM may take to power off before the plug is pulled.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(2);

/// Exit code of a process that a signal ended: this and the signal's number.
const SIGNALLED: i32 = 128;

const SIGTERM: i32 = 15;

/// Run a program in a new VM and exit with its exit code.
///
/// The root file system is the first --disk (ext4), else the --initrd, else an initrd with this machine's static busybox
/// under all its names. What the program writes there stays in the VM's memory and is gone with it.
///
/// Ctrl-C is passed on to the program; a second one kills it; a third one pulls the VM's plug.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit_code::HELP))]
pub(crate) struct Arguments {
    /// QEMU machine: microvm boots faster, q35 has PCI
    #[arg(long, value_enum, default_value = "microvm")]
    machine: MachineName,

    /// Memory of the VM
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..))]
    memory: u32,

    /// Disk image, attached read-only; the first one is the root file system (may be repeated)
    #[arg(long = "disk", value_name = "FILE")]
    disks: Vec<PathBuf>,

    /// cpio archive (newc) to use as root file system when there is no disk
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,

    /// Environment variable of the program (may be repeated); PATH is set unless it is given
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    environment: Vec<(String, String)>,

    /// Working directory of the program
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    cwd: String,

    /// Run the program as the init process of a container instead of directly in the VM
    #[arg(long)]
    container: bool,

    /// End the program after so many seconds (exit code 124): SIGTERM, then SIGKILL
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    timeout: Option<Duration>,

    /// Guest image [default: MOTE_KERNEL, else mote-guest near this program]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// Copy the guest's console and log, and QEMU's words, to standard error
    #[arg(short, long)]
    verbose: bool,

    /// The program and its arguments; a name without a slash is looked for in PATH
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MachineName {
    Microvm,
    Q35,
}

const EXAMPLES: &str = "\
Examples:
  mote run -- uname -a
  echo hello | mote run -- sha256sum
  mote run --disk root.ext4 --memory 256 --env LANG=C -- /usr/bin/prog --flag
  mote run --timeout 10 -- sh -c 'sleep 60'    # exit code 124";

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("expected NAME=VALUE, got {text:?}")),
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("expected a number of seconds above 0, got {text:?}"))
}

/// Runs the program and returns the exit code; errors are told on standard error.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    attempt(arguments).unwrap_or_else(|error| {
        eprintln!("mote: {error}");
        ExitCode::of_error(&error)
    })
}

fn attempt(arguments: Arguments) -> Result<ExitCode> {
    let vm = Arc::new(Vm::start(vm_config(&arguments)?)?);
    let guest = vm.connect()?;
    // Until here an interrupt ends this process, and the watchdog the VM.
    let interrupts = interrupt::catch().map_err(|error| io_error("cannot catch signals", error))?;
    let (process, container) = launch(&arguments, &guest).map_err(|error| explain(&vm, error))?;
    let process = Arc::new(process);
    let relay = Relay::start(&process).map_err(|error| io_error("cannot start a thread", error))?;
    // Weak: however this function is left, the VM is dropped with it, and so is all it needed.
    let plug = Arc::downgrade(&vm);
    interrupt::forward(interrupts, Arc::clone(&process), move |interrupt| {
        if let Some(vm) = plug.upgrade() {
            give_up(&vm, interrupt);
        }
    })
    .map_err(|error| io_error("cannot start a thread", error))?;

    let code = wait(&process, arguments.timeout).map_err(|error| explain(&vm, error))?;
    relay.finish();
    drop(container);
    power_off(&vm);
    Ok(code)
}

fn vm_config(arguments: &Arguments) -> Result<VmConfig> {
    let mut config = VmConfig::new()
        .machine(match arguments.machine {
            MachineName::Microvm => Machine::Microvm,
            MachineName::Q35 => Machine::Q35,
        })
        .memory_mib(arguments.memory)
        .verbose(arguments.verbose)
        .log_level(if arguments.verbose {
            "debug"
        } else {
            "warning"
        })
        .timeouts(Timeouts {
            dial: DIAL_LIMIT,
            power_off: POWER_OFF_LIMIT,
            ..Timeouts::default()
        });
    for disk in &arguments.disks {
        config = config.disk(disk);
    }
    if let Some(kernel) = &arguments.kernel {
        config = config.kernel(kernel);
    }
    Ok(match &arguments.initrd {
        Some(archive) => config.initrd(archive),
        None if arguments.disks.is_empty() => config.initrd_bytes(initrd::busybox()?),
        None => config,
    })
}

/// Asks for the process, and for a container around it if one is wanted.
fn launch(arguments: &Arguments, guest: &GuestConnection) -> Result<(Process, Option<Container>)> {
    let mut config = ProcessConfig::new(arguments.program.clone()).cwd(&arguments.cwd);
    for (name, value) in &arguments.environment {
        config = config.env(name, value);
    }
    if !arguments.container {
        return Ok((guest.create_process(&config)?, None));
    }
    let container = guest.create_container(CONTAINER_ID, &ContainerConfig::new(&config))?;
    container.start()?;
    let process = container.create_process(&ProcessConfig::init())?;
    Ok((process, Some(container)))
}

/// Waits for the program's end, and brings it about when its time is over.
fn wait(process: &Process, timeout: Option<Duration>) -> Result<ExitCode> {
    let Some(limit) = timeout else {
        return process.wait().map(ExitCode::of_program);
    };
    match process.wait_timeout(limit) {
        Err(Error::Timeout { .. }) => {}
        result => return result.map(ExitCode::of_program),
    }
    process.signal(SIGTERM)?;
    if let Err(Error::Timeout { .. }) = process.wait_timeout(TERM_GRACE) {
        process.kill()?;
        process.wait_timeout(TERM_GRACE)?;
    }
    Ok(ExitCode::TIMED_OUT)
}

/// Says what became of the VM when the connection ended under the program.
fn explain(vm: &Vm, error: Error) -> Error {
    /// The connection may end a moment before the VM is known to have.
    const MOMENT: Duration = Duration::from_secs(2);
    if !error.is_bridge_ended() {
        return error;
    }
    let end = match vm.wait(MOMENT) {
        Ok(exit) => exit.to_string(),
        Err(_) => "the VM is still running".into(),
    };
    let mut text = format!("{error}\n{end}");
    for (heading, words) in [
        ("the guest's console", vm.console()),
        ("QEMU and vhost-device-vsock", vm.vmm_words()),
    ] {
        if !words.trim().is_empty() {
            text.push_str(&format!("\n{heading}:\n{}", words.trim_end()));
        }
    }
    io_error("the VM failed", std::io::Error::other(text))
}

/// Ends the VM in order, or not.
fn power_off(vm: &Vm) {
    if vm.power_off().is_err() {
        vm.kill();
    }
}

/// Pulls the plug and ends this process as the signal would have.
fn give_up(vm: &Vm, Interrupt(signal): Interrupt) {
    eprintln!("mote: interrupted; ending the VM");
    vm.kill();
    process::exit(SIGNALLED + signal);
}

fn io_error(what: &str, source: std::io::Error) -> Error {
    Error::Io {
        what: what.into(),
        source: Arc::new(source),
    }
}
