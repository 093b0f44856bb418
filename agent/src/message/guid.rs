//! The activity id of a request, which its response repeats.

use crate::json::{self, Peek};
use core::fmt;

/// A GUID in the protocol's form: `8-4-4-4-12` lower or upper case hexadecimal digits, no braces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guid(pub [u8; 16]);

/// Length of a GUID's text.
const TEXT_BYTES: usize = 36;

impl Guid {
    /// `00000000-0000-0000-0000-000000000000`: the null container, and the activity of hosts that do not trace.
    pub const ZERO: Self = Self([0; 16]);

    /// Reads a GUID's text.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (at, &character) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if character != b'-' {
                    return None;
                }
                continue;
            }
            let digit = char::from(character).to_digit(16)?;
            let byte = bytes.get_mut(digits / 2)?;
            *byte = *byte << 4 | digit as u8;
            digits += 1;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The activity id to answer with.
///
/// An absent, null or empty one is left out of the response, as the reference guest does. One that is no GUID is
/// answered with the zero GUID, because the host ends the bridge over anything else (gcs-protocol §5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity(pub Option<Guid>);

impl Activity {
    /// Finds the activity id in a checked message, without changing it.
    #[must_use]
    pub fn peek(body: &[u8]) -> Self {
        let mut text = [0; 6 * TEXT_BYTES];
        match json::peek(body, "ActivityId", &mut text) {
            Peek::Absent | Peek::Text([]) => Self(None),
            Peek::Text(text) => Self(Some(Guid::parse(text).unwrap_or_default())),
            Peek::TooLong => Self(Some(Guid::ZERO)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    const TEXT: &str = "a1b2c3d4-0000-4000-8000-00000000000f";

    #[test]
    fn a_guid_is_written_as_it_was_read() {
        assert_eq!(Guid::parse(TEXT.as_bytes()).unwrap().to_string(), TEXT);
        let upper = TEXT.to_uppercase();
        assert_eq!(Guid::parse(upper.as_bytes()).unwrap().to_string(), TEXT);
    }

    #[test]
    fn other_forms_are_no_guids() {
        for text in [
            "",
            "a1b2c3d4-0000-4000-8000-00000000000",
            "a1b2c3d4-0000-4000-8000-00000000000f0",
            "a1b2c3d400000-4000-8000-00000000000f",
            "{1b2c3d4-0000-4000-8000-00000000000}",
            "g1b2c3d4-0000-4000-8000-00000000000f",
        ] {
            assert_eq!(Guid::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_activity_is_found_by_gos_rules() {
        let guid = Guid::parse(TEXT.as_bytes());
        for (body, activity) in [
            (format!("{{\"ActivityId\":\"{TEXT}\"}}"), guid),
            (
                format!("{{\"x\":[{{}}],\"activityid\" : \"{TEXT}\"}}"),
                guid,
            ),
            (
                format!("{{\"ActivityId\":\"\\u00611b2c3d4{}\"}}", &TEXT[8..]),
                guid,
            ),
            (
                format!("{{\"ActivityId\":\"x\",\"ActivityId\":\"{TEXT}\"}}"),
                guid,
            ),
            (format!("{{\"x\":{{\"ActivityId\":\"{TEXT}\"}}}}"), None),
            ("{\"ActivityId\":null}".to_string(), None),
            ("{\"ActivityId\":\"\"}".to_string(), None),
            ("{\"ActivityId\":7}".to_string(), None),
            ("{}".to_string(), None),
            ("null".to_string(), None),
            ("[]".to_string(), None),
            ("{\"ActivityId\":\"act-1\"}".to_string(), Some(Guid::ZERO)),
            (
                format!("{{\"ActivityId\":\"{}\"}}", "a".repeat(999)),
                Some(Guid::ZERO),
            ),
        ] {
            assert_eq!(
                Activity::peek(body.as_bytes()),
                Activity(activity),
                "{body}"
            );
        }
    }
}
