//! What a connection has to tell: packets to the peer, events to the caller.

use super::{Connection, Ending, Notices, Owed, State};
use crate::virtio::vsock::header::{Header, Op, TYPE_STREAM};
use crate::vsock::{Event, HOST_CID, Port};

impl Connection {
    /// Returns the next packet without data to be sent. It stays owed until `on_sent`.
    pub(crate) fn next_owed(&self) -> Option<Op> {
        let order = [
            (Owed::REQUEST, Op::Request),
            (Owed::RESPONSE, Op::Response),
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
            Op::Response => {
                self.owed.remove(Owed::RESPONSE);
                self.state = State::Open;
                self.notices |= Notices::CONNECTED;
            }
            // Data also tells the counters, but vhost-device-vsock 0.3.0 wakes up from an explicit update only.
            Op::Data | Op::Invalid | Op::Reset => {}
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
        let incoming = Event::Incoming {
            id,
            to: Port(self.local),
            from: Port(self.remote),
        };
        let order = [
            (Notices::INCOMING, incoming),
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
}
