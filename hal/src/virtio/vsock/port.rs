//! Local ports: which connection a packet is for, and never the same port twice in a row.
//!
//! The low bits of a local port are the connection's slot, so finding the connection needs no search. The upper 23 bits
//! advance with every dial and are used again only after 8 million dials: back ends replay old packets, and a port
//! that is used again soon would take them for its own. Where the host dialled, the local port is what it asked for.

use super::header::Header;
use crate::limits::VSOCK_SLOTS;

/// Packets that tell the peer that there is no connection.
const MAX_RESETS: usize = 64;

/// Values of the upper bits. Those below would give privileged ports, the one behind the wildcard `VMADDR_PORT_ANY`.
const FIRST: u32 = 1024 / VSOCK_SLOTS as u32;
const LAST: u32 = u32::MAX / VSOCK_SLOTS as u32 - 1;

/// Gives out local ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    next: u32,
}

/// RSTs that wait for a transmit slot: local and remote port.
#[derive(Clone, Debug)]
pub(crate) struct Resets {
    waiting: heapless::Deque<(u32, u32), MAX_RESETS>,
}

impl Ports {
    /// Starts somewhere that depends on `seed`, so that a guest that starts again does not meet the packets of its
    /// predecessor.
    pub(crate) const fn new(seed: u32) -> Self {
        Self {
            next: FIRST + seed % (LAST - FIRST + 1),
        }
    }

    /// Returns a fresh port for the connection in slot `index`.
    pub(crate) const fn take(&mut self, index: usize) -> u32 {
        let port = self.next * VSOCK_SLOTS as u32 + index as u32;
        self.next = if self.next == LAST {
            FIRST
        } else {
            self.next + 1
        };
        port
    }
}

/// Returns the slot of the connection that a packet to `local` is for, if this side dialled it; there may be no such slot.
pub(crate) const fn slot_of(local: u32) -> usize {
    local as usize % VSOCK_SLOTS
}

impl Resets {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: heapless::Deque::new(),
        }
    }

    /// Queues a RST, once for each pair of ports. When the queue is full it is dropped: the peer's next packet on
    /// that connection asks for it again.
    pub(crate) fn push(&mut self, local: u32, remote: u32) {
        if !self.waiting.iter().any(|&pair| pair == (local, remote)) {
            let _dropped = self.waiting.push_back((local, remote));
        }
    }

    /// Queues the answer to a packet for nobody.
    pub(crate) fn answer(&mut self, header: &Header) {
        self.push(header.dst_port, header.src_port);
    }

    pub(crate) fn first(&self) -> Option<(u32, u32)> {
        self.waiting.front().copied()
    }

    pub(crate) fn remove_first(&mut self) {
        self.waiting.pop_front();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_names_its_slot_and_is_neither_privileged_nor_the_wildcard() {
        for seed in [0, 1, LAST - FIRST, LAST - FIRST + 1, u32::MAX] {
            let mut ports = Ports::new(seed);
            for index in [0, 7, VSOCK_SLOTS - 1] {
                let port = ports.take(index);
                assert_eq!(slot_of(port), index);
                assert!((1024..u32::MAX).contains(&port), "{seed}: {port}");
            }
        }
    }

    #[test]
    fn comes_back_to_a_port_only_after_all_others() {
        let mut ports = Ports::new(LAST - FIRST);
        let last = ports.take(3);
        let first = ports.take(3);
        assert_eq!(last / VSOCK_SLOTS as u32, LAST);
        assert_eq!(first / VSOCK_SLOTS as u32, FIRST);
        assert_eq!(ports.take(3) / VSOCK_SLOTS as u32, FIRST + 1);
    }

    #[test]
    fn queues_each_reset_once_and_drops_what_does_not_fit() {
        let mut resets = Resets::new();
        for local in 0..MAX_RESETS as u32 + 1 {
            resets.push(local, 9);
            resets.push(local, 9);
        }
        for local in 0..MAX_RESETS as u32 {
            assert_eq!(resets.first(), Some((local, 9)));
            resets.remove_first();
        }
        assert!(resets.is_empty());
    }
}
