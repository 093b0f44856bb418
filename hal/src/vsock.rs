//! Stream connections to the host over virtio-vsock (virtio 1.2 §5.10): the trait the agent is written against.

use crate::clock::Instant;
use core::fmt;
use embedded_io::{BufRead, Read, ReadReady, Write, WriteReady};

/// The host's context id (virtio 1.2 §5.10.4).
pub const HOST_CID: u64 = 2;

/// A vsock port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(pub u32);

/// Names one connection. Index plus generation, so the id of a closed connection misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// Slot in the table.
    pub index: u16,
    /// How often the slot was used before.
    pub generation: u16,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// What a connection is for, which decides its share of the credit pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The bridge, the log, entropy: a share that is never lent.
    Control,
    /// Standard input: mostly receives.
    Input,
    /// Standard output or error: mostly sends.
    Output,
    /// A program's own: out of the programs' share, which is nobody else's.
    Program,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whose end it is: a context id.
    pub cid: u32,
    /// Its port.
    pub port: Port,
}

/// Why a connection could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// Nobody answered within the time-out, retries on new local ports included. Some back ends never refuse.
    TimedOut,
    /// The host refused.
    Refused,
    /// The transport was reset while connecting.
    TransportReset,
}

/// There is no room for a connection: every slot is in use, or what is left of the credit pool is less than the smallest
/// window of its purpose. Either ends when another connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Which direction of a connection is meant, seen from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the host to us.
    Receive,
    /// From us to the host.
    Send,
}

/// Something happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host wants a connection from its port to one of ours: to be accepted, or aborted at once.
    Incoming {
        /// The connection, of purpose [`Purpose::Program`].
        id: ConnectionId,
        /// The port the host wants to reach.
        to: Port,
        /// The host's own port.
        from: Port,
    },
    /// The connection is established: the host accepted it, or knows that it was accepted.
    Connected(ConnectionId),
    /// The connection could not be made; the id is void.
    Failed(ConnectionId, ConnectError),
    /// There is something to read: bytes, or the end of the stream. Reported again only after new arrivals, so a
    /// reader that stops early must remember to come back.
    Readable(ConnectionId),
    /// There is room to write again after a write took less than it was given or `write_ready` answered no, or the peer
    /// has forwarded everything.
    Writable(ConnectionId),
    /// The host will not read any more: writes are lost from here on.
    PeerClosedReceive(ConnectionId),
    /// The connection is gone without having been asked to: reset by the host, or the transport was. What was received
    /// before can still be read until `close`.
    Reset(ConnectionId),
    /// A connection that was closed is gone; `flushed` tells whether the host took every byte. The id is void.
    Closed {
        /// Which connection.
        id: ConnectionId,
        /// Whether every byte written was forwarded to its reader before the end.
        flushed: bool,
    },
}

impl Event {
    /// Returns which connection it is about.
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        let (Self::Incoming { id, .. }
        | Self::Connected(id)
        | Self::Failed(id, _)
        | Self::Readable(id)
        | Self::Writable(id)
        | Self::PeerClosedReceive(id)
        | Self::Reset(id)
        | Self::Closed { id, .. }) = self;
        *id
    }
}

/// Why a stream can neither be read nor written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// The connection is not established yet, or was shut down by this side.
    NotConnected,
    /// The connection was reset.
    Reset,
    /// There is nothing to read yet; `read_ready` would have said so.
    NotReady,
}

impl core::fmt::Display for StreamError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotConnected => "not connected",
            Self::Reset => "connection reset",
            Self::NotReady => "nothing to read yet",
        })
    }
}

impl core::error::Error for StreamError {}

impl embedded_io::Error for StreamError {
    fn kind(&self) -> embedded_io::ErrorKind {
        match self {
            Self::NotConnected => embedded_io::ErrorKind::NotConnected,
            Self::Reset => embedded_io::ErrorKind::ConnectionReset,
            Self::NotReady => embedded_io::ErrorKind::Other,
        }
    }
}

/// Stream connections to the host.
///
/// Nothing here waits. A stream is asked first (`read_ready`, `write_ready`); `read` returns 0 only at the end of the
/// stream, `write` says how much it took. `flush` starts transmission and returns at once.
///
/// `fill_buf` lends what lies at the front of the receive buffer, possibly not all there is, and an empty slice only at
/// the end of the stream; like `read` it is called after `read_ready`. What `consume` does not take stays in the stream
/// and keeps its share of the window. That is how a program's full pipe holds back the host without another copy.
pub trait Vsock {
    /// One connection, borrowed for reading and writing.
    type Stream<'a>: BufRead
        + Read
        + Write
        + ReadReady
        + WriteReady
        + embedded_io::ErrorType<Error = StreamError>
    where
        Self: 'a;

    /// Starts a connection to `port` on the host. [`Event::Connected`] or [`Event::Failed`] follows, at the latest at
    /// `deadline`; attempts before that are repeated on new local ports.
    ///
    /// # Errors
    ///
    /// [`Full`] when no slot is free or the credit pool has no window left.
    fn connect(
        &mut self,
        port: Port,
        purpose: Purpose,
        now: Instant,
        deadline: Instant,
    ) -> Result<ConnectionId, Full>;

    /// Accepts a connection that the host wants. [`Event::Connected`] or [`Event::Failed`] follows. Any other id does nothing.
    fn accept(&mut self, id: ConnectionId);

    /// Returns this side's end of an established connection; `None` for an id that is void.
    fn local(&self, id: ConnectionId) -> Option<Address>;

    /// Returns the next thing that happened, `None` when the device's rings are really empty.
    fn poll(&mut self, now: Instant) -> Option<Event>;

    /// Returns the stream of an established connection, also one whose peer has closed or reset it; `None` for an id
    /// that is void.
    fn stream(&mut self, id: ConnectionId) -> Option<Self::Stream<'_>>;

    /// Starts transmission of everything that streams were given since the last `poll` or `flush`, with one notification
    /// of the host for all of it. The next `poll` would do it as well.
    fn flush(&mut self);

    /// Ends one direction, in order: what was written before still goes out, and the peer's reader sees the end then.
    /// `Receive` tells the peer that further bytes are unwelcome. A void id does nothing.
    fn shutdown(&mut self, id: ConnectionId, direction: Direction);

    /// Returns how many of the bytes written the host's reader has not been given yet; 0 for a void id.
    fn unforwarded(&self, id: ConnectionId) -> usize;

    /// Ends the connection: waits until the host has forwarded every byte (at most until `deadline`), then closes.
    /// [`Event::Closed`] follows. A void id does nothing.
    fn close(&mut self, id: ConnectionId, deadline: Instant);

    /// Ends the connection now; unsent bytes are lost. No event follows. A void id does nothing.
    fn abort(&mut self, id: ConnectionId);

    /// Returns when `poll` should be called even if no interrupt comes.
    fn next_deadline(&self) -> Instant;
}
