//! The bridge: the one connection that carries all messages, dialled for ever.

use crate::config::Config;
use crate::frame::{Arrival, Decoder, FrameError};
use crate::kernel::Kernel;
use crate::limits::REDIAL_MS;
use crate::outgoing::Outgoing;
use crate::world::{World, write_some};
use core::fmt;
use core::time::Duration;
use embedded_io::{Read, ReadReady};
use hal::clock::Instant;
use hal::vsock::{ConnectionId, Purpose, Vsock};

/// Where the connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// There is none; it is dialled at that time.
    Down(Instant),
    /// It is being dialled.
    Dialling(ConnectionId),
    /// It stands.
    Up(ConnectionId),
    /// It is being closed for good.
    Closing(ConnectionId),
    /// It is closed for good.
    Closed,
}

/// Why the bridge went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The host closed or reset it.
    Host,
    /// The host broke framing.
    Frame(FrameError),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("closed by the host"),
            Self::Frame(error) => error.fmt(f),
        }
    }
}

/// The bridge.
pub(crate) struct Bridge {
    link: Link,
    decoder: Decoder,
    body: Option<&'static mut [u8]>,
    /// Whether something arrived since the last attempt to read.
    readable: bool,
    /// Whether the last write took less than it was given.
    congested: bool,
}

impl Bridge {
    pub(crate) const fn new() -> Self {
        Self {
            link: Link::Down(Instant::ZERO),
            decoder: Decoder::new(),
            body: None,
            readable: false,
            congested: false,
        }
    }

    pub(crate) fn begin(&mut self, body: &'static mut [u8]) {
        self.body = Some(body);
    }

    /// Returns whether `id` is the bridge's connection.
    pub(crate) fn is(&self, id: ConnectionId) -> bool {
        matches!(self.link, Link::Dialling(own) | Link::Up(own) | Link::Closing(own) if own == id)
    }

    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.link, Link::Closed)
    }

    /// Dials when it is time. Returns whether it did.
    ///
    /// A call has no end: it is repeated below, and an answer to any of the repetitions is taken. A host that takes one
    /// connection and closes its listener must not find that its one was given up.
    pub(crate) fn dial<V: Vsock>(&mut self, config: &Config, now: Instant, vsock: &mut V) -> bool {
        if now < self.next_dial() {
            return false;
        }
        let dialled = vsock.connect(config.bridge, Purpose::Control, now, Instant::NEVER);
        match dialled {
            Ok(id) => self.link = Link::Dialling(id),
            Err(hal::vsock::Full) => self.redial(now),
        }
        dialled.is_ok()
    }

    /// Returns when it dials next.
    pub(crate) const fn next_dial(&self) -> Instant {
        match self.link {
            Link::Down(at) => at,
            _ => Instant::NEVER,
        }
    }

    fn redial(&mut self, now: Instant) {
        self.link = Link::Down(now + Duration::from_millis(REDIAL_MS));
    }

    pub(crate) fn on_connected(&mut self) {
        if let Link::Dialling(id) = self.link {
            log::debug!("bridge connected");
            self.link = Link::Up(id);
            self.decoder = Decoder::new();
            self.readable = true;
            self.congested = false;
        }
    }

    pub(crate) fn on_connect_failed(&mut self, now: Instant) {
        if matches!(self.link, Link::Dialling(_)) {
            self.redial(now);
        }
    }

    pub(crate) const fn on_readable(&mut self) {
        self.readable = true;
    }

    pub(crate) const fn on_writable(&mut self) {
        self.congested = false;
    }

    /// The host has closed or reset the connection, or answered our closing.
    pub(crate) fn on_lost<V: Vsock, K: Kernel>(
        &mut self,
        outgoing: &mut Outgoing,
        world: &mut World<'_, V, K>,
    ) {
        self.lose(Loss::Host, outgoing, world);
    }

    fn lose<V: Vsock, K: Kernel>(
        &mut self,
        loss: Loss,
        outgoing: &mut Outgoing,
        world: &mut World<'_, V, K>,
    ) {
        match self.link {
            Link::Up(id) | Link::Dialling(id) => {
                log::warn!("bridge lost: {loss}");
                world.vsock.abort(id);
                outgoing.on_connection_lost();
                self.redial(world.now);
            }
            Link::Closing(id) => {
                world.vsock.abort(id);
                self.link = Link::Closed;
            }
            Link::Down(_) | Link::Closed => {}
        }
    }

    /// Reads until a frame is whole, and returns it with the body buffer. `None` when there is nothing more now, or the
    /// connection is lost.
    pub(crate) fn read<V: Vsock, K: Kernel>(
        &mut self,
        outgoing: &mut Outgoing,
        world: &mut World<'_, V, K>,
    ) -> Option<(Arrival, &mut [u8])> {
        let arrival = match self.read_frame(world) {
            Ok(arrival) => arrival?,
            Err(loss) => {
                self.lose(loss, outgoing, world);
                return None;
            }
        };
        let body = self.body.as_deref_mut()?;
        Some((arrival, body))
    }

    fn read_frame<V: Vsock, K: Kernel>(
        &mut self,
        world: &mut World<'_, V, K>,
    ) -> Result<Option<Arrival>, Loss> {
        let (Link::Up(id), Some(body)) = (self.link, self.body.as_deref_mut()) else {
            return Ok(None);
        };
        while self.readable {
            let mut stream = world.vsock.stream(id).ok_or(Loss::Host)?;
            if !stream.read_ready().or(Err(Loss::Host))? {
                self.readable = false;
                break;
            }
            let count = stream.read(self.decoder.wanted(body)).or(Err(Loss::Host))?;
            if count == 0 {
                return Err(Loss::Host);
            }
            if let Some(arrival) = self.decoder.advance(count, body).map_err(Loss::Frame)? {
                return Ok(Some(arrival));
            }
        }
        Ok(None)
    }

    /// Writes what the connection takes. Returns whether anything left.
    pub(crate) fn write<V: Vsock, K: Kernel>(
        &mut self,
        outgoing: &mut Outgoing,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let Link::Up(id) = self.link else {
            return false;
        };
        let mut moved = false;
        while !outgoing.is_empty() && !self.congested {
            let pending = outgoing.pending();
            let Ok(count) = write_some(world.vsock, id, pending) else {
                self.lose(Loss::Host, outgoing, world);
                return true;
            };
            self.congested = count < pending.len();
            outgoing.advance(count);
            moved |= count > 0;
        }
        moved
    }

    /// Begins to close for good, once everything has left.
    pub(crate) fn close<V: Vsock, K: Kernel>(
        &mut self,
        deadline: Instant,
        world: &mut World<'_, V, K>,
    ) {
        match self.link {
            Link::Up(id) => {
                world.vsock.close(id, deadline);
                self.link = Link::Closing(id);
            }
            Link::Dialling(id) => {
                world.vsock.abort(id);
                self.link = Link::Closed;
            }
            Link::Down(_) => self.link = Link::Closed,
            Link::Closing(_) | Link::Closed => {}
        }
    }
}
