//! The one place where what went wrong becomes a code of the protocol (gcs-protocol §5.4, hcsshim
//! `internal/bridgeutils/gcserr/errors.go`).

use crate::failure::Cause;
use crate::kernel::Refusal;

/// A Windows result code; on the wire a *signed* number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hresult(pub i32);

impl Hresult {
    /// Success.
    pub const OK: Self = Self(0);
    /// `HrNotImpl`.
    pub const NOT_IMPLEMENTED: Self = Self::from_bits(0x8000_4001);
    /// `HrFail`.
    pub const FAIL: Self = Self::from_bits(0x8000_4005);
    /// `ERROR_FILE_NOT_FOUND`: there is no such program.
    pub const FILE_NOT_FOUND: Self = Self::from_bits(0x8007_0002);
    /// `ERROR_PATH_NOT_FOUND`: a directory on the way to the program is none.
    pub const PATH_NOT_FOUND: Self = Self::from_bits(0x8007_0003);
    /// `ERROR_ACCESS_DENIED`: the program must not be executed.
    pub const ACCESS_DENIED: Self = Self::from_bits(0x8007_0005);
    /// `ERROR_NOT_ENOUGH_MEMORY`.
    pub const OUT_OF_MEMORY: Self = Self::from_bits(0x8007_0008);
    /// `ERROR_BAD_EXE_FORMAT`: the file is no program of this machine.
    pub const BAD_PROGRAM: Self = Self::from_bits(0x8007_00c1);
    /// `HrErrInvalidArg`.
    pub const INVALID_ARGUMENT: Self = Self::from_bits(0x8007_0057);
    /// `HrErrNotFound`.
    pub const NOT_FOUND: Self = Self::from_bits(0x8007_0490);
    /// `HrVmcomputeInvalidState`.
    pub const INVALID_STATE: Self = Self::from_bits(0x8037_0105);
    /// `HvVmcomputeTimeout`.
    pub const TIMEOUT: Self = Self::from_bits(0xc037_0109);
    /// `HrVmcomputeUnsupportedProtocolVersion`.
    pub const UNSUPPORTED_PROTOCOL_VERSION: Self = Self::from_bits(0xc037_010c);
    /// `HrVmcomputeInvalidJSON`.
    pub const INVALID_JSON: Self = Self::from_bits(0xc037_010d);
    /// `HrVmcomputeSystemNotFound`.
    pub const SYSTEM_NOT_FOUND: Self = Self::from_bits(0xc037_010e);
    /// `HrVmcomputeSystemAlreadyExists`.
    pub const SYSTEM_ALREADY_EXISTS: Self = Self::from_bits(0xc037_010f);
    /// `HrVmcomputeSystemAlreadyStopped`.
    pub const SYSTEM_ALREADY_STOPPED: Self = Self::from_bits(0xc037_0110);

    const fn from_bits(bits: u32) -> Self {
        Self(bits.cast_signed())
    }
}

impl From<&Cause> for Hresult {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::NotImplemented(_)
            | Cause::NotNegotiated(_)
            | Cause::NegotiatedTwice
            | Cause::Unsupported(_)
            | Cause::Refused(_)
            | Cause::MountOption(_)
            | Cause::Mount(..) => Self::NOT_IMPLEMENTED,
            Cause::Unreadable(_) | Cause::Schema(..) | Cause::NoSettings => Self::INVALID_JSON,
            Cause::Versions { .. } => Self::UNSUPPORTED_PROTOCOL_VERSION,
            Cause::Missing(_) | Cause::BadSignal(_) | Cause::Invalid(_) => Self::INVALID_ARGUMENT,
            Cause::NoContainer => Self::SYSTEM_NOT_FOUND,
            Cause::ContainerExists => Self::SYSTEM_ALREADY_EXISTS,
            Cause::ContainerStopped => Self::SYSTEM_ALREADY_STOPPED,
            Cause::ContainerRuns | Cause::InitStarted | Cause::Creating => Self::INVALID_STATE,
            Cause::NoProcess(_) => Self::NOT_FOUND,
            Cause::TimedOut(_) => Self::TIMEOUT,
            Cause::Kernel(refusal) => match refusal {
                Refusal::NoProcess => Self::NOT_FOUND,
                Refusal::Unsupported(_) => Self::NOT_IMPLEMENTED,
                Refusal::WrongState => Self::INVALID_STATE,
                Refusal::NoView
                | Refusal::Limit(..)
                | Refusal::OutOfMemory
                | Refusal::NotATerminal => Self::FAIL,
            },
            Cause::Oversized { .. }
            | Cause::Limit(..)
            | Cause::CommandLine(_)
            | Cause::ContainerType(_)
            | Cause::NoSandbox(_)
            | Cause::NoPort(_)
            | Cause::NoConnection
            | Cause::Dial { .. }
            | Cause::Resource(_)
            | Cause::RequestType(..)
            | Cause::Change(..)
            | Cause::Killed => Self::FAIL,
            Cause::Load(error) => Self::from_errno(error.errno),
        }
    }
}

/// Linux error numbers of a program that cannot be loaded (`include/uapi/asm-generic/errno-base.h`).
mod errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOENT: i32 = 2;
    pub(super) const ENOEXEC: i32 = 8;
    pub(super) const ELIBBAD: i32 = 80;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EACCES: i32 = 13;
    pub(super) const ENOTDIR: i32 = 20;
    pub(super) const EISDIR: i32 = 21;
}

impl Hresult {
    /// Returns the code for a Linux error number. The reference guest answers `HrFail` to all of them; a host that runs
    /// programs for a shell has to tell "not found" from "not executable" without reading a text.
    const fn from_errno(number: i32) -> Self {
        match number {
            errno::ENOENT => Self::FILE_NOT_FOUND,
            errno::ENOTDIR => Self::PATH_NOT_FOUND,
            errno::EACCES | errno::EPERM | errno::EISDIR => Self::ACCESS_DENIED,
            errno::ENOEXEC | errno::ELIBBAD => Self::BAD_PROGRAM,
            errno::ENOMEM => Self::OUT_OF_MEMORY,
            _ => Self::FAIL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_differs_from_one_that_cannot_run() {
        assert_eq!(Hresult::from_errno(errno::ENOENT), Hresult::FILE_NOT_FOUND);
        assert_eq!(Hresult::from_errno(errno::ENOTDIR), Hresult::PATH_NOT_FOUND);
        assert_eq!(Hresult::from_errno(errno::EISDIR), Hresult::ACCESS_DENIED);
        assert_eq!(Hresult::from_errno(errno::ENOEXEC), Hresult::BAD_PROGRAM);
        assert_eq!(Hresult::from_errno(errno::ELIBBAD), Hresult::BAD_PROGRAM);
        assert_eq!(Hresult::from_errno(5), Hresult::FAIL);
        assert_eq!(Hresult::FILE_NOT_FOUND.0, -2_147_024_894);
    }

    #[test]
    fn codes_are_signed_on_the_wire() {
        // gcs-protocol §5.4.
        assert_eq!(Hresult::NOT_IMPLEMENTED.0, -2_147_467_263);
        assert_eq!(Hresult::FAIL.0, -2_147_467_259);
        assert_eq!(Hresult::NOT_FOUND.0, -2_147_023_728);
        assert_eq!(Hresult::INVALID_ARGUMENT.0, -2_147_024_809);
        assert_eq!(Hresult::TIMEOUT.0, -1_070_137_079);
        assert_eq!(Hresult::UNSUPPORTED_PROTOCOL_VERSION.0, -1_070_137_076);
        assert_eq!(Hresult::INVALID_JSON.0, -1_070_137_075);
        assert_eq!(Hresult::SYSTEM_NOT_FOUND.0, -1_070_137_074);
        assert_eq!(Hresult::SYSTEM_ALREADY_EXISTS.0, -1_070_137_073);
        assert_eq!(Hresult::SYSTEM_ALREADY_STOPPED.0, -1_070_137_072);
        assert_eq!(Hresult::INVALID_STATE.0, -2_143_878_907);
    }
}
