//! What the peer's packets make of a connection.

use super::{ANSWER, Connection, Data, LONGEST_QUESTION, Notices, Owed, QUESTION, Reaction, State};
use crate::clock::Instant;
use crate::virtio::vsock::header::{Header, Shutdown};
use crate::virtio::vsock::repeat::Repeat;
use crate::vsock::ConnectError;

impl Connection {
    /// The peer accepted the dial from `local`. Should it answer another one, that is a packet for nobody and is reset.
    pub(crate) fn on_response(&mut self, local: u32) {
        if !matches!(self.state, State::Dialling { .. }) {
            return;
        }
        self.local = local;
        self.state = State::Open;
        self.owed.remove(Owed::REQUEST);
        self.notices |= Notices::CONNECTED;
    }

    /// The peer reset the connection, or refused a dial.
    pub(crate) fn on_reset(&mut self) {
        if let State::Dialling { unanswered, .. } = &mut self.state
            && *unanswered > 1
        {
            *unanswered -= 1;
            return;
        }
        self.on_gone(ConnectError::Refused);
    }

    /// The peer ended one or both directions.
    pub(crate) fn on_shutdown(&mut self, flags: Shutdown, now: Instant) -> Reaction {
        let new = flags.difference(self.peer);
        match self.state {
            State::Dialling { .. } | State::Offered | State::Accepting => {
                self.on_reset();
                Reaction::Reset
            }
            State::Open => {
                self.peer |= flags;
                if new.contains(Shutdown::SEND) {
                    self.notices |= Notices::READABLE;
                }
                if new.contains(Shutdown::RECEIVE) {
                    self.wanted = 0;
                    self.question = Repeat::OFF;
                    self.notices |= Notices::PEER_CLOSED;
                }
                Reaction::None
            }
            State::Draining { .. } => {
                self.peer |= flags;
                if self.peer.contains(Shutdown::RECEIVE) {
                    self.finish(self.send.in_flight() == 0, now)
                } else {
                    Reaction::None
                }
            }
            State::Lingering { .. } => {
                self.peer |= flags;
                if self.peer.is_all() {
                    self.leave();
                    Reaction::Reset
                } else {
                    Reaction::None
                }
            }
            State::Free | State::Over { .. } | State::Ended => Reaction::None,
        }
    }

    /// The peer's header carries its counters. Returns what is to be done if they are impossible.
    pub(crate) fn on_credit(&mut self, header: &Header, now: Instant) -> Reaction {
        let before = self.send.in_flight();
        if self
            .send
            .on_header(header.buf_alloc, header.fwd_cnt)
            .is_err()
        {
            return self.on_violation();
        }
        let all_forwarded = before > 0 && self.send.in_flight() == 0 && self.open.is_none();
        match self.state {
            State::Draining { .. } if self.send.in_flight() == 0 => self.finish(true, now),
            State::Draining { .. } if self.send.in_flight() < before => {
                // It moves: ask again soon.
                self.question = Repeat::after(now, QUESTION);
                Reaction::None
            }
            State::Open => {
                if all_forwarded {
                    self.notices |= Notices::WRITABLE;
                }
                if !self.needs_credit() {
                    self.question = Repeat::OFF;
                }
                Reaction::None
            }
            _ => Reaction::None,
        }
    }

    /// The peer sent data.
    pub(crate) fn on_data(&mut self, bytes: u32) -> Data {
        match self.state {
            State::Open | State::Draining { .. } | State::Lingering { .. } => {
                if bytes == 0 {
                    return Data::Discard;
                }
                let is_behind_end = self.peer.contains(Shutdown::SEND);
                if is_behind_end || self.receive.on_received(bytes).is_err() {
                    return Data::Refused;
                }
                if matches!(self.state, State::Open) && !self.ours.contains(Shutdown::RECEIVE) {
                    self.notices |= Notices::READABLE;
                    return Data::Store;
                }
                self.on_forwarded(bytes);
                Data::Discard
            }
            State::Dialling { .. }
            | State::Offered
            | State::Accepting
            | State::Free
            | State::Over { .. }
            | State::Ended => Data::Refused,
        }
    }

    /// The peer asks for our counters, or had nothing to say.
    pub(crate) fn on_question(&mut self, now: Instant) {
        if !matches!(self.state, State::Open | State::Draining { .. }) {
            return;
        }
        if self.receive.has_news() || self.answer.is_off() {
            self.answer = Repeat::after(now, ANSWER);
        } else if self.answer.is_due(now) {
            self.answer = self.answer.later(now, LONGEST_QUESTION);
        } else {
            self.answer_waits = true;
            return;
        }
        self.owed |= Owed::CREDIT_UPDATE;
    }

    /// The peer broke the rules: it is reset. What it sent before can still be read.
    pub(crate) fn on_violation(&mut self) -> Reaction {
        self.on_gone(ConnectError::Refused);
        Reaction::Reset
    }

    /// The transport was reset; the connection is gone without a trace.
    pub(crate) fn on_transport_reset(&mut self) {
        self.on_gone(ConnectError::TransportReset);
    }
}
