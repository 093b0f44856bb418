//! The supervisor: the process that owns a named VM, started by `mote up` and independent of it.

use super::channel::Listener;
use super::message::Reply;
use super::place::{Lock, Name, Place};
use super::processes::Processes;
use super::server::{self, Server};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::up::Arguments;
use mote_host::vm::{Lines, Source};
use mote_host::{Process, Vm};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::env;
use std::fs::OpenOptions;
use std::io::{Read, Write, stdin, stdout};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The control socket in a VM's directory.
pub(crate) const SOCKET: &str = "control";

/// How long connected commands may take to be told that the VM has ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often the VM's end is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Starts the VM, says on standard output how that went, and serves until the VM has ended.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    // A session of its own: the terminal's signals and its end are for others. It fails for a session's leader, which
    // has what is wanted.
    let _ = rustix::process::setsid();
    let is_ready = Arc::new(AtomicBool::new(false));
    end_with_parent(&is_ready);
    let (server, listener, claim) = match start(arguments) {
        Ok(started) => started,
        Err(failure) => {
            answer(&Reply::failed(&failure));
            return Ok(failure.code);
        }
    };
    is_ready.store(true, Ordering::Relaxed);
    answer(&Reply::Done);
    detach();
    let signals = Signals::new([SIGTERM, SIGINT])
        .map_err(|error| Failure::io("cannot catch signals", &error))?;
    serve(server, listener, signals);
    drop(claim);
    Ok(ExitCode(0))
}

/// Until it is ready, the supervisor ends with the command that started it: its standard input is a pipe from there.
fn end_with_parent(is_ready: &Arc<AtomicBool>) {
    let is_ready = Arc::clone(is_ready);
    thread::spawn(move || {
        // Whatever comes, it is the end of it that says something.
        let _ = stdin().lock().read_to_end(&mut Vec::new());
        if !is_ready.load(Ordering::Relaxed) {
            // The watchdog ends the VM.
            process::exit(ExitCode::VM_FAILED.0);
        }
    });
}

fn answer(reply: &Reply) {
    let text = serde_json::to_string(reply).expect("a reply has string keys only");
    let mut stdout = stdout().lock();
    if writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .is_err()
    {
        // Who asked for the VM is gone and does not know of it.
        process::exit(ExitCode::VM_FAILED.0);
    }
}

/// Lets go of what belongs to the command that started this process.
fn detach() {
    // Both fail only when the system is out of everything; then the supervisor keeps what it has.
    let _ = env::set_current_dir("/");
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&null)
            .and_then(|()| dup2_stdout(&null))
            .and_then(|()| dup2_stderr(&null));
    }
}

fn start(arguments: &Arguments) -> Result<(Arc<Server>, Listener, Lock)> {
    let place = Place::open()?;
    let name = &arguments.name;
    let plan = arguments.vm.plan()?;
    let program = arguments.program(&plan.image)?;
    let directory = place.directory(name);
    let held = place.lock()?;
    place.remove_dead(name, &held)?;
    if directory.exists() {
        return Err(taken(name));
    }
    let ports = arguments.vm.disk_ports();
    let vm = Vm::start(plan.config.run_directory(&directory).disk_ports(ports))?;
    let claim = place.claim(name)?;
    drop(held);
    let listener = Listener::bind(&directory.join(SOCKET))
        .map_err(|error| Failure::io("cannot bind the control socket", &error))?;
    let guest = vm.connect()?;
    let server = Arc::new(Server {
        name: name.to_string(),
        vm,
        guest,
        processes: Processes::default(),
        machine: arguments.vm.machine().to_owned(),
        memory_mib: arguments.vm.memory_mib(),
        disks: std::sync::Mutex::new(plan.disks),
        root: plan.root,
        started: std::time::SystemTime::now(),
        sessions: std::sync::atomic::AtomicU64::new(0),
        attached: std::sync::atomic::AtomicU8::new(0),
    });
    if let Some(program) = program {
        server.start_main(&program, arguments.limits.limits())?;
    }
    Ok((server, listener, claim))
}

fn taken(name: &Name) -> Failure {
    Failure::new(format!("a VM named {name} is running already")).hint(format!(
        "end it with `mote down {name}`, or take another name; `mote ls` lists them"
    ))
}

/// Serves until the VM has ended or this process is asked to end.
fn serve(server: Arc<Server>, listener: Listener, mut signals: Signals) {
    let accepting = Arc::clone(&server);
    thread::spawn(move || server::accept(&accepting, &listener));
    while server.vm.wait(LOOK_AGAIN).is_err() {
        if signals.pending().next().is_some() {
            server.end(false);
        }
    }
    // Threads that talk to commands hold the server; they have something to say about the end.
    let deadline = Instant::now() + FAREWELL;
    while Arc::strong_count(&server) > 2 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Keeps what the main program writes.
pub(super) fn keep_output(server: &Arc<Server>, process: &Process) {
    for stream in [process.stdout(), process.stderr()].into_iter().flatten() {
        let journal = server.vm.journal();
        let mut stream = stream;
        thread::spawn(move || {
            let mut lines = Lines::new(&journal, Source::Program);
            let mut buffer = [0; 16 * 1024];
            while let Ok(count) = stream.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                lines.push(&buffer[..count]);
            }
            lines.finish();
        });
    }
}
