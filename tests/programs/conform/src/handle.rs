//! Descriptors, as most checks need them.

use crate::check::{Answer, sys};
use libc::AT_FDCWD;
use std::ffi::CStr;

pub(crate) fn open(path: &CStr, flags: i32) -> Answer {
    sys!(SYS_openat, AT_FDCWD, path, flags, 0o644)
}

pub(crate) fn opened(path: &CStr, flags: i32) -> i64 {
    open(path, flags).expect("it opens")
}

pub(crate) fn close(fd: i64) {
    sys!(SYS_close, fd).expect("it was open");
}

pub(crate) fn pipe() -> [i64; 2] {
    let mut ends = [0_i32; 2];
    sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK).expect("a pipe");
    ends.map(i64::from)
}

pub(crate) fn write(fd: i64, bytes: &[u8]) -> Answer {
    sys!(SYS_write, fd, bytes.as_ptr(), bytes.len())
}

pub(crate) fn read(fd: i64, room: usize) -> Result<Vec<u8>, i32> {
    let mut bytes = vec![0; room];
    let count = sys!(SYS_read, fd, bytes.as_mut_ptr(), room)?;
    bytes.truncate(count as usize);
    Ok(bytes)
}

/// A pipe whose ends wait.
pub(crate) fn waiting_pipe() -> [i64; 2] {
    let mut ends = [0_i32; 2];
    sys!(SYS_pipe, ends.as_mut_ptr()).expect("a pipe");
    ends.map(i64::from)
}

/// A part of a list of buffers.
pub(crate) fn part(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}
