//! Utility VMs: launching one, being dialled by it, and leaving nothing behind.
//!
//! ```text
//! this process ──leash (a pipe)──► watchdog (sh) ──parent of──► QEMU ◄─vhost-user─► vhost-device-vsock
//!      ▲                                                                                  │
//!      └────────────── run directory: vsock_1, vsock_109, vsock_1073741824 … ◄────────────┘
//! ```
//!
//! Where the kernel's vhost-vsock can be used there is no daemon: QEMU opens the device, and this process listens on ports of
//! the host's own vsock ([`crate::PortSpace::kernel`]).
//!
//! The watchdog owns both children and the run directory. When the leash ends — the [`Vm`] is dropped, or this process
//! is killed — it kills its children, waits for them and removes the directory (see `vm/watchdog.rs`).

mod accelerator;
mod api;
mod cloud_hypervisor;
mod command_line;
mod config;
mod control;
mod dial;
mod firecracker;
mod hot_disk;
mod journal;
mod kernel_vsock;
mod launch_error;
mod log;
mod qemu;
mod qmp;
mod state;
mod tail;
mod tool;
mod vsock;
mod watchdog;

pub use config::{Acceleration, Machine, VmConfig, Vmm, Vsock};
pub(crate) use control::Control;
pub use hot_disk::DiskAddress;
pub use journal::{Journal, Line, Lines, Source};
pub use launch_error::LaunchError;
pub use log::{LogLevel, LogRecord};
pub use state::{Timeline, VmExit};

use crate::bridge::Bridge;
use crate::connection::GuestConnection;
use crate::error::{Error, Result};
use crate::listener::PortSpace;
use crate::once::{Once, lock};
use crate::timeouts::Timeouts;
use command_line::CommandLine;
use dial::Dials;
use log::Log;
use serde_json::Value;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tail::Tail;
use watchdog::{Leash, Watchdog};

/// How much of the console, and of what the VMM says, is kept.
const TAIL_BYTES: usize = 64 * 1024;

/// How long the watchdog may take to kill, wait and remove.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// A running VM. Dropping it kills the VM and removes everything it needed.
///
/// # Example
///
/// ```no_run
#[doc = include_str!("../../doc/vm.rs")]
/// ```
#[derive(Debug)]
pub struct Vm {
    shared: Arc<Shared>,
    leash: Arc<Leash>,
    ports: Arc<PortSpace>,
    dials: Mutex<Dials>,
    control: Control,
    /// Which disk that was attached while it runs is in which port.
    disk_ports: Mutex<hot_disk::Ports>,
    timeouts: Timeouts,
    launched_at: Instant,
    watcher: Option<JoinHandle<()>>,
}

/// What the threads that watch the VM write, and its owner reads.
#[derive(Debug)]
struct Shared {
    console: Tail,
    vmm_words: Tail,
    log: Arc<Log>,
    journal: Arc<Journal>,
    exit: Once<VmExit>,
    /// The connections to end when the VM ends.
    bridges: Mutex<Vec<Weak<Bridge>>>,
}

impl Vm {
    /// Launches a VM: binds the ports it will dial, starts the watchdog, the vsock daemon and QEMU. Returns as soon
    /// as they are started; [`Vm::connect`] waits for the guest.
    ///
    /// # Errors
    ///
    /// [`Error::Launch`], saying what is missing or what the daemon said.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config.memory_mib(32))?;
    /// let guest = vm.connect()?;
    /// vm.power_off()?;
    /// # Ok(()) }
    /// ```
    pub fn start(config: VmConfig) -> Result<Self> {
        let program = tool::find_vmm(config.vmm, config.vmm_program.as_deref())?;
        let vsock::Choice {
            back_end,
            passed_over,
        } = vsock::choose(&config)?;
        let kernel = tool::find_kernel(config.kernel.as_deref())?;
        for disk in &config.disks {
            tool::check_readable("disk", disk)?;
        }
        if let Some(initrd) = &config.initrd {
            tool::check_readable("initrd", initrd)?;
        }

        let run_directory = match &config.run_directory {
            Some(directory) => watchdog::check_length(directory)?,
            None => watchdog::run_directory_name(),
        };
        let ports = Arc::new(back_end.ports(&run_directory));
        let plan = vmm_plan(&config, &program, &kernel, &run_directory, &ports)?;
        let mut watchdog = Watchdog::start(&run_directory, back_end.daemon(), &plan.command_line)?;
        let leash = Arc::clone(&watchdog.leash);

        let journal = Arc::default();
        let shared = Arc::new(Shared {
            console: Tail::new(TAIL_BYTES, &journal, Source::Console, config.verbose),
            vmm_words: Tail::new(TAIL_BYTES, &journal, Source::Vmm, config.verbose),
            log: Arc::new(Log::new(&journal, config.verbose)),
            journal,
            exit: Once::new(),
            bridges: Mutex::default(),
        });
        if let Some(word) = passed_over {
            shared.vmm_words.fill_from(word.as_bytes());
        }
        let console = watchdog.take_stdout();
        let words = watchdog.take_stderr();
        let watcher = watch(Arc::clone(&shared), watchdog, console, words)?;
        // From here on dropping the VM ends and removes everything, also when the next steps fail.
        let control = match config.vmm {
            Vmm::Qemu => Control::Qemu(Arc::clone(&leash)),
            Vmm::CloudHypervisor => Control::CloudHypervisor(run_directory.join(api::SOCKET)),
            Vmm::Firecracker => Control::Firecracker(run_directory.join(api::SOCKET)),
        };
        let mut vm = Self {
            shared,
            leash,
            ports,
            dials: Mutex::default(),
            control,
            disk_ports: Mutex::new(vec![None; config.disk_ports]),
            timeouts: config.timeouts,
            launched_at: Instant::now(),
            watcher: Some(watcher),
        };
        if let Some(initrd) = &config.initrd_bytes {
            write(&run_directory.join(command_line::INITRD), initrd)?;
        }
        if let Some(configuration) = &plan.configuration {
            let path = run_directory.join(firecracker::CONFIGURATION);
            write(&path, configuration.to_string().as_bytes())?;
        }
        vm.dials = Mutex::new(Dials::listen(&vm.ports)?);
        if back_end.daemon().is_some() {
            watchdog::wait_for_daemon(&run_directory)
                .map_err(|_| LaunchError::VsockDaemon(vm.shared.vmm_words.text()))?;
        }
        vm.launched_at = Instant::now();
        vm.leash
            .tell("qemu")
            .map_err(|error| Error::io("cannot tell the watchdog to start QEMU", error))?;
        Ok(vm)
    }

    /// Waits for the guest to dial and negotiates with it. When an earlier connection has ended, this takes the next
    /// one: processes in the VM live on meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Launch`] when the guest does not dial, saying why; those of the negotiation.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config)?;
    /// let first = vm.connect()?;
    /// first.close();
    /// // The guest dials again, and what runs in it goes on.
    /// let second = vm.connect()?;
    /// assert!(second.end_reason().is_none());
    /// # Ok(()) }
    /// ```
    pub fn connect(&self) -> Result<GuestConnection> {
        let stream = self.accept_bridge(self.timeouts.dial)?;
        let guest = GuestConnection::of_vm(
            stream,
            Arc::clone(&self.ports),
            self.timeouts,
            self.control.clone(),
        )?;
        lock(&self.dials).negotiated_at = Some(Instant::now());
        {
            let mut bridges = lock(&self.shared.bridges);
            bridges.retain(|bridge| bridge.strong_count() > 0);
            bridges.push(guest.downgrade());
        }
        if let Some(exit) = self.shared.exit.get() {
            // It ended between the two steps, when the watcher did not know the connection yet.
            end_bridges(&self.shared, exit);
        }
        Ok(guest)
    }

    /// Waits for the guest's bridge connection and returns it as it is, for who wants to speak for himself.
    /// As the real host does, it takes the entropy and the log connection first.
    ///
    /// # Errors
    ///
    /// [`Error::Launch`] when the guest does not dial, saying why.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// let vm = Vm::start(config)?;
    /// let stream = vm.accept_bridge(Duration::from_secs(60))?;
    /// let guest = GuestConnection::connect(stream, vm.ports(), Timeouts::default())?;
    /// assert_eq!(guest.os(), "linux");
    /// # Ok(()) }
    /// ```
    pub fn accept_bridge(&self, limit: Duration) -> Result<UnixStream> {
        let mut dials = lock(&self.dials);
        match dials.accept(&self.ports, &self.shared.log, limit, || {
            self.shared.exit.get().is_some()
        })? {
            Ok(stream) => Ok(stream),
            Err(missing) => Err(self.never_dialled(missing, limit).into()),
        }
    }

    fn never_dialled(&self, missing: &'static str, after: Duration) -> LaunchError {
        LaunchError::NeverDialled {
            missing,
            after,
            exit: self.shared.exit.get(),
            console: self.shared.console.text(),
            vmm: self.shared.vmm_words.text(),
            log: self.shared.log.text(),
        }
    }

    /// Waits for the VM to end by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when it runs on.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// let error = vm.wait(Duration::from_millis(1)).expect_err("it runs");
    /// assert!(error.is_timeout());
    /// # Ok(()) }
    /// ```
    pub fn wait(&self, limit: Duration) -> Result<VmExit> {
        self.shared.exit.wait_timeout(limit).ok_or(Error::Timeout {
            operation: "VM to end",
            after: limit,
        })
    }

    /// Stops the VM's processors: nothing in the guest runs, and nothing it holds is lost, until [`Vm::resume`]. What is
    /// sent to it meanwhile waits.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the VMM's words.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// vm.pause()?;
    /// assert!(vm.is_paused()?);
    /// vm.resume()?;
    /// # Ok(()) }
    /// ```
    pub fn pause(&self) -> Result<()> {
        self.control.pause()
    }

    /// Lets the VM's processors run again.
    ///
    /// # Errors
    ///
    /// As [`Vm::pause`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// vm.pause()?;
    /// vm.resume()?;
    /// assert!(!vm.is_paused()?);
    /// # Ok(()) }
    /// ```
    pub fn resume(&self) -> Result<()> {
        self.control.resume()
    }

    /// Returns whether the VM's processors are stopped.
    ///
    /// # Errors
    ///
    /// As [`Vm::pause`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// assert!(!vm.is_paused()?);
    /// # Ok(()) }
    /// ```
    pub fn is_paused(&self) -> Result<bool> {
        self.control.is_paused()
    }

    /// Gives QEMU's monitor a command with its arguments, an object or null, and returns what it returned.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with QEMU's words.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// use serde_json::Value;
    /// let status = vm.qmp("query-status", &Value::Null)?;
    /// assert_eq!(status["running"], true);
    /// # Ok(()) }
    /// ```
    pub fn qmp(&self, command: &str, arguments: &Value) -> Result<Value> {
        self.control.qmp(command, arguments)
    }

    /// Asks the guest to power off over the newest connection that is still up, and waits until it has.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when the VM runs on; [`Error::AlreadyClosed`] when there is no connection.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config)?;
    /// let _guest = vm.connect()?;
    /// let exit = vm.power_off()?;
    /// assert_eq!((exit.status, exit.by_host), (Some(0), false));
    /// # Ok(()) }
    /// ```
    pub fn power_off(&self) -> Result<VmExit> {
        let bridge = lock(&self.shared.bridges)
            .iter()
            .rev()
            .filter_map(Weak::upgrade)
            .find(|bridge| bridge.end_reason().is_none());
        match bridge {
            Some(bridge) => bridge.shut_down_vm()?,
            None if self.exit().is_some() => {}
            None => return Err(Error::AlreadyClosed("connection to the guest")),
        }
        self.wait(self.timeouts.power_off)
    }

    /// Ends the VM at once, as pulling the plug would, and waits until nothing is left of it.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config)?;
    /// let directory = vm.run_directory().to_owned();
    /// vm.kill();
    /// assert!(!directory.exists(), "nothing is left of it");
    /// # Ok(()) }
    /// ```
    pub fn kill(&self) -> VmExit {
        self.leash.release();
        let exit = self.shared.exit.wait_timeout(CLEAN_UP);
        // The watchdog removes it; this is for the case that somebody killed the watchdog.
        let _ = std::fs::remove_dir_all(self.leash.run_directory());
        exit.unwrap_or(VmExit {
            status: None,
            by_host: true,
        })
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.kill();
        if self.exit().is_some()
            && let Some(watcher) = self.watcher.take()
        {
            // A watcher that panicked has nothing more to tell.
            let _ = watcher.join();
        }
    }
}

/// What a VMM is started with.
struct Plan {
    command_line: CommandLine,
    /// What goes to its configuration file, where it reads one.
    configuration: Option<Value>,
}

fn vmm_plan(
    config: &VmConfig,
    program: &Path,
    kernel: &Path,
    run: &Path,
    ports: &PortSpace,
) -> Result<Plan, LaunchError> {
    let command_line = match config.vmm {
        Vmm::Qemu => CommandLine::new(config, program, kernel, run, ports),
        Vmm::CloudHypervisor => {
            cloud_hypervisor::command_line(config, program, kernel, run, ports)?
        }
        Vmm::Firecracker => firecracker::command_line(program, run),
    };
    let configuration = match config.vmm {
        Vmm::Firecracker => Some(firecracker::configuration(config, kernel, run, ports)?),
        Vmm::Qemu | Vmm::CloudHypervisor => None,
    };
    Ok(Plan {
        command_line,
        configuration,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes)
        .map_err(|error| Error::io(format!("cannot write {}", path.display()), error))
}

/// Starts the threads that drain the console and the VMM's words, and that learn of the end.
fn watch(
    shared: Arc<Shared>,
    watchdog: Watchdog,
    console: impl Read + Send + 'static,
    words: impl Read + Send + 'static,
) -> Result<JoinHandle<()>> {
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new()
            .name(name.into())
            .spawn(work)
            .map_err(|error| Error::io("cannot start a thread", error))
    };
    let words_shared = Arc::clone(&shared);
    let words_reader = spawn(
        "mote-vmm-words",
        Box::new(move || words_shared.vmm_words.fill_from(words)),
    )?;
    spawn(
        "mote-console",
        Box::new(move || {
            // QEMU alone holds the other end: its end is QEMU's end.
            shared.console.fill_from(console);
            let (status, by_host) = watchdog.finish();
            // A thread that panicked has nothing more to tell.
            let _ = words_reader.join();
            shared.log.finish();
            let exit = VmExit { status, by_host };
            shared.journal.end();
            shared.exit.set(exit);
            end_bridges(&shared, exit);
        }),
    )
}

fn end_bridges(shared: &Shared, exit: VmExit) {
    let bridges = std::mem::take(&mut *lock(&shared.bridges));
    for bridge in bridges.iter().filter_map(Weak::upgrade) {
        bridge.end(&exit.to_string());
    }
}
