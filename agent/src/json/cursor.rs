//! Reads a checked document from front to back, member by member, and lends pieces of it.
//!
//! ```text
//! check(body)?;
//! let mut cursor = Cursor::new(body);
//! if cursor.begin_object()? {
//!     while let Some(member) = cursor.next_member(&["ProcessId", "TimeoutInMs"])? {
//!         match member {
//!             "ProcessId" => cursor.integer(&mut pid)?,
//!             _ => cursor.integer(&mut timeout)?,
//!         }
//!     }
//! }
//! ```
//!
//! The pieces it lends are split off the front of the buffer, which is how they can outlive the next call.

use super::lexeme::{skip_scalar, skip_space, skip_string, skip_value, unescape};
use super::{Error, ErrorKind, check};
use core::mem;

/// A string of the document, unescaped in place.
#[derive(Debug)]
pub struct Text<'a> {
    /// The string's bytes, and one more (where its closing quote stood) that may be used to end it.
    bytes: &'a mut [u8],
    length: usize,
}

impl<'a> Text<'a> {
    /// Returns the string.
    #[must_use]
    pub fn into_str(self) -> &'a str {
        // The document was checked to be UTF-8 and an escape only ever becomes a whole character.
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// Returns the string's buffer, one byte longer than the string, and the string's length.
    #[must_use]
    pub fn into_spacious(self) -> (&'a mut [u8], usize) {
        (self.bytes, self.length)
    }
}

/// A place in a document.
#[derive(Debug)]
pub struct Cursor<'a> {
    pub(super) rest: &'a mut [u8],
    length: usize,
    document: &'static str,
    pub(super) member: &'static str,
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of a message that [`check`] has accepted. Of any other, nonsense is read, but no harm done.
    #[must_use]
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            length: bytes.len(),
            rest: bytes,
            document: "",
            member: "",
        }
    }

    /// Enters an object; `false` when there is a `null` instead, which is passed over.
    ///
    /// # Errors
    ///
    /// When there is anything else.
    pub fn begin_object(&mut self) -> Result<bool, Error> {
        self.begin(b'{', "an object")
    }

    /// Enters an array; `false` when there is a `null` instead, which is passed over.
    ///
    /// # Errors
    ///
    /// When there is anything else.
    pub fn begin_array(&mut self) -> Result<bool, Error> {
        self.begin(b'[', "an array")
    }

    fn begin(&mut self, open: u8, what: &'static str) -> Result<bool, Error> {
        if self.null() {
            return Ok(false);
        }
        if self.first() != Some(open) {
            return Err(self.error(ErrorKind::Expected(what)));
        }
        self.advance(1);
        Ok(true)
    }

    /// Goes to the value of the next member whose name is one of `known` in any case, and returns that name as it
    /// stands in `known`; `None` behind the end of the object. Other members are passed over.
    ///
    /// # Errors
    ///
    /// When the document is not what was checked.
    pub fn next_member(
        &mut self,
        known: &'static [&'static str],
    ) -> Result<Option<&'static str>, Error> {
        while let Some(name) = self.next_name()? {
            if let Some(place) = place_of(name, known.iter().copied()) {
                self.member = known[place];
                return Ok(Some(self.member));
            }
            self.skip();
        }
        Ok(None)
    }

    /// Goes to the value of the next member and returns its name; `None` behind the end of the object.
    pub(super) fn next_name(&mut self) -> Result<Option<&'a str>, Error> {
        self.skip_space();
        if self.first() == Some(b',') {
            self.advance(1);
            self.skip_space();
        }
        match self.first() {
            Some(b'}') => {
                self.advance(1);
                Ok(None)
            }
            Some(b'"') => {
                let name = self.token().into_str();
                self.skip_space();
                self.advance(1);
                Ok(Some(name))
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Passes over an object, or a `null`; `false` when there is nothing in it.
    ///
    /// # Errors
    ///
    /// When there is anything else.
    pub fn skip_object(&mut self) -> Result<bool, Error> {
        let mut is_any = false;
        if self.begin_object()? {
            while self.next_name()?.is_some() {
                self.skip();
                is_any = true;
            }
        }
        Ok(is_any)
    }

    /// Goes to the next element of an array; `false` behind its end.
    pub fn next_element(&mut self) -> bool {
        self.skip_space();
        if self.first() == Some(b',') {
            self.advance(1);
            self.skip_space();
        }
        if self.first() == Some(b']') {
            self.advance(1);
            return false;
        }
        self.first().is_some()
    }

    /// Reads a string; `None` for `null`.
    ///
    /// # Errors
    ///
    /// When there is anything else.
    pub fn text(&mut self) -> Result<Option<Text<'a>>, Error> {
        if self.null() {
            return Ok(None);
        }
        if self.first() != Some(b'"') {
            return Err(self.error(ErrorKind::Expected("a string")));
        }
        Ok(Some(self.token()))
    }

    /// Reads a string into `target`, which a `null` leaves as it is.
    ///
    /// # Errors
    ///
    /// When there is anything else.
    pub fn string(&mut self, target: &mut &'a str) -> Result<(), Error> {
        if let Some(text) = self.text()? {
            *target = text.into_str();
        }
        Ok(())
    }

    /// Reads a string without NULs into `target`, which a `null` leaves as it is.
    ///
    /// # Errors
    ///
    /// When there is anything else, or a NUL.
    pub fn path(&mut self, target: &mut &'a str) -> Result<(), Error> {
        self.string(target)?;
        if target.contains('\0') {
            return Err(self.error(ErrorKind::NulInString));
        }
        Ok(())
    }

    /// Reads a document that is carried in a string; `None` for `null`.
    ///
    /// # Errors
    ///
    /// When there is anything else, or the string's content is no JSON.
    pub fn document(&mut self) -> Result<Option<Cursor<'a>>, Error> {
        let Some(text) = self.text()? else {
            return Ok(None);
        };
        let document = self.member;
        let (bytes, length) = text.into_spacious();
        let bytes = &mut bytes[..length];
        check(bytes).map_err(|error| Error { document, ..error })?;
        Ok(Some(Cursor {
            document,
            ..Cursor::new(bytes)
        }))
    }

    /// The same, but an empty string is no document and reads as absent.
    ///
    /// # Errors
    ///
    /// As [`Cursor::document`].
    pub fn document_unless_empty(&mut self) -> Result<Option<Cursor<'a>>, Error> {
        self.skip_space();
        if self.rest.starts_with(b"\"\"") {
            self.skip();
            return Ok(None);
        }
        self.document()
    }

    /// Takes a value of any type out, to be read by itself; `None` for `null`.
    pub fn value(&mut self) -> Option<Cursor<'a>> {
        if self.null() {
            return None;
        }
        let end = skip_value(self.rest, 0);
        let document = self.member;
        Some(Cursor {
            document,
            ..Cursor::new(self.split(end))
        })
    }

    /// Reads `true` or `false` into `target`, which a `null` leaves as it is.
    ///
    /// # Errors
    ///
    /// When there is anything else.
    pub fn boolean(&mut self, target: &mut bool) -> Result<(), Error> {
        if self.null() {
            return Ok(());
        }
        match self.first() {
            Some(b't') => *target = true,
            Some(b'f') => *target = false,
            _ => return Err(self.error(ErrorKind::Expected("true or false"))),
        }
        self.skip();
        Ok(())
    }

    /// Reads an integer into `target`, which a `null` leaves as it is.
    ///
    /// # Errors
    ///
    /// When there is anything else, a fraction, an exponent, or a number outside the range of `T`.
    pub fn integer<T: TryFrom<i128>>(&mut self, target: &mut T) -> Result<(), Error> {
        let fits = &mut |value| match T::try_from(value) {
            Ok(value) => {
                *target = value;
                true
            }
            Err(_) => false,
        };
        self.number_for(fits)
    }

    /// Gives an integer to whoever says whether it fits. Once for all types of integers.
    #[inline(never)]
    fn number_for(&mut self, fits: &mut dyn FnMut(i128) -> bool) -> Result<(), Error> {
        if self.null() {
            return Ok(());
        }
        let value = self.number()?;
        if !fits(value) {
            return Err(self.error(ErrorKind::OutOfRange));
        }
        let end = skip_scalar(self.rest, 0);
        self.advance(end);
        Ok(())
    }

    /// Reads an array of integers into `target`, which a `null` leaves as it is. `limit` names its capacity.
    ///
    /// # Errors
    ///
    /// When there is anything else, or more than fit.
    pub fn integer_list<T: TryFrom<i128> + Default, const N: usize>(
        &mut self,
        limit: &'static str,
        target: &mut heapless::Vec<T, N>,
    ) -> Result<(), Error> {
        if !self.begin_array()? {
            return Ok(());
        }
        target.clear();
        while self.next_element() {
            let mut value = T::default();
            self.integer(&mut value)?;
            if target.push(value).is_err() {
                return Err(self.error(ErrorKind::Limit(limit, N)));
            }
        }
        Ok(())
    }

    /// Reads an integer of at most 64 bits and a sign.
    fn number(&self) -> Result<i128, Error> {
        let end = skip_scalar(self.rest, 0);
        let token = self.rest.get(..end).unwrap_or_default();
        if !matches!(token.first(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.error(ErrorKind::Expected("an integer")));
        }
        let (negative, digits) = match token.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, token),
        };
        let mut value = 0_u64;
        for &digit in digits {
            if !digit.is_ascii_digit() {
                return Err(self.error(ErrorKind::NotAnInteger));
            }
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(digit - b'0')))
                .ok_or_else(|| self.error(ErrorKind::OutOfRange))?;
        }
        let value = i128::from(value);
        Ok(if negative { -value } else { value })
    }

    /// Passes over a value.
    pub fn skip(&mut self) {
        self.skip_space();
        let end = skip_value(self.rest, 0);
        self.advance(end);
    }

    /// Passes over a `null`; `false` when there is something else.
    pub fn null(&mut self) -> bool {
        self.skip_space();
        let null = self.first() == Some(b'n');
        if null {
            self.advance("null".len());
        }
        null
    }

    /// Makes an error at this place.
    #[must_use]
    pub const fn error(&self, kind: ErrorKind) -> Error {
        self.error_at(0, kind)
    }

    /// Makes an error `offset` bytes from this place.
    pub(super) const fn error_at(&self, offset: usize, kind: ErrorKind) -> Error {
        Error {
            kind,
            document: self.document,
            member: self.member,
            position: self.length - self.rest.len() + offset,
        }
    }

    fn unexpected(&self) -> Error {
        self.error(
            self.first()
                .map_or(ErrorKind::UnexpectedEnd, ErrorKind::UnexpectedByte),
        )
    }

    /// Takes the string whose opening quote is next.
    fn token(&mut self) -> Text<'a> {
        let end = skip_string(self.rest, 0);
        let bytes = self.split(end).get_mut(1..).unwrap_or_default();
        let length = unescape(bytes, 0, bytes.len().saturating_sub(1), 0);
        Text { bytes, length }
    }

    /// Splits the next `count` bytes off.
    pub(super) fn split(&mut self, count: usize) -> &'a mut [u8] {
        let rest = mem::take(&mut self.rest);
        let (front, back) = rest.split_at_mut(count.min(rest.len()));
        self.rest = back;
        front
    }

    fn advance(&mut self, count: usize) {
        self.split(count);
    }

    pub(super) fn skip_space(&mut self) {
        let space = skip_space(self.rest, 0);
        self.advance(space);
    }

    pub(super) fn first(&self) -> Option<u8> {
        self.rest.first().copied()
    }
}

/// Returns where in `known` a member's name stands, in its own case or, when it does not, in any.
pub(super) fn place_of(
    name: &str,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Option<usize> {
    known.clone().position(|known| known == name).or_else(|| {
        known
            .clone()
            .position(|known| known.eq_ignore_ascii_case(name))
    })
}
