//! What a response says, written by serde straight into the outgoing frame.
//!
//! Member names, order and omissions are those of hcsshim `internal/guest/prot/protocol.go`. Go escapes `<`, `>`, `&`,
//! U+2028 and U+2029 in strings, the serializer used here does not, so [`write()`] does it behind it: none of these can stand
//! outside a string.

use super::guid::{Activity, Guid};
use crate::failure::Failure;
use crate::hresult::Hresult;
use crate::kernel::Pid;
use crate::outbox::Full;
use core::fmt;
use serde::ser::{Serialize, SerializeStruct, Serializer};

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

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("Response", 5)?;
        let result = match self.outcome {
            Ok(_) => Hresult::OK,
            Err(failure) => Hresult::from(&failure.cause),
        };
        members.serialize_field("Result", &result.0)?;
        if let Activity(Some(guid)) = self.activity {
            members.serialize_field("ActivityId", &Shown(&guid))?;
        }
        match &self.outcome {
            Err(failure) => {
                let text = failure.text();
                members.serialize_field("ErrorMessage", text.as_str())?;
                let record = ErrorRecord {
                    result: result.0,
                    message: text.as_str(),
                    module_name: "gcs",
                    file_name: failure.file_name(),
                    line: failure.place.line(),
                };
                members.serialize_field("ErrorRecords", &[record])?;
            }
            Ok(Answer::Done) => {}
            Ok(Answer::Negotiated) => {
                members.serialize_field("Version", &PROTOCOL_VERSION)?;
                members.serialize_field("Capabilities", &CAPABILITIES)?;
            }
            Ok(Answer::Created) => members.serialize_field("SelectedProtocolVersion", &0)?,
            Ok(Answer::Started(pid)) => members.serialize_field("ProcessId", &pid.0)?,
            Ok(Answer::Exited(code)) => members.serialize_field("ExitCode", code)?,
            Ok(Answer::Properties(document)) => {
                members.serialize_field("Properties", &Shown(document))?;
            }
            Ok(Answer::Stacks(text)) => members.serialize_field("GuestStacks", &Shown(text))?,
        }
        members.end()
    }
}

/// The one version there is (hcsshim `prot.PvV4`).
pub const PROTOCOL_VERSION: u32 = 4;

/// What is announced. `NamespaceAddRequestSupported` is left out, which means false: there is no network.
const CAPABILITIES: Capabilities = Capabilities {
    schema_versions: [SchemaVersion { major: 2, minor: 1 }],
    os: "Linux",
    guest_defined: GuestDefinedCapabilities {
        signal_process: true,
        dump_stacks: true,
        delete_container_state: true,
    },
};

#[derive(serde::Serialize)]
struct Capabilities {
    #[serde(rename = "SupportedSchemaVersions")]
    schema_versions: [SchemaVersion; 1],
    #[serde(rename = "RuntimeOsType")]
    os: &'static str,
    #[serde(rename = "GuestDefinedCapabilities")]
    guest_defined: GuestDefinedCapabilities,
}

#[derive(serde::Serialize)]
struct SchemaVersion {
    #[serde(rename = "Major")]
    major: u32,
    #[serde(rename = "Minor")]
    minor: u32,
}

#[derive(serde::Serialize)]
struct GuestDefinedCapabilities {
    #[serde(rename = "SignalProcessSupported")]
    signal_process: bool,
    #[serde(rename = "DumpStacksSupported")]
    dump_stacks: bool,
    #[serde(rename = "DeleteContainerStateSupported")]
    delete_container_state: bool,
}

#[derive(serde::Serialize)]
struct ErrorRecord<'a> {
    #[serde(rename = "Result")]
    result: i32,
    #[serde(rename = "Message")]
    message: &'a str,
    #[serde(rename = "ModuleName")]
    module_name: &'static str,
    #[serde(rename = "FileName")]
    file_name: &'static str,
    #[serde(rename = "Line")]
    line: u32,
}

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

impl Serialize for ExitNotification<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("ExitNotification", 5)?;
        members.serialize_field("ContainerId", self.container)?;
        // The host insists on a GUID here, even when Create had none.
        let activity = self.activity.0.unwrap_or(Guid::ZERO);
        members.serialize_field("ActivityId", &Shown(&activity))?;
        let exit = match self.exit {
            ExitType::Unexpected => "UnexpectedExit",
            ExitType::Graceful => "GracefulExit",
            ExitType::Forced => "ForcedExit",
        };
        members.serialize_field("Type", exit)?;
        members.serialize_field("Operation", "None")?;
        members.serialize_field("Result", &0)?;
        members.end()
    }
}

/// A string that is written by `Display`.
pub(crate) struct Shown<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: fmt::Display + ?Sized> Serialize for Shown<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// Writes `value` as JSON to the front of `buffer`, escaped as Go escapes, and returns its length.
///
/// # Errors
///
/// [`Full`] when the buffer is too small.
pub fn write<T: Serialize>(value: &T, buffer: &mut [u8]) -> Result<usize, Full> {
    let length = serde_json_core::to_slice(value, buffer).or(Err(Full))?;
    escape(buffer, length)
}

/// Replaces in `buffer[..length]` what Go escapes and serde-json-core does not, and returns the new length.
fn escape(buffer: &mut [u8], length: usize) -> Result<usize, Full> {
    let mut growth = 0;
    let mut at = 0;
    while at < length {
        let (size, escaped) = escaped_form(&buffer[at..length]);
        growth += escaped.map_or(0, |escaped| escaped.len() - size);
        at += size;
    }
    if growth == 0 {
        return Ok(length);
    }
    if buffer.len() - length < growth {
        return Err(Full);
    }
    // Shift everything up, then read there and write at the front: the gap shrinks as escapes are written.
    buffer.copy_within(..length, growth);
    let (mut read, mut write) = (growth, 0);
    let end = length + growth;
    while read < end {
        let (size, escaped) = escaped_form(&buffer[read..end]);
        match escaped {
            Some(escaped) => {
                buffer[write..write + escaped.len()].copy_from_slice(escaped);
                write += escaped.len();
            }
            None => {
                buffer.copy_within(read..read + size, write);
                write += size;
            }
        }
        read += size;
    }
    Ok(end)
}

/// Looks at the front of `bytes`: how many belong together, and what stands for them.
fn escaped_form(bytes: &[u8]) -> (usize, Option<&'static [u8]>) {
    match bytes {
        [b'<', ..] => (1, Some(b"\\u003c")),
        [b'>', ..] => (1, Some(b"\\u003e")),
        [b'&', ..] => (1, Some(b"\\u0026")),
        [0xe2, 0x80, 0xa8, ..] => (3, Some(b"\\u2028")),
        [0xe2, 0x80, 0xa9, ..] => (3, Some(b"\\u2029")),
        _ => (1, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Cause;
    use std::string::{String, ToString};

    fn json<T: Serialize>(value: &T) -> String {
        let mut buffer = [0; 8192];
        let length = write(value, &mut buffer).unwrap();
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
    fn strings_are_escaped_as_go_escapes_them() {
        let response = Response {
            activity: Activity(None),
            outcome: Ok(Answer::Stacks(
                &"<a>&\u{2028}\u{2029}\u{20ac}\"\\\n\t\u{1}\u{7f}",
            )),
        };
        assert_eq!(
            json(&response),
            "{\"Result\":0,\"GuestStacks\":\"\\u003ca\\u003e\\u0026\\u2028\\u2029\u{20ac}\\\"\\\\\\n\\t\\u0001\u{7f}\"}"
        );
    }

    #[test]
    fn a_value_fits_at_its_escaped_size_and_not_below() {
        let value = "<\u{2028}>";
        let mut buffer = [0; 20];
        assert_eq!(write(&value, &mut buffer), Ok(20));
        assert_eq!(write(&value, &mut buffer[..19]), Err(Full));
        assert_eq!(write(&value, &mut buffer[..3]), Err(Full));
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
