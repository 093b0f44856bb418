//! Result codes of the guest (gcs-protocol §5.4).

use std::fmt;

/// A Windows HRESULT as the guest reports it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hresult(pub i32);

impl Hresult {
    /// Unknown message, or not allowed before (or after) negotiation.
    pub const NOT_IMPLEMENTED: Self = Self::from_bits(0x8000_4001);
    /// Any error without a code of its own.
    pub const FAIL: Self = Self::from_bits(0x8000_4005);
    /// The program or directory does not exist (`ERROR_FILE_NOT_FOUND`).
    pub const FILE_NOT_FOUND: Self = Self::from_bits(0x8007_0002);
    /// The directory does not exist (`ERROR_PATH_NOT_FOUND`).
    pub const PATH_NOT_FOUND: Self = Self::from_bits(0x8007_0003);
    /// Access is denied (`ERROR_ACCESS_DENIED`).
    pub const ACCESS_DENIED: Self = Self::from_bits(0x8007_0005);
    /// The file is not a program of this machine (`ERROR_BAD_EXE_FORMAT`).
    pub const BAD_PROGRAM: Self = Self::from_bits(0x8007_00c1);
    /// Unknown process id, or the process has ended already.
    pub const NOT_FOUND: Self = Self::from_bits(0x8007_0490);
    /// An argument is not acceptable.
    pub const INVALID_ARGUMENT: Self = Self::from_bits(0x8007_0057);
    /// The operation goes on; its end comes later.
    pub const PENDING: Self = Self::from_bits(0xc037_0103);
    /// The object's state forbids it, as the host spells the code.
    pub const INVALID_STATE: Self = Self::from_bits(0xc037_0105);
    /// The object's state forbids it, as the guest spells the code.
    pub const GUEST_INVALID_STATE: Self = Self::from_bits(0x8037_0105);
    /// A time limit has passed.
    pub const TIMEOUT: Self = Self::from_bits(0xc037_0109);
    /// The guest does not know the message.
    pub const UNKNOWN_MESSAGE: Self = Self::from_bits(0xc037_010b);
    /// The guest does not speak any version the host offers.
    pub const UNSUPPORTED_PROTOCOL_VERSION: Self = Self::from_bits(0xc037_010c);
    /// The request could not be decoded.
    pub const INVALID_JSON: Self = Self::from_bits(0xc037_010d);
    /// There is no such container.
    pub const SYSTEM_NOT_FOUND: Self = Self::from_bits(0xc037_010e);
    /// The container's id is in use.
    pub const SYSTEM_ALREADY_EXISTS: Self = Self::from_bits(0xc037_010f);
    /// The container's init process has ended already.
    pub const SYSTEM_ALREADY_STOPPED: Self = Self::from_bits(0xc037_0110);
    /// The same with the prefix newer hosts use.
    pub const SYSTEM_ALREADY_STOPPED_80: Self = Self::from_bits(0x8037_0110);
    /// The process has ended already.
    pub const PROCESS_ALREADY_STOPPED: Self = Self::from_bits(0x8037_011f);
    /// What was asked for is not supported (`ERROR_NOT_SUPPORTED`).
    pub const NOT_SUPPORTED: Self = Self::from_bits(0x8007_0032);
    /// The bare Windows error "procedure not found", without an HRESULT's upper half.
    pub const PROCEDURE_NOT_FOUND: Self = Self(0x7f);
    /// The bare Windows error "access is denied", without an HRESULT's upper half.
    pub const BARE_ACCESS_DENIED: Self = Self(0x5);
    /// The bare Windows error "element not found", without an HRESULT's upper half.
    pub const ELEMENT_NOT_FOUND: Self = Self(0x490);

    /// Returns the code with these bits.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::Hresult;
    /// assert_eq!(Hresult::from_bits(0xc037_010e), Hresult::SYSTEM_NOT_FOUND);
    /// ```
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits.cast_signed())
    }

    /// Returns the code as it is usually printed: unsigned.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::Hresult;
    /// assert_eq!(Hresult::FAIL.bits(), 0x8000_4005);
    /// ```
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0.cast_unsigned()
    }

    /// Returns what the code means, `None` for one the protocol does not name.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::Hresult;
    /// assert_eq!(Hresult::NOT_IMPLEMENTED.meaning(), Some("not implemented"));
    /// assert_eq!(Hresult(1).meaning(), None);
    /// ```
    #[must_use]
    pub const fn meaning(self) -> Option<&'static str> {
        Some(match self {
            Self::NOT_IMPLEMENTED => "not implemented",
            Self::FAIL => "unspecified failure",
            Self::FILE_NOT_FOUND => "no such file",
            Self::PATH_NOT_FOUND => "no such directory",
            Self::ACCESS_DENIED | Self::BARE_ACCESS_DENIED => "access is denied",
            Self::BAD_PROGRAM => "not a program of this machine",
            Self::UNKNOWN_MESSAGE => "unknown message",
            Self::NOT_SUPPORTED => "not supported",
            Self::PROCEDURE_NOT_FOUND => "procedure not found",
            Self::NOT_FOUND | Self::ELEMENT_NOT_FOUND => "not found",
            Self::INVALID_ARGUMENT => "invalid argument",
            Self::PENDING => "operation pending",
            Self::INVALID_STATE | Self::GUEST_INVALID_STATE => "invalid state",
            Self::TIMEOUT => "timed out",
            Self::UNSUPPORTED_PROTOCOL_VERSION => "unsupported protocol version",
            Self::INVALID_JSON => "invalid JSON",
            Self::SYSTEM_NOT_FOUND => "container not found",
            Self::SYSTEM_ALREADY_EXISTS => "container already exists",
            Self::SYSTEM_ALREADY_STOPPED | Self::SYSTEM_ALREADY_STOPPED_80 => {
                "container already stopped"
            }
            Self::PROCESS_ALREADY_STOPPED => "process already stopped",
            _ => return None,
        })
    }
}

impl fmt::Display for Hresult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HRESULT {:#010x}", self.bits())?;
        match self.meaning() {
            Some(meaning) => write!(f, ", {meaning}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Hresult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hresult({:#010x})", self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_travel_as_signed_decimals() {
        assert_eq!(Hresult::SYSTEM_NOT_FOUND.0, -1_070_137_074);
        assert_eq!(Hresult::NOT_IMPLEMENTED.0, -2_147_467_263);
    }
}
