//! Bytes that may not be UTF-8, shown as well as they can be.

use core::fmt;

/// Shows bytes as text, with `\xNN` for what is not printable ASCII.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}
