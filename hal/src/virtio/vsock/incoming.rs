//! Packets from the device: checked, matched to a connection, answered.

use super::connection::{Data, Reaction};
use super::device::VirtioVsock;
use super::header::{Header, Op, Shutdown, TYPE_STREAM};
use super::port::slot_of;
use super::receiver::Arrival;
use crate::vsock::{HOST_CID, Purpose};
use virtio_drivers::Hal;
use virtio_drivers::transport::Transport;

impl<H: Hal + 'static, T: Transport> VirtioVsock<H, T> {
    /// Takes a packet; its buffer is kept or posted again.
    pub(super) fn on_arrival(&mut self, arrival: Arrival) {
        let is_kept = self.on_packet(&arrival);
        if !is_kept {
            self.receiver.post(arrival.buffer);
        }
    }

    /// Returns whether the packet's buffer was kept.
    fn on_packet(&mut self, arrival: &Arrival) -> bool {
        let header = &arrival.header;
        if header.src_cid != HOST_CID || header.dst_cid != self.guest_cid {
            // Not for us, or a buffer whose header was never written.
            log::debug!(
                "vsock: packet from {} to {}",
                header.src_cid,
                header.dst_cid
            );
            return false;
        }
        let op = Op::parse(header.op).filter(|_| header.kind == TYPE_STREAM);
        let is_complete = arrival.data_bytes == header.len as usize;
        let Some(index) = self.connection_of(header) else {
            if op == Some(Op::Request) && is_complete && self.offer(header) {
                return false;
            }
            // A RST is never answered with a RST, and an empty operation is no packet (a stale header).
            if !matches!(op, Some(Op::Reset | Op::Invalid)) {
                self.resets.answer(header);
            }
            return false;
        };
        match op {
            Some(op) if is_complete => self.on_known(index, op, arrival),
            _ => {
                log::warn!(
                    "vsock: port {}: bad packet (type {}, operation {}, {} of {} bytes)",
                    header.dst_port,
                    header.kind,
                    header.op,
                    arrival.data_bytes,
                    header.len
                );
                self.on_violation(index, header);
                false
            }
        }
    }

    /// Returns whose packet it is: the connection's that the port names, else one's that the host dialled.
    fn connection_of(&self, header: &Header) -> Option<usize> {
        let is_its = |&index: &usize| {
            self.connections
                .get(index)
                .is_some_and(|connection| connection.has_ports(header.src_port, header.dst_port))
        };
        Some(slot_of(header.dst_port))
            .filter(is_its)
            .or_else(|| self.slots(Purpose::Program).find(is_its))
    }

    /// The host wants a connection. Returns whether there is room to keep it until that is decided.
    fn offer(&mut self, header: &Header) -> bool {
        let Some(index) = self.free_slot(Purpose::Program) else {
            return false;
        };
        let Some(window) = self.windows.reserve(Purpose::Program) else {
            return false;
        };
        self.connections[index].offer(header, window);
        self.refresh(index);
        true
    }

    /// Gives a packet to its connection. Returns whether the packet's buffer was kept.
    fn on_known(&mut self, index: usize, op: Op, arrival: &Arrival) -> bool {
        let header = &arrival.header;
        let now = self.now;
        let connection = &mut self.connections[index];
        if op == Op::Response {
            connection.on_response(header.dst_port);
        }
        // A RST carries no counters (vhost-device-vsock sends zeroes), and a connection that is not established has
        // none to compare with.
        if op != Op::Reset
            && !connection.is_dialling()
            && connection.on_credit(header, now) == Reaction::Reset
        {
            log::debug!("vsock: port {}: over", header.dst_port);
            self.resets.answer(header);
            self.refresh(index);
            return false;
        }
        let mut is_kept = false;
        match op {
            Op::Data => is_kept = self.on_data(index, arrival),
            Op::Reset => connection.on_reset(),
            Op::Shutdown => {
                let flags = Shutdown::from_bits_truncate(header.flags);
                if connection.on_shutdown(flags, now) == Reaction::Reset {
                    self.resets.answer(header);
                }
            }
            Op::CreditRequest | Op::Invalid => connection.on_question(now),
            Op::Request => self.on_violation(index, header),
            Op::Response | Op::CreditUpdate => {}
        }
        self.refresh(index);
        is_kept
    }

    fn on_data(&mut self, index: usize, arrival: &Arrival) -> bool {
        let bytes = arrival.data_bytes;
        let connection = &mut self.connections[index];
        match connection.on_data(arrival.header.len) {
            Data::Discard => false,
            Data::Refused => {
                self.on_violation(index, &arrival.header);
                false
            }
            Data::Store if self.receiver.may_keep(bytes) => {
                self.store
                    .append_whole(&mut connection.inbox, arrival.buffer, bytes);
                true
            }
            Data::Store => {
                let buffers = self.receiver.buffers();
                let inbox = &mut connection.inbox;
                let stored = self
                    .store
                    .append_copy(inbox, buffers, arrival.buffer, bytes);
                if stored.is_err() {
                    // Cannot be: every window has its chunks. If it were, losing bytes silently would be worse.
                    log::error!("vsock: receive memory exhausted");
                    self.on_violation(index, &arrival.header);
                }
                false
            }
        }
    }

    /// The peer broke the rules on this connection: it is reset.
    fn on_violation(&mut self, index: usize, header: &Header) {
        log::warn!(
            "vsock: port {}: operation {} with {} bytes was not allowed",
            header.dst_port,
            header.op,
            header.len
        );
        let connection = &mut self.connections[index];
        if connection.is_dialling() {
            connection.on_reset();
        } else {
            let _reset = connection.on_violation();
        }
        self.resets.answer(header);
        self.discard_open(index);
        self.refresh(index);
    }
}
