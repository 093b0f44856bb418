//! Connections with the host (vsock(7)): ports, dialling, and being dialled.
//!
//! A program's socket is connected with one that has no descriptor, the agent's end ([`relay`](super::relay)): what the
//! program sends lies there, what the host sends lies in the program's own. So everything else about sockets is the same.
//!
//! Ports are the machine's: one program's service is every host program's, and no other program's. A program reaches neither
//! the ports of the session on the host ([`ReservedPorts`]) nor any other machine, this one included.

use super::{Family, Peer, SocketId, SocketType, Sockets, State, wake_both};
use crate::account::AccountId;
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::context::Context;
use crate::fs::text::Text;
use crate::limits::{MAX_CHANNELS, MAX_SOCKETS, VSOCK_CONNECT_MS, WORK_NAMINGS};
use crate::wait::{Stall, WakeKey};
use agent::config::ReservedPorts;
use agent::kernel::ChannelId;
use core::time::Duration;
use hal::vsock::{Address, HOST_CID, Port};

/// What a kernel knows of its host.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// This machine's context id.
    pub cid: u32,
    /// Ports that are not for programs.
    pub reserved: ReservedPorts,
}

/// How far a connection with the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connecting {
    /// Nobody asked, or it came to nothing.
    No,
    /// The host was asked.
    UnderWay,
    /// It stands, or stood.
    Done,
}

/// VMADDR_CID_ANY and VMADDR_PORT_ANY.
const ANY: u32 = u32::MAX;

/// The first port that takes no right.
const FIRST_FREE_PORT: u32 = 1024;

/// Ports from there on that are given to who has no wish: more than there are sockets.
const FREE_PORTS: u32 = 1 << 16;

const _: () = assert!(FREE_PORTS as usize > MAX_SOCKETS);

/// Who the host is to a program: nobody it could know (what Linux says of a peer without credentials).
const NOBODY: Peer = Peer {
    pid: 0,
    uid: u32::MAX,
    gid: u32::MAX,
};

/// Bytes of a `sockaddr_vm` behind the family.
pub(super) const VSOCK_ADDRESS_BYTES: usize = 14;

/// Returns the bytes of a `sockaddr_vm` behind the family.
fn encode(address: Address) -> [u8; VSOCK_ADDRESS_BYTES] {
    let mut bytes = [0; VSOCK_ADDRESS_BYTES];
    bytes[2..6].copy_from_slice(&address.port.0.to_le_bytes());
    bytes[6..10].copy_from_slice(&address.cid.to_le_bytes());
    bytes
}

/// The inverse of [`encode`]. EINVAL when what must be 0 is not.
fn decode(bytes: &[u8]) -> Result<Address, Errno> {
    let &[_, _, a, b, c, d, e, f, g, h, 0, 0, 0, 0] = bytes else {
        return Err(Errno::EINVAL);
    };
    Ok(Address {
        port: Port(u32::from_le_bytes([a, b, c, d])),
        cid: u32::from_le_bytes([e, f, g, h]),
    })
}

impl Sockets {
    /// Says who the host is.
    pub(crate) const fn set_host(&mut self, host: Host) {
        self.host = Some(host);
    }

    /// Returns what is known of the host.
    ///
    /// # Errors
    ///
    /// ENODEV when nothing is.
    pub(crate) fn host(&self) -> Result<Host, Errno> {
        self.host.ok_or(Errno::ENODEV)
    }

    /// Gives a socket a port, a free one when any will do; `tried` is how many were looked at for that in earlier turns.
    ///
    /// # Errors
    ///
    /// EADDRNOTAVAIL for another machine's, EACCES for one that is not for the asker, EINVAL, EADDRINUSE; [`Stall::AGAIN`]
    /// while no free one is found.
    pub(crate) fn bind_vsock(
        &mut self,
        context: &Context<'_>,
        id: SocketId,
        address: &[u8],
        tried: &mut u64,
    ) -> Result<(), Stall> {
        let host = self.host()?;
        let wanted = decode(address)?;
        self.permit_address(id)?;
        if wanted.cid != ANY && wanted.cid != host.cid {
            return Err(Errno::EADDRNOTAVAIL.into());
        }
        let port = if wanted.port.0 == ANY {
            self.free_port(&host, tried)?
        } else {
            wanted.port
        };
        let is_own = port.0 >= FIRST_FREE_PORT || context.can(Capabilities::NET_BIND_SERVICE);
        if host.reserved.has(port) || !is_own {
            return Err(Errno::EACCES.into());
        }
        if self.at_port(port).is_some() {
            return Err(Errno::EADDRINUSE.into());
        }
        let address = Address {
            cid: wanted.cid,
            port,
        };
        let socket = self.get_mut(id)?;
        socket.address = Some(Text::copy_of(&encode(address))?);
        socket.is_bound = true;
        Ok(())
    }

    /// Returns a port nobody has, not the one that was given last. `tried` counts those that were looked at, over all turns.
    fn free_port(&mut self, host: &Host, tried: &mut u64) -> Result<Port, Stall> {
        for _ in 0..WORK_NAMINGS {
            if *tried == u64::from(FREE_PORTS) {
                return Err(Errno::EADDRNOTAVAIL.into());
            }
            *tried += 1;
            self.last_port = (self.last_port + 1) % FREE_PORTS;
            let port = Port(FIRST_FREE_PORT + self.last_port);
            if !host.reserved.has(port) && self.at_port(port).is_none() {
                return Ok(port);
            }
        }
        Err(Stall::AGAIN)
    }

    /// Returns the socket that was given a port.
    fn at_port(&self, port: Port) -> Option<SocketId> {
        self.find(|socket| {
            let address = socket.address.as_deref().map(decode);
            let is_bound = socket.family == Family::Vsock && socket.is_bound;
            is_bound && matches!(address, Some(Ok(address)) if address.port == port)
        })
    }

    /// Returns how far a socket's connection is.
    pub(crate) fn connecting(&self, id: SocketId) -> Result<Connecting, Errno> {
        Ok(match self.get(id)?.state {
            State::Idle => Connecting::No,
            State::Connecting(_) => Connecting::UnderWay,
            State::Connected(_) | State::Unaccepted(..) => Connecting::Done,
            State::Listening(..) => return Err(Errno::EINVAL),
        })
    }

    /// Asks the host for a connection.
    ///
    /// # Errors
    ///
    /// ENETUNREACH for any machine but the host, EACCES for a port of the session, EADDRNOTAVAIL for a socket with a port of
    /// its own and at the limit, EINVAL, ENFILE, ENOMEM.
    pub(crate) fn dial(
        &mut self,
        context: &mut Context<'_>,
        id: SocketId,
        address: &[u8],
    ) -> Result<(), Errno> {
        let to = decode(address)?;
        if u64::from(to.cid) != HOST_CID {
            return Err(Errno::ENETUNREACH);
        }
        if self.host()?.reserved.has(to.port) {
            return Err(Errno::EACCES);
        }
        let socket = self.get(id)?;
        if socket.is_bound {
            // The connection's own port is chosen where connections are made.
            return Err(Errno::EADDRNOTAVAIL);
        }
        let account = socket.account;
        let end = self.relay(context, id, account, to)?;
        let socket = self.get_mut(id)?;
        socket.state = State::Connecting(end);
        socket.error = None;
        self.tell_agent(end);
        Ok(())
    }

    /// Makes the agent's end of a connection, which whoever pays for the program's socket pays for too.
    fn relay(
        &mut self,
        context: &mut Context<'_>,
        of: SocketId,
        account: AccountId,
        remote: Address,
    ) -> Result<SocketId, Errno> {
        let (mut all, mut own) = (0, 0);
        for (_, end) in self.table.iter().filter(|(_, end)| end.relay.is_some()) {
            all += 1;
            own += usize::from(end.account == account);
        }
        if own >= MAX_CHANNELS {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let more = (all + 1_usize).saturating_sub(self.told.len());
        self.told.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
        let address = Text::copy_of(&encode(remote))?;
        let id = self.create(context, SocketType::VSOCK, account)?;
        let end = self.get_mut(id)?;
        end.state = State::Connected(of);
        end.address = Some(address);
        end.owner = NOBODY;
        end.relay = Some(super::Relay::default());
        self.get_mut(of)?.peer = NOBODY;
        Ok(id)
    }

    /// Gives a connection that the host wants to the program that listens there.
    pub(crate) fn admit(
        &mut self,
        context: &mut Context<'_>,
        to: Port,
        from: Port,
    ) -> Option<ChannelId> {
        let host = self.host?;
        let listener = self.at_port(to)?;
        let socket = self.table.get(listener)?;
        let State::Listening(limit, waiting) = &socket.state else {
            return None;
        };
        if waiting.len() >= *limit {
            return None;
        }
        let (account, owner) = (socket.account, socket.owner);
        let local = Text::copy_of(&encode(Address {
            cid: host.cid,
            port: to,
        }));
        self.queue_of(listener).ok()?.try_reserve(1).ok()?;
        let id = self.create(context, SocketType::VSOCK, account).ok()?;
        let remote = Address {
            cid: HOST_CID as u32,
            port: from,
        };
        let Ok(end) = self.relay(context, id, account, remote) else {
            self.discard(context, id);
            return None;
        };
        self.queue_of(listener).ok()?.push_back(id);
        let socket = self.table.get_mut(id)?;
        socket.state = State::Unaccepted(listener, end);
        socket.owner = owner;
        socket.address = local.ok();
        if let Some(end) = self.table.get_mut(end).and_then(|end| end.relay.as_mut()) {
            end.is_dialled = true;
        }
        context
            .wakes
            .wake(WakeKey::SocketReadable(listener.index()));
        Some(super::relay::channel(end))
    }

    /// The host has accepted what [`Sockets::dial`] asked for.
    pub(crate) fn on_connected(
        &mut self,
        context: &mut Context<'_>,
        channel: ChannelId,
        local: Address,
    ) {
        let Some((end, id)) = self.ends(channel) else {
            return;
        };
        if let Some(host) = &mut self.host {
            host.cid = local.cid;
        }
        let Some(socket) = self.table.get_mut(id) else {
            return;
        };
        if matches!(socket.state, State::Connecting(_)) {
            socket.state = State::Connected(end);
            // Short enough to need no memory.
            socket.address = Text::copy_of(&encode(local)).ok();
        }
        wake_both(context, id);
    }

    /// Returns the port that an end of the agent's is to be connected with, and how long that may take.
    pub(super) fn wish(&self, end: SocketId) -> Option<(Port, Duration)> {
        let to = self.get(end).ok()?;
        let State::Connected(id) = to.state else {
            return None;
        };
        let patience = self.get(id).ok()?.timeouts[2];
        let address = decode(to.address.as_deref()?).ok()?;
        let patience = patience.unwrap_or(Duration::from_millis(VSOCK_CONNECT_MS));
        Some((address.port, patience))
    }
}

/// What getsockname(2) says of a socket without an address.
pub const UNBOUND: [u8; VSOCK_ADDRESS_BYTES] =
    [0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0];

const _: () = assert!(MAX_CHANNELS < MAX_SOCKETS / 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written_and_what_must_be_zero_is() {
        let address = Address {
            cid: 2,
            port: Port(0x1234_5678),
        };
        let mut bytes = encode(address);
        assert_eq!(
            bytes,
            [0, 0, 0x78, 0x56, 0x34, 0x12, 2, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(decode(&bytes), Ok(address));
        let any = Address {
            cid: ANY,
            port: Port(ANY),
        };
        assert_eq!(decode(&UNBOUND), Ok(any));
        bytes[10] = 1;
        assert_eq!(decode(&bytes), Err(Errno::EINVAL));
        assert_eq!(decode(&bytes[..13]), Err(Errno::EINVAL));
    }
}
