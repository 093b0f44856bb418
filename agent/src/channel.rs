//! Programs' own connections with the host: carried between the kernel's channels and the vsock device.
//!
//! ```text
//!   Dial, or admitted ──► Dialling ──Connected──► Open ──both directions ended──► Leaving ──all forwarded──► gone
//!                            └─ Failed: the program is told                          └── nothing moves: given up
//! ```
//!
//! They have nothing to do with the bridge and outlive it. Bytes wait where they are until the other side has room: a host
//! that does not read fills its window, then the program's socket, and then the program waits; a program that does not read
//! fills its socket, then the connection's window, and then the host waits. A channel is found by its connection's place,
//! which is one of those for programs.

use crate::kernel::{ChannelId, Input, Kernel, Over};
use crate::limits::{DRAIN_MS, FAREWELL_MS, STEP_STREAM_BYTES};
use crate::world::{Earliest, World, write_some};
use core::time::Duration;
use embedded_io::{BufRead, ReadReady};
use hal::clock::Instant;
use hal::limits::{AGENT_CONNECTIONS, PROGRAM_CONNECTIONS};
use hal::vsock::{ConnectError, ConnectionId, Direction, Event, Port, Purpose, Vsock};

/// Every channel there is.
pub(crate) struct Channels {
    /// By the connection's place behind the agent's own.
    table: [Option<Channel>; PROGRAM_CONNECTIONS],
    /// Places from here on were never used.
    high: usize,
}

#[derive(Clone, Copy)]
struct Channel {
    id: ChannelId,
    connection: ConnectionId,
    stands: bool,
    /// Whether something happened since the last attempt to carry bytes.
    ready: bool,
    input: Way,
    output: Way,
    /// Its connection was reset, and what came before was read.
    is_reset: bool,
    /// The program sends no more and nothing comes for it: only the host still has something to take.
    leaving: bool,
    /// What the host's reader had not been given when the last byte moved.
    unforwarded: usize,
    moved_at: Instant,
}

/// One direction. The numbers leave 0 to the place without a channel: a table of zeroes takes no room in the image.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Way {
    Open = 1,
    /// The program ended it.
    Left,
    /// The host ended it.
    Closed,
}

impl Channels {
    pub(crate) const fn new() -> Self {
        Self {
            table: [const { None }; PROGRAM_CONNECTIONS],
            high: 0,
        }
    }

    /// Returns whether a connection is a program's.
    pub(crate) fn has(id: ConnectionId) -> bool {
        usize::from(id.index) >= AGENT_CONNECTIONS
    }

    /// A program wants to be connected.
    pub(crate) fn on_dial<V: Vsock, K: Kernel>(
        &mut self,
        channel: ChannelId,
        (port, patience): (Port, Duration),
        world: &mut World<'_, V, K>,
    ) {
        let deadline = world.now + patience;
        match world
            .vsock
            .connect(port, Purpose::Program, world.now, deadline)
        {
            Ok(connection) => self.keep(channel, connection, world),
            Err(hal::vsock::Full) => world.kernel.end_channel(channel, Over::Full),
        }
    }

    /// A program has something to send or room, or has ended a direction.
    pub(crate) fn on_ready(&mut self, id: ChannelId) {
        let known = self.table[..self.high].iter_mut().flatten();
        if let Some(channel) = known.into_iter().find(|channel| channel.id == id) {
            channel.ready = true;
        }
    }

    /// Something happened to a program's connection.
    pub(crate) fn on_event<V: Vsock, K: Kernel>(
        &mut self,
        event: Event,
        world: &mut World<'_, V, K>,
    ) {
        if let Event::Incoming { id, to, from } = event {
            match world.kernel.admit(to, from) {
                Some(channel) => {
                    world.vsock.accept(id);
                    self.keep(channel, id, world);
                }
                None => world.vsock.abort(id),
            }
            return;
        }
        let id = event.id();
        let Some(channel) = self.find(id) else {
            return;
        };
        channel.ready = true;
        match event {
            Event::Connected(_) => {
                channel.stands = true;
                if let Some(local) = world.vsock.local(id) {
                    world.kernel.connected(channel.id, local);
                }
            }
            // Of one that was reset what came before can still be read.
            Event::PeerClosedReceive(_) | Event::Reset(_) => {
                channel.output = Way::Closed;
                world.kernel.hang_up(channel.id, Direction::Send);
            }
            Event::Failed(_, error) => {
                let how = match error {
                    ConnectError::TimedOut => Over::TimedOut,
                    ConnectError::Refused => Over::Refused,
                    ConnectError::TransportReset => Over::Reset,
                };
                self.end(id, how, world);
            }
            _ => {}
        }
    }

    /// Carries what can be carried, a bounded amount for each channel. Returns whether anything moved.
    pub(crate) fn carry<V: Vsock, K: Kernel>(
        &mut self,
        earliest: &mut Earliest,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let mut moved = false;
        for index in 0..self.high {
            let Some(channel) = &mut self.table[index] else {
                continue;
            };
            if core::mem::take(&mut channel.ready) {
                moved |= channel.carry(world);
            }
            if let Some(how) = channel.verdict(earliest, world) {
                let id = channel.connection;
                self.end(id, how, world);
                moved = true;
            }
        }
        moved
    }

    fn keep<V: Vsock, K: Kernel>(
        &mut self,
        id: ChannelId,
        connection: ConnectionId,
        world: &mut World<'_, V, K>,
    ) {
        let place = usize::from(connection.index).checked_sub(AGENT_CONNECTIONS);
        let Some(entry) = place.and_then(|place| self.table.get_mut(place)) else {
            // A connection of this purpose always has one of these places.
            world.vsock.abort(connection);
            world.kernel.end_channel(id, Over::Full);
            return;
        };
        *entry = Some(Channel {
            id,
            connection,
            stands: false,
            ready: true,
            input: Way::Open,
            output: Way::Open,
            is_reset: false,
            leaving: false,
            unforwarded: 0,
            moved_at: world.now,
        });
        self.high = self.high.max(place.map_or(0, |place| place + 1));
    }

    fn entry(&mut self, id: ConnectionId) -> Option<&mut Option<Channel>> {
        let place = usize::from(id.index).checked_sub(AGENT_CONNECTIONS)?;
        let entry = self.table.get_mut(place)?;
        (entry.as_ref()?.connection == id).then_some(entry)
    }

    fn find(&mut self, id: ConnectionId) -> Option<&mut Channel> {
        self.entry(id)?.as_mut()
    }

    /// Lets a channel go, with its connection.
    fn end<V: Vsock, K: Kernel>(
        &mut self,
        id: ConnectionId,
        how: Over,
        world: &mut World<'_, V, K>,
    ) {
        let Some(channel) = self.entry(id).and_then(Option::take) else {
            return;
        };
        if how == Over::Closed && channel.stands {
            let deadline = world.now + Duration::from_millis(FAREWELL_MS);
            world.vsock.close(id, deadline);
        } else {
            world.vsock.abort(id);
        }
        world.kernel.end_channel(channel.id, how);
    }
}

impl Channel {
    /// Carries bytes both ways. Returns whether any moved.
    fn carry<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) -> bool {
        if !self.stands {
            // What was accepted and ended at once still has something to say.
            let sent = world.kernel.sent(self.id);
            let silent = sent.ended && sent.bytes.is_empty();
            self.leaving = silent && world.kernel.deliver(self.id, &[]) == Input::Broken;
            return false;
        }
        let moved = self.carry_output(world) + self.carry_input(world);
        let leaving = self.input != Way::Open && world.kernel.sent(self.id).ended;
        if moved > 0 || leaving != self.leaving {
            self.leaving = leaving;
            self.note_move(world);
        }
        moved > 0
    }

    fn note_move<V: Vsock, K: Kernel>(&mut self, world: &World<'_, V, K>) {
        self.moved_at = world.now;
        self.unforwarded = world.vsock.unforwarded(self.connection);
    }

    /// From the program to the host.
    fn carry_output<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) -> usize {
        let mut moved = 0;
        while self.output == Way::Open {
            let lent = world.kernel.sent(self.id);
            if lent.bytes.is_empty() {
                if lent.ended {
                    world.vsock.shutdown(self.connection, Direction::Send);
                    self.output = Way::Left;
                }
                break;
            }
            if moved >= STEP_STREAM_BYTES {
                self.ready = true;
                break;
            }
            // That it is gone is told besides.
            let count = write_some(world.vsock, self.connection, lent.bytes).unwrap_or(0);
            let all = count == lent.bytes.len();
            if count > 0 {
                world.kernel.take_sent(self.id, count);
                moved += count;
            }
            if !all {
                // The window is full; the connection tells when it is not.
                break;
            }
        }
        moved
    }

    /// From the host to the program.
    fn carry_input<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) -> usize {
        let mut moved = 0;
        while self.input == Way::Open {
            if moved >= STEP_STREAM_BYTES {
                self.ready = true;
                break;
            }
            let Some(mut stream) = world.vsock.stream(self.connection) else {
                break;
            };
            let (chunk, end) = match stream.read_ready() {
                Ok(false) => (&[][..], None),
                Ok(true) => match stream.fill_buf() {
                    Ok([]) => (&[][..], Some(Over::Closed)),
                    Ok(bytes) => (bytes, None),
                    Err(_) => (&[][..], Some(Over::Reset)),
                },
                Err(_) => (&[][..], Some(Over::Reset)),
            };
            let offered = chunk.len();
            match world.kernel.deliver(self.id, chunk) {
                Input::Broken => {
                    drop(stream);
                    world.vsock.shutdown(self.connection, Direction::Receive);
                    self.input = Way::Left;
                }
                Input::Took(count) => {
                    stream.consume(count);
                    moved += count;
                    if let Some(how) = end {
                        self.input = Way::Closed;
                        self.is_reset = how == Over::Reset;
                        world.kernel.hang_up(self.id, Direction::Receive);
                    }
                    if count < offered || offered == 0 {
                        // The socket is full, and the kernel tells when it is not; or there is nothing.
                        break;
                    }
                }
            }
        }
        moved
    }

    /// Returns how it ends, if it does now.
    fn verdict<V: Vsock, K: Kernel>(
        &mut self,
        earliest: &mut Earliest,
        world: &World<'_, V, K>,
    ) -> Option<Over> {
        if self.is_reset {
            return Some(Over::Reset);
        }
        if !self.stands {
            return self.leaving.then_some(Over::Closed);
        }
        let is_over = self.input != Way::Open && self.output != Way::Open;
        if !is_over && !self.leaving {
            return None;
        }
        let unforwarded = world.vsock.unforwarded(self.connection);
        if is_over && (self.output == Way::Closed || unforwarded == 0) {
            return Some(Over::Closed);
        }
        if unforwarded < self.unforwarded {
            self.note_move(world);
        }
        let deadline = self.moved_at + Duration::from_millis(DRAIN_MS);
        if world.now >= deadline {
            log::debug!(
                "connection {}: nothing moves, the rest is dropped",
                self.connection
            );
            return Some(Over::Reset);
        }
        earliest.note(deadline);
        None
    }
}
