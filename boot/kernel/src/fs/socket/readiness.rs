//! What a socket can do without waiting.

use super::{Family, SocketId, SocketKind, Sockets, State};
use crate::fs::transfer::Readiness;

impl Sockets {
    /// Returns how many bytes can be received at once (ioctl FIONREAD).
    pub(in crate::fs) fn readable_bytes(&self, id: SocketId) -> usize {
        self.get(id).map_or(0, |socket| match socket.kind {
            SocketKind::Datagram => socket.messages.front().map_or(0, |message| message.len),
            _ => socket.ring.len(),
        })
    }

    /// Returns what poll(2) says.
    pub(in crate::fs) fn readiness(&self, id: SocketId) -> Readiness {
        let Ok(socket) = self.get(id) else {
            return Readiness::INVALID;
        };
        let is_datagram = socket.kind == SocketKind::Datagram;
        let (mut reads, mut writes) = (!socket.messages.is_empty(), is_datagram);
        // Whether nothing more comes, and whether nothing more can go.
        let (mut ended, mut closed) = (socket.shut.reading, socket.shut.writing);
        match &socket.state {
            State::Idle if is_datagram => {}
            State::Idle if socket.family == Family::Vsock => writes = true,
            State::Connecting(_) => {}
            State::Idle => (writes, ended, closed) = (true, false, true),
            State::Listening(_, waiting) => reads = !waiting.is_empty(),
            State::Connected(peer) | State::Unaccepted(_, peer) => match self.table.get(*peer) {
                Some(peer) => {
                    writes = peer.ring.room() > 0 || peer.shut.reading;
                    ended |= peer.shut.writing && !is_datagram;
                }
                None => (writes, ended, closed) = (true, ended | !is_datagram, !is_datagram),
            },
        }
        reads |= ended;
        let mut ready = Readiness::empty();
        ready.set(Readiness::READ | Readiness::READ_NORMAL, reads);
        ready.set(Readiness::WRITE | Readiness::WRITE_NORMAL, writes);
        ready.set(Readiness::ERROR, socket.error.is_some());
        ready.set(Readiness::READ_HANG_UP, ended);
        ready.set(Readiness::HANG_UP, closed && (ended || !reads && writes));
        ready
    }
}
