//! What a response says, written straight into the outgoing frame.
//!
//! Member names, order and omissions are those of hcsshim `internal/guest/prot/protocol.go`.

use super::guid::{Activity, Guid};
use crate::failure::Failure;
use crate::hresult::Hresult;
use crate::json::Writer;
use crate::kernel::Pid;
use crate::outbox::Full;
use core::fmt;

/// A response.
pub struct Response<'a> {
    /// The request's activity id.
    pub activity: Activity,
    /// What happened.
    pub outcome: Result<Answer<'a>, &'a Failure>,
}

/// What a successful response says besides that.
pub enum Answer<'a> {
    /// Nothing.
    Done,
    /// NegotiateProtocol: version 4 and what works.
    Negotiated,
    /// Create.
    Created,
    /// ExecuteProcess: the process id.
    Started(Pid),
    /// WaitForProcess: the exit code.
    Exited(u32),
    /// GetProperties: a document, which goes out as a string.
    Properties(&'a dyn fmt::Display),
    /// DumpStacks: text.
    Stacks(&'a dyn fmt::Display),
}

impl Response<'_> {
    /// Writes it to the front of `room`, and returns its length.
    ///
    /// # Errors
    ///
    /// [`Full`] when the room is too small.
    pub fn write(&self, room: &mut [u8]) -> Result<usize, Full> {
        let mut members = Writer::new(room);
        let result = match self.outcome {
            Ok(_) => Hresult::OK,
            Err(failure) => Hresult::from(&failure.cause),
        };
        members.number("Result", result.0.into());
        if let Activity(Some(guid)) = self.activity {
            members.string("ActivityId", &guid.text());
        }
        match &self.outcome {
            Err(failure) => {
                let text = failure.text();
                members.string("ErrorMessage", text.as_str());
                members.array_of_one("ErrorRecords", |record| {
                    record.number("Result", result.0.into());
                    record.string("Message", text.as_str());
                    record.string("ModuleName", "gcs");
                    record.string("FileName", failure.file_name());
                    record.number("Line", failure.place.line().into());
                });
            }
            Ok(Answer::Done) => {}
            Ok(Answer::Negotiated) => {
                members.number("Version", PROTOCOL_VERSION.into());
                members.json("Capabilities", CAPABILITIES);
            }
            Ok(Answer::Created) => members.number("SelectedProtocolVersion", 0),
            Ok(Answer::Started(pid)) => members.number("ProcessId", pid.0.into()),
            Ok(Answer::Exited(code)) => members.number("ExitCode", (*code).into()),
            Ok(Answer::Properties(document)) => members.shown("Properties", document),
            Ok(Answer::Stacks(text)) => members.shown("GuestStacks", text),
        }
        members.finish()
    }
}

/// The one version there is (hcsshim `prot.PvV4`).
pub const PROTOCOL_VERSION: u32 = 4;

/// What is announced. `NamespaceAddRequestSupported` is left out, which means false: there is no network.
const CAPABILITIES: &str = concat!(
    r#"{"SupportedSchemaVersions":[{"Major":2,"Minor":1}],"RuntimeOsType":"Linux","#,
    r#""GuestDefinedCapabilities":{"SignalProcessSupported":true,"DumpStacksSupported":true,"#,
    r#""DeleteContainerStateSupported":true}}"#
);

/// How a container ended (hcsshim `prot.NotificationType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExitType {
    /// Its init ended by itself or by a signal nobody here sent.
    #[default]
    Unexpected,
    /// TERM was delivered to its init.
    Graceful,
    /// KILL was delivered to its init.
    Forced,
}

/// The notification that a container has ended.
pub struct ExitNotification<'a> {
    /// Which container.
    pub container: &'a str,
    /// The activity id of its Create request.
    pub activity: Activity,
    /// How it ended.
    pub exit: ExitType,
}

impl ExitNotification<'_> {
    /// Writes it to the front of `room`, and returns its length.
    ///
    /// # Errors
    ///
    /// [`Full`] when the room is too small.
    pub fn write(&self, room: &mut [u8]) -> Result<usize, Full> {
        let mut members = Writer::new(room);
        members.string("ContainerId", self.container);
        // The host insists on a GUID here, even when Create had none.
        members.string("ActivityId", &self.activity.0.unwrap_or(Guid::ZERO).text());
        let exit = match self.exit {
            ExitType::Unexpected => "UnexpectedExit",
            ExitType::Graceful => "GracefulExit",
            ExitType::Forced => "ForcedExit",
        };
        members.string("Type", exit);
        members.string("Operation", "None");
        members.number("Result", 0);
        members.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Cause;
    use std::string::{String, ToString};

    fn json(response: &Response<'_>) -> String {
        let mut buffer = [0; 8192];
        let length = response.write(&mut buffer).unwrap();
        core::str::from_utf8(&buffer[..length]).unwrap().to_string()
    }

    #[test]
    fn a_success_without_members_is_exactly_the_documented_one() {
        // gcs-protocol §5.2.
        let response = Response {
            activity: Activity(Some(Guid::ZERO)),
            outcome: Ok(Answer::Done),
        };
        assert_eq!(
            json(&response),
            r#"{"Result":0,"ActivityId":"00000000-0000-0000-0000-000000000000"}"#
        );
    }

    #[test]
    fn an_absent_activity_is_left_out() {
        let response = Response {
            activity: Activity(None),
            outcome: Ok(Answer::Started(Pid(7))),
        };
        assert_eq!(json(&response), r#"{"Result":0,"ProcessId":7}"#);
    }

    #[test]
    fn the_answer_to_a_negotiation_announces_what_works() {
        // gcs-protocol §5.3.
        let response = Response {
            activity: Activity(None),
            outcome: Ok(Answer::Negotiated),
        };
        let value: serde_json::Value = serde_json::from_str(&json(&response)).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "Result": 0,
                "Version": 4,
                "Capabilities": {
                    "SupportedSchemaVersions": [{"Major": 2, "Minor": 1}],
                    "RuntimeOsType": "Linux",
                    "GuestDefinedCapabilities": {
                        "SignalProcessSupported": true,
                        "DumpStacksSupported": true,
                        "DeleteContainerStateSupported": true,
                    },
                },
            })
        );
    }

    #[test]
    fn the_longest_error_stays_below_the_room_kept_for_it() {
        let failure = Failure::from(Cause::Load(crate::kernel::LoadError {
            errno: 2,
            reason: "<",
            path: core::iter::repeat_n('\u{1}', 255).collect(),
            holder: None,
        }));
        let response = Response {
            activity: Activity(Some(Guid::ZERO)),
            outcome: Err(&failure),
        };
        assert!(json(&response).len() < crate::limits::SMALL_RESPONSE_BYTES);
    }
}
