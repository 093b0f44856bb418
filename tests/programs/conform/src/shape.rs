//! Calls whose arguments are said in words, so that many are tried in one way: a line of a table for a call.

use crate::check::{BAD, call, check};
use libc::c_long;

/// A call: what its checks are called, its number, and its arguments: numbers, or words that [`tried`] is told the meaning
/// of. `zeroes` is the address of a page of zeroes, `text` that of a short string, `bad` is no address; those left out
/// are 0.
pub(crate) type Shape = (&'static str, c_long, &'static str);

/// Makes a call and prints what it answered.
pub(crate) fn tried(&(name, number, words): &Shape, case: &str, meaning: &[(&str, i64)]) {
    let mut zeroes = [0_u64; 512];
    let common = [
        ("zeroes", zeroes.as_mut_ptr() as i64),
        ("text", c"user.text".as_ptr() as i64),
        ("bad", BAD as i64),
    ];
    let mut arguments = [0; 6];
    for (argument, word) in arguments.iter_mut().zip(words.split_whitespace()) {
        let known = meaning
            .iter()
            .chain(&common)
            .find(|(known, _)| *known == word);
        *argument = match known {
            Some(&(_, value)) => value,
            None => word.parse().expect("a number"),
        };
    }
    // SAFETY: strings live until the end of the family; no call of a table writes more than a page.
    let answer = unsafe { call(number, arguments) };
    check(name, case, answer);
}
