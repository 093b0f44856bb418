//! The log: records go into a ring, from which the loop takes them to the serial port and to the host.
//!
//! Writing a byte to a serial port costs more than a system call, and the host's log is a connection that may be slow;
//! so logging only formats, and whoever logs never waits.

use crate::clock::{Clock, Instant};
use crate::limits::{LOG_RECORDS, LOG_TEXT_BYTES};
use crate::x86::exclusive::Exclusive;
use crate::x86::tsc::Tsc;
use core::fmt::{self, Write};
use log::{Level, LevelFilter};

/// What stands at the end of a text that was cut.
const CUT_MARK: &str = "…";

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How important it is.
    pub level: Level,
    /// When it was written.
    pub at: Instant,
    /// What it says.
    pub text: heapless::String<LOG_TEXT_BYTES>,
}

impl fmt::Display for Record {
    /// One line: seconds, level, text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_nanos() / 1000;
        let level = self.level.as_str();
        write!(
            f,
            "{}.{:06} {level:<5} {}",
            micros / 1_000_000,
            micros % 1_000_000,
            self.text
        )
    }
}

/// The ring: oldest first. What comes when it is full is lost, and counted: the first lines tell how it began.
#[derive(Debug)]
struct Ring {
    records: heapless::Deque<Record, LOG_RECORDS>,
    lost: u64,
}

/// What gives records their time; apart from the ring, which is all zeros and takes no room in the image.
static CLOCK: Exclusive<Option<Tsc>> = Exclusive::new(None);

fn now() -> Instant {
    CLOCK
        .with(|clock| clock.map_or(Instant::ZERO, |clock| clock.now()))
        .unwrap_or_default()
}

impl Ring {
    const fn new() -> Self {
        Self {
            records: heapless::Deque::new(),
            lost: 0,
        }
    }

    fn push(&mut self, at: Instant, level: Level, text: fmt::Arguments<'_>) {
        let mut cut = Cut(heapless::String::new());
        // An error only says that the text was cut; the mark at its end says so, too.
        let _ = cut.write_fmt(text);
        let record = Record {
            level,
            at,
            text: cut.0,
        };
        if self.records.push_back(record).is_err() {
            self.lost += 1;
        }
    }

    fn pop(&mut self) -> Option<Record> {
        if let Some(record) = self.records.pop_front() {
            return Some(record);
        }
        let lost = core::mem::take(&mut self.lost);
        if lost == 0 {
            return None;
        }
        self.push(now(), Level::Warn, format_args!("{lost} log records lost"));
        self.records.pop_front()
    }
}

/// A text that ends with a mark when it does not fit.
struct Cut(heapless::String<LOG_TEXT_BYTES>);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.0.capacity() - self.0.len();
        if text.len() <= room {
            return self.0.push_str(text).map_err(|_| fmt::Error);
        }
        let keep = text.floor_char_boundary(room);
        // It fits: `keep` is at most the room.
        let _ = self.0.push_str(text.get(..keep).unwrap_or_default());
        let end = self.0.floor_char_boundary(LOG_TEXT_BYTES - CUT_MARK.len());
        self.0.truncate(end);
        // It fits: the mark's bytes were made room for.
        let _ = self.0.push_str(CUT_MARK);
        Err(fmt::Error)
    }
}

static RING: Exclusive<Ring> = Exclusive::new(Ring::new());

struct Backend;

impl log::Log for Backend {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // A `Display` that logs while it is being logged finds the ring lent and is passed over.
        let _ = RING.with(|ring| {
            ring.push(now(), record.level(), *record.args());
        });
    }

    fn flush(&self) {}
}

/// Makes the ring the log of this program; records above `level` are not even formatted.
pub fn open(level: LevelFilter) {
    static BACKEND: Backend = Backend;
    // An error means that it is set already, which it is to this one.
    let _ = log::set_logger(&BACKEND);
    log::set_max_level(level);
}

/// Gives records their time from here on; before that they say zero.
pub fn set_clock(clock: Tsc) {
    // Not lent: nothing is being logged.
    let _ = CLOCK.with(|slot| *slot = Some(clock));
}

/// Takes the oldest record.
pub fn next() -> Option<Record> {
    RING.with(Ring::pop).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn push(ring: &mut Ring, text: &str) {
        ring.push(
            Instant::from_millis(1500),
            Level::Info,
            format_args!("{text}"),
        );
    }

    #[test]
    fn records_come_back_in_order() {
        let mut ring = Ring::new();
        push(&mut ring, "one");
        push(&mut ring, "two");
        assert_eq!(ring.pop().unwrap().to_string(), "1.500000 INFO  one");
        assert_eq!(ring.pop().unwrap().text, "two");
        assert_eq!(ring.pop(), None);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_reported_once() {
        let mut ring = Ring::new();
        for _ in 0..LOG_RECORDS + 2 {
            push(&mut ring, "x");
        }
        for _ in 0..LOG_RECORDS {
            assert_eq!(ring.pop().unwrap().text, "x");
        }
        assert_eq!(ring.pop().unwrap().text, "2 log records lost");
        assert_eq!(ring.pop(), None);
    }

    #[test]
    fn a_text_of_exactly_the_limit_is_kept_and_one_byte_more_is_cut_with_a_mark() {
        let mut ring = Ring::new();
        let fits = "x".repeat(LOG_TEXT_BYTES);
        push(&mut ring, &fits);
        assert_eq!(ring.pop().unwrap().text, fits.as_str());
        push(&mut ring, &(fits.clone() + "y"));
        let text = ring.pop().unwrap().text;
        assert_eq!(
            text.as_str(),
            fits[..LOG_TEXT_BYTES - 3].to_string() + CUT_MARK
        );
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        for shift in 0..4 {
            let mut ring = Ring::new();
            let long = "a".repeat(shift) + &"ä€𝄞".repeat(LOG_TEXT_BYTES);
            push(&mut ring, &long);
            let text = ring.pop().unwrap().text;
            assert!(text.ends_with(CUT_MARK));
            assert!(long.starts_with(text.trim_end_matches(CUT_MARK)));
        }
    }
}
