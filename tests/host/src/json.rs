//! Reading JSON as the real host's decoder reads it (gcs-protocol §15).
//!
//! Member names match in any case, `null` reads as absent, unknown members are ignored, integers have the declared
//! width and neither fraction nor exponent. What does not fit is a [`Slip`]: on the bridge it ends the session.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// What is wrong with a document from the guest.
///
/// # Example
///
/// ```
/// use mote_host::response::{Expected, decode};
/// let slip = decode(Expected::Base, b"no JSON").unwrap_err();
/// assert!(slip.to_string().starts_with("not JSON"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slip(String);

impl Slip {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Slip {}

/// The members of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members<'a>(Option<&'a Map<String, Value>>);

/// Parses a body. Bytes that are not UTF-8 and lone surrogates become U+FFFD.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Slip> {
    let text = String::from_utf8_lossy(body);
    serde_json::from_str(&without_lone_surrogates(&text))
        .map_err(|error| Slip::new(format!("not JSON: {error}")))
}

impl<'a> Members<'a> {
    /// Takes an object; `null` is an object without members.
    pub(crate) fn of(value: &'a Value, what: &str) -> Result<Self, Slip> {
        match value {
            Value::Null => Ok(Self(None)),
            Value::Object(map) => Ok(Self(Some(map))),
            other => Err(wrong(what, "an object", other)),
        }
    }

    /// Returns a member that is there and not null. Of several spellings the last one wins.
    pub(crate) fn get(self, name: &str) -> Option<&'a Value> {
        let value = self
            .0?
            .iter()
            .rfind(|(key, _)| key.eq_ignore_ascii_case(name))?
            .1;
        (!value.is_null()).then_some(value)
    }

    /// Returns whether a member is there, be it null.
    pub(crate) fn has(self, name: &str) -> bool {
        self.0
            .is_some_and(|map| map.keys().any(|key| key.eq_ignore_ascii_case(name)))
    }

    pub(crate) fn string(self, name: &str) -> Result<Option<&'a str>, Slip> {
        self.get(name)
            .map(|value| value.as_str().ok_or_else(|| wrong(name, "a string", value)))
            .transpose()
    }

    pub(crate) fn boolean(self, name: &str) -> Result<bool, Slip> {
        self.get(name).map_or(Ok(false), |value| {
            value
                .as_bool()
                .ok_or_else(|| wrong(name, "true or false", value))
        })
    }

    pub(crate) fn i32(self, name: &str) -> Result<Option<i32>, Slip> {
        self.integer(name, "a signed 32-bit integer", |value| {
            value.as_i64().and_then(|number| i32::try_from(number).ok())
        })
    }

    pub(crate) fn u32(self, name: &str) -> Result<Option<u32>, Slip> {
        self.integer(name, "an unsigned 32-bit integer", |value| {
            value.as_u64().and_then(|number| u32::try_from(number).ok())
        })
    }

    pub(crate) fn u64(self, name: &str) -> Result<Option<u64>, Slip> {
        self.integer(name, "an unsigned 64-bit integer", Value::as_u64)
    }

    fn integer<T>(
        self,
        name: &str,
        kind: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Slip> {
        self.get(name)
            .map(|value| read(value).ok_or_else(|| wrong(name, kind, value)))
            .transpose()
    }

    /// Returns the elements of a list; an absent list is empty.
    pub(crate) fn list(self, name: &str) -> Result<&'a [Value], Slip> {
        self.get(name).map_or(Ok(&[]), |value| {
            value
                .as_array()
                .map(Vec::as_slice)
                .ok_or_else(|| wrong(name, "a list", value))
        })
    }

    /// Returns the members of a nested object; an absent one has none.
    pub(crate) fn object(self, name: &str) -> Result<Self, Slip> {
        self.get(name)
            .map_or(Ok(Self(None)), |value| Self::of(value, name))
    }

    /// Returns a document that travels as a string.
    pub(crate) fn document(self, name: &str) -> Result<Option<Value>, Slip> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        parse(text.as_bytes())
            .map(Some)
            .map_err(|slip| Slip::new(format!("{name} holds no document: {slip}")))
    }
}

fn wrong(name: &str, wanted: &str, value: &Value) -> Slip {
    let text = value.to_string();
    let shown: String = text.chars().take(40).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    Slip::new(format!("{name} must be {wanted}, not {shown}{more}"))
}

/// Replaces escapes of lone surrogates by that of U+FFFD, as Go does; `serde_json` refuses them.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut output = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        let start = at + found;
        at = match surrogate(text, start) {
            Some(Surrogate::High) if matches!(surrogate(text, start + 6), Some(Surrogate::Low)) => {
                start + 12
            }
            Some(_) => {
                // Same length, so positions in `text` and `output` stay equal.
                output.to_mut().replace_range(start..start + 6, "\\ufffd");
                start + 6
            }
            // Skip the escaped character too: in `\\u` the second backslash begins nothing.
            None => start + 1 + text[start + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    output
}

enum Surrogate {
    High,
    Low,
}

/// Returns which half of a surrogate pair is escaped at `start`.
fn surrogate(text: &str, start: usize) -> Option<Surrogate> {
    let digits = text.get(start..start + 6)?.strip_prefix("\\u")?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Surrogate::High),
        0xdc00..=0xdfff => Some(Surrogate::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_members_in_any_case_and_the_last_spelling_wins() {
        let value = json!({"result": 1, "RESULT": 2, "other": null});
        let members = Members::of(&value, "body").expect("an object");
        assert_eq!(members.i32("Result"), Ok(Some(2)));
        assert_eq!(members.i32("Other"), Ok(None));
        assert!(members.has("Other") && !members.has("Missing"));
    }

    #[test]
    fn holds_integers_to_their_width() {
        let value = json!({"min": -2147483648i64, "below": -2147483649i64, "max": 2147483647i64, "above": 2147483648i64,
            "u": 4294967295u64, "uabove": 4294967296u64, "fraction": 0.0, "negative": -1});
        let members = Members::of(&value, "body").expect("an object");
        assert_eq!(members.i32("min"), Ok(Some(i32::MIN)));
        assert_eq!(members.i32("max"), Ok(Some(i32::MAX)));
        assert_eq!(members.u32("u"), Ok(Some(u32::MAX)));
        assert!(members.i32("below").is_err() && members.i32("above").is_err());
        assert!(members.u32("uabove").is_err() && members.u32("negative").is_err());
        assert!(members.i32("fraction").is_err() && members.u64("fraction").is_err());
    }

    #[test]
    fn replaces_what_is_not_unicode() {
        let value = parse(
            b"{\"a\":\"\xff\",\"b\":\"\\ud800x\",\"c\":\"\\ud83d\\ude00\",\"d\":\"\\\\ud800\"}",
        )
        .expect("JSON");
        let members = Members::of(&value, "body").expect("an object");
        assert_eq!(members.string("a"), Ok(Some("\u{fffd}")));
        assert_eq!(members.string("b"), Ok(Some("\u{fffd}x")));
        assert_eq!(members.string("c"), Ok(Some("😀")));
        assert_eq!(members.string("d"), Ok(Some("\\ud800")));
    }

    #[test]
    fn takes_white_space_behind_a_document_but_no_nul() {
        assert!(parse(b"{} \n").is_ok());
        assert!(parse(b"{}\0").is_err());
        assert!(parse(b"").is_err());
    }

    #[test]
    fn a_null_body_has_no_members_and_a_list_is_refused() {
        assert!(
            Members::of(&Value::Null, "body")
                .expect("defaults")
                .get("x")
                .is_none()
        );
        assert!(Members::of(&json!([]), "body").is_err());
    }
}
