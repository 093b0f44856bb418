//! Sockets between programs of this machine (unix(7)): streams, datagrams and sequenced packets.
//!
//! What was sent to a socket and not yet received lies in its ring; a queue of [`Message`]s says where one message ends
//! and the next begins, who sent it, and which open files came with it. A stream's messages are runs of bytes that one
//! reader may take together.
//!
//! Open files in a queue can keep further sockets alive. So that no circle of them can, and closing one never goes deep,
//! a socket whose queue holds open files is not sent itself, and one that lies in a queue gets none
//! ([`Sockets::permit_right`], [`Sockets::permit_receiver`]).

use crate::account::AccountId;
use crate::errno::Errno;
use crate::fs::context::{Context, Span};
use crate::fs::description::DescriptionId;
use crate::fs::inode::InodeId;
use crate::fs::ring::{RING_BYTES, Ring};
use crate::fs::text::Text;
use crate::fs::transfer::Readiness;
use crate::limits::{MAX_BACKLOG, MAX_MESSAGES, MAX_SOCKETS};
use crate::slab::{Id, Slab};
use crate::wait::{Stall, WakeKey};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

/// Names a socket.
pub type SocketId = Id<Socket>;

/// How bytes go through a socket; the numbers are those of socket(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// SOCK_STREAM: a connection without boundaries.
    Stream = 1,
    /// SOCK_DGRAM: messages without a connection.
    Datagram = 2,
    /// SOCK_SEQPACKET: messages of a connection.
    Sequenced = 5,
}

/// Who is at the other end (`struct ucred`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What a socket is doing.
#[derive(Debug)]
enum State {
    /// Nothing yet.
    Idle,
    /// It waits for connections, at most so many unaccepted ones.
    Listening(usize, VecDeque<SocketId>),
    /// It was made for this listening socket and is not accepted yet.
    Unaccepted(SocketId, SocketId),
    /// It sends to this one, which may be gone by now.
    Connected(SocketId),
}

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

/// Which direction shutdown(2) ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shut {
    /// Nothing more is received.
    pub reading: bool,
    /// Nothing more is sent.
    pub writing: bool,
}

/// One socket.
#[derive(Debug)]
pub struct Socket {
    kind: SocketKind,
    state: State,
    /// The bytes of its address behind the family; a path ends with a NUL, an abstract name begins with one.
    address: Option<Text>,
    /// Whether it was given that itself: a connection has the address of the socket it was made for.
    is_bound: bool,
    /// The file that stands for its address.
    file: Option<InodeId>,
    ring: Ring,
    messages: VecDeque<Message>,
    shut: Shut,
    /// The other end was closed with bytes unread.
    reset: bool,
    /// How many queues it lies in.
    in_flight: u32,
    owner: Peer,
    /// Who made the other end of its connection.
    peer: Peer,
    /// SO_PASSCRED.
    pub wants_sender: bool,
    /// SO_RCVTIMEO and SO_SNDTIMEO.
    pub timeouts: [Option<Duration>; 2],
    /// Pays for what is in the ring.
    account: AccountId,
}

impl Socket {
    fn holds_rights(&self) -> bool {
        self.messages
            .iter()
            .any(|message| !message.rights.is_empty())
    }

    /// Returns how it sends and receives.
    #[must_use]
    pub const fn kind(&self) -> SocketKind {
        self.kind
    }

    /// Returns whether it waits for connections.
    #[must_use]
    pub const fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening(..))
    }

    /// Returns who made the other end.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        self.peer
    }
}

/// All sockets.
#[derive(Debug)]
pub struct Sockets {
    table: Slab<Socket>,
    /// The last number given as an address of its own (bind(2) without one).
    last_name: u32,
}

impl Sockets {
    pub(super) const fn new() -> Self {
        Self {
            table: Slab::new(MAX_SOCKETS),
            last_name: 0,
        }
    }

    /// Returns a socket.
    ///
    /// # Errors
    ///
    /// EBADF when it is gone.
    pub fn get(&self, id: SocketId) -> Result<&Socket, Errno> {
        self.table.get(id).ok_or(Errno::EBADF)
    }

    /// Returns a socket for changing its options.
    ///
    /// # Errors
    ///
    /// EBADF when it is gone.
    pub fn get_mut(&mut self, id: SocketId) -> Result<&mut Socket, Errno> {
        self.table.get_mut(id).ok_or(Errno::EBADF)
    }

    /// Makes a socket.
    ///
    /// # Errors
    ///
    /// ENFILE at the limit, ENOMEM.
    #[inline(never)]
    pub(super) fn create(
        &mut self,
        context: &Context<'_>,
        kind: SocketKind,
    ) -> Result<SocketId, Errno> {
        let socket = Socket {
            kind,
            state: State::Idle,
            address: None,
            is_bound: false,
            file: None,
            ring: Ring::new(),
            messages: VecDeque::new(),
            shut: Shut {
                reading: false,
                writing: false,
            },
            reset: false,
            in_flight: 0,
            owner: asker(context),
            peer: Peer::default(),
            wants_sender: false,
            timeouts: [None; 2],
            account: context.account,
        };
        self.table
            .insert(socket)
            .map_err(|(_, full)| full.errno(Errno::ENFILE))
    }

    /// Connects two new sockets to each other (socketpair(2)).
    pub(super) fn join(&mut self, one: SocketId, other: SocketId) -> Result<(), Errno> {
        for (id, to) in [(one, other), (other, one)] {
            let peer = self.get(to)?.owner;
            let socket = self.get_mut(id)?;
            socket.state = State::Connected(to);
            socket.peer = peer;
        }
        Ok(())
    }

    /// Returns the socket that stands behind a file, or that has an abstract name.
    fn find(&self, is_it: impl Fn(&Socket) -> bool) -> Option<SocketId> {
        self.table
            .iter()
            .find_map(|(id, socket)| is_it(socket).then_some(id))
    }

    /// Returns the socket that stands behind a file.
    ///
    /// # Errors
    ///
    /// ECONNREFUSED.
    pub(super) fn at_file(&self, file: InodeId) -> Result<SocketId, Errno> {
        self.find(|socket| socket.file == Some(file))
            .ok_or(Errno::ECONNREFUSED)
    }

    /// Returns the socket with an abstract name, which begins with a NUL.
    ///
    /// # Errors
    ///
    /// ECONNREFUSED.
    pub(super) fn at_name(&self, name: &[u8]) -> Result<SocketId, Errno> {
        self.find(|socket| socket.is_bound && socket.address.as_deref() == Some(name))
            .ok_or(Errno::ECONNREFUSED)
    }

    /// Refuses a second address.
    pub(super) fn permit_address(&self, id: SocketId) -> Result<(), Errno> {
        match self.get(id)?.address {
            Some(_) => Err(Errno::EINVAL),
            None => Ok(()),
        }
    }

    /// Gives a socket its address, and the file that stands for it when that is a path.
    ///
    /// # Errors
    ///
    /// ENOMEM, EADDRINUSE.
    pub(super) fn set_address(
        &mut self,
        id: SocketId,
        address: &[u8],
        file: Option<InodeId>,
    ) -> Result<(), Errno> {
        if file.is_none() && self.at_name(address).is_ok() {
            return Err(Errno::EADDRINUSE);
        }
        let address = Text::copy_of(address)?;
        let socket = self.get_mut(id)?;
        socket.address = Some(address);
        socket.is_bound = true;
        socket.file = file;
        Ok(())
    }

    /// Gives a socket an abstract name of its own: a NUL and five digits, as Linux does.
    pub(super) fn name_itself(&mut self, id: SocketId) -> Result<(), Errno> {
        loop {
            self.last_name = (self.last_name + 1) & 0xf_ffff;
            let mut name = [0; 6];
            for (nth, place) in name[1..].iter_mut().enumerate() {
                let digit = (self.last_name >> (16 - 4 * nth)) & 0xf;
                *place = b"0123456789abcdef"[digit as usize];
            }
            // There are more names than sockets.
            if self.at_name(&name).is_err() {
                return self.set_address(id, &name, None);
            }
        }
    }

    /// Returns the bytes of a socket's own address behind the family.
    pub(super) fn address(&self, id: SocketId) -> Result<&[u8], Errno> {
        Ok(self.get(id)?.address.as_deref().unwrap_or_default())
    }

    /// Returns the bytes of the address a socket is connected to.
    pub(super) fn peer_address(&self, id: SocketId) -> Result<&[u8], Errno> {
        match self.get(id)?.state {
            State::Connected(peer) => Ok(self.address(peer).unwrap_or_default()),
            _ => Err(Errno::ENOTCONN),
        }
    }

    /// Lets connections come.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for datagrams, EINVAL without an address or when connected.
    pub(super) fn listen(&mut self, id: SocketId, backlog: usize) -> Result<(), Errno> {
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
    pub(super) fn connect(
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
            State::Connected(_) | State::Unaccepted(..) => return Err(Errno::EISCONN.into()),
            State::Listening(..) => return Err(Errno::EINVAL.into()),
        }
        let State::Listening(limit, waiting) = &other.state else {
            return Err(Errno::ECONNREFUSED.into());
        };
        if waiting.len() >= *limit {
            return Err(Stall::wait(WakeKey::SocketWritable(to.index())));
        }
        let (kind, owner, account) = (socket.kind, other.owner, other.account);
        let address = Text::copy_of(self.address(to)?)?;
        let made = self.create(context, kind)?;
        let (asker, room) = (asker(context), self.queue_of(to)?.try_reserve(1));
        if room.is_err() {
            self.table.remove(made);
            return Err(Errno::ENOMEM.into());
        }
        self.queue_of(to)?.push_back(made);
        let end = self.get_mut(made)?;
        end.state = State::Unaccepted(to, id);
        end.peer = asker;
        end.owner = owner;
        end.account = account;
        // It is found under the listening socket, which has the file.
        end.address = Some(address);
        let socket = self.get_mut(id)?;
        socket.state = State::Connected(made);
        socket.peer = owner;
        context.wakes.wake(WakeKey::SocketReadable(to.index()));
        Ok(())
    }

    fn queue_of(&mut self, listener: SocketId) -> Result<&mut VecDeque<SocketId>, Errno> {
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
    pub(super) fn accept(
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

    /// Returns who receives what a socket sends: `to`, or whom it is connected with.
    ///
    /// # Errors
    ///
    /// EPIPE, ENOTCONN, ECONNREFUSED, EISCONN, EPROTOTYPE.
    pub(super) fn receiver(&self, id: SocketId, to: Option<SocketId>) -> Result<SocketId, Errno> {
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
    /// EMSGSIZE for what never does, ENOMEM; waits for room.
    pub(super) fn make_room(&mut self, to: SocketId, len: usize) -> Result<(), Stall> {
        let socket = self.get_mut(to)?;
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
        socket
            .messages
            .try_reserve(1)
            .map_err(|_| Errno::ENOMEM.into())
    }

    /// Puts bytes into a socket's ring. They belong to no message until [`Sockets::finish`]; [`Sockets::take_back`]
    /// takes them back.
    pub(super) fn put(
        &mut self,
        context: &mut Context<'_>,
        to: SocketId,
        span: Span<'_>,
    ) -> Result<usize, Errno> {
        let socket = self.get_mut(to)?;
        socket.ring.put(context, socket.account, span)
    }

    /// Takes the last `count` bytes out that were put and belong to no message.
    pub(super) fn take_back(&mut self, context: &mut Context<'_>, to: SocketId, count: usize) {
        if let Some(socket) = self.table.get_mut(to) {
            socket.ring.take_back(context, socket.account, count);
        }
    }

    /// Makes the last `len` bytes a message. Room for it was made.
    ///
    /// # Errors
    ///
    /// ENOMEM for a long sender's address.
    pub(super) fn finish(
        &mut self,
        context: &mut Context<'_>,
        from: SocketId,
        to: SocketId,
        len: usize,
        rights: Vec<DescriptionId>,
    ) -> Result<(), (Errno, Vec<DescriptionId>)> {
        let sender = asker(context);
        let address = match self.get(from).map(|socket| socket.address.as_deref()) {
            Ok(Some(address)) => match Text::copy_of(address) {
                Ok(address) => Some(address),
                Err(errno) => return Err((errno, rights)),
            },
            _ => None,
        };
        let socket = match self.get_mut(to) {
            Ok(socket) => socket,
            Err(errno) => return Err((errno, rights)),
        };
        context.wakes.wake(WakeKey::SocketReadable(to.index()));
        if socket.kind == SocketKind::Stream
            && rights.is_empty()
            && let Some(last) = socket.messages.back_mut()
            && last.rights.is_empty()
            && last.sender == sender
        {
            last.len += len;
            return Ok(());
        }
        socket.messages.push_back(Message {
            len,
            rights,
            sender,
            from: address.filter(|_| socket.kind == SocketKind::Datagram),
        });
        Ok(())
    }

    /// Returns the message that is received next; `None` at the end of what comes.
    ///
    /// # Errors
    ///
    /// EINVAL or ENOTCONN without a connection, ECONNRESET once; waits for one.
    pub(super) fn next_message(&mut self, id: SocketId) -> Result<Option<&Message>, Stall> {
        let socket = self.get(id)?;
        if !socket.messages.is_empty() {
            return Ok(self.get(id)?.messages.front());
        }
        if socket.reset {
            self.get_mut(id)?.reset = false;
            return Err(Errno::ECONNRESET.into());
        }
        let has_ended = match &socket.state {
            _ if socket.shut.reading && socket.kind != SocketKind::Datagram => true,
            State::Connected(peer) | State::Unaccepted(_, peer) => {
                socket.kind != SocketKind::Datagram
                    && self.table.get(*peer).is_none_or(|peer| peer.shut.writing)
            }
            State::Idle if socket.kind == SocketKind::Datagram => false,
            _ if socket.kind == SocketKind::Stream => return Err(Errno::EINVAL.into()),
            State::Idle | State::Listening(..) => return Err(Errno::ENOTCONN.into()),
        };
        if has_ended {
            Ok(None)
        } else {
            Err(Stall::wait(WakeKey::SocketReadable(id.index())))
        }
    }

    /// Returns the bytes of the address the next message came from.
    pub(super) fn next_sender(&self, id: SocketId) -> &[u8] {
        let message = self.get(id).ok().and_then(|socket| socket.messages.front());
        message
            .and_then(|message| message.from.as_deref())
            .unwrap_or_default()
    }

    /// Copies bytes of the next message from `skip` on; they stay.
    pub(super) fn copy_out(
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
    pub(super) fn take(
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
        if message.len == 0 {
            socket.messages.pop_front();
        }
        socket.ring.take(context, socket.account, count);
        context.wakes.wake(WakeKey::SocketWritable(id.index()));
        rights
    }

    /// Ends one direction or both.
    ///
    /// # Errors
    ///
    /// ENOTCONN.
    pub(super) fn shut(
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
        Ok(())
    }

    /// Returns a connection that nobody accepted and nobody will.
    pub(super) fn unaccepted(&mut self, id: SocketId) -> Option<SocketId> {
        self.queue_of(id).ok()?.pop_front()
    }

    /// Lets a socket go whose messages and connections were taken out. `unread` says whether there were any.
    pub(super) fn remove(&mut self, context: &mut Context<'_>, id: SocketId, unread: bool) {
        let Some(mut socket) = self.table.remove(id) else {
            return;
        };
        socket.ring.clear(context, socket.account);
        wake_both(context, id);
        if let State::Connected(peer) | State::Unaccepted(_, peer) = socket.state {
            wake_both(context, peer);
            if let Some(peer) = self.table.get_mut(peer)
                && socket.kind != SocketKind::Datagram
            {
                peer.reset |= unread;
            }
        }
    }

    /// Says whether a socket may be sent as an open file.
    ///
    /// # Errors
    ///
    /// ETOOMANYREFS when its own queue, or that of a connection it has not accepted, holds open files.
    pub(super) fn permit_right(&self, id: SocketId, to: SocketId) -> Result<(), Errno> {
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
    /// ETOOMANYREFS when it lies in a queue itself, or the socket it waits for does.
    pub(super) fn permit_receiver(&self, to: SocketId) -> Result<(), Errno> {
        let socket = self.get(to)?;
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
    pub(super) fn count_in_flight(&mut self, id: SocketId, change: i32) {
        if let Some(socket) = self.table.get_mut(id) {
            socket.in_flight = socket.in_flight.saturating_add_signed(change);
        }
    }

    /// Returns how many bytes can be received at once (ioctl FIONREAD).
    pub(super) fn readable_bytes(&self, id: SocketId) -> usize {
        self.get(id).map_or(0, |socket| match socket.kind {
            SocketKind::Datagram => socket.messages.front().map_or(0, |message| message.len),
            _ => socket.ring.len(),
        })
    }

    /// Returns what poll(2) says.
    pub(super) fn readiness(&self, id: SocketId) -> Readiness {
        let Ok(socket) = self.get(id) else {
            return Readiness::INVALID;
        };
        let is_datagram = socket.kind == SocketKind::Datagram;
        let (mut reads, mut writes) = (!socket.messages.is_empty(), is_datagram);
        // Whether nothing more comes, and whether nothing more can go.
        let (mut ended, mut closed) = (socket.shut.reading, socket.shut.writing);
        match &socket.state {
            State::Idle if is_datagram => {}
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
        ready.set(Readiness::ERROR, socket.reset);
        ready.set(Readiness::READ_HANG_UP, ended);
        ready.set(Readiness::HANG_UP, closed && (ended || !reads && writes));
        ready
    }
}

/// Returns who asks.
fn asker(context: &Context<'_>) -> Peer {
    Peer {
        pid: context.processes.current().0,
        uid: context.credentials.uid,
        gid: context.credentials.gid,
    }
}

fn wake_both(context: &mut Context<'_>, id: SocketId) {
    context.wakes.wake(WakeKey::SocketReadable(id.index()));
    context.wakes.wake(WakeKey::SocketWritable(id.index()));
}
