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
    #[must_use]
    pub const fn hresult(&self) -> Option<Hresult> {
        match self {
            Self::Guest { hresult, .. } => Some(*hresult),
            _ => None,
        }
    }

    /// Whether the container or process does not exist (hcsshim `IsNotExist`).
    #[must_use]
    pub fn is_not_exist(&self) -> bool {
        matches!(
            self.hresult(),
            Some(Hresult::SYSTEM_NOT_FOUND | Hresult::ELEMENT_NOT_FOUND | Hresult::NOT_FOUND)
        )
    }

    /// Whether the container or process has ended already (hcsshim `IsAlreadyStopped`).
    #[must_use]
    pub fn is_already_stopped(&self) -> bool {
        matches!(
            self.hresult(),
            Some(
                Hresult::SYSTEM_ALREADY_STOPPED
                    | Hresult::SYSTEM_ALREADY_STOPPED_80
                    | Hresult::PROCESS_ALREADY_STOPPED
                    | Hresult::ELEMENT_NOT_FOUND
                    | Hresult::NOT_FOUND
            )
        )
    }

    /// Whether a time limit passed, here or in the guest (hcsshim `IsTimeout`).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Launch(error) => error.is_timeout(),
            _ => self.hresult() == Some(Hresult::TIMEOUT),
        }
    }

    /// Whether the operation goes on and will end later (hcsshim `IsPending`).
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.hresult() == Some(Hresult::PENDING)
    }

    /// Whether access was denied (hcsshim `ErrVmcomputeOperationAccessIsDenied`).
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
    #[must_use]
    pub fn is_invalid_state(&self) -> bool {
        matches!(
            self.hresult(),
            Some(Hresult::INVALID_STATE | Hresult::GUEST_INVALID_STATE)
        )
    }

    /// Whether something of this name exists already, here or in the guest.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists(_))
            || self.hresult() == Some(Hresult::SYSTEM_ALREADY_EXISTS)
    }

    /// Whether an argument is not acceptable to the guest.
    #[must_use]
    pub fn is_invalid_argument(&self) -> bool {
        matches!(
            self.hresult(),
            Some(Hresult::INVALID_ARGUMENT | Hresult::INVALID_JSON)
        )
    }

    /// Whether this side has closed the object (hcsshim `IsAlreadyClosed`).
    #[must_use]
    pub const fn is_already_closed(&self) -> bool {
        matches!(self, Self::AlreadyClosed(_))
    }

    /// Whether the bridge has ended, so that nothing more can be asked on this connection.
    #[must_use]
    pub const fn is_bridge_ended(&self) -> bool {
        matches!(self, Self::BridgeEnded { .. })
    }

    /// Whether the connection was lost meanwhile, so that it is not known whether the guest has carried it out. It can be
    /// asked again once the connection is up.
    #[must_use]
    pub const fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }

    /// Whether the guest does not do this at all.
    #[must_use]
    pub fn is_not_implemented(&self) -> bool {
        self.hresult() == Some(Hresult::NOT_IMPLEMENTED)
    }

    /// Whether a program or directory does not exist in the guest.
    #[must_use]
    pub fn is_program_not_found(&self) -> bool {
        matches!(
            self.hresult(),
            Some(Hresult::FILE_NOT_FOUND | Hresult::PATH_NOT_FOUND)
        )
    }

    /// Whether a program exists in the guest but cannot be executed.
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

    #[test]
    fn answers_the_questions_hcsshim_users_ask() {
        assert!(guest(Hresult::SYSTEM_NOT_FOUND).is_not_exist());
        assert!(guest(Hresult::SYSTEM_ALREADY_STOPPED).is_already_stopped());
        assert!(guest(Hresult::from_bits(0x8037_011f)).is_already_stopped());
        assert!(guest(Hresult::ACCESS_DENIED).is_access_denied());
        assert!(guest(Hresult(5)).is_access_denied());
        assert!(guest(Hresult::GUEST_INVALID_STATE).is_invalid_state());
        assert!(guest(Hresult::SYSTEM_ALREADY_EXISTS).is_already_exists());
        assert!(guest(Hresult::INVALID_JSON).is_invalid_argument());
        assert!(guest(Hresult::TIMEOUT).is_timeout());
        assert!(guest(Hresult::PENDING).is_pending());
        assert!(Error::AlreadyClosed("container").is_already_closed());
        assert!(!guest(Hresult::FAIL).is_not_exist());
    }
}
