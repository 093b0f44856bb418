//! Lines on the standard streams.

use crate::call;
use core::fmt;

/// One of the two streams that a program speaks on.
#[derive(Clone, Copy)]
pub enum Stream {
    /// Descriptor 1.
    Output = 1,
    /// Descriptor 2.
    Error = 2,
}

impl fmt::Write for Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        call::write_all(*self as u32, text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// A line put together before it is written, so that lines of programs that share a stream do not mix.
pub struct Line {
    bytes: [u8; Line::BYTES],
    length: usize,
    stream: Stream,
}

impl Line {
    /// A longer line is written in pieces of this size.
    const BYTES: usize = 512;

    /// An empty line for `stream`.
    pub const fn new(stream: Stream) -> Self {
        Self {
            bytes: [0; Self::BYTES],
            length: 0,
            stream,
        }
    }

    /// Writes what was put in. A stream that nobody reads is not the program's concern here.
    pub fn flush(&mut self) {
        // A program whose stream is closed still has its exit code to say what it found.
        let _ = call::write_all(self.stream as u32, &self.bytes[..self.length]);
        self.length = 0;
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.length == Self::BYTES {
                self.flush();
            }
            self.bytes[self.length] = byte;
            self.length += 1;
        }
        Ok(())
    }
}

/// Writes one formatted line to `stream`.
pub fn line(stream: Stream, arguments: fmt::Arguments<'_>) {
    let mut line = Line::new(stream);
    // `Line` takes everything: neither of the two can fail.
    let _ = fmt::Write::write_fmt(&mut line, arguments);
    let _ = fmt::Write::write_str(&mut line, "\n");
    line.flush();
}

/// Prints a line on the standard output.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::print::line($crate::print::Stream::Output, format_args!($($argument)*)) };
}

/// Prints a line on the standard error.
#[macro_export]
macro_rules! complain {
    ($($argument:tt)*) => { $crate::print::line($crate::print::Stream::Error, format_args!($($argument)*)) };
}

/// Ends the function with exit code 1 and a line on stderr unless the condition holds.
#[macro_export]
macro_rules! expect {
    ($condition:expr, $($argument:tt)*) => {
        if !$condition {
            $crate::complain!($($argument)*);
            return 1;
        }
    };
}
