//! Objects, read by a table of their members.
//!
//! ```text
//! cursor.object(&mut [
//!     ("ProcessId", Field::U32(&mut pid)),
//!     ("Options", Field::Object(&mut [("Signal", Field::I32(&mut signal))])),
//! ])?;
//! ```
//!
//! A member that is absent or null leaves its target as it is. The tables nest as deep as they are written, whatever the
//! document holds.

use super::cursor::place_of;
use super::{Cursor, Error, Text};
use crate::kernel::StringList;

/// The name of a member and where its value goes.
pub type Member<'t, 'a> = (&'static str, Field<'t, 'a>);

/// Where the value of a member goes, and with that what it must be.
pub enum Field<'t, 'a> {
    /// A string.
    Text(&'t mut &'a str),
    /// A string without NULs.
    Path(&'t mut &'a str),
    /// A string with its buffer.
    Buffer(&'t mut Option<Text<'a>>),
    /// `true` or `false`.
    Flag(&'t mut bool),
    /// An integer.
    U8(&'t mut u8),
    /// An integer.
    U16(&'t mut u16),
    /// An integer.
    U32(&'t mut u32),
    /// An integer.
    I32(&'t mut i32),
    /// An integer.
    I64(&'t mut i64),
    /// An integer.
    U64(&'t mut u64),
    /// An array of strings.
    Strings(&'t mut StringList<'a>),
    /// An object of strings.
    Variables(&'t mut StringList<'a>),
    /// An object.
    Object(&'t mut [Member<'t, 'a>]),
    /// A document that is carried in a string, to be read when the object around it is: of several, the last.
    Document(&'t mut Option<Cursor<'a>>),
    /// A value of any type, to be read when the object around it is: of several, the last.
    Value(&'t mut Option<Cursor<'a>>),
    /// Whatever this reads, which also sees a `null`.
    Other(&'t mut dyn FnMut(&mut Cursor<'a>) -> Result<(), Error>),
}

impl<'a> Cursor<'a> {
    /// Reads an object into the targets of `members`; `false` when there is a `null` instead, which is passed over.
    ///
    /// # Errors
    ///
    /// When there is anything else, or a member is not what its field says.
    pub fn object(&mut self, members: &mut [Member<'_, 'a>]) -> Result<bool, Error> {
        if !self.begin_object()? {
            return Ok(false);
        }
        while let Some(name) = self.next_name()? {
            let place = place_of(name, members.iter().map(|member| member.0));
            match place.and_then(|place| members.get_mut(place)) {
                Some((known, field)) => {
                    self.member = known;
                    self.field(field)?;
                }
                None => self.skip(),
            }
        }
        Ok(true)
    }

    fn field(&mut self, field: &mut Field<'_, 'a>) -> Result<(), Error> {
        match field {
            Field::Text(target) => self.string(target)?,
            Field::Path(target) => self.path(target)?,
            Field::Buffer(target) => **target = self.text()?,
            Field::Flag(target) => self.boolean(target)?,
            Field::U8(target) => self.integer(*target)?,
            Field::U16(target) => self.integer(*target)?,
            Field::U32(target) => self.integer(*target)?,
            Field::I32(target) => self.integer(*target)?,
            Field::I64(target) => self.integer(*target)?,
            Field::U64(target) => self.integer(*target)?,
            Field::Strings(target) => self.string_list(target)?,
            Field::Variables(target) => self.string_map(target)?,
            Field::Object(members) => {
                self.object(members)?;
            }
            Field::Document(target) => {
                if let Some(document) = self.document()? {
                    **target = Some(document);
                }
            }
            Field::Value(target) => {
                if let Some(value) = self.value() {
                    **target = Some(value);
                }
            }
            Field::Other(read) => read(self)?,
        }
        Ok(())
    }
}
