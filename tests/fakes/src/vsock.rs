//! A host without a device: connections as byte queues, with the host's end in the test's hands.
//!
//! It is stricter than a device: reading or writing without asking first, and taking more than was lent, is a panic.

use crate::alloc::uncounted;
use embedded_io::{BufRead, ErrorType, Read, ReadReady, Write, WriteReady};
use hal::clock::Instant;
use hal::limits::{AGENT_CONNECTIONS, MAX_CONNECTIONS};
use hal::vsock::{
    Address, ConnectError, ConnectionId, Direction, Event, Full, Port, Purpose, StreamError, Vsock,
};
use std::collections::{HashMap, VecDeque};

/// What the host does with a call for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Accepts at once.
    Accept,
    /// Refuses at once.
    Refuse,
    /// Lets it ring until [`FakeVsock::answer`] or the deadline.
    Ring,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Refused,
    Dialling {
        deadline: Instant,
    },
    /// The host wants it.
    Offered,
    Open,
    Reset,
    Closing {
        deadline: Instant,
    },
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    /// Which of the guest's calls made it.
    call: usize,
    port: Port,
    state: State,
    to_guest: VecDeque<u8>,
    from_guest: VecDeque<u8>,
    host_sends: bool,
    guest_sends: bool,
    guest_receives: bool,
    /// The guest was told to wait for room.
    wants_room: bool,
    asked: bool,
}

/// The scripted host.
#[derive(Debug)]
pub struct FakeVsock {
    answers: HashMap<u32, Answer>,
    connections: Vec<Option<Connection>>,
    generations: Vec<u16>,
    events: VecDeque<Event>,
    window: usize,
    limit: usize,
    program_limit: usize,
    /// Every call the guest made, in order.
    pub dials: Vec<(Port, Purpose)>,
}

impl Default for FakeVsock {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeVsock {
    /// Returns a host that answers no call.
    #[must_use]
    pub fn new() -> Self {
        Self {
            answers: HashMap::new(),
            connections: Vec::new(),
            generations: Vec::new(),
            events: VecDeque::with_capacity(1024),
            window: 64 * 1024,
            limit: MAX_CONNECTIONS,
            program_limit: MAX_CONNECTIONS - AGENT_CONNECTIONS,
            dials: Vec::with_capacity(1024),
        }
    }

    /// Says what happens to calls for a port from now on.
    pub fn on_call(&mut self, port: u32, answer: Answer) {
        self.answers.insert(port, answer);
    }

    /// Sets how many bytes the host takes before its reader has read any.
    pub fn set_window(&mut self, bytes: usize) {
        self.window = bytes;
    }

    /// Sets how many connections there may be.
    pub fn set_limit(&mut self, connections: usize) {
        self.limit = connections;
    }

    /// Sets how many connections programs may have.
    pub fn set_program_limit(&mut self, connections: usize) {
        self.program_limit = connections;
    }

    /// The host dials a port of the guest; the guest hears of it with the next event. `None` when it has no place.
    pub fn host_dial(&mut self, port: u32, from: u32) -> Option<ConnectionId> {
        let id = self.place(Port(port), Purpose::Program, State::Offered)?;
        self.events.push_back(Event::Incoming {
            id,
            to: Port(port),
            from: Port(from),
        });
        Some(id)
    }

    /// Answers a call that rings.
    pub fn answer(&mut self, id: ConnectionId, answer: Answer) {
        if let Some(connection) = self.get(id)
            && matches!(connection.state, State::Dialling { .. })
        {
            match answer {
                Answer::Accept => {
                    connection.state = State::Open;
                    self.events.push_back(Event::Connected(id));
                }
                // The slot is held until the event is taken, as the driver holds it.
                Answer::Refuse => {
                    connection.state = State::Refused;
                    self.events
                        .push_back(Event::Failed(id, ConnectError::Refused));
                }
                Answer::Ring => {}
            }
        }
    }

    /// Returns the newest connection to a port, also one that still rings.
    #[must_use]
    pub fn host(&self, port: u32) -> Option<ConnectionId> {
        self.connections
            .iter()
            .flatten()
            .filter(|connection| connection.port.0 == port)
            .max_by_key(|connection| connection.call)
            .map(|connection| connection.id)
    }

    /// The host sends bytes.
    pub fn host_write(&mut self, id: ConnectionId, bytes: &[u8]) {
        let connection = self
            .get(id)
            .expect("the host writes to a connection that stands");
        assert!(connection.host_sends, "the host writes behind its end");
        connection.to_guest.extend(bytes);
        self.events.push_back(Event::Readable(id));
    }

    /// The host reads everything the guest has written.
    pub fn host_read(&mut self, id: ConnectionId) -> Vec<u8> {
        self.host_read_some(id, usize::MAX)
    }

    /// The host reads at most `count` bytes.
    pub fn host_read_some(&mut self, id: ConnectionId, count: usize) -> Vec<u8> {
        let Some(connection) = self.get(id) else {
            return Vec::new();
        };
        let count = count.min(connection.from_guest.len());
        let bytes: Vec<u8> = connection.from_guest.drain(..count).collect();
        let told = connection.wants_room && count > 0 || connection.from_guest.is_empty();
        if told {
            connection.wants_room = false;
            self.events.push_back(Event::Writable(id));
        }
        bytes
    }

    /// Returns whether the host's reader has seen the end.
    #[must_use]
    pub fn host_sees_end(&mut self, id: ConnectionId) -> bool {
        self.get(id)
            .is_none_or(|connection| !connection.guest_sends && connection.from_guest.is_empty())
    }

    /// Returns whether the guest still holds the connection.
    #[must_use]
    pub fn is_held(&mut self, id: ConnectionId) -> bool {
        self.get(id)
            .is_some_and(|connection| !matches!(connection.state, State::Closing { .. }))
    }

    /// Returns whether the guest has said that further bytes are unwelcome.
    #[must_use]
    pub fn is_unwelcome(&mut self, id: ConnectionId) -> bool {
        self.get(id)
            .is_none_or(|connection| !connection.guest_receives)
    }

    /// The host ends its sending direction.
    pub fn host_end(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id) {
            connection.host_sends = false;
            self.events.push_back(Event::Readable(id));
        }
    }

    /// The host closes both directions.
    pub fn host_close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id) {
            connection.host_sends = false;
            connection.from_guest.clear();
            self.events.push_back(Event::Readable(id));
            self.events.push_back(Event::PeerClosedReceive(id));
        }
    }

    /// The connection is reset.
    pub fn host_reset(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id) {
            connection.state = State::Reset;
            connection.from_guest.clear();
            self.events.push_back(Event::Reset(id));
        }
    }

    /// The transport is reset: all connections are gone, established or not, as after a restore from a snapshot.
    pub fn transport_reset(&mut self) {
        let ids: Vec<_> = self
            .connections
            .iter()
            .flatten()
            .map(|known| known.id)
            .collect();
        for id in ids {
            let dialling = self
                .get(id)
                .is_some_and(|known| matches!(known.state, State::Dialling { .. }));
            if dialling {
                self.remove(id);
                self.events
                    .push_back(Event::Failed(id, ConnectError::TransportReset));
            } else {
                self.host_reset(id);
            }
        }
    }

    /// Returns how many connections the guest holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.connections.iter().flatten().count()
    }

    fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections
            .get_mut(usize::from(id.index))?
            .as_mut()
            .filter(|connection| connection.id == id)
    }

    /// Makes a connection, if there is a place for it.
    fn place(&mut self, port: Port, purpose: Purpose, state: State) -> Option<ConnectionId> {
        let (start, limit) = match purpose {
            Purpose::Program => (AGENT_CONNECTIONS, self.program_limit),
            _ => (0, self.limit.min(AGENT_CONNECTIONS)),
        };
        let index = (start..start + limit).find(|&index| {
            let place = self.connections.get(index);
            place.is_none_or(Option::is_none)
        })?;
        while self.connections.len() <= index {
            self.connections.push(None);
            self.generations.push(0);
        }
        let id = ConnectionId {
            index: index as u16,
            generation: self.generations[index],
        };
        self.connections[index] = Some(Connection {
            id,
            call: self.dials.len(),
            port,
            state,
            to_guest: VecDeque::new(),
            from_guest: VecDeque::new(),
            host_sends: true,
            guest_sends: true,
            guest_receives: true,
            wants_room: false,
            asked: false,
        });
        Some(id)
    }

    fn remove(&mut self, id: ConnectionId) {
        if self.get(id).is_some() {
            self.connections[usize::from(id.index)] = None;
            self.generations[usize::from(id.index)] += 1;
        }
    }

    /// Makes the events that time and emptied queues bring.
    fn wind(&mut self, now: Instant) {
        for index in 0..self.connections.len() {
            let Some(connection) = &self.connections[index] else {
                continue;
            };
            let id = connection.id;
            match connection.state {
                State::Dialling { deadline } if now >= deadline => {
                    self.remove(id);
                    self.events
                        .push_back(Event::Failed(id, ConnectError::TimedOut));
                }
                State::Closing { deadline }
                    if connection.from_guest.is_empty() || now >= deadline =>
                {
                    let flushed = connection.from_guest.is_empty();
                    self.remove(id);
                    self.events.push_back(Event::Closed { id, flushed });
                }
                _ => {}
            }
        }
    }
}

impl Vsock for FakeVsock {
    type Stream<'a> = FakeStream<'a>;

    fn connect(
        &mut self,
        port: Port,
        purpose: Purpose,
        _now: Instant,
        deadline: Instant,
    ) -> Result<ConnectionId, Full> {
        uncounted(|| {
            if self.held() >= self.limit {
                return Err(Full);
            }
            let state = State::Dialling { deadline };
            let id = self.place(port, purpose, state).ok_or(Full)?;
            self.dials.push((port, purpose));
            if let Some(connection) = self.get(id) {
                connection.call += 1;
            }
            let answer = self.answers.get(&port.0).copied();
            self.answer(id, answer.unwrap_or(Answer::Ring));
            Ok(id)
        })
    }

    fn accept(&mut self, id: ConnectionId) {
        let connection = self.get(id).expect("what is accepted was offered");
        assert_eq!(connection.state, State::Offered, "accepted once");
        connection.state = State::Open;
        self.events.push_back(Event::Connected(id));
    }

    /// The port is one nobody asked for, so that nobody takes it for another.
    fn local(&self, id: ConnectionId) -> Option<Address> {
        let connection = self.connections.get(usize::from(id.index))?.as_ref()?;
        (connection.id == id && connection.state == State::Open).then_some(Address {
            cid: 3,
            port: Port(0x8000_0000 + u32::from(id.index)),
        })
    }

    fn poll(&mut self, now: Instant) -> Option<Event> {
        if self.events.is_empty() {
            uncounted(|| self.wind(now));
        }
        let event = self.events.pop_front();
        if let Some(Event::Failed(id, _)) = event {
            self.remove(id);
        }
        event
    }

    fn stream(&mut self, id: ConnectionId) -> Option<FakeStream<'_>> {
        let window = self.window;
        let connection = self.get(id)?;
        matches!(connection.state, State::Open | State::Reset)
            .then_some(FakeStream { connection, window })
    }

    /// What streams are given is with the host at once.
    fn flush(&mut self) {}

    fn shutdown(&mut self, id: ConnectionId, direction: Direction) {
        if let Some(connection) = self.get(id) {
            match direction {
                Direction::Send => connection.guest_sends = false,
                Direction::Receive => connection.guest_receives = false,
            }
        }
    }

    fn unforwarded(&self, id: ConnectionId) -> usize {
        self.connections
            .get(usize::from(id.index))
            .and_then(Option::as_ref)
            .filter(|connection| connection.id == id)
            .map_or(0, |connection| connection.from_guest.len())
    }

    fn close(&mut self, id: ConnectionId, deadline: Instant) {
        if let Some(connection) = self.get(id) {
            connection.state = State::Closing { deadline };
            connection.guest_sends = false;
        }
    }

    fn abort(&mut self, id: ConnectionId) {
        self.remove(id);
    }

    fn next_deadline(&self) -> Instant {
        let deadlines =
            self.connections
                .iter()
                .flatten()
                .map(|connection| match connection.state {
                    State::Dialling { deadline } | State::Closing { deadline } => deadline,
                    State::Refused | State::Offered | State::Open | State::Reset => Instant::NEVER,
                });
        deadlines.min().unwrap_or(Instant::NEVER)
    }
}

/// The guest's end of one connection.
#[derive(Debug)]
pub struct FakeStream<'a> {
    connection: &'a mut Connection,
    window: usize,
}

impl ErrorType for FakeStream<'_> {
    type Error = StreamError;
}

impl ReadReady for FakeStream<'_> {
    fn read_ready(&mut self) -> Result<bool, StreamError> {
        let connection = &mut *self.connection;
        if connection.state == State::Reset && connection.to_guest.is_empty() {
            return Err(StreamError::Reset);
        }
        Ok(!connection.to_guest.is_empty() || !connection.host_sends)
    }
}

impl WriteReady for FakeStream<'_> {
    fn write_ready(&mut self) -> Result<bool, StreamError> {
        if self.connection.state == State::Reset {
            return Err(StreamError::Reset);
        }
        if !self.connection.guest_sends {
            return Err(StreamError::NotConnected);
        }
        let ready = self.connection.from_guest.len() < self.window;
        self.connection.asked = ready;
        self.connection.wants_room |= !ready;
        Ok(ready)
    }
}

impl Read for FakeStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for FakeStream<'_> {
    fn fill_buf(&mut self) -> Result<&[u8], StreamError> {
        if self.connection.to_guest.is_empty() && self.connection.state == State::Reset {
            return Err(StreamError::Reset);
        }
        assert!(self.read_ready()?, "read without having asked");
        Ok(self.connection.to_guest.as_slices().0)
    }

    fn consume(&mut self, count: usize) {
        self.connection.to_guest.drain(..count);
    }
}

impl Write for FakeStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        if self.connection.state == State::Reset {
            return Err(StreamError::Reset);
        }
        assert!(self.connection.asked, "written without having asked");
        assert!(!bytes.is_empty(), "nothing written");
        self.connection.asked = false;
        let room = self.window.saturating_sub(self.connection.from_guest.len());
        let count = room.min(bytes.len());
        uncounted(|| self.connection.from_guest.extend(&bytes[..count]));
        self.connection.wants_room |= count < bytes.len();
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }
}
