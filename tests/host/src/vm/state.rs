//! What is known of a VM: what it says, where it is, how far it has come, how it ended.

use super::Vm;
use super::journal::Journal;
use super::log::LogRecord;
use crate::error::{Error, Result};
use crate::listener::PortSpace;
use crate::once::lock;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// How a VM ended.
///
/// # Example
///
/// ```no_run
/// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
/// let vm = Vm::start(config)?;
/// let exit = vm.kill();
/// assert!(exit.by_host);
/// assert_eq!(exit.to_string(), "the VM was ended by this process");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmExit {
    /// The VMM's exit status, 128 + signal if one killed it; `None` if the watchdog was killed before it could tell.
    pub status: Option<i32>,
    /// Whether this process ended it, rather than the guest or somebody else.
    pub by_host: bool,
}

/// When a VM reached which point.
///
/// # Example
///
/// ```no_run
/// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
/// let vm = Vm::start(config)?;
/// assert!(vm.timeline().dialled_at.is_none());
/// let _guest = vm.connect()?;
/// let timeline = vm.timeline();
/// assert!(timeline.negotiated_at >= timeline.dialled_at);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    /// The VMM was started.
    pub launched_at: Instant,
    /// The guest's bridge connection was accepted (the last time, if there were several).
    pub dialled_at: Option<Instant>,
    /// The version was agreed on.
    pub negotiated_at: Option<Instant>,
}

impl Vm {
    /// Returns the last of what the guest wrote to its serial console.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// let last_words = vm.console();
    /// assert!(!last_words.contains("panic"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn console(&self) -> String {
        self.shared.console.text()
    }

    /// Returns the last of what QEMU and the vsock daemon said.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// println!("{}", vm.vmm_words());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn vmm_words(&self) -> String {
        self.shared.vmm_words.text()
    }

    /// Returns the last records of the guest's log.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// assert!(vm.log().iter().any(|record| record.message.contains("mote")));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn log(&self) -> Vec<LogRecord> {
        self.shared.log.records()
    }

    /// Returns everything the VM says, line by line.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// for line in vm.journal().since(0) {
    ///     println!("{} {}", line.source.name(), line.text);
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.shared.journal)
    }

    /// Returns the host ports of this VM.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// let ports = vm.ports();
    /// assert!(ports.kernel_cid().is_some() || ports.socket(1).is_some());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn ports(&self) -> Arc<PortSpace> {
        Arc::clone(&self.ports)
    }

    /// Returns the directory of this VM's sockets.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// assert!(vm.run_directory().is_dir());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn run_directory(&self) -> &Path {
        self.leash.run_directory()
    }

    /// Returns when the VM reached which point.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// let timeline = vm.timeline();
    /// let boot = timeline.negotiated_at.expect("it is up") - timeline.launched_at;
    /// println!("up after {boot:?}");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        let dials = lock(&self.dials);
        Timeline {
            launched_at: self.launched_at,
            dialled_at: dials.dialled_at,
            negotiated_at: dials.negotiated_at,
        }
    }

    /// Returns how the VM ended; `None` while it runs.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// assert_eq!(vm.exit(), None, "it runs");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn exit(&self) -> Option<VmExit> {
        self.shared.exit.get()
    }

    /// Returns the VMM's process id, to look at what it uses.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] before it was started and after it has ended.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// let status = std::fs::read_to_string(format!("/proc/{}/status", vm.vmm_pid()?)).expect("it runs");
    /// assert!(status.contains("VmRSS"));
    /// # Ok(()) }
    /// ```
    pub fn vmm_pid(&self) -> Result<u32> {
        self.leash
            .vmm_pid()
            .map_err(|error| Error::io("cannot tell the VMM's process id", error))
    }
}

impl std::fmt::Display for VmExit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.by_host, self.status) {
            (true, _) => f.write_str("the VM was ended by this process"),
            (false, Some(0)) => f.write_str("the VM powered off or reset (VMM exit status 0)"),
            (false, Some(status @ 129..=192)) => {
                write!(f, "the VMM was killed by signal {}", status - 128)
            }
            (false, Some(status)) => write!(f, "the VMM ended with exit status {status}"),
            (false, None) => f.write_str("the VM's watchdog was killed"),
        }
    }
}
