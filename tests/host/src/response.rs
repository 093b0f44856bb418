//! What the guest answers (gcs-protocol §5.2, §6, §7): bodies to values.

pub use crate::json::Slip;

use crate::connection::Capabilities;
use crate::container::ExitType;
use crate::guid::is_plain_guid;
use crate::json::{Members, parse};
use crate::{Hresult, Properties};

/// What a call expects in its response beside the base members.
///
/// # Example
///
/// ```
/// use mote_host::response::{Answer, Expected, decode};
/// let answer = decode(Expected::ExitCode, br#"{"Result":0,"ExitCode":3}"#)?;
/// assert_eq!(answer.unwrap(), Answer::ExitCode(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Base,
    /// Version and capabilities.
    Negotiated,
    /// `SelectedVersion` and `SelectedProtocolVersion`.
    Created,
    /// `ProcessId`.
    ProcessId,
    /// `ExitCode`.
    ExitCode,
    /// `Properties`.
    Properties,
    /// `GuestStacks`.
    Stacks,
}

/// What the guest answered.
///
/// # Example
///
/// ```
/// use mote_host::response::{Answer, Expected, decode};
/// let answer = decode(Expected::ProcessId, br#"{"Result":0,"ProcessId":7}"#)?;
/// assert_eq!(answer.unwrap(), Answer::ProcessId(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done.
    Done,
    /// Version and capabilities.
    Negotiated(u32, Capabilities),
    /// The process that runs now.
    ProcessId(u32),
    /// How the process ended.
    ExitCode(u32),
    /// Properties of a container.
    Properties(Box<Properties>),
    /// What the guest is doing.
    Stacks(String),
}

/// The guest said no.
///
/// # Example
///
/// ```
/// use mote_host::Hresult;
/// use mote_host::response::{Expected, Refused, decode};
/// let answer = decode(Expected::Base, br#"{"Result":-2147467259,"ErrorMessage":"no"}"#)?;
/// assert_eq!(answer.unwrap_err(), Refused { hresult: Hresult::FAIL, message: "no".into() });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its result code.
    pub hresult: Hresult,
    /// Its words; empty if it had none.
    pub message: String,
}

/// Decodes a response. The outer error ends the bridge, the inner one is the guest's refusal.
///
/// # Errors
///
/// [`Slip`] when the body is not what the real host's decoder accepts.
///
/// # Example
///
/// ```
/// use mote_host::response::{Expected, decode};
/// assert!(decode(Expected::Base, br#"{"Result":0}"#)?.is_ok());
/// assert!(decode(Expected::Base, b"[]").is_err(), "the bridge ends over it");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode(expected: Expected, body: &[u8]) -> Result<Result<Answer, Refused>, Slip> {
    let value = parse(body)?;
    let members = Members::of(&value, "response")?;
    let hresult = Hresult(members.i32("Result")?.unwrap_or(0));
    check_activity(members)?;
    let message = members.string("ErrorMessage")?.unwrap_or("").to_owned();
    for record in members.list("ErrorRecords")? {
        check_record(Members::of(record, "ErrorRecords")?)?;
    }
    // The real decoder reads all members before it looks at the result, so a slip in a refusal counts as well.
    let answer = decode_answer(expected, members, hresult == Hresult(0))?;
    Ok(if hresult == Hresult(0) {
        Ok(answer)
    } else {
        Err(Refused { hresult, message })
    })
}

fn decode_answer(expected: Expected, members: Members<'_>, success: bool) -> Result<Answer, Slip> {
    Ok(match expected {
        Expected::Base => Answer::Done,
        Expected::Created => {
            members.string("SelectedVersion")?;
            members.u32("SelectedProtocolVersion")?;
            Answer::Done
        }
        Expected::Negotiated => {
            let version = members.u32("Version")?.unwrap_or(0);
            let capabilities = members.object("Capabilities")?;
            let capabilities = if success {
                Capabilities::parse(capabilities)?
            } else {
                Capabilities::default()
            };
            Answer::Negotiated(version, capabilities)
        }
        Expected::ProcessId => Answer::ProcessId(members.u32("ProcessId")?.unwrap_or(0)),
        Expected::ExitCode => Answer::ExitCode(members.u32("ExitCode")?.unwrap_or(0)),
        Expected::Properties => {
            Answer::Properties(Box::new(match members.document("Properties")? {
                Some(document) => Properties::parse(&document)?,
                None => Properties::default(),
            }))
        }
        Expected::Stacks => Answer::Stacks(members.string("GuestStacks")?.unwrap_or("").to_owned()),
    })
}

/// A container has ended.
///
/// # Example
///
/// ```
/// use mote_host::ExitType;
/// use mote_host::response::decode_notification;
/// let ended = decode_notification(br#"{"ContainerId":"c","Type":"GracefulExit"}"#)?;
/// assert_eq!((ended.container_id.as_str(), ended.exit_type), ("c", ExitType::Graceful));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Which container.
    pub container_id: String,
    /// How, as far as the guest tells.
    pub exit_type: ExitType,
}

/// Decodes a notification.
///
/// # Errors
///
/// [`Slip`] when the body is not what the real host's decoder accepts.
///
/// # Example
///
/// ```
/// use mote_host::response::decode_notification;
/// let ended = decode_notification(br#"{"ContainerId":"c","Type":"ForcedExit"}"#)?;
/// assert_eq!(ended.container_id, "c");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode_notification(body: &[u8]) -> Result<Notification, Slip> {
    let value = parse(body)?;
    let members = Members::of(&value, "notification")?;
    check_activity(members)?;
    members.string("Operation")?;
    members.i32("Result")?;
    members.document("ResultInfo")?;
    Ok(Notification {
        container_id: members.string("ContainerId")?.unwrap_or("").to_owned(),
        exit_type: ExitType::from_name(members.string("Type")?.unwrap_or("")),
    })
}

/// The host holds the activity id as a GUID; absent and null are the GUID of nothing.
fn check_activity(members: Members<'_>) -> Result<(), Slip> {
    match members.string("ActivityId")? {
        Some(text) if !is_plain_guid(text) => Err(Slip::new(format!(
            "ActivityId {text:?} is not a GUID of the form 8-4-4-4-12"
        ))),
        _ => Ok(()),
    }
}

fn check_record(record: Members<'_>) -> Result<(), Slip> {
    record.i32("Result")?;
    for name in [
        "Message",
        "StackTrace",
        "ModuleName",
        "FileName",
        "FunctionName",
    ] {
        record.string(name)?;
    }
    record.u32("Line")?;
    Ok(())
}
