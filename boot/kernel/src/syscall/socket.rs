//! Sockets: made, named, connected, accepted, asked about. What goes through them is in `message`.

use super::descriptor::flags_of;
use super::path::AT_FDCWD;
use super::{Call, Outcome, vsock};
use crate::errno::Errno;
use crate::fs::{
    ADDRESS_BYTES, Family, OpenFlags, Shut, SocketId, SocketKind, SocketType, UNBOUND,
};
use crate::system::{FileParts, System};
use crate::user_memory::UserAddr;
use crate::wait::{Stall, WakeKey, Why};
use core::time::Duration;
use hal::block::Block;

/// Bytes of a family.
const FAMILY_BYTES: usize = 2;

/// Bytes of a `sockaddr_vm`.
const VSOCK_NAME_BYTES: usize = FAMILY_BYTES + UNBOUND.len();

/// The bytes of a socket address behind the family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    bytes: [u8; ADDRESS_BYTES],
    len: usize,
}

impl Address {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Reads the arguments of socket(2): what the socket is to be, and flags that are those of open(2).
fn type_of<B: Block>(system: &System<B>, call: &Call) -> Result<(SocketType, OpenFlags), Errno> {
    const KIND: u32 = 0xf;
    let family = match call.uint(0) {
        1 => Family::Unix,
        40 => Family::Vsock,
        _ => return Err(Errno::EAFNOSUPPORT),
    };
    let kind = match (family, call.uint(1) & KIND) {
        (_, 1) => SocketKind::Stream,
        // As on Linux, SOCK_RAW is another name for datagrams here.
        (Family::Unix, 2 | 3) => SocketKind::Datagram,
        (Family::Unix, 5) => SocketKind::Sequenced,
        // No transport of Linux' carries these to a host.
        (Family::Vsock, 2) => return Err(Errno::ENODEV),
        _ => return Err(Errno::ESOCKTNOSUPPORT),
    };
    if call.uint(2) != 0 && call.uint(2) != family as u32 {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let pod = system.views.pod(system.process(call.process)?.view);
    let of = SocketType { family, kind, pod };
    Ok((of, flags_of(call.uint(1), KIND)?))
}

/// socket(2).
pub(super) fn socket<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (of, flags) = type_of(system, call)?;
    let table = system.table_of(call)?;
    let mut parts = system.file_parts(call.process)?;
    let fd = parts
        .files
        .open_socket(&mut parts.context, table, of, flags)?;
    Ok(fd as u64)
}

/// socketpair(2).
pub(super) fn socketpair<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (of, flags) = type_of(system, call)?;
    if of.family != Family::Unix {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let table = system.table_of(call)?;
    // The place for the numbers is tried first: with the sockets made there would be no way back.
    system.write_user(call.space, call.address(3), &[0; 8])?;
    let mut parts = system.file_parts(call.process)?;
    let (one, other) = parts
        .files
        .open_socket_pair(&mut parts.context, table, of, flags)?;
    let both = u64::from(one as u32) | u64::from(other as u32) << 32;
    system.write_user(call.space, call.address(3), &both.to_le_bytes())?;
    Ok(0)
}

/// Returns the socket that the descriptor in argument 0 means.
pub(super) fn socket_of<B: Block>(system: &System<B>, call: &Call) -> Result<SocketId, Errno> {
    system.files.socket_of(system.open_file(call, 0)?)
}

/// Reads a `sockaddr_un` of `len` bytes, or of a vsock(7) socket a `sockaddr_vm`.
pub(super) fn read_address<B: Block>(
    system: &mut System<B>,
    call: &Call,
    at: UserAddr,
    len: u32,
) -> Result<Address, Stall> {
    let own = system.files.socket(socket_of(system, call)?)?.family();
    let mut len = len as usize;
    let shortest = match own {
        Family::Unix => FAMILY_BYTES,
        Family::Vsock => VSOCK_NAME_BYTES,
    };
    if !(shortest..=FAMILY_BYTES + ADDRESS_BYTES).contains(&len) {
        return Err(Errno::EINVAL.into());
    }
    if own == Family::Vsock {
        len = VSOCK_NAME_BYTES;
    }
    let mut family = [0; FAMILY_BYTES];
    system.read_user(call.space, at, &mut family)?;
    if u16::from_le_bytes(family) != own as u16 {
        return Err(Errno::EINVAL.into());
    }
    let mut address = Address {
        bytes: [0; ADDRESS_BYTES],
        len: len - FAMILY_BYTES,
    };
    let path = at.offset(FAMILY_BYTES as u64)?;
    system.read_user(call.space, path, &mut address.bytes[..address.len])?;
    Ok(address)
}

/// Finds the socket that `asker` means by an address.
#[inline(never)]
pub(super) fn find<B: Block>(
    system: &mut System<B>,
    call: &Call,
    asker: SocketId,
    address: &Address,
) -> Result<SocketId, Stall> {
    system.with_start(
        call,
        AT_FDCWD,
        address.bytes(),
        |files, context, start, address| files.find_socket(context, start, asker, address),
    )
}

/// bind(2).
pub(super) fn bind<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let socket = socket_of(system, call)?;
    let address = read_address(system, call, call.address(1), call.uint(2))?;
    if system.files.socket(socket)?.family() == Family::Vsock {
        let parts = system.file_parts(call.process)?;
        let sockets = &mut parts.files.sockets;
        let tried = &mut call.progress;
        sockets.bind_vsock(&parts.context, socket, address.bytes(), tried)?;
        return Ok(0);
    }
    let permissions = 0o777 & !system.directories_of(call)?.umask();
    system.with_start(
        call,
        AT_FDCWD,
        address.bytes(),
        |files, context, start, address| {
            files.bind_socket(context, start, socket, address, permissions)?;
            Ok(0)
        },
    )
}

/// listen(2).
pub(super) fn listen<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let socket = socket_of(system, call)?;
    // A negative length is a very long one.
    system.files.listen(socket, call.uint(1) as usize)?;
    Ok(0)
}

/// connect(2).
pub(super) fn connect<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let socket = socket_of(system, call)?;
    let address = read_address(system, call, call.address(1), call.uint(2))?;
    if system.files.socket(socket)?.family() == Family::Vsock {
        return vsock::connect(system, call, socket, address.bytes());
    }
    let to = find(system, call, socket, &address)?;
    let mut parts = system.file_parts(call.process)?;
    match parts.files.connect(&mut parts.context, socket, to) {
        Ok(()) => Ok(0),
        Err(stall) => Err(wait(system, call, socket, Side::Send, false, stall)),
    }
}

/// accept(2).
pub(super) fn accept<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    accept_with(system, call, OpenFlags::empty())
}

/// accept4(2).
pub(super) fn accept4<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = flags_of(call.uint(3), 0)?;
    accept_with(system, call, flags)
}

fn accept_with<B: Block>(system: &mut System<B>, call: &mut Call, flags: OpenFlags) -> Outcome {
    let listener = socket_of(system, call)?;
    let room = address_room(system, call, call.address(1), call.address(2))?;
    let table = system.table_of(call)?;
    let mut parts = system.file_parts(call.process)?;
    let accepted = parts
        .files
        .accept(&mut parts.context, table, listener, flags);
    let fd = match accepted {
        Ok(fd) => fd,
        Err(stall) => return Err(wait(system, call, listener, Side::Receive, false, stall)),
    };
    let (id, _) = system.files.description(table, fd)?;
    let socket = system.files.socket_of(id)?;
    let (bytes, len) = name(system, socket, Whose::Peer)?;
    write_address(system, call, &bytes[..len], room)?;
    Ok(fd as u64)
}

/// Returns the name of a socket or of its other end.
fn name<B: Block>(
    system: &System<B>,
    socket: SocketId,
    whose: Whose,
) -> Result<([u8; FAMILY_BYTES + ADDRESS_BYTES + 1], usize), Errno> {
    let family = system.files.socket(socket)?.family();
    let address = system.files.socket_address(socket, whose == Whose::Peer)?;
    let address = match family {
        Family::Vsock if address.is_empty() => &UNBOUND,
        _ => address,
    };
    Ok(copy_address(family, address))
}

/// Returns the bytes of a socket address and how many they are.
pub(super) fn copy_address(
    family: Family,
    address: &[u8],
) -> ([u8; FAMILY_BYTES + ADDRESS_BYTES + 1], usize) {
    let mut bytes = [0; FAMILY_BYTES + ADDRESS_BYTES + 1];
    bytes[..FAMILY_BYTES].copy_from_slice(&(family as u16).to_le_bytes());
    bytes[FAMILY_BYTES..FAMILY_BYTES + address.len()].copy_from_slice(address);
    (bytes, FAMILY_BYTES + address.len())
}

/// Where a program wants an address: the buffer, its size, and where the size is kept.
pub(super) type AddressRoom = Option<(UserAddr, usize, UserAddr)>;

/// Reads how much room there is for an address, and makes sure that all of it can be written.
pub(super) fn address_room<B: Block>(
    system: &mut System<B>,
    call: &Call,
    at: UserAddr,
    len_at: UserAddr,
) -> Result<AddressRoom, Stall> {
    if at.is_null() {
        return Ok(None);
    }
    let len = system.read_u32(call.space, len_at)?;
    if len > i32::MAX as u32 {
        return Err(Errno::EINVAL.into());
    }
    let len = (len as usize).min(FAMILY_BYTES + ADDRESS_BYTES + 1);
    system.touch_user(call.space, len_at, 4)?;
    system.touch_user(call.space, at, len)?;
    Ok(Some((at, len, len_at)))
}

/// Writes as much of an address as there is room for, and its true length.
pub(super) fn write_address<B: Block>(
    system: &mut System<B>,
    call: &Call,
    address: &[u8],
    room: AddressRoom,
) -> Result<(), Stall> {
    let Some((at, len, len_at)) = room else {
        return Ok(());
    };
    system.write_user(call.space, at, &address[..len.min(address.len())])?;
    let len = address.len() as u32;
    system.write_user(call.space, len_at, &len.to_le_bytes())
}

/// getsockname(2).
pub(super) fn getsockname<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    tell_address(system, call, Whose::Own)
}

/// getpeername(2).
pub(super) fn getpeername<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    tell_address(system, call, Whose::Peer)
}

/// Which end of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Peer,
}

fn tell_address<B: Block>(system: &mut System<B>, call: &Call, whose: Whose) -> Outcome {
    let socket = socket_of(system, call)?;
    let (bytes, len) = name(system, socket, whose)?;
    if call.address(1).is_null() {
        return Err(Errno::EFAULT.into());
    }
    let room = address_room(system, call, call.address(1), call.address(2))?;
    write_address(system, call, &bytes[..len], room)?;
    Ok(0)
}

/// shutdown(2).
pub(super) fn shutdown<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let socket = socket_of(system, call)?;
    let shut = match call.int(1) {
        how @ 0..=2 => Shut {
            reading: how != 1,
            writing: how != 0,
        },
        _ => return Err(Errno::EINVAL.into()),
    };
    let FileParts {
        files, mut context, ..
    } = system.file_parts(call.process)?;
    files.shut_socket(&mut context, socket, shut)?;
    Ok(0)
}

/// Returns whether the open file in argument 0 is not to wait.
pub(super) fn is_nonblocking<B: Block>(system: &System<B>, call: &Call) -> bool {
    system
        .open_file(call, 0)
        .is_ok_and(|id| system.files.is_nonblocking(id))
}

/// Which of a socket's two time-outs holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Receive = 0,
    Send = 1,
}

/// Decides what a call does that cannot go on: it waits, at most as long as the socket's time-out says, unless the
/// socket or the call is not to wait.
pub(super) fn wait<B: Block>(
    system: &System<B>,
    call: &mut Call,
    socket: SocketId,
    side: Side,
    never: bool,
    stall: Stall,
) -> Stall {
    let Why::Wait(WakeKey::SocketReadable(_) | WakeKey::SocketWritable(_)) = stall.why() else {
        return stall;
    };
    if never || is_nonblocking(system, call) || call.deadline.is_some_and(|end| system.now >= end) {
        return Errno::EAGAIN.into();
    }
    let timeout = system
        .files
        .socket(socket)
        .ok()
        .and_then(|socket| socket.timeouts[side as usize]);
    if let (None, Some(timeout)) = (call.deadline, timeout) {
        call.deadline = Some(system.now + timeout);
    }
    stall
}

/// SOL_SOCKET.
const SOCKET_LEVEL: i32 = 1;

const SO_TYPE: i32 = 3;
const SO_ERROR: i32 = 4;
const SO_SNDBUF: i32 = 7;
const SO_RCVBUF: i32 = 8;
const SO_PASSCRED: i32 = 16;
const SO_PEERCRED: i32 = 17;
const SO_RCVTIMEO: i32 = 20;
const SO_SNDTIMEO: i32 = 21;
const SO_ACCEPTCONN: i32 = 30;
const SO_PROTOCOL: i32 = 38;
const SO_DOMAIN: i32 = 39;

/// SO_REUSEADDR, SO_DONTROUTE, SO_BROADCAST, SO_KEEPALIVE, SO_OOBINLINE, SO_PRIORITY, SO_LINGER: of no consequence
/// between programs of one machine.
const WITHOUT_CONSEQUENCE: [i32; 7] = [2, 5, 6, 9, 10, 12, 13];

/// setsockopt(2). Buffers have one size; a wish for another is taken and not followed, as Linux bounds it too.
pub(super) fn setsockopt<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let socket = socket_of(system, call)?;
    if call.int(1) != SOCKET_LEVEL {
        return vsock::setsockopt(system, call, socket);
    }
    let wanted = match call.int(2) {
        SO_RCVTIMEO | SO_SNDTIMEO => 16,
        _ => 4,
    };
    if call.int(4) < wanted {
        return Err(Errno::EINVAL.into());
    }
    let value = system.read_u32(call.space, call.address(3))?;
    match call.int(2) {
        SO_PASSCRED => system.files.socket_mut(socket)?.wants_sender = value != 0,
        option @ (SO_RCVTIMEO | SO_SNDTIMEO) => {
            let seconds = system.read_u64(call.space, call.address(3))?;
            let micros = system.read_u64(call.space, call.address(3).offset(8)?)?;
            if micros >= 1_000_000 {
                return Err(Errno::EDOM.into());
            }
            let time = Duration::new(seconds.min(i64::MAX as u64), micros as u32 * 1000);
            let side = (option - SO_RCVTIMEO) as usize;
            system.files.socket_mut(socket)?.timeouts[side] = (!time.is_zero()).then_some(time);
        }
        SO_SNDBUF | SO_RCVBUF => {}
        option if WITHOUT_CONSEQUENCE.contains(&option) => {}
        _ => return Err(Errno::ENOPROTOOPT.into()),
    }
    Ok(0)
}

/// getsockopt(2).
pub(super) fn getsockopt<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let id = socket_of(system, call)?;
    if call.int(1) != SOCKET_LEVEL {
        return vsock::getsockopt(system, call, id);
    }
    let room = system.read_u32(call.space, call.address(4))?;
    if room > i32::MAX as u32 {
        return Err(Errno::EINVAL.into());
    }
    let socket = system.files.socket_mut(id)?;
    let (mut answer, mut len) = ([0; 16], 4);
    let number = match call.int(2) {
        SO_TYPE => socket.kind() as u32,
        SO_ERROR => socket
            .take_error()
            .map_or(0, |error| u32::from(error.number())),
        SO_PROTOCOL => 0,
        SO_SNDBUF | SO_RCVBUF => crate::fs::PIPE_BYTES as u32,
        SO_PASSCRED => u32::from(socket.wants_sender),
        SO_ACCEPTCONN => u32::from(socket.is_listening()),
        SO_DOMAIN => socket.family() as u32,
        SO_PEERCRED => {
            let peer = socket.peer();
            answer[4..8].copy_from_slice(&peer.uid.to_le_bytes());
            answer[8..12].copy_from_slice(&peer.gid.to_le_bytes());
            len = 12;
            peer.pid
        }
        option @ (SO_RCVTIMEO | SO_SNDTIMEO) => {
            let time = socket.timeouts[(option - SO_RCVTIMEO) as usize].unwrap_or_default();
            answer[8..].copy_from_slice(&u64::from(time.subsec_micros()).to_le_bytes());
            answer[4..8].copy_from_slice(&((time.as_secs() >> 32) as u32).to_le_bytes());
            len = 16;
            time.as_secs() as u32
        }
        option if WITHOUT_CONSEQUENCE.contains(&option) => 0,
        _ => return Err(Errno::ENOPROTOOPT.into()),
    };
    answer[..4].copy_from_slice(&number.to_le_bytes());
    let len = len.min(room as usize);
    system.write_user(call.space, call.address(3), &answer[..len])?;
    system.write_user(call.space, call.address(4), &(len as u32).to_le_bytes())?;
    Ok(0)
}
