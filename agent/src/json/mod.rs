//! JSON, read where it lies.
//!
//! A document is checked once ([`check`]: UTF-8, grammar, nesting) without changing it, then read by a [`Cursor`] that
//! hands out pieces of the buffer: strings are unescaped in place and lent as `&str`, string lists are packed in place,
//! and a document that is carried in a string is read by another cursor on its own bytes. Nothing is allocated and
//! nothing recurses.
//!
//! The reading rules are those of Go's `encoding/json` (gcs-protocol §15): member names match in any case, `null` reads as
//! absent, unknown members are skipped, the last duplicate wins, integers have exact ranges and neither fraction nor
//! exponent, a lone surrogate becomes U+FFFD. One is stricter: raw bytes that are not UTF-8 are refused.

mod check;
mod cursor;
mod lexeme;
mod list;
mod object;
mod peek;

pub use check::check;
pub use cursor::{Cursor, Text};
pub use object::{Field, Member};
pub use peek::{Peek, peek};

use core::fmt;

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It ends too early.
    UnexpectedEnd,
    /// A byte that cannot stand here.
    UnexpectedByte(u8),
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A backslash with something that is no escape.
    InvalidEscape,
    /// Values inside each other, more than the limit.
    TooDeep(usize),
    /// Another type was expected.
    Expected(&'static str),
    /// A number with a fraction or an exponent where an integer is expected.
    NotAnInteger,
    /// An integer outside the range of its member.
    OutOfRange,
    /// A NUL inside a string that becomes an argument, a variable or a path.
    NulInString,
    /// More entries than the named limit.
    Limit(&'static str, usize),
}

/// What is wrong with a document, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What.
    pub kind: ErrorKind,
    /// Which document: the name of the member that carries it, empty for the message itself.
    pub document: &'static str,
    /// The member being read, empty when none was recognised yet.
    pub member: &'static str,
    /// Offset in the document, in bytes.
    pub position: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.document.is_empty() {
            "message"
        } else {
            self.document
        })?;
        if !self.member.is_empty() {
            write!(f, ", member {}", self.member)?;
        }
        write!(f, ": ")?;
        match self.kind {
            ErrorKind::UnexpectedEnd => f.write_str("unexpected end of JSON")?,
            ErrorKind::UnexpectedByte(byte) => write!(f, "unexpected byte 0x{byte:02x}")?,
            ErrorKind::InvalidUtf8 => f.write_str("invalid UTF-8")?,
            ErrorKind::InvalidEscape => f.write_str("invalid escape")?,
            ErrorKind::TooDeep(limit) => write!(f, "nested deeper than {limit}")?,
            ErrorKind::Expected(what) => write!(f, "expected {what}")?,
            ErrorKind::NotAnInteger => f.write_str("expected an integer")?,
            ErrorKind::OutOfRange => f.write_str("integer out of range")?,
            ErrorKind::NulInString => f.write_str("a NUL character cannot be passed on")?,
            ErrorKind::Limit(name, size) => write!(f, "limit reached: {name} = {size}")?,
        }
        write!(f, " at byte {}", self.position)
    }
}

impl core::error::Error for Error {}
