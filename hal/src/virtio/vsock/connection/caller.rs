//! What the caller makes of a connection: reading, writing, ending it.

use super::{Connection, Ending, Notices, Owed, QUESTION, Reaction, State};
use crate::clock::Instant;
use crate::virtio::vsock::header::Shutdown;
use crate::virtio::vsock::repeat::Repeat;
use crate::vsock::Direction;

/// What is to happen to bytes that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Send,
    /// The peer will not receive them: they are taken and lost.
    Lose,
    NotConnected,
    Reset,
}

/// What is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Data,
    Nothing,
    End,
    Reset,
}

impl Connection {
    /// Returns what is to be read.
    pub(crate) fn reading(&self) -> Reading {
        if self.inbox.bytes() > 0 {
            return Reading::Data;
        }
        match self.state {
            State::Over { clean: true } => Reading::End,
            _ if self.peer.contains(Shutdown::SEND) || self.ours.contains(Shutdown::RECEIVE) => {
                Reading::End
            }
            State::Over { clean: false } => Reading::Reset,
            _ => Reading::Nothing,
        }
    }

    /// Returns what is to happen to bytes that are written.
    pub(crate) fn writing(&self) -> Writing {
        match self.state {
            State::Over { clean: false } => Writing::Reset,
            State::Open if self.ours.contains(Shutdown::SEND) => Writing::NotConnected,
            State::Open if self.peer.contains(Shutdown::RECEIVE) => Writing::Lose,
            State::Open => Writing::Send,
            _ => Writing::NotConnected,
        }
    }

    /// Accepts a connection that the host wants.
    pub(crate) fn accept(&mut self) {
        if matches!(self.state, State::Offered) {
            self.state = State::Accepting;
            self.owed = Owed::RESPONSE;
        }
    }

    /// Counts bytes given to the reader.
    pub(crate) fn on_forwarded(&mut self, bytes: u32) {
        self.receive.on_forwarded(bytes);
        let is_wanted = matches!(self.state, State::Open | State::Draining { .. });
        if is_wanted && self.receive.owes_update() && !self.peer.contains(Shutdown::SEND) {
            self.owed |= Owed::CREDIT_UPDATE;
        }
    }

    /// A writer found no room for `bytes` more bytes.
    pub(crate) fn on_blocked(&mut self, bytes: usize, now: Instant) {
        self.wanted = bytes.max(1);
        if self.needs_credit() && self.question.is_off() {
            self.owed |= Owed::CREDIT_REQUEST;
            self.question = Repeat::after(now, QUESTION);
        }
    }

    /// There is room for the writer that waits.
    pub(crate) fn on_room(&mut self) {
        self.wanted = 0;
        self.notices |= Notices::WRITABLE;
    }

    /// The caller ends one direction.
    pub(crate) fn shutdown(&mut self, direction: Direction, now: Instant) {
        if !matches!(self.state, State::Open) {
            return;
        }
        let flag = match direction {
            Direction::Receive => Shutdown::RECEIVE,
            Direction::Send => Shutdown::SEND,
        };
        if self.ours.contains(flag) {
            return;
        }
        self.ours |= flag;
        self.owed |= Owed::SHUTDOWN;
        if self.needs_credit() && self.question.is_off() {
            self.owed |= Owed::CREDIT_REQUEST;
            self.question = Repeat::after(now, QUESTION);
        }
    }

    /// The caller ends the connection. Its open slot was sent or discarded before.
    pub(crate) fn close(&mut self, now: Instant, deadline: Instant) -> Reaction {
        match &mut self.state {
            State::Dialling { .. } | State::Offered | State::Accepting => {
                self.end(Ending::Closed { flushed: true });
                Reaction::Reset
            }
            State::Open => {
                self.notices = Notices::empty();
                self.wanted = 0;
                let flushed = self.send.in_flight() == 0;
                if flushed || self.peer.contains(Shutdown::RECEIVE) {
                    return self.finish(flushed, now);
                }
                self.state = State::Draining { deadline };
                self.owed |= Owed::CREDIT_REQUEST;
                self.question = Repeat::after(now, QUESTION);
                if self.answer_waits {
                    // A back end that waits for the answer may not forward anything until it has it.
                    self.owed |= Owed::CREDIT_UPDATE;
                }
                Reaction::None
            }
            State::Draining { deadline: old } => {
                *old = deadline;
                Reaction::None
            }
            State::Over { clean } => {
                let flushed = *clean;
                self.end(Ending::Closed { flushed });
                Reaction::None
            }
            State::Free | State::Lingering { .. } | State::Ended => Reaction::None,
        }
    }

    /// The caller ends the connection now. The id is void at once.
    pub(crate) fn abort(&mut self) -> Reaction {
        let reaction = match self.state {
            State::Dialling { .. }
            | State::Offered
            | State::Accepting
            | State::Open
            | State::Draining { .. } => Reaction::Reset,
            // Its end was announced; the peer's confirmation is still awaited, but the event is not wanted any more.
            State::Lingering { .. } => {
                self.void();
                return Reaction::None;
            }
            State::Free | State::Over { .. } | State::Ended => Reaction::None,
        };
        self.end(Ending::Closed { flushed: false });
        self.void();
        self.state = State::Free;
        reaction
    }
}
