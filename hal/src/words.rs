//! Words of a text, and a word's two parts: what the kernel command line is read with, by everybody who reads it.
//!
//! The standard library has the same for any pattern, and each use of it is code of its own. At start QEMU's translator takes
//! its time for every piece of code that is new to it, and the command line is read four times by then.

/// The words of a text, in order. They have any of ASCII's white space between them.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    /// Returns the words of `text`.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    #[inline(never)]
    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.0.as_bytes();
        let start = bytes.iter().position(|byte| !is_space(*byte))?;
        let length = bytes[start..].iter().position(|byte| is_space(*byte));
        let end = start + length.unwrap_or(bytes.len() - start);
        // Both are beside white space or an end of the text, so they are between characters.
        let (word, rest) = (self.0.get(start..end)?, self.0.get(end..)?);
        self.0 = rest;
        Some(word)
    }
}

/// As `u8::is_ascii_whitespace`, in one comparison more and two jumps less.
const fn is_space(byte: u8) -> bool {
    byte <= b' ' && 1_u64 << byte & SPACES != 0
}

/// A bit for each: tab, line feed, form feed, carriage return, space.
const SPACES: u64 = 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 32;

/// Cuts `text` at the first `separator`, an ASCII character: what is before it, and what is behind it if it is there.
///
/// # Panics
///
/// When the separator is no ASCII character.
#[must_use]
#[inline(never)]
pub fn cut(text: &str, separator: u8) -> (&str, Option<&str>) {
    assert!(separator.is_ascii());
    let place = text.as_bytes().iter().position(|byte| *byte == separator);
    // Both ends are beside an ASCII character. Indices would bring the words of their panic into the image, with 3 KB of tables.
    match place.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn words_are_those_the_standard_library_finds() {
        for text in [
            "",
            " ",
            "a",
            " a",
            "a ",
            "quiet -- -e 1 /bin/init",
            "\ta\r\nb\u{c}c \u{b} d\u{a0}e \0f\u{1f}g ",
            "ä = ö  €",
        ] {
            let ours: Vec<_> = Words::new(text).collect();
            let theirs: Vec<_> = text.split_ascii_whitespace().collect();
            assert_eq!(ours, theirs, "{text:?}");
        }
        for byte in 0..128_u8 {
            assert_eq!(is_space(byte), byte.is_ascii_whitespace(), "{byte}");
            let text = String::from_iter(['x', char::from(byte), 'y']);
            assert_eq!(
                Words::new(&text).count(),
                text.split_ascii_whitespace().count()
            );
        }
        assert!((128..=255).all(|byte| !is_space(byte)));
    }

    #[test]
    fn a_word_is_cut_where_the_separator_is_first() {
        assert_eq!(cut("a=b=c", b'='), ("a", Some("b=c")));
        assert_eq!(cut("=b", b'='), ("", Some("b")));
        assert_eq!(cut("ä=", b'='), ("ä", Some("")));
        assert_eq!(cut("a", b'='), ("a", None));
        assert_eq!(cut("", b'='), ("", None));
    }
}
