//! The log connection: JSON lines to the host (gcs-protocol §2.2).
//!
//! A line has the members `time`, `level` and `msg`, which the host reads, and before `msg` those of the [`FIELDS`] that the
//! text begins with: the line `pid=3 exited with 1` has the member `"pid":"3"` and the message `exited with 1`.

use crate::clock::Timestamp;
use crate::failure::CutText;
use crate::limits::{LOG_BUFFER_BYTES, LOG_REDIAL_MS, LOG_TEXT_BYTES, START_MS};
use crate::message::response;
use crate::world::write_some;
use core::fmt;
use core::time::Duration;
use hal::clock::Instant;
use hal::vsock::{ConnectionId, Port, Purpose, Vsock};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// Where the connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// There is none; it is dialled at that time, if ever.
    Down(Instant),
    /// Being dialled.
    Dialling(ConnectionId),
    /// It stands.
    Up(ConnectionId),
}

/// Names of what a line may be about.
const FIELDS: [&str; 3] = ["cid", "pid", "seq"];

/// Lines for the host's log, whole or not at all.
pub(crate) struct LogStream {
    link: Link,
    buffer: [u8; LOG_BUFFER_BYTES],
    start: usize,
    end: usize,
    congested: bool,
    /// Whether a part of the first line has left.
    cut: bool,
    /// Lines that did not fit since the last one that did.
    dropped: u32,
}

/// One line.
struct Line<'a> {
    level: log::Level,
    time: Option<Duration>,
    message: &'a str,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("Line", 3 + FIELDS.len())?;
        if let Some(time) = self.time {
            members.serialize_field("time", &response::Shown(&Timestamp(time)))?;
        }
        let level = match self.level {
            log::Level::Error => "error",
            log::Level::Warn => "warning",
            log::Level::Info => "info",
            log::Level::Debug => "debug",
            log::Level::Trace => "trace",
        };
        members.serialize_field("level", level)?;
        let mut message = self.message;
        while let Some((word, rest)) = message.split_once(' ')
            && let Some((name, value)) = word.split_once('=')
            && let Some(field) = FIELDS.into_iter().find(|field| *field == name)
        {
            members.serialize_field(field, value)?;
            message = rest;
        }
        members.serialize_field("msg", message)?;
        members.end()
    }
}

impl LogStream {
    pub(crate) const fn new() -> Self {
        Self {
            link: Link::Down(Instant::ZERO),
            buffer: [0; LOG_BUFFER_BYTES],
            start: 0,
            end: 0,
            congested: false,
            cut: false,
            dropped: 0,
        }
    }

    /// Returns whether `id` is the log's connection.
    pub(crate) fn is(&self, id: ConnectionId) -> bool {
        matches!(self.link, Link::Dialling(own) | Link::Up(own) if own == id)
    }

    /// Returns whether a line would be kept.
    pub(crate) const fn takes_lines(&self) -> bool {
        !matches!(self.link, Link::Down(Instant::NEVER))
    }

    /// Returns whether the host takes lines now.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// Dials when it is time, if the log is wanted. Returns whether it did.
    pub(crate) fn dial<V: Vsock>(
        &mut self,
        port: Option<Port>,
        now: Instant,
        vsock: &mut V,
    ) -> bool {
        if now < self.next_dial() {
            return false;
        }
        let deadline = now + Duration::from_millis(START_MS);
        let dialled = port.map(|port| vsock.connect(port, Purpose::Control, now, deadline));
        self.link = match dialled {
            Some(Ok(id)) => Link::Dialling(id),
            Some(Err(hal::vsock::Full)) | None => Link::Down(Instant::NEVER),
        };
        true
    }

    /// Returns when it dials next.
    pub(crate) const fn next_dial(&self) -> Instant {
        match self.link {
            Link::Down(at) => at,
            _ => Instant::NEVER,
        }
    }

    pub(crate) const fn on_connected(&mut self) {
        if let Link::Dialling(id) = self.link {
            self.link = Link::Up(id);
        }
    }

    /// The host did not take the connection, or has closed it. Its listener is gone then, unless the command line asks for
    /// the log to be dialled again.
    pub(crate) fn on_lost<V: Vsock>(&mut self, again: bool, now: Instant, vsock: &mut V) {
        if let Link::Up(id) = self.link {
            vsock.abort(id);
        }
        self.link = Link::Down(if again {
            now + Duration::from_millis(LOG_REDIAL_MS)
        } else {
            Instant::NEVER
        });
        self.congested = false;
        // The rest of a line of which a part has left would be no JSON to the next reader.
        while self.cut && self.start < self.end {
            self.cut = self.buffer[self.start] != b'\n';
            self.start += 1;
        }
        self.cut = false;
    }

    pub(crate) const fn on_writable(&mut self) {
        self.congested = false;
    }

    /// Keeps a line until it can leave.
    pub(crate) fn line(
        &mut self,
        level: log::Level,
        time: Option<Duration>,
        text: fmt::Arguments<'_>,
    ) {
        if !self.takes_lines() {
            return;
        }
        if self.dropped > 0 {
            let report = CutText::<LOG_TEXT_BYTES>::new(format_args!(
                "{} log lines were dropped: LOG_BUFFER_BYTES = {LOG_BUFFER_BYTES}",
                self.dropped
            ));
            if !self.push(log::Level::Warn, time, report.as_str()) {
                self.dropped = self.dropped.saturating_add(1);
                return;
            }
            self.dropped = 0;
        }
        let text = CutText::<LOG_TEXT_BYTES>::new(text);
        if !self.push(level, time, text.as_str()) {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    fn push(&mut self, level: log::Level, time: Option<Duration>, message: &str) -> bool {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = &mut self.buffer[self.end..];
        let line = Line {
            level,
            time,
            message,
        };
        let Ok(length) = response::write(&line, room) else {
            return false;
        };
        let Some(newline) = room.get_mut(length) else {
            return false;
        };
        *newline = b'\n';
        self.end += length + 1;
        true
    }

    /// Sends what is left, whatever was said of room before. Returns whether the host has all of it, or none is to have it.
    pub(crate) fn finish<V: Vsock>(&mut self, vsock: &mut V) -> bool {
        self.congested = false;
        self.write(vsock);
        match self.link {
            Link::Up(id) => self.start == self.end && vsock.unforwarded(id) == 0,
            Link::Down(_) | Link::Dialling(_) => true,
        }
    }

    /// Sends what the connection takes. Returns whether anything left; the end of the connection is found by its event.
    pub(crate) fn write<V: Vsock>(&mut self, vsock: &mut V) -> bool {
        let Link::Up(id) = self.link else {
            return false;
        };
        if self.start == self.end || self.congested {
            return false;
        }
        let pending = &self.buffer[self.start..self.end];
        let count = write_some(vsock, id, pending).unwrap_or(0);
        self.congested = count < pending.len();
        if let Some(last) = pending[..count].last() {
            self.cut = *last != b'\n';
        }
        self.start += count;
        count > 0
    }
}
