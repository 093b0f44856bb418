//! Message types (gcs-protocol §4).

use std::fmt;

/// The type in a frame's header: kind (4 bits), category (8), number (12), version (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageType(pub u32);

/// Which way a message goes, the top four bits of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    Notification,
    Unknown,
}

const KIND_MASK: u32 = 0xf000_0000;
const REQUEST: u32 = 0x1000_0000;
const RESPONSE: u32 = 0x2000_0000;
const NOTIFICATION: u32 = 0x3000_0000;

// The names are those of hcsshim `internal/gcs/prot/protocol.go` without their `RPC` prefix.
impl MessageType {
    /// Creates a container.
    pub const CREATE: Self = Self(0x1010_0101);
    /// Starts a container (the Linux guest does nothing).
    pub const START: Self = Self(0x1010_0201);
    /// Asks a container or the VM to end.
    pub const SHUTDOWN_GRACEFUL: Self = Self(0x1010_0301);
    /// Ends a container or the VM.
    pub const SHUTDOWN_FORCED: Self = Self(0x1010_0401);
    /// Runs a process.
    pub const EXECUTE_PROCESS: Self = Self(0x1010_0501);
    /// Is answered when a process has ended.
    pub const WAIT_FOR_PROCESS: Self = Self(0x1010_0601);
    /// Sends a signal to a process.
    pub const SIGNAL_PROCESS: Self = Self(0x1010_0701);
    /// Sets the window size of a process's terminal.
    pub const RESIZE_CONSOLE: Self = Self(0x1010_0801);
    /// Asks for properties of a container.
    pub const GET_PROPERTIES: Self = Self(0x1010_0901);
    /// Adds, removes or changes a resource.
    pub const MODIFY_SETTINGS: Self = Self(0x1010_0a01);
    /// Agrees on the protocol's version.
    pub const NEGOTIATE_PROTOCOL: Self = Self(0x1010_0b01);
    /// Asks what the guest is doing.
    pub const DUMP_STACKS: Self = Self(0x1010_0c01);
    /// Forgets a container.
    pub const DELETE_CONTAINER_STATE: Self = Self(0x1010_0d01);
    /// Changes a container's resources; early hosts only.
    pub const UPDATE_CONTAINER: Self = Self(0x1010_0e01);
    /// Changes a setting of a service in a Windows guest.
    pub const MODIFY_SERVICE_SETTINGS: Self = Self(0x1020_0101);
    /// Tells that a container has ended: the only notification.
    pub const CONTAINER_NOTIFICATION: Self = Self(0x3010_0101);

    pub(crate) const fn kind(self) -> Kind {
        match self.0 & KIND_MASK {
            REQUEST => Kind::Request,
            RESPONSE => Kind::Response,
            NOTIFICATION => Kind::Notification,
            _ => Kind::Unknown,
        }
    }

    /// Returns the type of the response to this request: the top four bits replaced.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::MessageType;
    /// assert_eq!(MessageType::CREATE.response(), MessageType(0x2010_0101));
    /// ```
    #[must_use]
    pub const fn response(self) -> Self {
        Self((self.0 & !KIND_MASK) | RESPONSE)
    }

    /// Returns the message's name, `None` for a type the protocol does not know.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::MessageType;
    /// assert_eq!(MessageType::CREATE.name(), Some("Create"));
    /// assert_eq!(MessageType(7).to_string(), "message type 0x00000007");
    /// ```
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::CREATE => "Create",
            Self::START => "Start",
            Self::SHUTDOWN_GRACEFUL => "ShutdownGraceful",
            Self::SHUTDOWN_FORCED => "ShutdownForced",
            Self::EXECUTE_PROCESS => "ExecuteProcess",
            Self::WAIT_FOR_PROCESS => "WaitForProcess",
            Self::SIGNAL_PROCESS => "SignalProcess",
            Self::RESIZE_CONSOLE => "ResizeConsole",
            Self::GET_PROPERTIES => "GetProperties",
            Self::MODIFY_SETTINGS => "ModifySettings",
            Self::NEGOTIATE_PROTOCOL => "NegotiateProtocol",
            Self::DUMP_STACKS => "DumpStacks",
            Self::DELETE_CONTAINER_STATE => "DeleteContainerState",
            Self::UPDATE_CONTAINER => "UpdateContainer",
            Self::MODIFY_SERVICE_SETTINGS => "ModifyServiceSettings",
            Self::CONTAINER_NOTIFICATION => "container notification",
            _ => return None,
        })
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "message type {:#010x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_differs_from_its_request_in_the_top_four_bits() {
        assert_eq!(
            MessageType::DELETE_CONTAINER_STATE.response(),
            MessageType(0x2010_0d01)
        );
        assert_eq!(
            MessageType(0x2010_0101).response(),
            MessageType(0x2010_0101)
        );
    }

    #[test]
    fn kinds_are_told_apart_by_the_top_four_bits() {
        assert_eq!(MessageType::CREATE.kind(), Kind::Request);
        assert_eq!(MessageType::CREATE.response().kind(), Kind::Response);
        assert_eq!(
            MessageType::CONTAINER_NOTIFICATION.kind(),
            Kind::Notification
        );
        assert_eq!(MessageType(0).kind(), Kind::Unknown);
        assert_eq!(MessageType(0x4010_0101).kind(), Kind::Unknown);
    }
}
