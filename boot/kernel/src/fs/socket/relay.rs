//! The agent's end of a program's connection with the host.
//!
//! It is a socket like the program's, without a descriptor. It lives until both have let it go: the program's socket, and
//! the agent ([`Sockets::end_channel`]). What the agent should look at is queued, each end at most once.

use super::{Family, Peer, Shut, SocketId, Sockets, State, wake_both};
use crate::errno::Errno;
use crate::fs::context::Context;
use crate::slab::Id;
use crate::wait::WakeKey;
use agent::kernel::{ChannelId, Event, Input, Output, Over};
use alloc::vec::Vec;
use hal::frame::FramePool;
use hal::vsock::Direction;

/// What the agent knows of an end of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Relay {
    /// It was told whom to dial, or needs not dial.
    pub(super) is_dialled: bool,
    queued: bool,
    /// It was told "no room" and wants to hear when there is.
    wants_room: bool,
}

/// Returns the name under which the agent knows an end.
pub(super) const fn channel(end: SocketId) -> ChannelId {
    ChannelId(end.name())
}

impl Sockets {
    /// Puts an end of the agent's into the queue of what it is to look at. Any other socket is none of its business.
    pub(super) fn tell_agent(&mut self, id: SocketId) {
        if let Some(relay) = self.table.get_mut(id).and_then(|end| end.relay.as_mut())
            && !relay.queued
        {
            relay.queued = true;
            self.told.push_back(id);
        }
    }

    /// A program has taken bytes from its socket: the agent may wait for that.
    pub(super) fn tell_of_room(&mut self, id: SocketId) {
        if let Ok(socket) = self.get(id)
            && socket.family == Family::Vsock
            && let State::Connected(end) = socket.state
            && let Some(relay) = self.table.get_mut(end).and_then(|end| end.relay.as_mut())
            && relay.wants_room
        {
            relay.wants_room = false;
            self.tell_agent(end);
        }
    }

    /// Returns the next thing the agent is to look at.
    pub(crate) fn next_told(&mut self, context: &mut Context<'_>) -> Option<Event> {
        while let Some(id) = self.told.pop_front() {
            let Some(relay) = self.table.get_mut(id).and_then(|end| end.relay.as_mut()) else {
                continue;
            };
            relay.queued = false;
            if relay.is_dialled {
                return Some(Event::ChannelReady(channel(id)));
            }
            relay.is_dialled = true;
            match self.wish(id) {
                Some((port, patience)) => {
                    return Some(Event::Dial(channel(id), port, patience));
                }
                None => {
                    self.discard(context, id);
                }
            }
        }
        None
    }

    /// Returns an end of the agent's and the program's socket, which may be gone.
    pub(super) fn ends(&self, channel: ChannelId) -> Option<(SocketId, SocketId)> {
        let end = Id::from_name(channel.0);
        let socket = self.table.get(end)?;
        socket.relay?;
        match socket.state {
            State::Connected(id) => Some((end, id)),
            _ => None,
        }
    }

    /// Lends the agent what a program has sent.
    pub(crate) fn sent<'a>(&'a self, pool: &'a FramePool, channel: ChannelId) -> Output<'a> {
        let nothing = Output {
            bytes: &[],
            ended: true,
        };
        let Some((end, id)) = self.ends(channel) else {
            return nothing;
        };
        let Some(socket) = self.table.get(end) else {
            return nothing;
        };
        let bytes = socket.ring.peek(pool);
        // Only what was sent to its end counts, one sender at a time.
        let len = socket.messages.front().map_or(0, |message| message.len);
        let ended = self.table.get(id).is_none_or(|id| id.shut.writing);
        Output {
            bytes: &bytes[..len.min(bytes.len())],
            ended,
        }
    }

    /// Takes bytes that [`Sockets::sent`] lent.
    pub(crate) fn take_sent(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        count: usize,
    ) {
        if let Some((end, _)) = self.ends(channel) {
            // No open files are sent to the host.
            let _none = self.take(context, end, count);
        }
    }

    /// Takes bytes from the host for a program, as many as there is room for.
    pub(crate) fn deliver(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        bytes: &[u8],
    ) -> Input {
        let Some((end, id)) = self.ends(channel) else {
            return Input::Broken;
        };
        let Some(socket) = self.table.get_mut(id).filter(|id| !id.shut.reading) else {
            return Input::Broken;
        };
        if bytes.is_empty() {
            return Input::Took(0);
        }
        let was_empty = socket.messages.is_empty();
        let mut done = socket.ring.put_bytes(context, socket.account, bytes);
        let sender = Peer::default();
        if done > 0
            && socket
                .append(context, done, Vec::new(), sender, None)
                .is_err()
        {
            socket.ring.take_back(context, socket.account, done);
            done = 0;
        }
        if done > 0 {
            context.wakes.wake(WakeKey::SocketReadable(id.index()));
        } else if was_empty {
            // There is no memory, and nobody whose reading would bring any.
            socket.error = Some(Errno::ENOMEM);
            socket.shut.reading = true;
            wake_both(context, id);
            return Input::Broken;
        }
        if let Some(relay) = self.table.get_mut(end).and_then(|end| end.relay.as_mut()) {
            relay.wants_room = done < bytes.len();
        }
        Input::Took(done)
    }

    /// The host has ended a direction.
    pub(crate) fn hang_up(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        direction: Direction,
    ) {
        let Some((end, id)) = self.ends(channel) else {
            return;
        };
        if direction == Direction::Send {
            self.drop_sent(context, end);
        }
        if let Some(socket) = self.table.get_mut(end) {
            match direction {
                Direction::Receive => socket.shut.writing = true,
                Direction::Send => socket.shut.reading = true,
            }
        }
        wake_both(context, id);
        wake_both(context, end);
    }

    /// A channel is over for the agent.
    pub(crate) fn end_channel(&mut self, context: &mut Context<'_>, channel: ChannelId, how: Over) {
        let Some((end, id)) = self.ends(channel) else {
            return;
        };
        let error = match how {
            Over::Closed => None,
            Over::Reset | Over::Refused => Some(Errno::ECONNRESET),
            Over::TimedOut => Some(Errno::ETIMEDOUT),
            Over::Full => Some(Errno::EADDRNOTAVAIL),
        };
        self.drop_sent(context, end);
        self.forget(end);
        wake_both(context, id);
        wake_both(context, end);
        let Some(socket) = self.table.get_mut(id) else {
            self.discard(context, end);
            return;
        };
        // What went wrong before is not forgotten because the rest went well.
        socket.error = error.or(socket.error);
        if matches!(socket.state, State::Connecting(_)) {
            socket.state = State::Idle;
            self.discard(context, end);
        }
    }

    /// A program's socket is gone: the agent is told, or its end goes too.
    pub(super) fn on_program_gone(&mut self, context: &mut Context<'_>, end: SocketId) {
        let Some(socket) = self.table.get(end) else {
            return;
        };
        match socket.relay {
            Some(relay) if relay.is_dialled => self.tell_agent(end),
            None if socket.family == Family::Unix => {}
            _ => {
                self.forget(end);
                self.discard(context, end);
            }
        }
    }

    /// Throws away what a program has sent and the host will not take.
    fn drop_sent(&mut self, context: &mut Context<'_>, end: SocketId) {
        if let Some(socket) = self.table.get_mut(end) {
            socket.clear(context);
        }
    }

    /// The agent knows an end no more: neither direction goes on.
    fn forget(&mut self, end: SocketId) {
        let Some(socket) = self.table.get_mut(end) else {
            return;
        };
        socket.shut = Shut {
            reading: true,
            writing: true,
        };
        if socket.relay.take().is_some_and(|relay| relay.queued) {
            // The queue has room for the ends there are, not for names of those that were.
            self.told.retain(|&told| told != end);
        }
    }
}
