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
//! ¹ with the last dial: `Failed`. ² RST for that dial. ³ RST to the peer; a dial answered later is one for nobody. ⁴ more than the credit, or behind the end.
//!
//! A connection that the host dials begins as `Offered`; `accept` makes it `Accepting`, and sending RESPONSE `Open`. Until then
//! whatever the host sends but questions ends it: it is forgotten if nobody heard of it, else `Failed`.
//!
//! In `Over` the connection no longer exists on the wire; what was received can be read until `close`.
//! `Ended` and `Free` know no events. What is still to be told to the peer (`owed`) and to the caller (`notices`) is
//! data, to be fetched when there is room for it.

mod caller;
mod outbox;
mod peer;
mod timer;

pub(crate) use caller::{Reading, Writing};

use super::credit::{ReceiveCredit, SendCredit};
use super::header::{Header, Shutdown};
use super::inbox::Inbox;
use super::repeat::Repeat;
use super::transmitter::Open;
use crate::clock::Instant;
use crate::limits::{
    VSOCK_CONTROL_DIAL_MS, VSOCK_DIAL_MS, VSOCK_KICK_MS, VSOCK_LINGER_MS, VSOCK_MAX_DIAL_MS,
    VSOCK_MAX_KICK_MS,
};
use crate::vsock::{ConnectError, ConnectionId, Purpose};
use core::time::Duration;

const QUESTION: Duration = Duration::from_millis(VSOCK_KICK_MS);
const LONGEST_QUESTION: Duration = Duration::from_millis(VSOCK_MAX_KICK_MS);
const LINGER: Duration = Duration::from_millis(VSOCK_LINGER_MS);

/// Time until a question for credit is answered again with what was said before. vhost-device-vsock 0.3.0 asks again
/// as soon as it is answered for as long as its reader's window is full.
const ANSWER: Duration = Duration::from_millis(1);

/// One connection, or room for one.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    generation: u16,
    state: State,
    pub(crate) purpose: Purpose,
    /// The host's port, and ours (while dialling, that of the newest dial).
    remote: u32,
    local: u32,
    pub(crate) send: SendCredit,
    pub(crate) receive: ReceiveCredit,
    /// Whether the window is reserved and the inbox in use.
    pub(crate) holds_memory: bool,
    pub(crate) inbox: Inbox,
    /// The slot that gathers what is written.
    pub(crate) open: Option<Open>,
    /// How many bytes a writer waits to write; 0 if none waits.
    pub(crate) wanted: usize,
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
        /// The port of the first dial: every port of this slot from there to the newest is ours, so that no dial is ever
        /// forgotten, however late its answer.
        first: u32,
        /// Dials that were not refused.
        unanswered: u32,
        /// Where the newest dial is among the packets sent; `None` while it is not.
        sent: Option<u32>,
    },
    /// The host wants it; nobody has accepted it yet.
    Offered,
    /// Accepted; the answer is on its way out.
    Accepting,
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
        const RESPONSE = 16;
    }

    /// Events that are to be reported.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Notices: u8 {
        const CONNECTED = 1;
        const READABLE = 2;
        const WRITABLE = 4;
        const PEER_CLOSED = 8;
        const RESET = 16;
        const INCOMING = 32;
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

impl Connection {
    pub(crate) const FREE: Self = Self {
        generation: 0,
        state: State::Free,
        purpose: Purpose::Output,
        remote: 0,
        local: 0,
        send: SendCredit::NONE,
        receive: ReceiveCredit::new(0),
        holds_memory: false,
        inbox: Inbox::EMPTY,
        open: None,
        wanted: 0,
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
                redial: Repeat::after(now, dial_pauses(purpose).0),
                deadline,
                first: local,
                unanswered: 1,
                sent: None,
            },
            purpose,
            remote,
            local,
            receive: ReceiveCredit::new(window),
            holds_memory: true,
            owed: Owed::REQUEST,
            ..Self::FREE
        };
    }

    /// The host wants a connection.
    pub(crate) fn offer(&mut self, header: &Header, window: u32) {
        *self = Self {
            generation: self.generation,
            state: State::Offered,
            purpose: Purpose::Program,
            remote: header.src_port,
            local: header.dst_port,
            receive: ReceiveCredit::new(window),
            holds_memory: true,
            notices: Notices::INCOMING,
            ..Self::FREE
        };
        // Nothing was sent yet, so any counter but 0 is a lie, which the first packet on the connection shows again.
        let _ = self.send.on_header(header.buf_alloc, 0);
    }

    /// Dials again on `local`, beside the dials before.
    pub(crate) fn redial(&mut self, local: u32, now: Instant) {
        if let State::Dialling {
            redial,
            unanswered,
            sent,
            ..
        } = &mut self.state
        {
            *redial = redial.later(now, dial_pauses(self.purpose).1);
            *unanswered = unanswered.saturating_add(1);
            *sent = None;
            self.local = local;
            self.owed |= Owed::REQUEST;
        }
    }

    /// The newest dial is the last packet before `mark`.
    pub(crate) const fn on_dial_sent(&mut self, mark: u32) {
        if let State::Dialling { sent, .. } = &mut self.state {
            *sent = Some(mark);
        }
    }

    /// Returns the mark of the newest dial, once it was sent. Until the device has dealt with that one, another would only
    /// stand behind it: a back end that falls behind would make a call of each, and a host that listens again meanwhile
    /// would take one that was given up.
    pub(crate) const fn dial_mark(&self) -> Option<u32> {
        match self.state {
            State::Dialling { sent, .. } => sent,
            _ => None,
        }
    }

    /// Dials again later.
    pub(crate) fn put_off(&mut self, now: Instant) {
        if let State::Dialling { redial, .. } = &mut self.state {
            *redial = Repeat::after(now, dial_pauses(self.purpose).0);
        }
    }

    /// Takes the connection as failed from the beginning: there is no device to dial with.
    pub(crate) fn fail(&mut self, error: ConnectError) {
        self.end(Ending::Failed(error));
    }

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
    pub(crate) const fn has_ports(&self, remote: u32, local: u32) -> bool {
        self.remote == remote
            && match self.state {
                State::Dialling { first, .. } => {
                    local.wrapping_sub(first) <= self.local.wrapping_sub(first)
                }
                State::Offered
                | State::Accepting
                | State::Open
                | State::Draining { .. }
                | State::Lingering { .. } => self.local == local,
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
            State::Dialling { .. }
                | State::Offered
                | State::Accepting
                | State::Open
                | State::Over { .. }
        )
    }

    /// Returns whether an answer of the peer is awaited, so that a lost kick would matter.
    pub(crate) fn is_waiting(&self) -> bool {
        match self.state {
            State::Dialling { .. } | State::Draining { .. } | State::Lingering { .. } => true,
            State::Open => !self.question.is_off(),
            State::Free | State::Offered | State::Accepting | State::Over { .. } | State::Ended => {
                false
            }
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

    /// Returns whether the peer's counters are awaited: there is no room to write, or everything was written and the
    /// caller wants to know when the host has it.
    fn needs_credit(&self) -> bool {
        match self.state {
            State::Open => {
                let is_blocked = self.wanted > 0 && self.send.available() == 0;
                let is_flushing = self.ours.contains(Shutdown::SEND)
                    && self.send.in_flight() > 0
                    && !self.peer.contains(Shutdown::RECEIVE);
                is_blocked || is_flushing
            }
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

    /// The connection does not exist any more for the peer.
    fn on_gone(&mut self, error: ConnectError) {
        match self.state {
            State::Offered if self.notices.contains(Notices::INCOMING) => {
                self.void();
                self.owed = Owed::empty();
                self.state = State::Free;
            }
            State::Dialling { .. } | State::Offered | State::Accepting => self.fail(error),
            State::Open => {
                let clean = self.ours.is_all() && self.send.in_flight() == 0;
                if !clean {
                    self.notices |= Notices::RESET;
                }
                self.state = State::Over { clean };
                self.owed = Owed::empty();
                self.wanted = 0;
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
        self.wanted = 0;
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

/// Returns the pause before a first dial is repeated, and the longest one.
const fn dial_pauses(purpose: Purpose) -> (Duration, Duration) {
    let (first, longest) = match purpose {
        Purpose::Control => (VSOCK_CONTROL_DIAL_MS, VSOCK_CONTROL_DIAL_MS),
        Purpose::Input | Purpose::Output | Purpose::Program => (VSOCK_DIAL_MS, VSOCK_MAX_DIAL_MS),
    };
    (Duration::from_millis(first), Duration::from_millis(longest))
}
