//! A process of the fake kernel: an entry that the test moves and looks at.

use agent::kernel::{Credentials, Pid, Signal, Stdio, View};
use core::time::Duration;
use std::collections::VecDeque;

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its program is being loaded.
    Loading,
    /// Loaded, not started.
    Stopped,
    /// Running.
    Running,
    /// Exited; its output can be read.
    Exited,
    /// Taken back or released; only this record is left.
    Gone,
}

/// One process and everything that was done to it.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are those of agent::kernel")]
pub struct Process {
    pub pid: Pid,
    pub view: View,
    pub state: State,
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    pub credentials: Credentials,
    pub user: String,
    pub terminal: bool,
    /// Rows and columns of its terminal's window.
    pub window: [u16; 2],
    pub stdio: Stdio,
    pub signals: Vec<Signal>,
    /// What it could read, and does when the test takes it.
    pub stdin: VecDeque<u8>,
    pub stdin_closed: bool,
    /// Bytes its input pipe holds.
    pub stdin_room: usize,
    pub stdin_broken: bool,
    pub user_time: Duration,
    pub kernel_time: Duration,
    pub memory_bytes: u64,
    pub created: Option<Duration>,
    pub(super) outputs: [Pipe; 2],
    pub(super) wants_input: bool,
}

impl Process {
    /// Returns a process that runs nothing, has nothing to read and has done nothing.
    pub(super) fn new(pid: Pid, view: View, state: State) -> Self {
        Self {
            pid,
            view,
            state,
            args: Vec::new(),
            env: Vec::new(),
            user: String::new(),
            cwd: String::new(),
            credentials: Credentials::default(),
            terminal: false,
            window: [0; 2],
            stdio: Stdio::default(),
            signals: Vec::new(),
            stdin: VecDeque::new(),
            stdin_closed: false,
            stdin_room: 0,
            stdin_broken: false,
            user_time: Duration::ZERO,
            kernel_time: Duration::ZERO,
            memory_bytes: 0,
            created: None,
            outputs: Default::default(),
            wants_input: false,
        }
    }
}

/// One output stream.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) bytes: VecDeque<u8>,
    pub(super) ended: bool,
    pub(super) closed: bool,
}
