//! What ends a command: a text for people, and the exit code.

use crate::exit_code::ExitCode;
use mote_host::Error;
use std::fmt;
use std::io;

/// Result of a command's parts.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command ends. The text says what was tried, what was said, and what to do next.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    text: String,
    pub(crate) code: ExitCode,
    /// The connection to the guest has ended; what became of the VM is worth telling.
    pub(crate) is_bridge_ended: bool,
}

impl Failure {
    /// A failure of this machine or of the VM.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::with_code(text, ExitCode::VM_FAILED)
    }

    /// A failure with an exit code of its own.
    pub(crate) fn with_code(text: impl Into<String>, code: ExitCode) -> Self {
        Self {
            text: text.into(),
            code,
            is_bridge_ended: false,
        }
    }

    /// A system call that failed, and what was tried.
    pub(crate) fn io(tried: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(format!("{tried}: {error}"))
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.text.push_str(&format!("\n  {hint}"));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::with_code(error.to_string(), ExitCode::of_error(&error));
        failure.is_bridge_ended = error.is_bridge_ended();
        match next_step(&error) {
            Some(step) => failure.hint(step),
            None => failure,
        }
    }
}

/// Returns what to do about an error that does not say so itself.
fn next_step(error: &Error) -> Option<&'static str> {
    if error.is_program_not_found() {
        Some("look what is there: `mote run … -- ls /bin`, or name the program by its full path")
    } else if error.is_program_not_executable() {
        Some(
            "it must be an x86-64 Linux program or a script, with the x bit set, and what interprets it must be there",
        )
    } else if error.is_timeout() && !matches!(error, Error::Launch(_)) {
        Some(
            "the guest is paused, stuck, or out of processor time: `mote ls` and `mote logs` tell more, `mote down` ends it",
        )
    } else if error.is_not_implemented() {
        Some("README.md lists what this guest does not do")
    } else {
        None
    }
}
