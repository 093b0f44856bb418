//! Sockets between programs of this machine (unix(7)): streams, datagrams and sequenced packets; and streams between a
//! program and the host (vsock(7)), whose other end is the agent's.
//!
//! What was sent to a socket and not yet received lies in its ring; a queue of [`Message`]s says where one message ends
//! and the next begins, who sent it, and which open files came with it. A stream's messages are runs of bytes that one
//! reader may take together.
//!
//! Here are the sockets themselves and their table; the files beside this one say how they are named, connected, filled and
//! emptied, sent through one another, waited for, and connected with the host ([`host`], [`relay`]).

mod address;
mod connection;
mod host;
mod message;
mod readiness;
mod relay;
mod right;

pub use host::{Connecting, Host, UNBOUND};
pub use message::Message;

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::fs::context::Context;
use crate::fs::inode::InodeId;
use crate::fs::ring::Ring;
use crate::fs::text::Text;
use crate::limits::MAX_SOCKETS;
use crate::slab::{Id, Slab};
use crate::wait::WakeKey;
use agent::kernel::View;
use alloc::collections::VecDeque;
use core::time::Duration;
use relay::Relay;

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

/// Whom a socket connects; the numbers are those of socket(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// AF_UNIX: programs of this machine.
    Unix = 1,
    /// AF_VSOCK: a program and the host.
    Vsock = 40,
}

/// What a socket is from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketType {
    /// Whom it connects.
    pub family: Family,
    /// How it sends and receives.
    pub kind: SocketKind,
    /// The pod it is made in.
    pub pod: View,
}

impl SocketType {
    /// A stream between a program and the host. Ports are the machine's, so no pod matters.
    pub(super) const VSOCK: Self = Self {
        family: Family::Vsock,
        kind: SocketKind::Stream,
        pod: View::UTILITY_VM,
    };
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
    /// The host is asked to be connected with this one.
    Connecting(SocketId),
    /// It sends to this one, which may be gone by now.
    Connected(SocketId),
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
    family: Family,
    kind: SocketKind,
    state: State,
    /// The bytes of its address behind the family; a path ends with a NUL, an abstract name begins with one.
    address: Option<Text>,
    /// The pod whose abstract names it knows: the one it was made in, whoever has it by now.
    pod: View,
    /// Whether it was given that itself: a connection has the address of the socket it was made for.
    is_bound: bool,
    /// The file that stands for its address.
    file: Option<InodeId>,
    ring: Ring,
    messages: VecDeque<Message>,
    shut: Shut,
    /// What went wrong with its connection, until somebody is told.
    error: Option<Errno>,
    /// It is the agent's end of a connection with the host.
    relay: Option<Relay>,
    /// How many queues it lies in.
    in_flight: u32,
    owner: Peer,
    /// Who made the other end of its connection.
    peer: Peer,
    /// SO_PASSCRED.
    pub wants_sender: bool,
    /// SO_RCVTIMEO, SO_SNDTIMEO, and SO_VM_SOCKETS_CONNECT_TIMEOUT.
    pub timeouts: [Option<Duration>; 3],
    /// Pays for it, what is in the ring, the messages and the open files in them.
    account: AccountId,
}

impl Socket {
    /// Returns whom it connects.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    const fn of(&self) -> SocketType {
        SocketType {
            family: self.family,
            kind: self.kind,
            pod: self.pod,
        }
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

    /// Takes what went wrong with its connection (SO_ERROR).
    pub const fn take_error(&mut self) -> Option<Errno> {
        self.error.take()
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
    /// The last port given so, counted from the first one.
    last_port: u32,
    /// The host, once it is known.
    host: Option<Host>,
    /// Ends of the agent's that it is to look at. Has room for all of them.
    told: VecDeque<SocketId>,
}

impl Sockets {
    pub(super) const fn new() -> Self {
        Self {
            table: Slab::new(MAX_SOCKETS),
            last_name: 0,
            last_port: 0,
            host: None,
            told: VecDeque::new(),
        }
    }

    /// Returns how many there are, ends of the agent's included.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.table.len()
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

    /// Makes a socket, which `account` pays for.
    ///
    /// # Errors
    ///
    /// ENFILE at the limit or the account's, ENOMEM.
    #[inline(never)]
    pub(super) fn create(
        &mut self,
        context: &mut Context<'_>,
        of: SocketType,
        account: AccountId,
    ) -> Result<SocketId, Errno> {
        context.charge_to(account, Resource::Sockets, 1)?;
        let made = self.add(context, of, account);
        if made.is_err() {
            context.refund(account, Resource::Sockets, 1);
        }
        made
    }

    /// Takes out what [`Sockets::create`] made, of which nobody knows yet or any more, with what waits in it.
    fn discard(&mut self, context: &mut Context<'_>, id: SocketId) -> Option<Socket> {
        let mut socket = self.table.remove(id)?;
        socket.clear(context);
        context.refund(socket.account, Resource::Sockets, 1);
        Some(socket)
    }

    fn add(
        &mut self,
        context: &Context<'_>,
        of: SocketType,
        account: AccountId,
    ) -> Result<SocketId, Errno> {
        let socket = Socket {
            family: of.family,
            kind: of.kind,
            pod: of.pod,
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
            error: None,
            relay: None,
            in_flight: 0,
            owner: asker(context),
            peer: Peer::default(),
            wants_sender: false,
            timeouts: [None; 3],
            account,
        };
        self.table
            .insert(socket)
            .map_err(|(_, full)| full.errno(Errno::ENFILE))
    }

    /// Lets a socket go whose messages and connections were taken out. `unread` says whether there were any.
    pub(super) fn remove(&mut self, context: &mut Context<'_>, id: SocketId, unread: bool) {
        let Some(socket) = self.discard(context, id) else {
            return;
        };
        wake_both(context, id);
        let (State::Connected(peer) | State::Unaccepted(_, peer) | State::Connecting(peer)) =
            socket.state
        else {
            return;
        };
        wake_both(context, peer);
        if let Some(other) = self.table.get_mut(peer)
            && socket.kind != SocketKind::Datagram
            && unread
        {
            other.error = Some(Errno::ECONNRESET);
        }
        self.on_program_gone(context, peer);
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
