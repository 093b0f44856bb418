//! `/proc`: processes and the machine as files.

use agent::kernel::Pid;

/// A file or directory of `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcNode {
    /// `/proc`.
    Root,
    /// `/proc/PID`.
    Process(Pid),
}
