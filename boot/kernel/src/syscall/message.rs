//! What goes through sockets: send, recv and their relatives, with open files and credentials beside the bytes.

use super::socket::{
    AddressRoom, Side, address_room, copy_address, find, read_address, socket_of, wait,
    write_address,
};
use super::transfer::{List, Memory};
use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::fs::{DescriptionId, Family, Peer, SocketId, SocketKind, Span};
use crate::limits::{MAX_BUFFERS, MAX_RIGHTS, WORK_BYTES};
use crate::signal::number;
use crate::system::{FileParts, System};
use crate::user_memory::{Access, UserAddr};
use crate::wait::Stall;
use alloc::vec::Vec;
use hal::block::Block;

bitflags::bitflags! {
    /// Flags of send(2) and recv(2), with their numbers.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Flags: u32 {
        const PEEK = 0x2;
        const CONTROL_CUT = 0x8;
        const CUT = 0x20;
        const DONT_WAIT = 0x40;
        const END_OF_RECORD = 0x80;
        const ALL = 0x100;
        const NO_SIGNAL = 0x4000;
        const MORE = 0x8000;
        const CLOSE_ON_EXEC = 0x4000_0000;
    }
}

/// Reads flags; urgent data and the like are refused.
fn flags_of(bits: u32) -> Result<Flags, Errno> {
    Flags::from_bits(bits).ok_or(Errno::EOPNOTSUPP)
}

/// A `struct msghdr`.
#[derive(Clone, Copy, Debug)]
struct Header {
    name: UserAddr,
    name_len: u32,
    memory: Memory,
    control: UserAddr,
    control_len: usize,
}

/// Where `msg_namelen` lies in a `struct msghdr`.
const NAME_LEN_AT: u64 = 8;
/// Where `msg_controllen` lies, with `msg_flags` behind it.
const CONTROL_LEN_AT: u64 = 40;

/// Most bytes of control messages that are looked at: as many as all there are.
const MAX_CONTROL: usize = CONTROL_HEADER + 4 * MAX_RIGHTS + 4 + CONTROL_HEADER + 16;

/// Bytes of a `struct msghdr`.
const HEADER_BYTES: usize = 56;

fn read_header<B: Block>(
    system: &mut System<B>,
    call: &Call,
    at: UserAddr,
) -> Result<Header, Stall> {
    let mut bytes = [0; HEADER_BYTES];
    system.read_user(call.space, at, &mut bytes)?;
    let count = word(&bytes, 24);
    if count > MAX_BUFFERS as u64 {
        return Err(Errno::EMSGSIZE.into());
    }
    let control = UserAddr(word(&bytes, 32));
    Ok(Header {
        name: UserAddr(word(&bytes, 0)),
        name_len: word(&bytes, 8) as u32,
        memory: Memory::Many(List::new(UserAddr(word(&bytes, 16)), count as usize)),
        control,
        control_len: if control.is_null() {
            0
        } else {
            word(&bytes, 40).min(MAX_CONTROL as u64) as usize
        },
    })
}

/// Returns the number at a place of a structure.
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// sendto(2).
pub(super) fn sendto<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let header = Header {
        name: call.address(4),
        name_len: call.uint(5),
        memory: Memory::One(call.address(1), call.size(2)?),
        control: UserAddr::NULL,
        control_len: 0,
    };
    send(system, call, header, call.uint(3))
}

/// sendmsg(2).
pub(super) fn sendmsg<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let header = read_header(system, call, call.address(1))?;
    send(system, call, header, call.uint(2))
}

/// write(2) and its relatives on a socket.
pub(super) fn write<B: Block>(system: &mut System<B>, call: &mut Call, memory: Memory) -> Outcome {
    let header = Header {
        name: UserAddr::NULL,
        name_len: 0,
        memory,
        control: UserAddr::NULL,
        control_len: 0,
    };
    send(system, call, header, 0)
}

fn send<B: Block>(system: &mut System<B>, call: &mut Call, header: Header, bits: u32) -> Outcome {
    let flags = flags_of(bits)?;
    let socket = socket_of(system, call)?;
    let to = if header.name.is_null() || header.name_len == 0 {
        None
    } else if system.files.socket(socket)?.family() == Family::Vsock {
        // A connection needs no address: that is refused whatever it is.
        Some(socket)
    } else {
        let address = read_address(system, call, header.name, header.name_len)?;
        match system.files.socket(socket)?.kind() {
            SocketKind::Datagram => Some(find(system, call, socket, &address)?),
            SocketKind::Sequenced => None,
            // A connection needs no address: that is refused whatever it is.
            SocketKind::Stream => Some(socket),
        }
    };
    let stall = match send_some(system, call, socket, to, header) {
        Ok(true) => return Ok(call.progress),
        Ok(false) => return Err(Stall::AGAIN),
        Err(stall) => stall,
    };
    let never = flags.contains(Flags::DONT_WAIT);
    let stall = wait(system, call, socket, Side::Send, never, stall);
    match stall.errno() {
        Some(_) if call.progress > 0 => Ok(call.progress),
        Some(Errno::EPIPE) => {
            if !flags.contains(Flags::NO_SIGNAL) {
                system.signal_self(call.task, number::PIPE);
            }
            Err(stall)
        }
        _ => Err(stall),
    }
}

/// Sends a message, or as much of a stream as fits and one turn does; returns whether that was all.
fn send_some<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    socket: SocketId,
    to: Option<SocketId>,
    mut header: Header,
) -> Result<bool, Stall> {
    let is_stream = system.files.socket(socket)?.kind() == SocketKind::Stream;
    let sent = call.progress as usize;
    let (_, _, total) = header.memory.rest(system, call, sent)?;
    // The list may have become shorter since the last turn.
    let left = total.saturating_sub(sent);
    if is_stream && left == 0 {
        return Ok(true);
    }
    let to = system.files.prepare_send(socket, to, left)?;
    let mut fds = [0; MAX_RIGHTS];
    let count = if sent == 0 {
        read_rights(system, call, header, &mut fds)?
    } else {
        0
    };
    let most = if is_stream {
        left.min(WORK_BYTES)
    } else {
        left
    };
    let mut put = 0;
    let stopped = loop {
        if put == most {
            break None;
        }
        match move_piece(
            system,
            call,
            to,
            &mut header.memory,
            (sent + put, most - put),
            None,
        ) {
            Ok(0) => break None,
            Ok(count) => put += count,
            Err(stall) => break Some(stall),
        }
    };
    let table = match system.table_of(call) {
        Ok(table) => table,
        Err(errno) => {
            // Memory that the rest needed has ended the sender.
            let mut parts = system.own_file_parts();
            parts
                .files
                .take_back_from_socket(&mut parts.context, to, put);
            return Err(errno.into());
        }
    };
    let FileParts {
        files, mut context, ..
    } = system.file_parts(call.process)?;
    let stopped = match stopped {
        // What was put of a message that cannot be completed is taken back; of a stream it is sent.
        Some(stall) if !is_stream || put == 0 => Some(stall),
        None if !is_stream && put < left => Some(Errno::ENOMEM.into()),
        _ => None,
    };
    let rights = match stopped {
        Some(stall) => Err(stall),
        None => files
            .hold_rights(&mut context, table, to, &fds[..count])
            .map_err(Stall::from),
    };
    let rights = match rights {
        Ok(rights) => rights,
        Err(stall) => {
            files.take_back_from_socket(&mut context, to, put);
            return Err(stall);
        }
    };
    if let Err(errno) = files.finish_send(&mut context, socket, to, put, rights) {
        files.take_back_from_socket(&mut context, to, put);
        return Err(errno.into());
    }
    call.progress += put as u64;
    call.restart = Restart::Keeps;
    Ok(put == left)
}

/// Moves bytes of one page, at `done` in memory, at most `most`: into the queue of socket `with`, or, from `skip` on, out of
/// the next message in it.
#[inline(never)]
fn move_piece<B: Block>(
    system: &mut System<B>,
    call: &Call,
    with: SocketId,
    memory: &mut Memory,
    (done, most): (usize, usize),
    skip: Option<usize>,
) -> Result<usize, Stall> {
    let (address, len, _) = memory.rest(system, call, done)?;
    let access = match skip {
        Some(_) => Access::Write,
        None => Access::Read,
    };
    let span = system.span(call.space, address, len.min(most), access)?;
    let FileParts {
        files,
        mut context,
        spaces,
        ..
    } = system.file_parts(call.process)?;
    let space = spaces.get(call.space).ok_or(Errno::EFAULT)?;
    let span = Span {
        frame: span.frame(space, context.pool)?,
        offset: span.offset,
        len: span.len,
    };
    Ok(match skip {
        Some(skip) => files.copy_message(&mut context, with, skip, span)?,
        None => files.put_into_socket(&mut context, with, span)?,
    })
}

/// SCM_RIGHTS of SOL_SOCKET: the level in the lower half, the type in the upper.
const RIGHTS: u64 = 1 | 1 << 32;
/// SCM_CREDENTIALS.
const CREDENTIALS: u64 = 1 | 2 << 32;
/// Bytes of a `struct cmsghdr`.
const CONTROL_HEADER: usize = 16;

/// Reads the descriptors that are to be sent; returns how many. Credentials are the kernel's own knowledge: a program may
/// send its true ones.
fn read_rights<B: Block>(
    system: &mut System<B>,
    call: &Call,
    header: Header,
    fds: &mut [i32; MAX_RIGHTS],
) -> Result<usize, Stall> {
    let mut control = [0; MAX_CONTROL];
    let mut control = &mut control[..header.control_len];
    system.read_user(call.space, header.control, control)?;
    let pid = system.process(call.process)?.pid.0;
    let own = system.identity(call.process)?;
    // The ids it tells of itself may be any it has (unix(7)).
    let (users, groups) = (own.user.list(), own.group.list());
    let mut count = 0;
    while control.len() >= CONTROL_HEADER {
        let (len, kind) = (word(control, 0), word(control, 8));
        if len < CONTROL_HEADER as u64 || len > control.len() as u64 {
            return Err(Errno::EINVAL.into());
        }
        let body = &control[CONTROL_HEADER..len as usize];
        match kind {
            RIGHTS => {
                for fd in body.as_chunks().0 {
                    *fds.get_mut(count).ok_or(Errno::EINVAL)? = i32::from_le_bytes(*fd);
                    count += 1;
                }
            }
            CREDENTIALS if body.len() == 12 => {
                if word(body, 0) as u32 != pid
                    || !users.contains(&(word(body, 4) as u32))
                    || !groups.contains(&(word(body, 8) as u32))
                {
                    return Err(Errno::EPERM.into());
                }
            }
            _ => return Err(Errno::EINVAL.into()),
        }
        let used = (len as usize).next_multiple_of(8).min(control.len());
        control = &mut control[used..];
    }
    Ok(count)
}

/// recvfrom(2).
pub(super) fn recvfrom<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let memory = Memory::One(call.address(1), call.size(2)?);
    let room = address_room(system, call, call.address(4), call.address(5))?;
    receive(system, call, memory, room, None, call.uint(3))
}

/// recvmsg(2).
pub(super) fn recvmsg<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let at = call.address(1);
    let header = read_header(system, call, at)?;
    let name_len = at.offset(NAME_LEN_AT)?;
    let room = address_room(system, call, header.name, name_len)?;
    // Nothing may be in the way once a message was taken out.
    system.touch_user(call.space, at, HEADER_BYTES)?;
    system.touch_user(call.space, header.control, header.control_len)?;
    receive(
        system,
        call,
        header.memory,
        room,
        Some(header),
        call.uint(2),
    )
}

/// read(2) and its relatives on a socket.
pub(super) fn read<B: Block>(system: &mut System<B>, call: &mut Call, memory: Memory) -> Outcome {
    receive(system, call, memory, None, None, 0)
}

/// What is known of a message before its bytes are taken.
struct Next {
    len: usize,
    has_rights: bool,
    sender: Peer,
}

fn receive<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    mut memory: Memory,
    room: AddressRoom,
    header: Option<Header>,
    bits: u32,
) -> Outcome {
    let flags = flags_of(bits)?;
    let socket = socket_of(system, call)?;
    let next = system.files.next_message(socket).map(|message| {
        message.map(|message| Next {
            len: message.len,
            has_rights: !message.rights.is_empty(),
            sender: message.sender,
        })
    });
    let next = match next {
        Ok(Some(next)) if call.progress == 0 || !next.has_rights => next,
        Ok(_) => return end(system, call, header, Flags::empty(), 0),
        Err(stall) => {
            let never = flags.contains(Flags::DONT_WAIT);
            let stall = wait(system, call, socket, Side::Receive, never, stall);
            if stall.is_error() && call.progress > 0 {
                return end(system, call, header, Flags::empty(), 0);
            }
            return Err(stall);
        }
    };
    let is_stream = system.files.socket(socket)?.kind() == SocketKind::Stream;
    let done = call.progress as usize;
    let (_, _, total) = memory.rest(system, call, done)?;
    if is_stream && done >= total {
        return end(system, call, header, Flags::empty(), 0);
    }
    let most = next.len.min(total - done).min(WORK_BYTES);
    let mut copied = 0;
    while copied < most {
        let place = (done + copied, most - copied);
        match move_piece(system, call, socket, &mut memory, place, Some(copied)) {
            Ok(0) => return Err(Errno::EIO.into()),
            Ok(count) => copied += count,
            Err(stall) => {
                // A message whose place is bad is lost, as on Linux.
                if stall.is_error() && !is_stream {
                    drop_message(system, call, socket)?;
                }
                return Err(stall);
            }
        }
    }
    let (address, address_len) = copy_address(Family::Unix, system.files.next_sender(socket));
    if room.is_some() {
        let len = if address_len > 2 { address_len } else { 0 };
        write_address(system, call, &address[..len], room)?;
    }
    let mut answer = Flags::empty();
    answer.set(Flags::CUT, !is_stream && next.len > most);
    if flags.contains(Flags::PEEK) {
        let is_whole = flags.contains(Flags::CUT) && !is_stream;
        call.progress = if is_whole { next.len } else { copied } as u64;
        return end(system, call, header, answer, 0);
    }
    let FileParts {
        files, mut context, ..
    } = system.file_parts(call.process)?;
    let rights = files.take_message(&mut context, socket, copied);
    call.progress += copied as u64;
    call.restart = Restart::Keeps;
    let went_on = flags.contains(Flags::ALL) && is_stream && !next.has_rights;
    if went_on && (call.progress as usize) < total {
        return Err(Stall::AGAIN);
    }
    let wants_sender = system.files.socket(socket)?.wants_sender;
    let close_on_exec = flags.contains(Flags::CLOSE_ON_EXEC);
    let sender = wants_sender.then_some(next.sender);
    let used = write_control(
        system,
        call,
        header,
        sender,
        rights,
        close_on_exec,
        &mut answer,
    )?;
    if flags.contains(Flags::CUT) && !is_stream {
        call.progress = next.len as u64;
    }
    end(system, call, header, answer, used)
}

/// Takes the next message out and gives its open files back.
fn drop_message<B: Block>(
    system: &mut System<B>,
    call: &Call,
    socket: SocketId,
) -> Result<(), Errno> {
    let FileParts {
        files, mut context, ..
    } = system.file_parts(call.process)?;
    let rights = files.take_message(&mut context, socket, 0);
    files.release_rights(&mut context, rights);
    Ok(())
}

/// Completes a `struct msghdr` and the call.
fn end<B: Block>(
    system: &mut System<B>,
    call: &Call,
    header: Option<Header>,
    answer: Flags,
    control: usize,
) -> Outcome {
    if header.is_some() {
        let at = call.address(1);
        let words = [control as u32, 0, answer.bits()].map(u32::to_le_bytes);
        let at = at.offset(CONTROL_LEN_AT)?;
        system.write_user(call.space, at, words.as_flattened())?;
    }
    Ok(call.progress)
}

/// Hands out what came beside the bytes; returns how many bytes of control messages were written. The memory was touched
/// before.
fn write_control<B: Block>(
    system: &mut System<B>,
    call: &Call,
    header: Option<Header>,
    sender: Option<Peer>,
    mut rights: Vec<DescriptionId>,
    close_on_exec: bool,
    answer: &mut Flags,
) -> Result<usize, Stall> {
    let (at, room) = header.map_or((UserAddr::NULL, 0), |it| (it.control, it.control_len));
    let mut control = Control {
        bytes: [0; MAX_CONTROL],
        used: 0,
    };
    if let (Some(sender), true) = (sender, header.is_some()) {
        let words = [sender.pid, sender.uid, sender.gid].map(u32::to_le_bytes);
        if room >= CONTROL_HEADER + 12 {
            control.put(CREDENTIALS, words.as_flattened());
        } else {
            *answer |= Flags::CONTROL_CUT;
        }
    }
    if !rights.is_empty() {
        let table = system.table_of(call)?;
        let FileParts {
            files, mut context, ..
        } = system.file_parts(call.process)?;
        let fits = room.saturating_sub(control.used + CONTROL_HEADER) / 4;
        let mut fds = [[0; 4]; MAX_RIGHTS];
        let mut given = 0;
        rights.reverse();
        while given < fits
            && let Some(right) = rights.pop()
        {
            let Ok(fd) = files.accept_right(&mut context, table, right, close_on_exec) else {
                *answer |= Flags::CONTROL_CUT;
                break;
            };
            fds[given] = fd.to_le_bytes();
            given += 1;
        }
        if !rights.is_empty() {
            *answer |= Flags::CONTROL_CUT;
            files.release_rights(&mut context, rights);
        }
        if given > 0 {
            control.put(RIGHTS, fds[..given].as_flattened());
        }
    }
    let used = control.used.min(room);
    system.write_user(call.space, at, &control.bytes[..used])?;
    Ok(used)
}

/// Control messages one behind the other.
struct Control {
    bytes: [u8; MAX_CONTROL],
    used: usize,
}

impl Control {
    /// Adds a message, for which there is room.
    fn put(&mut self, kind: u64, body: &[u8]) {
        let rest = &mut self.bytes[self.used..];
        rest[..8].copy_from_slice(&((CONTROL_HEADER + body.len()) as u64).to_le_bytes());
        rest[8..CONTROL_HEADER].copy_from_slice(&kind.to_le_bytes());
        rest[CONTROL_HEADER..CONTROL_HEADER + body.len()].copy_from_slice(body);
        self.used += (CONTROL_HEADER + body.len()).next_multiple_of(8);
    }
}
