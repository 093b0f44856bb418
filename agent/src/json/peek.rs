//! One member of a checked document, read without changing the document.

use super::lexeme::{skip_space, skip_string, skip_value, unescape};

/// What [`peek`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek<'b> {
    /// No such member, or it is no string.
    Absent,
    /// The string.
    Text(&'b [u8]),
    /// A string, but longer than the buffer.
    TooLong,
}

/// Copies the string that the last member called `name` (in any case) of a checked document's top level holds into
/// `buffer`, without changing the document.
#[must_use]
pub fn peek<'b>(document: &[u8], name: &str, buffer: &'b mut [u8]) -> Peek<'b> {
    let inside = find_member(document, name)
        .and_then(|token| token.strip_prefix(b"\"")?.strip_suffix(b"\""));
    let Some(inside) = inside else {
        return Peek::Absent;
    };
    let Some(copy) = buffer.get_mut(..inside.len()) else {
        return Peek::TooLong;
    };
    copy.copy_from_slice(inside);
    let length = unescape(copy, 0, inside.len(), 0);
    Peek::Text(&copy[..length])
}

/// Finds the value of the last member called `name` that is not `null`.
fn find_member<'d>(document: &'d [u8], name: &str) -> Option<&'d [u8]> {
    let mut found = None;
    let mut at = skip_space(document, 0);
    if document.get(at) != Some(&b'{') {
        return None;
    }
    at = skip_space(document, at + 1);
    while document.get(at) == Some(&b'"') {
        let end = skip_string(document, at);
        let key = document.get(at + 1..end - 1)?;
        let value = skip_space(document, skip_space(document, end) + 1);
        at = skip_value(document, value);
        if key.eq_ignore_ascii_case(name.as_bytes()) && document.get(value) != Some(&b'n') {
            found = document.get(value..at);
        }
        at = skip_space(document, at);
        if document.get(at) == Some(&b',') {
            at = skip_space(document, at + 1);
        }
    }
    found
}
