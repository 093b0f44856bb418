//! The last bytes of a stream.

use super::journal::{Journal, Lines, Source};
use crate::once::lock;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

/// Keeps the last bytes that were read.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Mutex<VecDeque<u8>>,
    limit: usize,
    journal: Arc<Journal>,
    source: Source,
    /// Copy what comes to standard error.
    echo: bool,
}

impl Tail {
    pub(super) fn new(limit: usize, journal: &Arc<Journal>, source: Source, echo: bool) -> Self {
        Self {
            bytes: Mutex::default(),
            limit,
            journal: Arc::clone(journal),
            source,
            echo,
        }
    }

    /// Reads a stream to its end.
    pub(super) fn fill_from(&self, mut stream: impl Read) {
        let mut buffer = [0; 4096];
        let mut lines = Lines::new(&self.journal, self.source);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    lines.push(&buffer[..count]);
                    self.push(&buffer[..count]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // A pipe that cannot be read has ended for all that is known.
                Err(_) => break,
            }
        }
        lines.finish();
    }

    fn push(&self, new: &[u8]) {
        if self.echo {
            // Nothing can be said about a standard error that does not take what is said.
            let _ = std::io::stderr().write_all(new);
        }
        let mut bytes = lock(&self.bytes);
        bytes.extend(new);
        let excess = bytes.len().saturating_sub(self.limit);
        bytes.drain(..excess);
    }

    /// Returns what is kept.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(lock(&self.bytes).make_contiguous()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_bytes_only() {
        let journal = Arc::default();
        let tail = Tail::new(4, &journal, Source::Console, false);
        tail.fill_from(&b"abc"[..]);
        assert_eq!(tail.text(), "abc");
        tail.fill_from(&b"d"[..]);
        assert_eq!(tail.text(), "abcd");
        tail.fill_from(&b"ef"[..]);
        assert_eq!(tail.text(), "cdef");
    }
}
