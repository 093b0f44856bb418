//! Which sockets may be sent, and which may be sent open files.
//!
//! Open files in a queue can keep further sockets alive. So that no circle of them can, and closing one never goes deep,
//! a socket whose queue holds open files is not sent itself, and one that lies in a queue gets none
//! ([`Sockets::permit_right`], [`Sockets::permit_receiver`]).

use super::{Socket, SocketId, Sockets, State};
use crate::errno::Errno;

impl Sockets {
    /// Says whether a socket may be sent as an open file.
    ///
    /// # Errors
    ///
    /// ETOOMANYREFS when its own queue, or that of a connection it has not accepted, holds open files.
    pub(in crate::fs) fn permit_right(&self, id: SocketId, to: SocketId) -> Result<(), Errno> {
        let socket = self.get(id)?;
        let holds = match &socket.state {
            State::Listening(_, waiting) => waiting
                .iter()
                .any(|&id| id == to || self.get(id).is_ok_and(Socket::holds_rights)),
            _ => socket.holds_rights(),
        };
        if holds || id == to {
            return Err(Errno::ETOOMANYREFS);
        }
        Ok(())
    }

    /// Says whether open files may be sent to a socket.
    ///
    /// # Errors
    ///
    /// ETOOMANYREFS when it lies in a queue itself, or the socket it waits for does; EOPNOTSUPP when it is the host.
    pub(in crate::fs) fn permit_receiver(&self, to: SocketId) -> Result<(), Errno> {
        let socket = self.get(to)?;
        if socket.relay.is_some() {
            // The host has no use for them.
            return Err(Errno::EOPNOTSUPP);
        }
        let in_flight = match socket.state {
            State::Unaccepted(listener, _) => self.get(listener).is_ok_and(|it| it.in_flight > 0),
            _ => socket.in_flight > 0,
        };
        if in_flight {
            Err(Errno::ETOOMANYREFS)
        } else {
            Ok(())
        }
    }

    /// Counts in how many queues a socket lies.
    pub(in crate::fs) fn count_in_flight(&mut self, id: SocketId, change: i32) {
        if let Some(socket) = self.table.get_mut(id) {
            socket.in_flight = socket.in_flight.saturating_add_signed(change);
        }
    }
}

impl Socket {
    fn holds_rights(&self) -> bool {
        self.messages
            .iter()
            .any(|message| !message.rights.is_empty())
    }
}
