//! Everything a VM says, line by line, for those who want to follow it: console, guest log, VMM.

use crate::once::lock;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most lines that are kept; older ones are dropped.
const MAX_LINES: usize = 8192;

/// Longest line; a longer one is told in parts.
const LONGEST_LINE_BYTES: usize = 8192;

/// Who said a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The guest's serial console.
    Console,
    /// The guest's log.
    Guest,
    /// The VMM and the vsock back end.
    Vmm,
    /// A program, where the one who runs it keeps its output here.
    Program,
}

impl Source {
    /// Returns the source's name: `console`, `guest`, `vmm`, `program`.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::vm::Source;
    /// assert_eq!(Source::Console.name(), "console");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Guest => "guest",
            Self::Vmm => "vmm",
            Self::Program => "program",
        }
    }
}

/// One line.
///
/// # Example
///
/// ```no_run
/// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
/// let line = vm.journal().since(0).into_iter().next().expect("it has said something");
/// assert_eq!(line.number, 0);
/// println!("{}: {}", line.source.name(), line.text);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts up from 0 over all lines of the VM.
    pub number: u64,
    /// Who said it.
    pub source: Source,
    /// What was said, without its end of line.
    pub text: String,
}

/// The last lines of a VM.
#[derive(Debug, Default)]
pub struct Journal {
    kept: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    next: u64,
    /// Nothing comes any more.
    has_ended: bool,
}

impl Journal {
    /// Adds a line.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::vm::{Journal, Source};
    /// let journal = Journal::default();
    /// journal.push(Source::Program, "hello");
    /// assert_eq!(journal.since(0)[0].text, "hello");
    /// ```
    pub fn push(&self, source: Source, text: impl Into<String>) {
        let mut kept = lock(&self.kept);
        if kept.lines.len() == MAX_LINES {
            kept.lines.pop_front();
        }
        let number = kept.next;
        kept.next += 1;
        kept.lines.push_back(Line {
            number,
            source,
            text: text.into(),
        });
        self.changed.notify_all();
    }

    /// Says that nothing comes any more.
    pub(super) fn end(&self) {
        lock(&self.kept).has_ended = true;
        self.changed.notify_all();
    }

    /// Returns the lines from a number on, those that are still kept.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// use mote_host::vm::Source;
    /// let lines = vm.journal().since(0);
    /// assert!(lines.iter().any(|line| line.source == Source::Guest));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn since(&self, number: u64) -> Vec<Line> {
        let kept = lock(&self.kept);
        let skipped = kept.lines.partition_point(|line| line.number < number);
        kept.lines.range(skipped..).cloned().collect()
    }

    /// As [`Journal::since`], but waits for at most `limit` until there is one. `None` when the VM has ended and there
    /// will be none.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// let journal = vm.journal();
    /// let first = journal.wait_since(0, Duration::from_secs(60)).expect("the VM runs");
    /// assert!(!first.is_empty());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn wait_since(&self, number: u64, limit: Duration) -> Option<Vec<Line>> {
        let deadline = Instant::now() + limit;
        let mut kept = lock(&self.kept);
        while kept.next <= number {
            if kept.has_ended {
                return None;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Some(Vec::new());
            };
            kept = self
                .changed
                .wait_timeout(kept, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(kept);
        Some(self.since(number))
    }
}

/// Cuts a byte stream of one source into lines.
#[derive(Debug)]
pub struct Lines<'a> {
    journal: &'a Journal,
    source: Source,
    unfinished: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// Lines of this source.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::vm::{Journal, Lines, Source};
    /// let journal = Journal::default();
    /// let mut lines = Lines::new(&journal, Source::Program);
    /// lines.push(b"one\ntwo");
    /// assert_eq!(journal.since(0).len(), 1, "the second one has not ended");
    /// ```
    #[must_use]
    pub const fn new(journal: &'a Journal, source: Source) -> Self {
        Self {
            journal,
            source,
            unfinished: Vec::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::vm::{Journal, Lines, Source};
    /// let journal = Journal::default();
    /// let mut lines = Lines::new(&journal, Source::Program);
    /// lines.push(b"he");
    /// lines.push(b"llo\n");
    /// assert_eq!(journal.since(0)[0].text, "hello");
    /// ```
    pub fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.unfinished.extend_from_slice(part);
            if part.ends_with(b"\n") || self.unfinished.len() >= LONGEST_LINE_BYTES {
                self.finish();
            }
        }
    }

    /// Tells what has no end of line yet.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::vm::{Journal, Lines, Source};
    /// let journal = Journal::default();
    /// let mut lines = Lines::new(&journal, Source::Program);
    /// lines.push(b"no end of line");
    /// lines.finish();
    /// assert_eq!(journal.since(0)[0].text, "no end of line");
    /// ```
    pub fn finish(&mut self) {
        if self.unfinished.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&self.unfinished);
        self.journal
            .push(self.source, text.trim_end_matches(['\n', '\r']));
        self.unfinished.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lines_wherever_the_bytes_were_cut() {
        let journal = Journal::default();
        let mut lines = Lines::new(&journal, Source::Console);
        for byte in b"one\r\ntwo\n\nrest" {
            lines.push(&[*byte]);
        }
        lines.finish();
        let texts: Vec<_> = journal.since(0).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["one", "two", "", "rest"]);
    }

    #[test]
    fn a_line_at_the_limit_is_told_and_a_longer_one_in_parts() {
        let journal = Journal::default();
        let mut lines = Lines::new(&journal, Source::Vmm);
        lines.push(&[b'x'; LONGEST_LINE_BYTES - 1]);
        assert!(journal.since(0).is_empty());
        lines.push(b"x");
        assert_eq!(journal.since(0).len(), 1);
        lines.push(b"y\n");
        assert_eq!(journal.since(1)[0].text, "y");
    }

    #[test]
    fn keeps_the_last_lines_and_their_numbers() {
        let journal = Journal::default();
        for number in 0..=MAX_LINES {
            journal.push(Source::Guest, number.to_string());
        }
        assert_eq!(journal.since(0)[0].number, 1);
        assert_eq!(
            journal.since(MAX_LINES as u64)[0].text,
            MAX_LINES.to_string()
        );
        assert!(journal.since(MAX_LINES as u64 + 1).is_empty());
    }

    #[test]
    fn who_waits_learns_of_the_end_after_the_last_line() {
        let journal = Journal::default();
        journal.push(Source::Guest, "last");
        journal.end();
        assert_eq!(
            journal.wait_since(0, Duration::ZERO).expect("a line").len(),
            1
        );
        assert_eq!(journal.wait_since(1, Duration::MAX / 4), None);
    }
}
