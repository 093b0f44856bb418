//! JSON: the checker against another implementation, and strings against it too.

use super::Target;
use super::request::bodies;
use agent::json::{Cursor, ErrorKind, check};
use serde::de::IgnoredAny;

pub(super) const CHECK: Target = Target {
    name: "json",
    about: "the JSON checker takes and refuses what serde_json takes and refuses",
    corpus: || [bodies(), shapes()].concat(),
    words: WORDS,
    weight: 1,
    max_bytes: 4096,
    run: check_like_serde,
};

pub(super) const STRING: Target = Target {
    name: "string",
    about: "a JSON string becomes the same text as with serde_json",
    corpus: strings,
    words: WORDS,
    weight: 1,
    max_bytes: 512,
    run: read_like_serde,
};

/// Tokens of JSON, and the escapes and bytes that are easily got wrong.
pub(super) const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"{}",
    b"[]",
    b"\"\"",
    b"null",
    b"true",
    b"false",
    b"-",
    b"-0",
    b"0",
    b"1e5",
    b"1E+5",
    b".5",
    b"0.5",
    b"01",
    b"4294967295",
    b"4294967296",
    b"-2147483649",
    b"18446744073709551616",
    b"\\u0000",
    b"\\u001f",
    b"\\ud83d\\ude00",
    b"\\ud83d",
    b"\\ude00",
    b"\\uD83D\\u0041",
    b"\\n",
    b"\\/",
    b"\\x",
    b"\\u12",
    b"\xc3\xa9",
    b"\xe2\x82\xac",
    b"\xf0\x9f\x98\x80",
    b"\xed\xa0\x80",
    b"\xff",
    b"\xc0\x80",
    b"\x00",
    b"\x1f",
    b"\x7f",
    b" ",
    b"\t",
    b"\r\n",
    b"\x0c",
    b"\xef\xbb\xbf",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
];

fn shapes() -> Vec<Vec<u8>> {
    let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    let mut shapes: Vec<Vec<u8>> = [127, 128, 129, 1000].map(nested).into();
    shapes.push(
        br#" { "a" : [ 1 , -2.5e3 , "x\u00e9\ud83d\ude00" , null , true , { } ] } "#.to_vec(),
    );
    shapes
}

fn strings() -> Vec<Vec<u8>> {
    [
        r#""plain""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0041\u00e9\u20ac\ud83d\ude00""#,
        r#""é€😀""#,
        r#""\ud83d""#,
        r#""""#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn check_like_serde(bytes: &[u8]) {
    let ours = check(bytes);
    let is_theirs = std::str::from_utf8(bytes)
        .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    match ours {
        Ok(()) => assert!(is_theirs, "taken, but serde_json refuses it"),
        // Their reader skips without a limit; ours says which one was reached.
        Err(error) if matches!(error.kind, ErrorKind::TooDeep(_)) => {}
        Err(error) => {
            assert!(!is_theirs, "refused ({error}), but serde_json takes it");
            assert!(
                error.position <= bytes.len(),
                "{error}, in {} bytes",
                bytes.len()
            );
        }
    }
}

fn read_like_serde(bytes: &[u8]) {
    let mut buffer = bytes.to_vec();
    if check(&buffer).is_err() {
        return;
    }
    let mut cursor = Cursor::new(&mut buffer);
    let mut ours = "unread";
    let is_string = cursor.string(&mut ours).is_ok();
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(serde_json::Value::String(theirs)) => {
            assert!(is_string, "not read as a string");
            assert_eq!(ours, theirs);
        }
        // An absent value leaves what was there.
        Ok(serde_json::Value::Null) => assert!(is_string && ours == "unread"),
        Ok(_) => assert!(!is_string, "read as the string {ours:?}"),
        // They refuse lone surrogates and huge numbers, for which Go has a meaning.
        Err(_) => {}
    }
}
