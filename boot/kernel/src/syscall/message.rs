//! What goes through sockets: send, recv and their relatives, with open files and credentials beside the bytes.

use super::socket::{
    AddressRoom, Side, address_room, copy_address, find, read_address, socket_of, wait,
    write_address,
};
use super::transfer::Memory;
use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::fs::{DescriptionId, Peer, SocketId, SocketKind, Span};
use crate::limits::{MAX_BUFFERS, MAX_RIGHTS, WORK_BYTES};
use crate::signal::number;
use crate::system::{FileParts, System};
use crate::user_memory::{Access, UserAddr};
use crate::wait::Stall;
use agent::kernel::Signal;
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
/// Where `msg_controllen` lies.
const CONTROL_LEN_AT: u64 = 40;
/// Where `msg_flags` lies.
const FLAGS_AT: u64 = 48;

/// Most bytes of control messages that are looked at: more than all there are.
const MAX_CONTROL: usize = 2048;

fn read_header<B: Block>(
    system: &mut System<B>,
    call: &Call,
    at: UserAddr,
) -> Result<Header, Stall> {
    let mut word = |offset| system.read_u64(call.space, at.offset(offset)?);
    let (name, name_len) = (word(0)?, word(NAME_LEN_AT)? as u32);
    let (buffers, count) = (word(16)?, word(24)?);
    let (control, control_len) = (word(32)?, word(CONTROL_LEN_AT)?);
    if count > MAX_BUFFERS as u64 {
        return Err(Errno::EMSGSIZE.into());
    }
    Ok(Header {
        name: UserAddr(name),
        name_len,
        memory: Memory::Many(UserAddr(buffers), count as usize),
        control: UserAddr(control),
        control_len: if control == 0 {
            0
        } else {
            control_len.min(MAX_CONTROL as u64) as usize
        },
    })
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
    } else {
        let address = read_address(system, call, header.name, header.name_len)?;
        Some(find(system, call, &address)?)
    };
    let stall = match send_some(system, call, socket, to, header) {
        Ok(true) => return Ok(call.progress),
        Ok(false) => return Err(Stall::Again),
        Err(stall) => stall,
    };
    let never = flags.contains(Flags::DONT_WAIT);
    match wait(system, call, socket, Side::Send, never, stall) {
        Stall::Error(_) if call.progress > 0 => Ok(call.progress),
        Stall::Error(Errno::EPIPE) => {
            let pipe = Signal::from_number(i32::from(number::PIPE));
            if let (Some(signal), false) = (pipe, flags.contains(Flags::NO_SIGNAL)) {
                system.signal_task(call.task, signal);
            }
            Err(Errno::EPIPE.into())
        }
        stall => Err(stall),
    }
}

/// Sends a message, or as much of a stream as fits and one turn does; returns whether that was all.
fn send_some<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    socket: SocketId,
    to: Option<SocketId>,
    header: Header,
) -> Result<bool, Stall> {
    let is_stream = system.files.socket(socket)?.kind() == SocketKind::Stream;
    let sent = call.progress as usize;
    let (_, _, total) = header.memory.rest(system, call, 0)?;
    let left = total - sent;
    if is_stream && total == 0 {
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
        match put_piece(system, call, to, header.memory, (sent + put, most - put)) {
            Ok(0) => break None,
            Ok(count) => put += count,
            Err(stall) => break Some(stall),
        }
    };
    let table = system.table_of(call)?;
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
    Ok(call.progress as usize == total)
}

/// Puts bytes of one page into a socket's queue: from `done` on, at most `most`.
fn put_piece<B: Block>(
    system: &mut System<B>,
    call: &Call,
    to: SocketId,
    memory: Memory,
    (done, most): (usize, usize),
) -> Result<usize, Stall> {
    let (address, len, _) = memory.rest(system, call, done)?;
    let span = system.span(call.space, address, len.min(most), Access::Read)?;
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
    Ok(files.put_into_socket(&mut context, to, span)?)
}

/// SOL_SOCKET.
const SOCKET_LEVEL: i32 = 1;
/// SCM_RIGHTS.
const RIGHTS: i32 = 1;
/// SCM_CREDENTIALS.
const CREDENTIALS: i32 = 2;
/// Bytes of a `struct cmsghdr`.
const CONTROL_HEADER: usize = 16;

/// Reads the descriptors that are to be sent; returns how many. Credentials are the kernel's own knowledge: a program that
/// sends its true ones is heard.
fn read_rights<B: Block>(
    system: &mut System<B>,
    call: &Call,
    header: Header,
    fds: &mut [i32; MAX_RIGHTS],
) -> Result<usize, Stall> {
    let (mut at, mut count) = (0, 0);
    while at + CONTROL_HEADER <= header.control_len {
        let start = header.control.offset(at as u64)?;
        let len = system.read_u64(call.space, start)?;
        let kind = system.read_u64(call.space, start.offset(8)?)?;
        let (level, kind) = (kind as i32, (kind >> 32) as i32);
        let room = header.control_len - at;
        if len < CONTROL_HEADER as u64 || len > room as u64 || level != SOCKET_LEVEL {
            return Err(Errno::EINVAL.into());
        }
        let body = len as usize - CONTROL_HEADER;
        match kind {
            RIGHTS => {
                for nth in 0..body / 4 {
                    let place = start.offset((CONTROL_HEADER + 4 * nth) as u64)?;
                    *fds.get_mut(count).ok_or(Errno::EINVAL)? =
                        system.read_u32(call.space, place)? as i32;
                    count += 1;
                }
            }
            CREDENTIALS => check_credentials(system, call, start, body)?,
            _ => return Err(Errno::EINVAL.into()),
        }
        at += (len as usize).next_multiple_of(8);
    }
    Ok(count)
}

/// Refuses credentials that are not the sender's own, unless it is root.
fn check_credentials<B: Block>(
    system: &mut System<B>,
    call: &Call,
    start: UserAddr,
    body: usize,
) -> Result<(), Stall> {
    if body != 12 {
        return Err(Errno::EINVAL.into());
    }
    let mut claim = [0; 3];
    for (nth, word) in claim.iter_mut().enumerate() {
        let place = start.offset((CONTROL_HEADER + 4 * nth) as u64)?;
        *word = system.read_u32(call.space, place)?;
    }
    let pid = system.process(call.process)?.pid.0;
    let own = system.credentials(call.process)?;
    if claim == [pid, own.uid, own.gid] {
        Ok(())
    } else {
        Err(Errno::EPERM.into())
    }
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
    system.touch_user(call.space, at, FLAGS_AT as usize + 4)?;
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
    memory: Memory,
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
            return match wait(system, call, socket, Side::Receive, never, stall) {
                Stall::Error(_) if call.progress > 0 => {
                    end(system, call, header, Flags::empty(), 0)
                }
                stall => Err(stall),
            };
        }
    };
    let is_stream = system.files.socket(socket)?.kind() == SocketKind::Stream;
    let done = call.progress as usize;
    let (_, _, total) = memory.rest(system, call, 0)?;
    if is_stream && done == total {
        return end(system, call, header, Flags::empty(), 0);
    }
    let most = next.len.min(total - done).min(WORK_BYTES);
    let mut copied = 0;
    while copied < most {
        match copy_piece(system, call, socket, memory, (done, copied, most - copied)) {
            Ok(count) => copied += count,
            Err(stall) => {
                // A message whose place is bad is lost, as on Linux.
                if matches!(stall, Stall::Error(_)) && !is_stream {
                    drop_message(system, call, socket)?;
                }
                return Err(stall);
            }
        }
    }
    let (address, address_len) = copy_address(system.files.next_sender(socket));
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
        return Err(Stall::Again);
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
        let control = (control as u64).to_le_bytes();
        system.write_user(call.space, at.offset(CONTROL_LEN_AT)?, &control)?;
        let answer = answer.bits().to_le_bytes();
        system.write_user(call.space, at.offset(FLAGS_AT)?, &answer)?;
    }
    Ok(call.progress)
}

/// Copies bytes of the next message into one page: those `copied` bytes into it, to `done + copied` in memory.
fn copy_piece<B: Block>(
    system: &mut System<B>,
    call: &Call,
    socket: SocketId,
    memory: Memory,
    (done, copied, most): (usize, usize, usize),
) -> Result<usize, Stall> {
    let (address, len, _) = memory.rest(system, call, done + copied)?;
    let span = system.span(call.space, address, len.min(most), Access::Write)?;
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
    match files.copy_message(&mut context, socket, copied, span)? {
        0 => Err(Errno::EIO.into()),
        count => Ok(count),
    }
}

/// Hands out what came beside the bytes; returns how many bytes of control messages were written. The memory was touched
/// before.
fn write_control<B: Block>(
    system: &mut System<B>,
    call: &Call,
    header: Option<Header>,
    sender: Option<Peer>,
    rights: Vec<DescriptionId>,
    close_on_exec: bool,
    answer: &mut Flags,
) -> Result<usize, Stall> {
    let (at, room) = header.map_or((UserAddr::NULL, 0), |it| (it.control, it.control_len));
    let mut used = 0;
    if let (Some(sender), true) = (sender, header.is_some()) {
        if room >= CONTROL_HEADER + 12 {
            let words = [sender.pid, sender.uid, sender.gid];
            write_control_header(system, call, at, 12, CREDENTIALS)?;
            for (nth, word) in words.into_iter().enumerate() {
                let place = at.offset((CONTROL_HEADER + 4 * nth) as u64)?;
                system.write_user(call.space, place, &word.to_le_bytes())?;
            }
            used = (CONTROL_HEADER + 12).next_multiple_of(8).min(room);
        } else {
            *answer |= Flags::CONTROL_CUT;
        }
    }
    if rights.is_empty() {
        return Ok(used);
    }
    let fits = (room - used).saturating_sub(CONTROL_HEADER) / 4;
    let table = system.table_of(call)?;
    let mut given = 0;
    let mut rights = rights.into_iter();
    while given < fits {
        let Some(right) = rights.next() else {
            break;
        };
        let FileParts {
            files, mut context, ..
        } = system.file_parts(call.process)?;
        let Ok(fd) = files.accept_right(&mut context, table, right, close_on_exec) else {
            *answer |= Flags::CONTROL_CUT;
            break;
        };
        let place = at.offset((used + CONTROL_HEADER + 4 * given) as u64)?;
        system.write_user(call.space, place, &fd.to_le_bytes())?;
        given += 1;
    }
    let rest: Vec<_> = rights.collect();
    if !rest.is_empty() {
        *answer |= Flags::CONTROL_CUT;
        let FileParts {
            files, mut context, ..
        } = system.file_parts(call.process)?;
        files.release_rights(&mut context, rest);
    }
    if given > 0 {
        let place = at.offset(used as u64)?;
        write_control_header(system, call, place, 4 * given, RIGHTS)?;
        used += (CONTROL_HEADER + 4 * given).next_multiple_of(8);
    }
    Ok(used.min(room))
}

fn write_control_header<B: Block>(
    system: &mut System<B>,
    call: &Call,
    at: UserAddr,
    body: usize,
    kind: i32,
) -> Result<(), Stall> {
    let len = (CONTROL_HEADER + body) as u64;
    let kind = u64::from(SOCKET_LEVEL as u32) | u64::from(kind as u32) << 32;
    system.write_user(call.space, at, &len.to_le_bytes())?;
    system.write_user(call.space, at.offset(8)?, &kind.to_le_bytes())
}
