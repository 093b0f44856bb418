//! What was sent to a socket and not yet received.

use super::{Family, Peer, Socket, SocketId, SocketKind, Sockets, State, asker};
use crate::account::Resource;
use crate::errno::Errno;
use crate::fs::context::{Context, Span};
use crate::fs::description::DescriptionId;
use crate::fs::ring::RING_BYTES;
use crate::fs::sockets::ADDRESS_BYTES;
use crate::fs::text::Text;
use crate::limits::{MAX_MESSAGES, MESSAGE_MEMORY_BYTES, SPARE_MESSAGES};
use crate::wait::{Stall, WakeKey};
use alloc::vec::Vec;

/// What was sent at once, or bytes of a stream that may be received at once.
#[derive(Debug)]
pub struct Message {
    /// Bytes of it in the ring.
    pub len: usize,
    /// Open files that come with it.
    pub rights: Vec<DescriptionId>,
    /// Who sent it.
    pub sender: Peer,
    /// The address it came from, of a datagram.
    from: Option<Text>,
}

impl Sockets {
    /// Returns who receives what a socket sends: `to`, or whom it is connected with.
    ///
    /// # Errors
    ///
    /// EPIPE, ENOTCONN, ECONNREFUSED, EISCONN, EPROTOTYPE.
    pub(in crate::fs) fn receiver(
        &self,
        id: SocketId,
        to: Option<SocketId>,
    ) -> Result<SocketId, Errno> {
        let socket = self.get(id)?;
        if socket.shut.writing {
            return Err(Errno::EPIPE);
        }
        let is_datagram = socket.kind == SocketKind::Datagram;
        let to = match (to, &socket.state) {
            (Some(to), _) if is_datagram => to,
            (Some(_), State::Connected(_)) => return Err(Errno::EISCONN),
            (Some(_), _) => return Err(Errno::EOPNOTSUPP),
            (None, State::Connected(to) | State::Unaccepted(_, to)) => *to,
            (None, _) => return Err(Errno::ENOTCONN),
        };
        match self.table.get(to) {
            Some(other) if other.kind != socket.kind => Err(Errno::EPROTOTYPE),
            Some(other) if !other.shut.reading => Ok(to),
            None if is_datagram => Err(Errno::ECONNREFUSED),
            _ => Err(Errno::EPIPE),
        }
    }

    /// Says whether a message of `len` bytes, or some bytes of a stream, find room.
    ///
    /// # Errors
    ///
    /// EMSGSIZE for what never does; waits for room.
    pub(in crate::fs) fn permit_message(&self, to: SocketId, len: usize) -> Result<(), Stall> {
        let socket = self.get(to)?;
        let wanted = match socket.kind {
            SocketKind::Stream => len.min(1),
            _ => len,
        };
        if wanted > RING_BYTES {
            return Err(Errno::EMSGSIZE.into());
        }
        if socket.ring.room() < wanted || socket.messages.len() >= MAX_MESSAGES {
            return Err(Stall::wait(WakeKey::SocketWritable(to.index())));
        }
        Ok(())
    }

    /// Puts bytes into a socket's ring. They belong to no message until [`Sockets::finish`]; [`Sockets::take_back`]
    /// takes them back.
    pub(in crate::fs) fn put(
        &mut self,
        context: &mut Context<'_>,
        to: SocketId,
        span: Span<'_>,
    ) -> Result<usize, Errno> {
        let socket = self.get_mut(to)?;
        socket.ring.put(context, socket.account, span)
    }

    /// Takes the last `count` bytes out that were put and belong to no message.
    pub(in crate::fs) fn take_back(
        &mut self,
        context: &mut Context<'_>,
        to: SocketId,
        count: usize,
    ) {
        if let Some(socket) = self.table.get_mut(to) {
            socket.ring.take_back(context, socket.account, count);
        }
    }

    /// Makes the last `len` bytes a message.
    ///
    /// # Errors
    ///
    /// ENOMEM; the bytes stay, and the open files are the caller's again.
    pub(in crate::fs) fn finish(
        &mut self,
        context: &mut Context<'_>,
        from: SocketId,
        to: SocketId,
        len: usize,
        rights: Vec<DescriptionId>,
    ) -> Result<(), (Errno, Vec<DescriptionId>)> {
        let sender = asker(context);
        let address = match self.get(from) {
            Ok(socket) if socket.kind == SocketKind::Datagram => socket.address.as_deref(),
            _ => None,
        };
        let address = match address.map(Text::copy_of).transpose() {
            Ok(address) => address,
            Err(errno) => return Err((errno, rights)),
        };
        let socket = match self.get_mut(to) {
            Ok(socket) => socket,
            Err(errno) => return Err((errno, rights)),
        };
        socket.append(context, len, rights, sender, address)?;
        let is_relayed = socket.relay.is_some();
        context.wakes.wake(WakeKey::SocketReadable(to.index()));
        if is_relayed {
            self.tell_agent(to);
        }
        Ok(())
    }

    /// Returns the message that is received next; `None` at the end of what comes.
    ///
    /// # Errors
    ///
    /// EINVAL or ENOTCONN without a connection, ECONNRESET once; waits for one.
    pub(in crate::fs) fn next_message(&mut self, id: SocketId) -> Result<Option<&Message>, Stall> {
        let socket = self.get(id)?;
        if !socket.messages.is_empty() {
            return Ok(self.get(id)?.messages.front());
        }
        if let Some(errno) = socket.error {
            self.get_mut(id)?.error = None;
            return Err(errno.into());
        }
        let has_ended = match &socket.state {
            _ if socket.shut.reading && socket.kind != SocketKind::Datagram => true,
            State::Connected(peer) | State::Unaccepted(_, peer) => {
                socket.kind != SocketKind::Datagram
                    && self.table.get(*peer).is_none_or(|peer| peer.shut.writing)
            }
            State::Idle if socket.kind == SocketKind::Datagram => false,
            _ if socket.family == Family::Unix && socket.kind == SocketKind::Stream => {
                return Err(Errno::EINVAL.into());
            }
            State::Idle | State::Connecting(_) | State::Listening(..) => {
                return Err(Errno::ENOTCONN.into());
            }
        };
        if has_ended {
            Ok(None)
        } else {
            Err(Stall::wait(WakeKey::SocketReadable(id.index())))
        }
    }

    /// Returns the bytes of the address the next message came from.
    pub(in crate::fs) fn next_sender(&self, id: SocketId) -> &[u8] {
        let message = self.get(id).ok().and_then(|socket| socket.messages.front());
        message
            .and_then(|message| message.from.as_deref())
            .unwrap_or_default()
    }

    /// Copies bytes of the next message from `skip` on; they stay.
    pub(in crate::fs) fn copy_out(
        &self,
        context: &mut Context<'_>,
        id: SocketId,
        skip: usize,
        span: Span<'_>,
    ) -> Result<usize, Errno> {
        let socket = self.get(id)?;
        Ok(socket.ring.copy_out(context.pool, skip, span))
    }

    /// Takes `count` bytes of the next message out, and with the last of them, or in any case when it is not a stream's,
    /// the message. Its open files, if it has any, are the caller's.
    pub(in crate::fs) fn take(
        &mut self,
        context: &mut Context<'_>,
        id: SocketId,
        count: usize,
    ) -> Vec<DescriptionId> {
        let Some(socket) = self.table.get_mut(id) else {
            return Vec::new();
        };
        let Some(message) = socket.messages.front_mut() else {
            return Vec::new();
        };
        let count = if socket.kind == SocketKind::Stream {
            count.min(message.len)
        } else {
            message.len
        };
        message.len -= count;
        let rights = core::mem::take(&mut message.rights);
        context.refund(socket.account, Resource::Messages, rights.len() as u64);
        if message.len == 0 {
            socket.messages.pop_front();
            if socket.messages.is_empty() && socket.messages.capacity() > SPARE_MESSAGES {
                socket.drop_messages(context);
            }
        }
        socket.ring.take(context, socket.account, count);
        context.wakes.wake(WakeKey::SocketWritable(id.index()));
        self.tell_of_room(id);
        rights
    }
}

impl Socket {
    /// Makes the last `len` bytes of the ring a message, or a part of the last one of a stream.
    ///
    /// # Errors
    ///
    /// ENOMEM; the bytes stay, and the open files are the caller's again.
    pub(super) fn append(
        &mut self,
        context: &mut Context<'_>,
        len: usize,
        rights: Vec<DescriptionId>,
        sender: Peer,
        from: Option<Text>,
    ) -> Result<(), (Errno, Vec<DescriptionId>)> {
        if self.kind == SocketKind::Stream
            && rights.is_empty()
            && let Some(last) = self.messages.back_mut()
            && last.rights.is_empty()
            && last.sender == sender
        {
            last.len += len;
            return Ok(());
        }
        if let Err(errno) = self.pay_for_message(context, rights.len()) {
            return Err((errno, rights));
        }
        self.messages.push_back(Message {
            len,
            rights,
            sender,
            from,
        });
        Ok(())
    }

    /// Charges open files of one more message, and a place for it where there is none.
    fn pay_for_message(&mut self, context: &mut Context<'_>, rights: usize) -> Result<(), Errno> {
        let (used, places) = (self.messages.len(), self.messages.capacity());
        let more = if used < places { 0 } else { places.max(1) };
        let charge = (more + rights) as u64;
        context.charge_to(self.account, Resource::Messages, charge)?;
        // What is paid for is what is there: so many exactly.
        if self
            .messages
            .try_reserve_exact(places + more - used)
            .is_err()
        {
            context.refund(self.account, Resource::Messages, charge);
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Lets all messages go, in which there are no open files any more, and their places.
    pub(super) fn drop_messages(&mut self, context: &mut Context<'_>) {
        let places = core::mem::take(&mut self.messages).capacity();
        context.refund(self.account, Resource::Messages, places as u64);
    }

    /// Lets everything go that was sent to it. There are no open files in it any more.
    pub(super) fn clear(&mut self, context: &mut Context<'_>) {
        self.drop_messages(context);
        self.ring.clear(context, self.account);
    }
}

const _: () = assert!(size_of::<Message>() + ADDRESS_BYTES <= MESSAGE_MEMORY_BYTES);
