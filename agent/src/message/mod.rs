//! Messages: their numbers, what a request asks ([`request`], the long ones in [`specification`], [`execute`] and [`modify`]) and what a response says ([`response`]).

pub mod execute;
pub mod guid;
pub mod modify;
mod privilege;
pub mod request;
pub mod resources;
pub mod response;
pub mod specification;
pub mod words;

use core::fmt;

/// A message identifier: direction, category, number and version in the nibbles `TCCIIIVV`
/// (gcs-protocol §3, hcsshim `internal/guest/prot/protocol.go` `MessageIdentifier`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageType(pub u32);

impl MessageType {
    /// `ComputeSystemCreateV1`.
    pub const CREATE: Self = Self(0x1010_0101);
    /// `ComputeSystemStartV1`.
    pub const START: Self = Self(0x1010_0201);
    /// `ComputeSystemShutdownGracefulV1`.
    pub const SHUTDOWN_GRACEFUL: Self = Self(0x1010_0301);
    /// `ComputeSystemShutdownForcedV1`.
    pub const SHUTDOWN_FORCED: Self = Self(0x1010_0401);
    /// `ComputeSystemExecuteProcessV1`.
    pub const EXECUTE_PROCESS: Self = Self(0x1010_0501);
    /// `ComputeSystemWaitForProcessV1`.
    pub const WAIT_FOR_PROCESS: Self = Self(0x1010_0601);
    /// `ComputeSystemSignalProcessV1`.
    pub const SIGNAL_PROCESS: Self = Self(0x1010_0701);
    /// `ComputeSystemResizeConsoleV1`.
    pub const RESIZE_CONSOLE: Self = Self(0x1010_0801);
    /// `ComputeSystemGetPropertiesV1`.
    pub const GET_PROPERTIES: Self = Self(0x1010_0901);
    /// `ComputeSystemModifySettingsV1`.
    pub const MODIFY_SETTINGS: Self = Self(0x1010_0a01);
    /// `ComputeSystemNegotiateProtocolV1`.
    pub const NEGOTIATE_PROTOCOL: Self = Self(0x1010_0b01);
    /// `ComputeSystemDumpStacksV1`.
    pub const DUMP_STACKS: Self = Self(0x1010_0c01);
    /// `ComputeSystemDeleteContainerStateV1`.
    pub const DELETE_CONTAINER_STATE: Self = Self(0x1010_0d01);
    /// `ComputeSystemUpdateContainerV1`, of early hosts.
    pub const UPDATE_CONTAINER: Self = Self(0x1010_0e01);
    /// `ComputeSystemLifecycleNotificationV1`, never sent; refused.
    pub const LIFECYCLE_NOTIFICATION: Self = Self(0x1010_0f01);
    /// `ComputeServiceModifySettingsV1`, Windows log forwarding; refused.
    pub const MODIFY_SERVICE_SETTINGS: Self = Self(0x1020_0101);
    /// `ComputeSystemNotificationV1`, the only one the guest sends by itself.
    pub const NOTIFICATION: Self = Self(0x3010_0101);

    /// Returns the type that answers this one: the top nibble becomes 2, whatever it was.
    #[must_use]
    pub const fn response(self) -> Self {
        Self(self.0 & 0x0fff_ffff | 0x2000_0000)
    }

    /// Returns whether a request of this type is read at all; the others are refused by name.
    #[must_use]
    pub const fn is_handled(self) -> bool {
        !matches!(
            self,
            Self::LIFECYCLE_NOTIFICATION | Self::MODIFY_SERVICE_SETTINGS
        ) && self.name().is_some()
    }

    /// Returns the request's name; `None` for a number the protocol does not know.
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
            Self::LIFECYCLE_NOTIFICATION => "LifecycleNotification",
            Self::MODIFY_SERVICE_SETTINGS => "ModifyServiceSettings",
            _ => return None,
        })
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "message type 0x{:08x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_type_has_two_as_its_top_nibble_whatever_the_question_was() {
        for (question, answer) in [
            (0x1010_0101, 0x2010_0101),
            (0x2010_0101, 0x2010_0101),
            (0x3010_0101, 0x2010_0101),
            (0, 0x2000_0000),
            (0xffff_ffff, 0x2fff_ffff),
        ] {
            assert_eq!(MessageType(question).response(), MessageType(answer));
        }
    }
}
