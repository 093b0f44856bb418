//! Lists and maps of strings, packed where they lie: each string ended by a NUL, as programs get them.
//!
//! A string token has two quotes and its packed form one NUL (a map's member also a `=`, for which it has the colon), so
//! the packed list never catches up with what is still to be read.

use super::lexeme::{skip_space, skip_string, skip_value, unescape};
use super::{Cursor, Error, ErrorKind};
use crate::kernel::StringList;
use crate::limits::MAX_VARIABLES;
use core::mem;

impl<'a> Cursor<'a> {
    /// Reads an array of strings into `target`. A `null` leaves it as it is; as an element it is an empty string.
    ///
    /// # Errors
    ///
    /// When there is anything else, or a NUL in a string.
    pub fn string_list(&mut self, target: &mut StringList<'a>) -> Result<(), Error> {
        if !self.begin_array()? {
            return Ok(());
        }
        let mut packer = Packer::new(self);
        loop {
            packer.separator();
            if packer.end(b']') {
                break;
            }
            packer.string()?;
            packer.put(0);
        }
        *target = packer.finish();
        Ok(())
    }

    /// Reads an object of strings into `target` as `name=value` strings. A `null` leaves it as it is; as a value it is
    /// empty. The last of several members with one name wins.
    ///
    /// # Errors
    ///
    /// When there is anything else, a NUL in a string, or more than [`MAX_VARIABLES`] members.
    pub fn string_map(&mut self, target: &mut StringList<'a>) -> Result<(), Error> {
        if !self.begin_object()? {
            return Ok(());
        }
        let mut packer = Packer::new(self);
        let mut variables = 0;
        loop {
            packer.separator();
            if packer.end(b'}') {
                break;
            }
            if variables == MAX_VARIABLES {
                return Err(packer.error(ErrorKind::Limit("MAX_VARIABLES", MAX_VARIABLES)));
            }
            let start = packer.write;
            packer.string()?;
            packer.put(b'=');
            let name = start..packer.write;
            packer.separator();
            packer.string()?;
            packer.put(0);
            variables += 1;
            if packer.remove_earlier(name) {
                variables -= 1;
            }
        }
        *target = packer.finish();
        Ok(())
    }
}

impl<'a> Cursor<'a> {
    /// Reads an array of objects and packs the string `member` of each, which is empty where it is absent or null. A
    /// `null` leaves `target` as it is; as an element it has no members.
    ///
    /// # Errors
    ///
    /// When there is anything else, or a NUL in a string.
    pub fn member_list(
        &mut self,
        member: &'static str,
        target: &mut StringList<'a>,
    ) -> Result<(), Error> {
        if !self.begin_array()? {
            return Ok(());
        }
        let mut packer = Packer::new(self);
        loop {
            packer.separator();
            if packer.end(b']') {
                break;
            }
            packer.element(member)?;
            packer.put(0);
        }
        *target = packer.finish();
        Ok(())
    }
}

/// Reads at `read` and writes at `write`, which stays behind it.
struct Packer<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    bytes: &'a mut [u8],
    read: usize,
    write: usize,
}

impl<'c, 'a> Packer<'c, 'a> {
    fn new(cursor: &'c mut Cursor<'a>) -> Self {
        let bytes = mem::take(&mut cursor.rest);
        Self {
            cursor,
            bytes,
            read: 0,
            write: 0,
        }
    }

    /// Passes over white space and a comma or colon.
    fn separator(&mut self) {
        self.read = skip_space(self.bytes, self.read);
        if matches!(self.bytes.get(self.read), Some(b',' | b':')) {
            self.read = skip_space(self.bytes, self.read + 1);
        }
    }

    /// Passes over the closing bracket, if it is next.
    fn end(&mut self, bracket: u8) -> bool {
        let end = self.bytes.get(self.read) == Some(&bracket);
        if end {
            self.read += 1;
        }
        end
    }

    /// Moves a string to the packed list.
    fn string(&mut self) -> Result<(), Error> {
        match self.bytes.get(self.read) {
            Some(b'"') => {
                let end = skip_string(self.bytes, self.read);
                let start = self.write;
                self.write = unescape(self.bytes, self.read + 1, end - 1, start);
                if self.bytes[start..self.write].contains(&0) {
                    return Err(self.error(ErrorKind::NulInString));
                }
                self.read = end;
                Ok(())
            }
            Some(b'n') => {
                self.read += "null".len();
                Ok(())
            }
            _ => Err(self.error(ErrorKind::Expected("a string"))),
        }
    }

    /// Moves the string `member` of an object to the packed list. What else the object has is passed over.
    fn element(&mut self, member: &'static str) -> Result<(), Error> {
        let start = self.write;
        if self.bytes.get(self.read) == Some(&b'n') {
            self.read += "null".len();
            return Ok(());
        }
        if !self.end(b'{') {
            return Err(self.error(ErrorKind::Expected("an object")));
        }
        let mut length = 0;
        loop {
            self.separator();
            if self.end(b'}') {
                self.write = start + length;
                return Ok(());
            }
            // A name is unescaped behind what was found, and forgotten.
            self.write = start + length;
            self.string()?;
            let is_it =
                self.bytes[start + length..self.write].eq_ignore_ascii_case(member.as_bytes());
            self.separator();
            let is_null = self.bytes.get(self.read) == Some(&b'n');
            if is_it && !is_null {
                self.write = start;
                self.string()?;
                length = self.write - start;
            } else {
                self.read = skip_value(self.bytes, self.read);
            }
        }
    }

    fn put(&mut self, byte: u8) {
        debug_assert!(self.write < self.read);
        self.bytes[self.write] = byte;
        self.write += 1;
    }

    /// Removes an earlier string that begins with the packed bytes `name` (which end with `=`).
    fn remove_earlier(&mut self, name: core::ops::Range<usize>) -> bool {
        let mut at = 0;
        while at < name.start {
            let length = self.bytes[at..name.start]
                .iter()
                .position(|&byte| byte == 0)
                .map_or(name.start - at, |nul| nul + 1);
            if self.bytes[at..at + length].starts_with(&self.bytes[name.clone()]) {
                self.bytes.copy_within(at + length..self.write, at);
                self.write -= length;
                return true;
            }
            at += length;
        }
        false
    }

    /// Makes an error at the place being read.
    fn error(&mut self, kind: ErrorKind) -> Error {
        self.cursor.rest = mem::take(&mut self.bytes);
        self.cursor.error_at(self.read, kind)
    }

    fn finish(self) -> StringList<'a> {
        let (front, back) = self.bytes.split_at_mut(self.read);
        self.cursor.rest = back;
        StringList::from_packed(&front[..self.write]).unwrap_or_default()
    }
}
