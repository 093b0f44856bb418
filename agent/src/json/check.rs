//! Is it JSON? One pass over the bytes that changes nothing.

use super::lexeme::skip_space;
use super::{Error, ErrorKind};
use crate::limits::MAX_JSON_DEPTH;

const _: () = assert!(MAX_JSON_DEPTH <= u128::BITS as usize);

/// Checks that `bytes` are one JSON value (RFC 8259) in UTF-8, with white space around it and at most
/// [`MAX_JSON_DEPTH`] values inside each other.
///
/// # Errors
///
/// What is wrong first, and where.
pub fn check(bytes: &[u8]) -> Result<(), Error> {
    if let Err(error) = core::str::from_utf8(bytes) {
        return Err(at(error.valid_up_to(), ErrorKind::InvalidUtf8));
    }
    Checker {
        bytes,
        position: 0,
        depth: 0,
        objects: 0,
    }
    .run()
}

const fn at(position: usize, kind: ErrorKind) -> Error {
    Error {
        kind,
        document: "",
        member: "",
        position,
    }
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    FirstElement,
    FirstMember,
    Member,
    Separator,
    End,
}

struct Checker<'d> {
    bytes: &'d [u8],
    position: usize,
    depth: usize,
    /// Bit `n` tells whether the container at depth `n` is an object; the others are arrays.
    objects: u128,
}

impl Checker<'_> {
    fn run(mut self) -> Result<(), Error> {
        let mut expect = Expect::Value;
        loop {
            self.position = skip_space(self.bytes, self.position);
            let Some(&byte) = self.bytes.get(self.position) else {
                return if expect == Expect::End {
                    Ok(())
                } else {
                    Err(at(self.position, ErrorKind::UnexpectedEnd))
                };
            };
            expect = match (expect, byte) {
                (Expect::Value | Expect::FirstElement, b'{') => {
                    self.open(true)?;
                    Expect::FirstMember
                }
                (Expect::Value | Expect::FirstElement, b'[') => {
                    self.open(false)?;
                    Expect::FirstElement
                }
                (Expect::FirstElement, b']') | (Expect::FirstMember, b'}') => self.close(),
                (Expect::Value | Expect::FirstElement, _) => {
                    self.scalar(byte)?;
                    self.behind_value()
                }
                (Expect::FirstMember | Expect::Member, b'"') => {
                    self.string()?;
                    self.position = skip_space(self.bytes, self.position);
                    self.byte(b':')?;
                    Expect::Value
                }
                (Expect::Separator, b',') => {
                    self.position += 1;
                    if self.in_object() {
                        Expect::Member
                    } else {
                        Expect::Value
                    }
                }
                (Expect::Separator, b'}') if self.in_object() => self.close(),
                (Expect::Separator, b']') if !self.in_object() => self.close(),
                _ => return Err(at(self.position, ErrorKind::UnexpectedByte(byte))),
            };
        }
    }

    fn open(&mut self, object: bool) -> Result<(), Error> {
        if self.depth == MAX_JSON_DEPTH {
            return Err(at(self.position, ErrorKind::TooDeep(MAX_JSON_DEPTH)));
        }
        let bit = 1 << self.depth;
        if object {
            self.objects |= bit;
        } else {
            self.objects &= !bit;
        }
        self.depth += 1;
        self.position += 1;
        Ok(())
    }

    fn close(&mut self) -> Expect {
        self.depth -= 1;
        self.position += 1;
        self.behind_value()
    }

    const fn in_object(&self) -> bool {
        self.objects >> (self.depth - 1) & 1 == 1
    }

    const fn behind_value(&self) -> Expect {
        if self.depth == 0 {
            Expect::End
        } else {
            Expect::Separator
        }
    }

    fn scalar(&mut self, first: u8) -> Result<(), Error> {
        match first {
            b'"' => self.string(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(at(self.position, ErrorKind::UnexpectedByte(first))),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), Error> {
        literal.iter().try_for_each(|&byte| self.byte(byte))
    }

    fn number(&mut self) -> Result<(), Error> {
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        if self.peek() == Some(b'0') {
            self.position += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Error> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.unexpected());
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Error> {
        self.position += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                None | Some(..0x20) => return Err(self.unexpected()),
                Some(_) => self.position += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        let start = self.position;
        self.position += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 1,
            Some(b'u') => {
                self.position += 1;
                for _ in 0..4 {
                    match self.peek() {
                        Some(byte) if byte.is_ascii_hexdigit() => self.position += 1,
                        Some(_) => return Err(at(start, ErrorKind::InvalidEscape)),
                        None => return Err(self.unexpected()),
                    }
                }
            }
            Some(_) => return Err(at(start, ErrorKind::InvalidEscape)),
            None => return Err(self.unexpected()),
        }
        Ok(())
    }

    fn byte(&mut self, expected: u8) -> Result<(), Error> {
        if self.peek() != Some(expected) {
            return Err(self.unexpected());
        }
        self.position += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn unexpected(&self) -> Error {
        let kind = self
            .peek()
            .map_or(ErrorKind::UnexpectedEnd, ErrorKind::UnexpectedByte);
        at(self.position, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;

    fn kind(text: &str) -> Option<(usize, ErrorKind)> {
        check(text.as_bytes())
            .err()
            .map(|error| (error.position, error.kind))
    }

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn accepts_every_kind_of_value_with_white_space_around_it() {
        for text in [
            "null",
            " true\n",
            "false",
            "0",
            "-0",
            "-1.5e+10",
            "1E-2",
            "\"\"",
            "[]",
            "{}",
            "[1,[],{}]",
            "{\"a\":1,\"b\":[\"\\u00e9\\n\"]}\n",
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn says_where_a_document_breaks() {
        use ErrorKind::{InvalidEscape, UnexpectedByte, UnexpectedEnd};
        for (text, position, expected) in [
            ("", 0, UnexpectedEnd),
            ("{", 1, UnexpectedEnd),
            ("{\"a\"", 4, UnexpectedEnd),
            ("[1,]", 3, UnexpectedByte(b']')),
            ("{\"a\":1,}", 7, UnexpectedByte(b'}')),
            ("[1}", 2, UnexpectedByte(b'}')),
            ("{\"a\" 1}", 5, UnexpectedByte(b'1')),
            ("{a:1}", 1, UnexpectedByte(b'a')),
            ("nul", 3, UnexpectedEnd),
            ("nulL", 3, UnexpectedByte(b'L')),
            ("01", 1, UnexpectedByte(b'1')),
            ("-", 1, UnexpectedEnd),
            ("1.", 2, UnexpectedEnd),
            ("1e", 2, UnexpectedEnd),
            ("+1", 0, UnexpectedByte(b'+')),
            ("\"a", 2, UnexpectedEnd),
            ("\"\n\"", 1, UnexpectedByte(b'\n')),
            ("\"\\x\"", 1, InvalidEscape),
            ("\"\\u12g4\"", 1, InvalidEscape),
            ("\"\\u12", 5, UnexpectedEnd),
            ("1 2", 2, UnexpectedByte(b'2')),
            ("{}\0", 2, UnexpectedByte(0)),
        ] {
            assert_eq!(kind(text), Some((position, expected)), "{text}");
        }
    }

    #[test]
    fn nesting_is_accepted_below_and_at_the_limit_and_refused_above() {
        assert_eq!(kind(&nested(MAX_JSON_DEPTH - 1)), None);
        assert_eq!(kind(&nested(MAX_JSON_DEPTH)), None);
        assert_eq!(
            kind(&nested(MAX_JSON_DEPTH + 1)),
            Some((MAX_JSON_DEPTH, ErrorKind::TooDeep(MAX_JSON_DEPTH)))
        );
        assert_eq!(
            kind(&"{\"a\":".repeat(10_000)),
            Some((5 * MAX_JSON_DEPTH, ErrorKind::TooDeep(MAX_JSON_DEPTH)))
        );
    }

    #[test]
    fn raw_bytes_that_are_not_utf8_are_refused_with_their_position() {
        let error = check(b"{\"a\":\"\xff\"}").unwrap_err();
        assert_eq!((error.position, error.kind), (6, ErrorKind::InvalidUtf8));
    }
}
