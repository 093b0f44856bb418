//! Connections: how they come about, wait to be accepted, and end.

use super::{Shut, SocketId, SocketKind, Sockets, State, asker, wake_both};
use crate::errno::Errno;
use crate::fs::context::Context;
use crate::fs::text::Text;
use crate::limits::MAX_BACKLOG;
use crate::wait::{Stall, WakeKey};
use alloc::collections::VecDeque;

impl Sockets {
    /// Connects two new sockets to each other (socketpair(2)).
    pub(in crate::fs) fn join(&mut self, one: SocketId, other: SocketId) -> Result<(), Errno> {
        for (id, to) in [(one, other), (other, one)] {
            let peer = self.get(to)?.owner;
            let socket = self.get_mut(id)?;
            socket.state = State::Connected(to);
            socket.peer = peer;
        }
        Ok(())
    }

    /// Lets connections come.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for datagrams, EINVAL without an address or when connected.
    pub(in crate::fs) fn listen(&mut self, id: SocketId, backlog: usize) -> Result<(), Errno> {
        let socket = self.get_mut(id)?;
        if socket.kind == SocketKind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        let backlog = backlog.clamp(1, MAX_BACKLOG);
        match &mut socket.state {
            _ if socket.address.is_none() => return Err(Errno::EINVAL),
            State::Idle => socket.state = State::Listening(backlog, VecDeque::new()),
            State::Listening(limit, _) => *limit = backlog,
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// Connects a socket with the one at an address.
    ///
    /// # Errors
    ///
    /// ECONNREFUSED, EPROTOTYPE, EISCONN, EINVAL, ENOMEM; waits while too many connections are unaccepted.
    pub(in crate::fs) fn connect(
        &mut self,
        context: &mut Context<'_>,
        id: SocketId,
        to: SocketId,
    ) -> Result<(), Stall> {
        let (socket, other) = (self.get(id)?, self.get(to)?);
        if socket.kind != other.kind {
            return Err(Errno::EPROTOTYPE.into());
        }
        if socket.kind == SocketKind::Datagram {
            let peer = other.owner;
            let socket = self.get_mut(id)?;
            socket.state = State::Connected(to);
            socket.peer = peer;
            return Ok(());
        }
        match socket.state {
            State::Idle => {}
            State::Connected(_) | State::Unaccepted(..) | State::Connecting(_) => {
                return Err(Errno::EISCONN.into());
            }
            State::Listening(..) => return Err(Errno::EINVAL.into()),
        }
        let State::Listening(limit, waiting) = &other.state else {
            return Err(Errno::ECONNREFUSED.into());
        };
        if waiting.len() >= *limit {
            return Err(Stall::wait(WakeKey::SocketWritable(to.index())));
        }
        let (of, owner, account) = (other.of(), other.owner, other.account);
        let address = Text::copy_of(self.address(to)?)?;
        let made = self.create(context, of, account)?;
        let (asker, room) = (asker(context), self.queue_of(to)?.try_reserve(1));
        if room.is_err() {
            self.discard(context, made);
            return Err(Errno::ENOMEM.into());
        }
        self.queue_of(to)?.push_back(made);
        let end = self.get_mut(made)?;
        end.state = State::Unaccepted(to, id);
        end.peer = asker;
        end.owner = owner;
        // It is found under the listening socket, which has the file.
        end.address = Some(address);
        let socket = self.get_mut(id)?;
        socket.state = State::Connected(made);
        socket.peer = owner;
        context.wakes.wake(WakeKey::SocketReadable(to.index()));
        Ok(())
    }

    pub(super) fn queue_of(
        &mut self,
        listener: SocketId,
    ) -> Result<&mut VecDeque<SocketId>, Errno> {
        match &mut self.get_mut(listener)?.state {
            State::Listening(_, waiting) => Ok(waiting),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Takes the oldest connection that is not accepted yet.
    ///
    /// # Errors
    ///
    /// EINVAL when the socket does not listen, EOPNOTSUPP when it never can; waits when there is none.
    pub(in crate::fs) fn accept(
        &mut self,
        context: &mut Context<'_>,
        listener: SocketId,
    ) -> Result<SocketId, Stall> {
        if self.get(listener)?.kind == SocketKind::Datagram {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let none = Stall::wait(WakeKey::SocketReadable(listener.index()));
        let id = self.queue_of(listener)?.pop_front().ok_or(none)?;
        let socket = self.get_mut(id)?;
        if let State::Unaccepted(_, client) = socket.state {
            socket.state = State::Connected(client);
        }
        context
            .wakes
            .wake(WakeKey::SocketWritable(listener.index()));
        Ok(id)
    }

    /// Returns a connection that nobody accepted and nobody will.
    pub(in crate::fs) fn unaccepted(&mut self, id: SocketId) -> Option<SocketId> {
        self.queue_of(id).ok()?.pop_front()
    }

    /// Ends one direction or both.
    ///
    /// # Errors
    ///
    /// ENOTCONN.
    pub(in crate::fs) fn shut(
        &mut self,
        context: &mut Context<'_>,
        id: SocketId,
        shut: Shut,
    ) -> Result<(), Errno> {
        let socket = self.get_mut(id)?;
        let (State::Connected(peer) | State::Unaccepted(_, peer)) = socket.state else {
            return Err(Errno::ENOTCONN);
        };
        socket.shut.reading |= shut.reading;
        socket.shut.writing |= shut.writing;
        wake_both(context, id);
        wake_both(context, peer);
        self.tell_agent(peer);
        Ok(())
    }
}
