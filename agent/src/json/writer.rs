//! JSON, written where it leaves.
//!
//! A [`Writer`] writes one object, member by member, into room that its owner lends. Strings are escaped as Go's
//! `encoding/json` escapes them. Who runs out of room is told at the end: until then nobody has to ask.

use crate::outbox::Full;
use core::fmt;

/// Bytes of the longest 64-bit number, its sign included.
const NUMBER_BYTES: usize = 20;

/// What has an escape of two bytes (RFC 8259 §7), and its second byte.
const SHORT_ESCAPES: [(u8, u8); 7] = [
    (b'"', b'"'),
    (b'\\', b'\\'),
    (0x08, b'b'),
    (b'\t', b't'),
    (b'\n', b'n'),
    (0x0c, b'f'),
    (b'\r', b'r'),
];

/// Writes the members of an object.
#[derive(Debug)]
pub struct Writer<'a> {
    room: &'a mut [u8],
    /// Bytes written; what does not fit is left out and noted.
    length: usize,
    is_full: bool,
}

impl<'a> Writer<'a> {
    /// Begins an object.
    #[must_use]
    pub fn new(room: &'a mut [u8]) -> Self {
        let mut writer = Self {
            room,
            length: 0,
            is_full: false,
        };
        writer.put(b"{");
        writer
    }

    /// Ends the object, and returns the length of its text.
    ///
    /// # Errors
    ///
    /// [`Full`] when there was not room for all of it.
    pub fn finish(mut self) -> Result<usize, Full> {
        self.put(b"}");
        if self.is_full {
            return Err(Full);
        }
        Ok(self.length)
    }

    /// Writes a member whose value is a number.
    pub fn number(&mut self, name: &str, value: i64) {
        self.name(name);
        let mut digits = [0; NUMBER_BYTES];
        let mut at = NUMBER_BYTES;
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            at -= 1;
            digits[at] = b'-';
        }
        self.put(&digits[at..]);
    }

    /// Writes a member whose value is a string.
    pub fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        self.put(b"\"");
        self.escape(value);
        self.put(b"\"");
    }

    /// Writes a member whose value is a string that is made while it is written.
    pub fn shown(&mut self, name: &str, value: &dyn fmt::Display) {
        self.name(name);
        self.put(b"\"");
        // It fails where the room ends, which is noted.
        let _ = fmt::write(self, format_args!("{value}"));
        self.put(b"\"");
    }

    /// Writes a member whose value is JSON already.
    pub fn json(&mut self, name: &str, value: &str) {
        self.name(name);
        self.put(value.as_bytes());
    }

    /// Writes a member whose value is an array of one object, with the members that `write` writes.
    pub fn array_of_one(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.name(name);
        self.put(b"[{");
        write(self);
        self.put(b"}]");
    }

    /// Writes a member's name, which has nothing to escape.
    fn name(&mut self, name: &str) {
        if self.room[..self.length].last() != Some(&b'{') {
            self.put(b",");
        }
        self.put(b"\"");
        self.put(name.as_bytes());
        self.put(b"\":");
    }

    /// Writes what stands for `text` between quotation marks.
    fn escape(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut plain = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            let (code, size) = match byte {
                0..0x20 | b'"' | b'\\' | b'<' | b'>' | b'&' => (byte, 1),
                // U+2028 and U+2029, of which JavaScript makes line ends.
                0xe2 => match bytes[at..] {
                    [_, 0x80, last @ (0xa8 | 0xa9), ..] => (last, 3),
                    _ => continue,
                },
                _ => continue,
            };
            self.put(&bytes[plain..at]);
            plain = at + size;
            let short = SHORT_ESCAPES.iter().find(|(byte, _)| *byte == code);
            if let Some((_, letter)) = short {
                self.put(&[b'\\', *letter]);
                continue;
            }
            self.put(if size == 3 { b"\\u20" } else { b"\\u00" });
            // The last two digits are those of the code: 0x28 stands as 0xa8 in the last byte.
            for digit in [code >> 4 & 7, code & 15] {
                self.put(&[b"0123456789abcdef"[usize::from(digit)]]);
            }
        }
        self.put(&bytes[plain..]);
    }

    fn put(&mut self, bytes: &[u8]) {
        let room = &mut self.room[self.length..];
        match room.get_mut(..bytes.len()) {
            Some(place) if !self.is_full => {
                place.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            _ => self.is_full = true,
        }
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.escape(text);
        if self.is_full {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec;
    use std::vec::Vec;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut room = [0; 4096];
        let mut writer = Writer::new(&mut room);
        write(&mut writer);
        let length = writer.finish().unwrap();
        core::str::from_utf8(&room[..length]).unwrap().to_string()
    }

    #[test]
    fn members_stand_in_order_with_commas_between_them() {
        assert_eq!(written(|_| {}), "{}");
        let text = written(|writer| {
            writer.number("A", 0);
            writer.string("B", "{");
            writer.shown("C", &7);
            writer.array_of_one("D", |writer| {
                writer.number("E", 1);
                writer.number("F", 2);
            });
            writer.json("G", "[true]");
        });
        assert_eq!(
            text,
            r#"{"A":0,"B":"{","C":"7","D":[{"E":1,"F":2}],"G":[true]}"#
        );
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, -1, -2_147_024_809, i64::MAX, i64::MIN] {
            let text = written(|writer| writer.number("n", number));
            assert_eq!(text, std::format!("{{\"n\":{number}}}"));
        }
    }

    #[test]
    fn every_character_is_read_back_as_it_was() {
        for code in (0..0x3000).chain([0xd7ff, 0xe000, 0xfffd, 0x1_f600, 0x10_ffff]) {
            let Some(character) = char::from_u32(code) else {
                continue;
            };
            let value = std::format!("a{character}b{character}");
            for text in [
                written(|writer| writer.string("s", &value)),
                written(|writer| writer.shown("s", &value)),
            ] {
                let read: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
                assert_eq!(read["s"], *value, "U+{code:04X}");
            }
        }
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let text = written(|writer| {
            writer.string(
                "s",
                "<a>&\u{2028}\u{2029}\u{2027}\u{20ac}\"\\\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}",
            );
        });
        assert_eq!(
            text,
            "{\"s\":\"\\u003ca\\u003e\\u0026\\u2028\\u2029\u{2027}\u{20ac}\\\"\\\\\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}\"}"
        );
    }

    #[test]
    fn an_object_fits_at_its_size_and_below_nothing_is_written_behind_the_room() {
        let write = |room: &mut [u8]| {
            let mut writer = Writer::new(room);
            writer.string("s", "<\u{2028}>");
            writer.number("n", 12);
            writer.finish()
        };
        let whole = r#"{"s":"\u003c\u2028\u003e","n":12}"#;
        for size in 0..whole.len() {
            assert_eq!(write(&mut vec![0; size]), Err(Full), "{size}");
        }
        let mut room = vec![0; whole.len()];
        assert_eq!(write(&mut room), Ok(whole.len()));
        assert_eq!(room, whole.as_bytes());
    }

    #[test]
    fn what_is_shown_is_asked_for_no_more_once_there_is_no_room() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("on and on ")?;
                }
            }
        }
        let mut room: Vec<u8> = vec![0; 100];
        let mut writer = Writer::new(&mut room);
        writer.shown("s", &Endless);
        assert_eq!(writer.finish(), Err(Full));
    }
}
