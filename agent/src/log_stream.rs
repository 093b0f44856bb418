//! The log connection: JSON lines to the host (gcs-protocol §2.2).

use crate::clock::Timestamp;
use crate::failure::CutText;
use crate::limits::{LOG_BUFFER_BYTES, LOG_TEXT_BYTES, START_MS};
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
    /// Not dialled yet.
    Idle,
    /// Being dialled.
    Dialling(ConnectionId),
    /// It stands.
    Up(ConnectionId),
    /// There is none and will be none.
    Gone,
}

/// Lines for the host's log, whole or not at all.
pub(crate) struct LogStream {
    link: Link,
    buffer: [u8; LOG_BUFFER_BYTES],
    start: usize,
    end: usize,
    congested: bool,
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
        let mut members = serializer.serialize_struct("Line", 3)?;
        let level = match self.level {
            log::Level::Error => "error",
            log::Level::Warn => "warning",
            log::Level::Info => "info",
            log::Level::Debug => "debug",
            log::Level::Trace => "trace",
        };
        members.serialize_field("level", level)?;
        if let Some(time) = self.time {
            members.serialize_field("time", &response::Shown(&Timestamp(time)))?;
        }
        members.serialize_field("msg", self.message)?;
        members.end()
    }
}

impl LogStream {
    pub(crate) const fn new() -> Self {
        Self {
            link: Link::Idle,
            buffer: [0; LOG_BUFFER_BYTES],
            start: 0,
            end: 0,
            congested: false,
            dropped: 0,
        }
    }

    /// Returns whether `id` is the log's connection.
    pub(crate) fn is(&self, id: ConnectionId) -> bool {
        matches!(self.link, Link::Dialling(own) | Link::Up(own) if own == id)
    }

    /// Returns whether a line would be kept.
    pub(crate) const fn takes_lines(&self) -> bool {
        !matches!(self.link, Link::Gone)
    }

    /// Returns whether the host takes lines now.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// Dials, if the log is wanted.
    pub(crate) fn begin<V: Vsock>(&mut self, port: Option<Port>, now: Instant, vsock: &mut V) {
        let deadline = now + Duration::from_millis(START_MS);
        let dialled = port.map(|port| vsock.connect(port, Purpose::Control, now, deadline));
        self.link = match dialled {
            Some(Ok(id)) => Link::Dialling(id),
            Some(Err(hal::vsock::Full)) | None => Link::Gone,
        };
    }

    pub(crate) const fn on_connected(&mut self) {
        if let Link::Dialling(id) = self.link {
            self.link = Link::Up(id);
        }
    }

    /// The host did not take the connection, or has closed it. There is no second one: its listener is gone.
    pub(crate) fn on_lost<V: Vsock>(&mut self, vsock: &mut V) {
        if let Link::Up(id) = self.link {
            vsock.abort(id);
        }
        self.link = Link::Gone;
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

    /// Sends what the connection takes. Returns whether anything left.
    pub(crate) fn write<V: Vsock>(&mut self, vsock: &mut V) -> bool {
        let Link::Up(id) = self.link else {
            return false;
        };
        if self.start == self.end || self.congested {
            return false;
        }
        let pending = &self.buffer[self.start..self.end];
        let Ok(count) = write_some(vsock, id, pending) else {
            self.on_lost(vsock);
            return false;
        };
        self.congested = count < pending.len();
        self.start += count;
        count > 0
    }
}
