//! One connection: what state it is in, and what every event makes of it.
//!
//! | event \ state      | Dialling          | Open                   | Draining        | Lingering  |
//! |--------------------|-------------------|------------------------|-----------------|------------|
//! | RESPONSE           | Open, `Connected` | –                      | –               | –          |
//! | RST                | dial refused¹     | Over, `Reset`          | `Closed`, lost  | free       |
//! | SHUTDOWN           | dial broken²      | `Readable` / `PeerC…`  | receive: finish | both: RST³ |
//! | data               | dial broken²      | stored, or broken⁴     | thrown away     | thrown away|
//! | CREDIT_REQUEST, 0  | –                 | CREDIT_UPDATE          | CREDIT_UPDATE   | –          |
//! | a lie              | –                 | RST, Over, `Reset`     | RST, `Closed`   | RST, free  |
//! | time               | redial, `Failed`³ | repeat questions       | RST, `Closed`   | RST, free  |
//! | close              | RST, `Closed`     | Draining               | new deadline    | –          |
//! | transport reset    | `Failed`          | Over, `Reset`          | `Closed`, lost  | free       |
//!
//! ¹ with the last dial: `Failed`. ² RST for that dial. ³ RST to the peer. ⁴ more than the credit, or behind the end.
//!
//! In `Over` the connection no longer exists on the wire; what was received can be read until `close`.
//! `Ended` and `Free` know no events. What is still to be told to the peer (`owed`) and to the caller (`notices`) is
//! data, to be fetched when there is room for it.

use super::credit::{ReceiveCredit, SendCredit};
use super::header::{Header, Op, Shutdown, TYPE_STREAM};
use super::inbox::Inbox;
use super::repeat::Repeat;
use super::transmitter::Open;
use crate::clock::Instant;
use crate::limits::{
    VSOCK_DIAL_MS, VSOCK_KICK_MS, VSOCK_LINGER_MS, VSOCK_MAX_DIAL_MS, VSOCK_MAX_DIALS,
    VSOCK_MAX_KICK_MS,
};
use crate::vsock::{ConnectError, ConnectionId, Direction, Event, HOST_CID, Purpose};
use core::time::Duration;

const DIAL: Duration = Duration::from_millis(VSOCK_DIAL_MS);
const LONGEST_DIAL: Duration = Duration::from_millis(VSOCK_MAX_DIAL_MS);
const QUESTION: Duration = Duration::from_millis(VSOCK_KICK_MS);
const LONGEST_QUESTION: Duration = Duration::from_millis(VSOCK_MAX_KICK_MS);
const LINGER: Duration = Duration::from_millis(VSOCK_LINGER_MS);

/// Time until a question for credit is answered again with what was said before. vhost-device-vsock 0.3.0 asks again
/// as soon as it is answered for as long as its reader's window is full.
const ANSWER: Duration = Duration::from_millis(1);

/// Local ports that wait for an answer.
pub(crate) type Dials = heapless::Vec<u32, VSOCK_MAX_DIALS>;

/// One connection, or room for one.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    generation: u16,
    state: State,
    pub(crate) purpose: Purpose,
    /// The host's port, and ours (while dialling, that of the newest dial).
    remote: u32,
    local: u32,
    /// Ports that wait for an answer; those that must be reset, once the state is not dialling any more.
    dials: Dials,
    pub(crate) send: SendCredit,
    pub(crate) receive: ReceiveCredit,
    /// Whether the window is reserved and the inbox in use.
    pub(crate) holds_memory: bool,
    pub(crate) inbox: Inbox,
    /// The slot that gathers what is written.
    pub(crate) open: Option<Open>,
    /// Whether a writer waits for room.
    pub(crate) blocked: bool,
    owed: Owed,
    notices: Notices,
    ending: Option<Ending>,
    /// The directions that each side has ended, seen from that side.
    peer: Shutdown,
    ours: Shutdown,
    /// When the peer's question may be answered with old news again, and whether it waits for that.
    answer: Repeat,
    answer_waits: bool,
    /// When the peer is asked for its counters again.
    question: Repeat,
}

/// Where a connection stands.
#[derive(Clone, Debug)]
enum State {
    Free,
    Dialling {
        redial: Repeat,
        deadline: Instant,
    },
    Open,
    /// Closed by the caller; the peer has yet to forward what was sent.
    Draining {
        deadline: Instant,
    },
    /// The end was announced and reported; the peer has yet to confirm.
    Lingering {
        deadline: Instant,
    },
    /// Gone on the wire; `clean` if both sides had ended it.
    Over {
        clean: bool,
    },
    /// Only the last event is left to be fetched.
    Ended,
}

/// The last event of a connection.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Failed(ConnectError),
    Closed { flushed: bool },
}

bitflags::bitflags! {
    /// Packets without data that are to be sent.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Owed: u8 {
        const REQUEST = 1;
        const CREDIT_UPDATE = 2;
        const CREDIT_REQUEST = 4;
        const SHUTDOWN = 8;
    }

    /// Events that are to be reported.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Notices: u8 {
        const CONNECTED = 1;
        const READABLE = 2;
        const WRITABLE = 4;
        const PEER_CLOSED = 8;
        const RESET = 16;
    }
}

/// What must be done besides changing the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Reaction {
    None,
    /// Send a RST for the packet's or the connection's ports.
    Reset,
    /// Dial again on a fresh port.
    Redial,
}

/// What is to happen to a packet's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Store,
    Discard,
    /// The packet was not allowed; the connection is over and the peer must be reset.
    Refused,
}

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
    pub(crate) const FREE: Self = Self {
        generation: 0,
        state: State::Free,
        purpose: Purpose::Output,
        remote: 0,
        local: 0,
        dials: Dials::new(),
        send: SendCredit::NONE,
        receive: ReceiveCredit::new(0),
        holds_memory: false,
        inbox: Inbox::EMPTY,
        open: None,
        blocked: false,
        owed: Owed::empty(),
        notices: Notices::empty(),
        ending: None,
        peer: Shutdown::empty(),
        ours: Shutdown::empty(),
        answer: Repeat::OFF,
        answer_waits: false,
        question: Repeat::OFF,
    };

    /// Starts dialling.
    pub(crate) fn dial(
        &mut self,
        remote: u32,
        local: u32,
        purpose: Purpose,
        window: u32,
        now: Instant,
        deadline: Instant,
    ) {
        *self = Self {
            generation: self.generation,
            state: State::Dialling {
                redial: Repeat::after(now, DIAL),
                deadline,
            },
            purpose,
            remote,
            local,
            receive: ReceiveCredit::new(window),
            holds_memory: true,
            owed: Owed::REQUEST,
            ..Self::FREE
        };
        self.dials.push(local).expect("room for at least one");
    }

    /// Dials again on `local`. Returns the oldest dial if it had to make room.
    pub(crate) fn redial(&mut self, local: u32, now: Instant) -> Option<u32> {
        let State::Dialling { redial, .. } = &mut self.state else {
            return None;
        };
        *redial = redial.later(now, LONGEST_DIAL);
        let oldest = self.dials.is_full().then(|| self.dials.remove(0));
        self.dials.push(local).expect("room was made");
        self.local = local;
        self.owed |= Owed::REQUEST;
        oldest
    }

    /// Takes the connection as failed from the beginning: there is no device to dial with.
    pub(crate) fn fail(&mut self, error: ConnectError) {
        self.end(Ending::Failed(error));
    }

    // --- Packets ---------------------------------------------------------------------------------------------------

    /// The peer accepted the dial from `local`; the others are to be reset.
    pub(crate) fn on_response(&mut self, local: u32) {
        if !matches!(self.state, State::Dialling { .. }) {
            return;
        }
        self.dials.retain(|&port| port != local);
        self.local = local;
        self.state = State::Open;
        self.owed.remove(Owed::REQUEST);
        self.notices |= Notices::CONNECTED;
    }

    /// The peer reset the connection, or refused the dial from `local`.
    pub(crate) fn on_reset(&mut self, local: u32) {
        if !matches!(self.state, State::Dialling { .. }) {
            self.on_gone(ConnectError::Refused);
            return;
        }
        self.dials.retain(|&port| port != local);
        if self.dials.is_empty() {
            self.fail(ConnectError::Refused);
        }
    }

    /// The peer ended one or both directions.
    pub(crate) fn on_shutdown(&mut self, local: u32, flags: Shutdown, now: Instant) -> Reaction {
        let new = flags.difference(self.peer);
        match self.state {
            State::Dialling { .. } => {
                self.on_reset(local);
                Reaction::Reset
            }
            State::Open => {
                self.peer |= flags;
                if new.contains(Shutdown::SEND) {
                    self.notices |= Notices::READABLE;
                }
                if new.contains(Shutdown::RECEIVE) {
                    self.blocked = false;
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
            State::Dialling { .. } | State::Free | State::Over { .. } | State::Ended => {
                Data::Refused
            }
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

    // --- Time ------------------------------------------------------------------------------------------------------

    /// Returns when `on_time` is to be called.
    pub(crate) fn timer(&self) -> Instant {
        match &self.state {
            State::Dialling {
                redial, deadline, ..
            } => redial.at().min(*deadline),
            State::Open => self.answer_time().min(self.question.at()),
            State::Draining { deadline } => {
                self.answer_time().min(self.question.at()).min(*deadline)
            }
            State::Lingering { deadline } => *deadline,
            State::Free | State::Over { .. } | State::Ended => Instant::NEVER,
        }
    }

    /// Does what is due.
    pub(crate) fn on_time(&mut self, now: Instant) -> Reaction {
        match &self.state {
            State::Dialling { deadline, .. } if now >= *deadline => {
                self.fail(ConnectError::TimedOut);
                return Reaction::Reset;
            }
            State::Dialling { redial, .. } if redial.is_due(now) => return Reaction::Redial,
            State::Draining { deadline } if now >= *deadline => return self.finish(false, now),
            State::Lingering { deadline } if now >= *deadline => {
                self.leave();
                return Reaction::Reset;
            }
            _ => {}
        }
        if now >= self.answer_time() {
            self.answer_waits = false;
            self.answer = self.answer.later(now, LONGEST_QUESTION);
            self.owed |= Owed::CREDIT_UPDATE;
        }
        if self.question.is_due(now) {
            if self.needs_credit() {
                self.owed |= Owed::CREDIT_REQUEST;
                self.question = self.question.later(now, LONGEST_QUESTION);
            } else {
                self.question = Repeat::OFF;
            }
        }
        Reaction::None
    }

    // --- The caller ------------------------------------------------------------------------------------------------

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

    /// Counts bytes given to the reader.
    pub(crate) fn on_forwarded(&mut self, bytes: u32) {
        self.receive.on_forwarded(bytes);
        let is_wanted = matches!(self.state, State::Open | State::Draining { .. });
        if is_wanted && self.receive.owes_update() && !self.peer.contains(Shutdown::SEND) {
            self.owed |= Owed::CREDIT_UPDATE;
        }
    }

    /// A writer found no room.
    pub(crate) fn on_blocked(&mut self, now: Instant) {
        self.blocked = true;
        if self.needs_credit() && self.question.is_off() {
            self.owed |= Owed::CREDIT_REQUEST;
            self.question = Repeat::after(now, QUESTION);
        }
    }

    /// There is room for the writer that waits.
    pub(crate) fn on_room(&mut self) {
        self.blocked = false;
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
        if self.needs_credit() {
            self.owed |= Owed::CREDIT_REQUEST;
            self.question = Repeat::after(now, QUESTION);
        }
    }

    /// The caller ends the connection. Its open slot was sent or discarded before.
    pub(crate) fn close(&mut self, now: Instant, deadline: Instant) -> Reaction {
        match &mut self.state {
            State::Dialling { .. } => {
                self.end(Ending::Closed { flushed: true });
                Reaction::Reset
            }
            State::Open => {
                self.notices = Notices::empty();
                self.blocked = false;
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
            State::Dialling { .. } | State::Open | State::Draining { .. } => Reaction::Reset,
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

    // --- What is to be fetched -------------------------------------------------------------------------------------

    /// Returns the next packet without data to be sent. It stays owed until `on_sent`.
    pub(crate) fn next_owed(&self) -> Option<Op> {
        let order = [
            (Owed::REQUEST, Op::Request),
            (Owed::CREDIT_UPDATE, Op::CreditUpdate),
            (Owed::CREDIT_REQUEST, Op::CreditRequest),
            (Owed::SHUTDOWN, Op::Shutdown),
        ];
        let (_, op) = order
            .into_iter()
            .find(|(owed, _)| self.owed.contains(*owed))?;
        (op != Op::Shutdown || !self.must_drain_first()).then_some(op)
    }

    /// A packet goes out, so the peer learns our counters.
    pub(crate) fn on_sent(&mut self, op: Op) {
        self.receive.on_told();
        match op {
            Op::Request => self.owed.remove(Owed::REQUEST),
            Op::CreditUpdate => {
                self.owed.remove(Owed::CREDIT_UPDATE);
                self.answer_waits = false;
            }
            Op::CreditRequest => self.owed.remove(Owed::CREDIT_REQUEST),
            Op::Shutdown => self.owed.remove(Owed::SHUTDOWN),
            // Data also tells the counters, but vhost-device-vsock 0.3.0 wakes up from an explicit update only.
            Op::Data | Op::Invalid | Op::Response | Op::Reset => {}
        }
    }

    /// Returns the header of a packet of this connection.
    pub(crate) fn header(&self, op: Op, guest_cid: u64) -> Header {
        Header {
            src_cid: guest_cid,
            dst_cid: HOST_CID,
            src_port: self.local,
            dst_port: self.remote,
            len: 0,
            kind: TYPE_STREAM,
            op: op.number(),
            flags: if op == Op::Shutdown {
                self.ours.bits()
            } else {
                0
            },
            buf_alloc: self.receive.window(),
            fwd_cnt: self.receive.fwd_cnt(),
        }
    }

    /// Returns whether there is an event to be fetched.
    pub(crate) const fn has_event(&self) -> bool {
        !self.notices.is_empty() || self.ending.is_some()
    }

    /// Takes the next event. With the last one the id becomes void.
    pub(crate) fn take_event(&mut self, index: u16) -> Option<Event> {
        let id = self.id(index);
        let order = [
            (Notices::CONNECTED, Event::Connected(id)),
            (Notices::READABLE, Event::Readable(id)),
            (Notices::WRITABLE, Event::Writable(id)),
            (Notices::PEER_CLOSED, Event::PeerClosedReceive(id)),
            (Notices::RESET, Event::Reset(id)),
        ];
        for (notice, event) in order {
            if self.notices.contains(notice) {
                self.notices.remove(notice);
                return Some(event);
            }
        }
        let event = match self.ending? {
            Ending::Failed(error) => Event::Failed(id, error),
            Ending::Closed { flushed } => Event::Closed { id, flushed },
        };
        self.void();
        if matches!(self.state, State::Ended) {
            self.state = State::Free;
        }
        Some(event)
    }

    /// Takes the ports that wait for an answer nobody wants any more.
    pub(crate) fn take_stale_dials(&mut self) -> Dials {
        if matches!(self.state, State::Dialling { .. }) {
            return Dials::new();
        }
        core::mem::take(&mut self.dials)
    }

    // --- Questions -------------------------------------------------------------------------------------------------

    pub(crate) const fn id(&self, index: u16) -> ConnectionId {
        ConnectionId {
            index,
            generation: self.generation,
        }
    }

    /// Returns whether this is the connection that the caller means.
    pub(crate) const fn is(&self, id: ConnectionId) -> bool {
        !matches!(self.state, State::Free) && self.generation == id.generation
    }

    pub(crate) const fn is_dialling(&self) -> bool {
        matches!(self.state, State::Dialling { .. })
    }

    /// Returns whether data may be on its way out.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    pub(crate) const fn is_free(&self) -> bool {
        matches!(self.state, State::Free)
    }

    /// Returns whether the caller may read and write.
    pub(crate) const fn is_established(&self) -> bool {
        matches!(self.state, State::Open | State::Over { .. })
    }

    /// Returns whether a packet between these ports is for this connection.
    pub(crate) fn has_ports(&self, remote: u32, local: u32) -> bool {
        self.remote == remote
            && match self.state {
                State::Dialling { .. } => self.dials.contains(&local),
                State::Open | State::Draining { .. } | State::Lingering { .. } => {
                    self.local == local
                }
                State::Free | State::Over { .. } | State::Ended => false,
            }
    }

    pub(crate) const fn ports(&self) -> (u32, u32) {
        (self.local, self.remote)
    }

    /// Returns whether the connection has a use for its window and what lies in its inbox.
    pub(crate) const fn needs_memory(&self) -> bool {
        matches!(
            self.state,
            State::Dialling { .. } | State::Open | State::Over { .. }
        )
    }

    /// Returns whether an answer of the peer is awaited, so that a lost kick would matter.
    pub(crate) fn is_waiting(&self) -> bool {
        match self.state {
            State::Dialling { .. } | State::Draining { .. } | State::Lingering { .. } => true,
            State::Open => !self.question.is_off(),
            State::Free | State::Over { .. } | State::Ended => false,
        }
    }

    /// Returns whether the end of both directions may not be announced yet: back ends that still hold bytes for the
    /// host then neither deliver them nor answer (vhost-device-vsock 0.3.0).
    fn must_drain_first(&self) -> bool {
        matches!(self.state, State::Open)
            && self.ours.is_all()
            && self.send.in_flight() > 0
            && !self.peer.contains(Shutdown::RECEIVE)
    }

    fn needs_credit(&self) -> bool {
        match self.state {
            State::Open => self.blocked && self.send.available() == 0 || self.must_drain_first(),
            State::Draining { .. } => self.send.in_flight() > 0,
            _ => false,
        }
    }

    fn answer_time(&self) -> Instant {
        if self.answer_waits {
            self.answer.at()
        } else {
            Instant::NEVER
        }
    }

    // --- Transitions -----------------------------------------------------------------------------------------------

    /// The connection does not exist any more for the peer.
    fn on_gone(&mut self, error: ConnectError) {
        match self.state {
            State::Dialling { .. } => self.fail(error),
            State::Open => {
                let clean = self.ours.is_all() && self.send.in_flight() == 0;
                if !clean {
                    self.notices |= Notices::RESET;
                }
                self.state = State::Over { clean };
                self.owed = Owed::empty();
                self.blocked = false;
            }
            State::Draining { .. } => self.end(Ending::Closed { flushed: false }),
            State::Lingering { .. } => self.leave(),
            State::Free | State::Over { .. } | State::Ended => {}
        }
    }

    /// Draining is over: announces the end, or cuts the connection off if that would not be understood.
    fn finish(&mut self, flushed: bool, now: Instant) -> Reaction {
        self.end(Ending::Closed { flushed });
        let is_understood = flushed || self.peer.contains(Shutdown::RECEIVE);
        if self.peer.is_all() || !is_understood {
            return Reaction::Reset;
        }
        self.ours = Shutdown::all();
        self.owed = Owed::SHUTDOWN;
        self.state = State::Lingering {
            deadline: now + LINGER,
        };
        Reaction::None
    }

    fn end(&mut self, ending: Ending) {
        self.state = State::Ended;
        self.owed = Owed::empty();
        self.notices = Notices::empty();
        self.blocked = false;
        self.ending = Some(ending);
    }

    /// Lingering is over.
    fn leave(&mut self) {
        self.owed = Owed::empty();
        self.state = if self.ending.is_some() {
            State::Ended
        } else {
            State::Free
        };
    }

    fn void(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.notices = Notices::empty();
        self.ending = None;
    }
}
