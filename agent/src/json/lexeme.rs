//! The smallest pieces: white space, string tokens, escapes, whole values to pass over.
//!
//! Everything here works on offsets into a document that [`super::check`] has accepted, and stays inside it even if it
//! had not: a malformed piece ends at the end of the bytes.

/// Returns the offset of the first byte at or after `at` that is not white space. Never inlined: it is asked at each turn.
#[inline(never)]
pub(super) fn skip_space(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Returns the offset behind the closing quote of the string whose opening quote is at `at`.
#[inline(never)]
pub(super) fn skip_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Returns the offset behind the value that starts at `at`.
pub(super) fn skip_value(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    let mut depth = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' => skip_string(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => {
                at += 1;
                continue;
            }
            _ => skip_scalar(bytes, at),
        };
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the offset behind the number or literal that starts at `at`.
///
/// At least one byte is passed over, so that a loop over values always ends.
pub(super) fn skip_scalar(bytes: &[u8], at: usize) -> usize {
    let start = at;
    let mut at = at;
    while matches!(
        bytes.get(at),
        Some(b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.')
    ) {
        at += 1;
    }
    at.max(start + 1)
}

/// Unescapes `bytes[from..to]`, the inside of a string, to the offset `write`, and returns the offset behind what was
/// written. `write` is at most `from`: an escape is never shorter than what it stands for, so nothing is overwritten
/// before it was read.
pub(super) fn unescape(bytes: &mut [u8], from: usize, to: usize, write: usize) -> usize {
    let (mut read, mut write) = (from, write);
    while read < to {
        let run = bytes[read..to]
            .iter()
            .position(|&byte| byte == b'\\')
            .unwrap_or(to - read);
        bytes.copy_within(read..read + run, write);
        read += run;
        write += run;
        if read < to {
            let (character, length) = escape(&bytes[read..to]);
            let mut utf8 = [0; 4];
            let encoded = character.encode_utf8(&mut utf8).as_bytes();
            bytes[write..write + encoded.len()].copy_from_slice(encoded);
            read += length;
            write += encoded.len();
        }
    }
    write
}

/// Decodes the escape that `bytes` begins with: what it stands for and its length.
pub(super) fn escape(bytes: &[u8]) -> (char, usize) {
    let character = match bytes.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(bytes),
        Some(&byte) => char::from(byte),
        None => return ('?', 1),
    };
    (character, 2)
}

/// Decodes `\uXXXX`, or `\uXXXX\uXXXX` when the two are a surrogate pair.
fn unicode_escape(bytes: &[u8]) -> (char, usize) {
    let Some(unit) = hexadecimal(bytes) else {
        return ('?', bytes.len());
    };
    if (0xd800..0xdc00).contains(&unit)
        && let Some(low @ 0xdc00..0xe000) = bytes.get(6..).and_then(hexadecimal)
    {
        let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        return (
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
            12,
        );
    }
    (
        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
        6,
    )
}

/// Reads the number of the `\uXXXX` that `bytes` begins with.
fn hexadecimal(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | char::from(digit).to_digit(16)?)
    })
}
