//! What commands and supervisors say to each other: one JSON document per packet.

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::program::Program;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// What a command asks; one per connection.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Request {
    /// What the VM is.
    Status,
    /// Run a program. [`Reply::Started`] comes with its streams, then [`Steer`] goes one way and [`Reply::Exited`] the other.
    Execute(Program),
    /// The processes.
    Processes,
    /// What the VM uses.
    Statistics,
    /// What was said from this line on, and what will be.
    Journal { from: u64, follow: bool },
    /// Send a signal to a process, or to the main program.
    Signal { pid: Option<u32>, signal: i32 },
    /// Wait for the end of a process, or of the main program.
    Wait { pid: Option<u32> },
    /// Attach a disk.
    AttachDisk {
        file: PathBuf,
        mount: Option<String>,
    },
    /// What the guest is doing.
    DumpStacks,
    /// End the VM, in order or at once.
    Down { force: bool },
}

/// What a command says to the program it runs.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Steer {
    Signal(i32),
    Resize { columns: u16, rows: u16 },
}

/// What the supervisor answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Reply {
    Status(Box<Status>),
    Started { pid: u32 },
    Exited { code: u32 },
    Processes(Vec<ProcessRow>),
    Statistics(Value),
    Lines(Vec<JournalLine>),
    Text(String),
    Done,
    Failed { text: String, code: i32 },
}

impl Reply {
    /// Carries a failure to where it is told.
    pub(crate) fn failed(failure: &Failure) -> Self {
        Self::Failed {
            text: failure.to_string(),
            code: failure.code.0,
        }
    }

    /// Returns the failure in it, or itself.
    pub(crate) fn into_result(self) -> Result<Self, Failure> {
        match self {
            Self::Failed { text, code } => Err(Failure::with_code(text, ExitCode(code))),
            reply => Ok(reply),
        }
    }
}

/// A VM, as `ls` and `inspect` show it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) name: String,
    /// Of the supervisor.
    pub(crate) pid: u32,
    pub(crate) vmm_pid: Option<u32>,
    pub(crate) machine: String,
    pub(crate) memory_mib: u32,
    pub(crate) disks: Vec<PathBuf>,
    /// Seconds since 1970.
    pub(crate) started: u64,
    pub(crate) uptime_seconds: u64,
    /// Microseconds from the start of the VMM to the agreed protocol.
    pub(crate) boot_microseconds: Option<u64>,
    pub(crate) paused: bool,
    /// Of the VMM, on the host.
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) guest: GuestStatus,
    pub(crate) main: Option<ProcessRow>,
    pub(crate) processes_running: usize,
    pub(crate) directory: PathBuf,
}

/// What the guest says it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct GuestStatus {
    pub(crate) os: String,
    pub(crate) protocol: u32,
    pub(crate) signal_process: bool,
    pub(crate) dump_stacks: bool,
    pub(crate) delete_container_state: bool,
}

/// A process, as `ps` shows it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ProcessRow {
    pub(crate) pid: u32,
    pub(crate) command: Vec<String>,
    /// Seconds since the supervisor started it; not known for its children.
    pub(crate) age_seconds: Option<u64>,
    /// Once it has ended.
    pub(crate) exit_code: Option<u32>,
    pub(crate) cpu_microseconds: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
}

/// A line of the journal.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct JournalLine {
    pub(crate) number: u64,
    pub(crate) source: String,
    pub(crate) text: String,
}
