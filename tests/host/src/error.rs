//! What can go wrong, and the questions hcsshim's users ask about it.

use crate::Hresult;
use crate::vm::LaunchError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Result of this crate's methods.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done.
///
/// # Example
///
/// ```no_run
#[doc = include_str!("../doc/error.rs")]
/// ```
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The guest answered with an error.
    #[error("{operation}: the guest refused: {message} ({hresult})")]
    Guest {
        /// What was asked.
        operation: &'static str,
        /// The guest's result code.
        hresult: Hresult,
        /// The guest's words, or the meaning of the code if it had none.
        message: String,
    },
    /// The bridge has ended, so nothing can be asked any more.
    #[error("{operation}: the bridge to the guest has ended: {reason}")]
    BridgeEnded {
        /// What was asked.
        operation: &'static str,
        /// Why the bridge ended.
        reason: Arc<str>,
    },
    /// The connection was lost while the bridge migrates: whether the guest has carried it out is not known.
    #[error("{operation}: interrupted: {reason}")]
    Interrupted {
        /// What was asked.
        operation: &'static str,
        /// Why the connection was lost.
        reason: Arc<str>,
    },
    /// No answer came in time.
    #[error("{operation}: no answer within {after:?}")]
    Timeout {
        /// What was waited for.
        operation: &'static str,
        /// How long.
        after: Duration,
    },
    /// The process has not ended yet.
    #[error("the process is still running")]
    StillRunning,
    /// This side has closed the object.
    #[error("{0} is closed")]
    AlreadyClosed(&'static str),
    /// Something with this id is known on this connection already.
    #[error("container id {0:?} is already in use on this connection")]
    AlreadyExists(String),
    /// The request cannot be put on the wire.
    #[error("{operation}: {reason}")]
    InvalidRequest {
        /// What was asked.
        operation: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The guest's answer to the negotiation is not acceptable.
    #[error("negotiation failed: {0}")]
    Negotiation(String),
    /// The guest's answer lacks what was asked for.
    #[error("the guest's answer has no {0}")]
    Missing(&'static str),
    /// The VM could not be started, or never dialled.
    #[error(transparent)]
    Launch(Arc<LaunchError>),
    /// A system call of the host failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source: Arc::new(source),
        }
    }

    /// Returns the guest's result code, if it was the guest that said no.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let error = guest.delete_container_state("unknown").expect_err("there is none");
    /// assert_eq!(error.hresult(), Some(Hresult::SYSTEM_NOT_FOUND));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn hresult(&self) -> Option<Hresult> {
        match self {
            Self::Guest { hresult, .. } => Some(*hresult),
            _ => None,
        }
    }

    /// Whether the container or process does not exist (hcsshim `IsNotExist`).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let error = guest.delete_container_state("unknown").expect_err("there is none");
    /// assert!(error.is_not_exist());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_not_exist(&self) -> bool {
        matches!(
            self.hresult(),
            Some(
                Hresult::SYSTEM_NOT_FOUND
                    | Hresult::ELEMENT_NOT_FOUND
                    | Hresult::PROCEDURE_NOT_FOUND
                    | Hresult::NOT_FOUND
            )
        )
    }

    /// Whether the container or process has ended already (hcsshim `IsAlreadyStopped`).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("is-already-stopped", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// container.terminate()?;
    /// init.wait()?;
    /// let error = container.terminate().expect_err("it has ended");
    /// assert!(error.is_already_stopped());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_already_stopped(&self) -> bool {
        matches!(
            self.hresult(),
            Some(
                Hresult::SYSTEM_ALREADY_STOPPED
                    | Hresult::SYSTEM_ALREADY_STOPPED_80
                    | Hresult::PROCESS_ALREADY_STOPPED
                    | Hresult::ELEMENT_NOT_FOUND
                    | Hresult::PROCEDURE_NOT_FOUND
                    | Hresult::NOT_FOUND
            )
        )
    }

    /// Whether a time limit passed, here or in the guest (hcsshim `IsTimeout`).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// let error = process.wait_timeout(std::time::Duration::ZERO).expect_err("it runs");
    /// assert!(error.is_timeout());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Launch(error) => error.is_timeout(),
            _ => self.hresult() == Some(Hresult::TIMEOUT),
        }
    }

    /// Whether the operation goes on and will end later (hcsshim `IsPending`).
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::{Error, Hresult};
    /// // No Linux guest answers so; a program written for Windows guests asks all the same.
    /// let error = Error::Guest { operation: "Shutdown", hresult: Hresult::PENDING, message: "".into() };
    /// assert!(error.is_pending());
    /// ```
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.hresult() == Some(Hresult::PENDING)
    }

    /// Whether access was denied (hcsshim `ErrVmcomputeOperationAccessIsDenied`).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let error = guest.create_process(&ProcessConfig::new(["/data"])).expect_err("a directory");
    /// assert!(error.is_access_denied());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_access_denied(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => matches!(
                self.hresult(),
                Some(Hresult::ACCESS_DENIED | Hresult::BARE_ACCESS_DENIED)
            ),
        }
    }

    /// Whether the object's state forbids it (hcsshim `ErrVmcomputeOperationInvalidState`).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("is-invalid-state", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let error = guest.delete_container_state(container.id()).expect_err("it runs");
    /// assert!(error.is_invalid_state());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_invalid_state(&self) -> bool {
        matches!(
            self.hresult(),
            Some(Hresult::INVALID_STATE | Hresult::GUEST_INVALID_STATE)
        )
    }

    /// Whether something of this name exists already, here or in the guest.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("is-already-exists", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let config = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// let error = guest.create_container(container.id(), &config).expect_err("it exists");
    /// assert!(error.is_already_exists());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists(_))
            || self.hresult() == Some(Hresult::SYSTEM_ALREADY_EXISTS)
    }

    /// Whether an argument is not acceptable to the guest.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// let error = process.signal(1000).expect_err("there is no such signal");
    /// assert!(error.is_invalid_argument());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_invalid_argument(&self) -> bool {
        matches!(
            self.hresult(),
            Some(Hresult::INVALID_ARGUMENT | Hresult::INVALID_JSON)
        )
    }

    /// Whether this side has closed the object (hcsshim `IsAlreadyClosed`).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("is-already-closed", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// container.close();
    /// assert!(container.wait().is_err_and(|error| error.is_already_closed()));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn is_already_closed(&self) -> bool {
        matches!(self, Self::AlreadyClosed(_))
    }

    /// Whether the bridge has ended, so that nothing more can be asked on this connection.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// guest.close();
    /// let error = guest.dump_stacks().expect_err("it is closed");
    /// assert!(error.is_bridge_ended());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn is_bridge_ended(&self) -> bool {
        matches!(self, Self::BridgeEnded { .. })
    }

    /// Whether the connection was lost meanwhile, so that it is not known whether the guest has carried it out. It can be
    /// asked again once the connection is up.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use std::net::Shutdown;
    /// use std::time::Duration;
    /// let vm = Vm::start(config)?;
    /// let stream = vm.accept_bridge(Duration::from_secs(60))?;
    /// let wire = stream.try_clone().expect("a duplicate");
    /// let guest = GuestConnection::connect(stream, vm.ports(), Timeouts::default())?;
    /// guest.set_migrating(true);
    /// wire.shutdown(Shutdown::Both).expect("it was up");
    /// guest.wait_lost(Duration::from_secs(60)).expect("it is lost");
    /// let error = guest.modify(&serde_json::json!({})).expect_err("there is no connection");
    /// assert!(error.is_interrupted());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }

    /// Whether the guest does not do this at all.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let error = guest.modify_service_settings("Log", &serde_json::json!({})).expect_err("it is no Windows");
    /// assert!(error.is_not_implemented());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_not_implemented(&self) -> bool {
        self.hresult() == Some(Hresult::NOT_IMPLEMENTED)
    }

    /// Whether this guest has no means for it (hcsshim `IsNotSupported`).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let error = guest.modify_service_settings("Log", &serde_json::json!({})).expect_err("it is no Windows");
    /// assert!(error.is_not_supported());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_not_supported(&self) -> bool {
        self.is_not_implemented()
            || matches!(
                self.hresult(),
                Some(Hresult::NOT_SUPPORTED | Hresult::UNKNOWN_MESSAGE)
            )
    }

    /// Whether a program or directory does not exist in the guest.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let error = guest.create_process(&ProcessConfig::new(["no-such"])).expect_err("there is none");
    /// assert!(error.is_program_not_found());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_program_not_found(&self) -> bool {
        matches!(
            self.hresult(),
            Some(Hresult::FILE_NOT_FOUND | Hresult::PATH_NOT_FOUND)
        )
    }

    /// Whether a program exists in the guest but cannot be executed.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let error = guest.create_process(&ProcessConfig::new(["/data/numbers"])).expect_err("no program");
    /// assert!(error.is_program_not_executable());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_program_not_executable(&self) -> bool {
        matches!(
            self.hresult(),
            Some(Hresult::ACCESS_DENIED | Hresult::BAD_PROGRAM)
        )
    }
}

impl From<LaunchError> for Error {
    fn from(error: LaunchError) -> Self {
        Self::Launch(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(hresult: Hresult) -> Error {
        Error::Guest {
            operation: "Shutdown",
            hresult,
            message: "x".into(),
        }
    }

    /// A question, and the codes it is answered with yes for.
    type Question = (&'static str, Asks, &'static [u32]);

    type Asks = fn(&Error) -> bool;

    /// All questions about a guest's code.
    const QUESTIONS: [Question; 11] = [
        (
            "is_not_exist",
            Error::is_not_exist,
            &[0xc037_010e, 0x8007_0490, 0x490, 0x7f],
        ),
        (
            "is_already_stopped",
            Error::is_already_stopped,
            &[
                0xc037_0110,
                0x8037_0110,
                0x8037_011f,
                0x8007_0490,
                0x490,
                0x7f,
            ],
        ),
        ("is_timeout", Error::is_timeout, &[0xc037_0109]),
        ("is_pending", Error::is_pending, &[0xc037_0103]),
        (
            "is_access_denied",
            Error::is_access_denied,
            &[0x8007_0005, 0x5],
        ),
        (
            "is_invalid_state",
            Error::is_invalid_state,
            &[0xc037_0105, 0x8037_0105],
        ),
        (
            "is_already_exists",
            Error::is_already_exists,
            &[0xc037_010f],
        ),
        (
            "is_invalid_argument",
            Error::is_invalid_argument,
            &[0x8007_0057, 0xc037_010d],
        ),
        (
            "is_not_implemented",
            Error::is_not_implemented,
            &[0x8000_4001],
        ),
        (
            "is_not_supported",
            Error::is_not_supported,
            &[0x8000_4001, 0x8007_0032, 0xc037_010b],
        ),
        (
            "is_program_not_found",
            Error::is_program_not_found,
            &[0x8007_0002, 0x8007_0003],
        ),
    ];

    #[test]
    fn each_question_is_answered_with_yes_for_its_codes_and_with_no_for_all_others() {
        let unnamed = [0x8000_4005, 0x8007_00c1, 0xc037_010c, 0x8000_ffff];
        let named = QUESTIONS.iter().flat_map(|(_, _, codes)| codes.iter());
        for &code in named.chain(&unnamed) {
            let error = guest(Hresult::from_bits(code));
            for (name, asks, codes) in QUESTIONS {
                assert_eq!(
                    asks(&error),
                    codes.contains(&code),
                    "{name} of {code:#010x}"
                );
            }
            assert!(!error.is_already_closed() && !error.is_bridge_ended());
            assert!(!error.is_interrupted());
        }
        for code in [0x8007_0005, 0x8007_00c1] {
            assert!(guest(Hresult::from_bits(code)).is_program_not_executable());
        }
    }

    #[test]
    fn errors_of_this_side_answer_the_questions_about_them() {
        let operation = "Shutdown";
        let reason: Arc<str> = "gone".into();
        let closed = Error::AlreadyClosed("container");
        let timeout = Error::Timeout {
            operation,
            after: Duration::ZERO,
        };
        let ended = Error::BridgeEnded {
            operation,
            reason: Arc::clone(&reason),
        };
        let interrupted = Error::Interrupted { operation, reason };
        let exists = Error::AlreadyExists("box".into());
        let denied = Error::io("x", io::ErrorKind::PermissionDenied.into());
        let all = [&closed, &timeout, &ended, &interrupted, &exists, &denied];
        let questions: [(Asks, &Error); 6] = [
            (Error::is_already_closed, &closed),
            (Error::is_timeout, &timeout),
            (Error::is_bridge_ended, &ended),
            (Error::is_interrupted, &interrupted),
            (Error::is_already_exists, &exists),
            (Error::is_access_denied, &denied),
        ];
        for (asks, fits) in questions {
            for error in all {
                assert_eq!(asks(error), std::ptr::eq(error, fits), "{error}");
            }
        }
        for error in all {
            assert_eq!(error.hresult(), None, "{error}");
            assert!(!error.is_not_exist() && !error.is_not_supported());
        }
    }
}
