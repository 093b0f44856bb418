//! How a check asks the kernel and says what it answered.

use hostile::call::name;
use std::fmt::Display;
use std::path::PathBuf;

pub(crate) use hostile::call::{Answer, call};
pub(crate) use hostile::sys;

/// Prints a check whose answer is a call's value or error.
pub(crate) fn check(call: &str, case: &str, answer: Answer) {
    match answer {
        Ok(value) => say(call, case, value),
        Err(errno) => say(call, case, name(errno)),
    }
}

/// Prints a check whose answer is whether the call succeeded: its value differs from run to run.
pub(crate) fn works(call: &str, case: &str, answer: Answer) -> Answer {
    match answer {
        Ok(_) => say(call, case, "done"),
        Err(errno) => say(call, case, name(errno)),
    }
    answer
}

/// Prints a check with an answer of its own.
pub(crate) fn say(call: &str, case: &str, answer: impl Display) {
    // Written at once, past the standard library's buffer: a forked process has no copy of what was not.
    let line = format!("{call} | {case} | {answer}\n");
    // SAFETY: the bytes live until the call is over.
    let written = unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
    assert_eq!(written, line.len() as isize, "a line has room");
}

/// Runs a family in an empty working directory of its own.
pub(crate) fn in_folder(name: &str, run: fn()) {
    let folder: PathBuf =
        std::env::temp_dir().join(format!("conform-{name}-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder can be made");
    std::env::set_current_dir(&folder).expect("it can be entered");
    // SAFETY: nobody else makes files at this moment.
    unsafe { libc::umask(0o022) };
    run();
    std::env::set_current_dir("/").expect("it can be left");
    std::fs::remove_dir_all(&folder).expect("it can be removed");
}

/// An address that no program has.
pub(crate) const BAD: *mut u8 = std::ptr::without_provenance_mut(1);

/// A descriptor that is not open. It is one that the smallest table of Linux has a place for (64): `select` does not look at
/// what its table has no place for.
pub(crate) const CLOSED: i64 = 58;
