//! Why there is no VM to talk to.

use super::VmExit;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Lines of the console and of the VMM's words that an error text shows.
const SHOWN_LINES: usize = 20;

/// Why a VM could not be launched, or why its guest did not dial.
///
/// # Example
///
/// ```no_run
/// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
/// use mote_host::vm::LaunchError;
/// let error = Vm::start(config.kernel("/no/such/image")).expect_err("there is none");
/// let Error::Launch(reason) = &error else { return Err(error) };
/// assert!(matches!(**reason, LaunchError::Unreadable { .. }));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub enum LaunchError {
    /// A file that is needed was found nowhere.
    NotFound {
        /// What it is.
        what: &'static str,
        /// Where it was looked for.
        tried: Vec<PathBuf>,
        /// What to do.
        hint: &'static str,
    },
    /// A file that was named cannot be read.
    Unreadable {
        /// What it is.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The watchdog could not be started.
    Watchdog(io::Error),
    /// Nothing is there that could carry the guest's connections.
    NoBackEnd {
        /// Why the kernel's back end cannot.
        kernel: String,
        /// Why the daemon cannot.
        daemon: Box<LaunchError>,
    },
    /// What was asked for is not what this VMM can do.
    Unsuitable {
        /// Which VMM.
        vmm: &'static str,
        /// Why not.
        reason: String,
    },
    /// The directory for the VM's sockets could not be made.
    RunDirectory {
        /// Which one.
        path: PathBuf,
        /// Why not.
        words: String,
    },
    /// The vsock daemon did not open its socket; what it said.
    VsockDaemon(String),
    /// The guest did not make a connection it has to make.
    NeverDialled {
        /// Which connection.
        missing: &'static str,
        /// How long it was waited for.
        after: Duration,
        /// How the VM ended, if it has.
        exit: Option<VmExit>,
        /// The end of its console.
        console: String,
        /// What QEMU and the vsock daemon said.
        vmm: String,
        /// The guest's log.
        log: String,
    },
}

impl LaunchError {
    /// Whether a time limit passed while the VM was running.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// let timeouts = Timeouts { dial: Duration::from_micros(1), ..Timeouts::default() };
    /// let vm = Vm::start(config.timeouts(timeouts))?;
    /// let error = vm.connect().expect_err("no guest is that fast");
    /// let Error::Launch(reason) = error else { return Err(error) };
    /// assert!(reason.is_timeout());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::NeverDialled { exit: None, .. })
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { what, tried, hint } => {
                write!(f, "{what} not found; {hint}")?;
                tried
                    .iter()
                    .try_for_each(|path| write!(f, "\n  tried {}", path.display()))
            }
            Self::Unreadable { what, path, source } => {
                write!(f, "{what} {} cannot be read: {source}", path.display())
            }
            Self::Watchdog(source) => {
                write!(f, "cannot start the watchdog (/bin/sh): {source}")
            }
            Self::NoBackEnd { kernel, daemon } => {
                write!(
                    f,
                    "{daemon}\nnor can the kernel's vhost-vsock be used: {kernel}"
                )
            }
            Self::Unsuitable { vmm, reason } => write!(f, "{vmm} cannot run this VM: {reason}"),
            Self::RunDirectory { path, words } => write!(
                f,
                "cannot make the VM's run directory {}: {words}",
                path.display()
            ),
            Self::VsockDaemon(words) => {
                f.write_str("vhost-device-vsock did not open its socket")?;
                section(f, "it said", words)
            }
            Self::NeverDialled {
                missing,
                after,
                exit,
                console,
                vmm,
                log,
            } => {
                match exit {
                    Some(exit) => write!(
                        f,
                        "the VM ended before its guest made the {missing} connection: {exit}"
                    )?,
                    None => write!(
                        f,
                        "the guest did not make the {missing} connection within {after:?}; the VM is running"
                    )?,
                }
                section(f, "the guest's log", log)?;
                section(f, "the guest's console", console)?;
                section(f, "the VMM and the vsock back end", vmm)?;
                if console.trim().is_empty() && vmm.trim().is_empty() {
                    f.write_str("\nneither the guest nor the VMM said anything: is the kernel a PVH image, and the memory enough for it?")?;
                }
                Ok(())
            }
        }
    }
}

/// Writes the last lines of a text under a heading, nothing for an empty text.
fn section(f: &mut fmt::Formatter<'_>, heading: &str, text: &str) -> fmt::Result {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    if lines.is_empty() {
        return Ok(());
    }
    let skipped = lines.len().saturating_sub(SHOWN_LINES);
    write!(f, "\n{heading}")?;
    if skipped > 0 {
        write!(f, " (last {SHOWN_LINES} of {} lines)", lines.len())?;
    }
    f.write_str(":")?;
    lines[skipped..]
        .iter()
        .try_for_each(|line| write!(f, "\n  | {line}"))
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } | Self::Watchdog(source) => Some(source),
            _ => None,
        }
    }
}
