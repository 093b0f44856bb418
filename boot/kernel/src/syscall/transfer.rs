//! Reading and writing: plain, at a position, from and into several buffers.

use super::{Call, Outcome, Restart, event, message, terminal};
use crate::errno::Errno;
use crate::fs::{DescriptionId, Span};
use crate::limits::{FILE_BYTES, MAX_BUFFERS, WORK_BYTES};
use crate::rlimit::Resource;
use crate::signal::number;
use crate::system::{FileParts, System};
use crate::user_memory::{Access, UserAddr};
use crate::wait::{Stall, WakeKey, Why};
use hal::block::Block;
use hal::page_table::Page;

/// Most bytes one call moves (Linux `MAX_RW_COUNT`: INT_MAX rounded down to a page).
pub(super) const MAX_TRANSFER: usize = 0x7fff_f000;

/// Bytes of `struct iovec`.
const BUFFER_BYTES: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

/// Where in a program's memory the bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Memory {
    One(UserAddr, usize),
    Many(List),
}

/// A list of `struct iovec`, and how far one turn has got in it: so the turn reads it once, however small the buffers are.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    address: UserAddr,
    count: u64,
    /// Buffers that are done with, and the bytes in them.
    passed: u64,
    before: usize,
    /// Bytes in all of them, once all were looked at.
    total: Option<usize>,
}

impl List {
    /// The list of `count` buffers at an address.
    pub(super) const fn new(address: UserAddr, count: usize) -> Self {
        Self {
            address,
            count: count as u64,
            passed: 0,
            before: 0,
            total: None,
        }
    }
}

/// read(2).
pub(super) fn read<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let memory = buffer(call)?;
    transfer(system, call, Direction::Read, memory, None)
}

/// write(2).
pub(super) fn write<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let memory = buffer(call)?;
    transfer(system, call, Direction::Write, memory, None)
}

/// pread64(2).
pub(super) fn pread64<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let memory = buffer(call)?;
    let position = position(call, 3)?;
    transfer(system, call, Direction::Read, memory, Some(position))
}

/// pwrite64(2).
pub(super) fn pwrite64<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let memory = buffer(call)?;
    let position = position(call, 3)?;
    transfer(system, call, Direction::Write, memory, Some(position))
}

/// readv(2).
pub(super) fn readv<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let memory = buffers(call)?;
    transfer(system, call, Direction::Read, memory, None)
}

/// writev(2).
pub(super) fn writev<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let memory = buffers(call)?;
    transfer(system, call, Direction::Write, memory, None)
}

/// preadv(2): the position comes in two halves, the upper one empty on a 64-bit machine.
pub(super) fn preadv<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let memory = buffers(call)?;
    let position = position(call, 3)?;
    transfer(system, call, Direction::Read, memory, Some(position))
}

/// pwritev(2).
pub(super) fn pwritev<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let memory = buffers(call)?;
    let position = position(call, 3)?;
    transfer(system, call, Direction::Write, memory, Some(position))
}

/// preadv2(2).
pub(super) fn preadv2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    at_or_on(system, call, Direction::Read)
}

/// pwritev2(2).
pub(super) fn pwritev2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    at_or_on(system, call, Direction::Write)
}

/// Moves bytes at a position, or at the file's own where that is -1, with flags; those change nothing here, or are refused:
/// not to wait, and to write behind the end.
fn at_or_on<B: Block>(system: &mut System<B>, call: &mut Call, direction: Direction) -> Outcome {
    /// `RWF_HIPRI`, `RWF_DSYNC`, `RWF_SYNC` (linux/fs.h).
    const FLAGS: u32 = 7;
    let memory = buffers(call)?;
    let position = match call.number(3) {
        u64::MAX => None,
        _ => Some(position(call, 3)?),
    };
    system.open_file(call, 0)?;
    if call.uint(5) & !FLAGS != 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    transfer(system, call, direction, memory, position)
}

fn position(call: &Call, nth: usize) -> Result<u64, Errno> {
    let position = call.number(nth);
    if position > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    Ok(position)
}

/// Returns the one buffer of a call, if it can be one at all.
fn buffer(call: &Call) -> Result<Memory, Errno> {
    let address = call.address(1);
    if address.offset(call.number(2))?.0 > Page::END.address() {
        return Err(Errno::EFAULT);
    }
    Ok(Memory::One(address, call.size(2)?))
}

fn buffers(call: &Call) -> Result<Memory, Errno> {
    match usize::try_from(call.int(2)) {
        Ok(count) if count <= MAX_BUFFERS => Ok(Memory::Many(List::new(call.address(1), count))),
        _ => Err(Errno::EINVAL),
    }
}

impl Memory {
    /// Returns the part of the memory that starts `done` bytes into it, as far as it lies together, and how many bytes
    /// there are altogether. `done` never gets less.
    pub(super) fn rest<B: Block>(
        &mut self,
        system: &mut System<B>,
        call: &Call,
        done: usize,
    ) -> Result<(UserAddr, usize, usize), Stall> {
        match self {
            Self::One(address, len) => {
                let len = (*len).min(MAX_TRANSFER);
                Ok((address.offset(done as u64)?, len - done.min(len), len))
            }
            Self::Many(list) => list.rest(system, call, done),
        }
    }
}

impl List {
    fn rest<B: Block>(
        &mut self,
        system: &mut System<B>,
        call: &Call,
        done: usize,
    ) -> Result<(UserAddr, usize, usize), Stall> {
        let (mut end, mut found) = (self.before, None);
        for nth in self.passed..self.count {
            let at = self.address.offset(nth * BUFFER_BYTES)?;
            let base = system.read_u64(call.space, at)?;
            let len = system.read_u64(call.space, at.offset(8)?)?;
            if len > i64::MAX as u64 {
                return Err(Errno::EINVAL.into());
            }
            let len = (len as usize).min(MAX_TRANSFER - end);
            if found.is_none() && done < end + len {
                let within = done - end;
                found = Some((UserAddr(base).offset(within as u64)?, len - within));
                (self.passed, self.before) = (nth, end);
                if self.total.is_some() {
                    break;
                }
            }
            end += len;
        }
        let total = *self.total.get_or_insert(end);
        let (address, len) = found.unwrap_or((UserAddr::NULL, 0));
        Ok((address, len, total))
    }
}

/// Moves bytes until all are moved, nothing more comes, or this turn's share of work is done. `call.progress` is how
/// many bytes earlier turns moved.
fn transfer<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    direction: Direction,
    mut memory: Memory,
    position: Option<u64>,
) -> Outcome {
    let (id, access) = system.open_content(call, 0)?;
    let wanted = match direction {
        Direction::Read => crate::fs::Access::READ,
        Direction::Write => crate::fs::Access::WRITE,
    };
    if !access.contains(wanted) {
        return Err(Errno::EBADF.into());
    }
    if system.files.socket_of(id).is_ok() {
        return match direction {
            _ if position.is_some() => Err(Errno::ESPIPE.into()),
            Direction::Read => message::read(system, call, memory),
            Direction::Write => message::write(system, call, memory),
        };
    }
    if position.is_some() && system.files.pipe_of(id).is_some() {
        return Err(Errno::ESPIPE.into());
    }
    let terminal = system.files.terminal(id);
    if let Some(end) = terminal {
        let signal = match direction {
            Direction::Read => number::TTIN,
            Direction::Write => number::TTOU,
        };
        terminal::begin(system, call, end, signal)?;
    }
    let read_from = terminal.filter(|_| direction == Direction::Read);
    if direction == Direction::Read
        && let Some(live) = system.files.live_of(id)
    {
        let (address, len, _) = memory.rest(system, call, 0)?;
        return crate::live::read(system, call, (id, live), position, (address, len));
    }
    if direction == Direction::Write
        && let Some(written) = system.files.written_of(id)
    {
        let (address, len, _) = memory.rest(system, call, 0)?;
        return crate::live::write(system, call, written, (address, len));
    }
    if let Ok((event, _)) = system.files.event_of(id) {
        // As one piece, from the first buffer.
        let (address, len, _) = memory.rest(system, call, 0)?;
        return match direction {
            _ if position.is_some() => Err(Errno::ESPIPE.into()),
            Direction::Read => event::read(system, call, (id, event), (address, len)),
            Direction::Write => event::write(system, call, (id, event), (address, len)),
        };
    }
    let mut this_turn = 0;
    loop {
        let done = call.progress as usize;
        let (address, len, total) = memory.rest(system, call, done)?;
        if done > 0 && len == 0 {
            if let Some(end) = read_from {
                let mut parts = system.file_parts(call.process)?;
                let context = &mut parts.context;
                parts.files.terminals.end_full_read(context, end);
            }
            return Ok(done as u64);
        }
        if this_turn >= WORK_BYTES {
            return Err(Stall::AGAIN);
        }
        let moved = move_piece(
            system,
            call,
            id,
            direction,
            (address, len.min(WORK_BYTES - this_turn)),
            position.map(|position| position.saturating_add(done as u64)),
            total - done,
        );
        match moved {
            Ok(0) => return Ok(done as u64),
            Ok(count) => {
                call.progress += count as u64;
                call.restart = Restart::Keeps;
                this_turn += count;
                let done = call.progress as usize;
                if read_from.is_some_and(|end| system.files.terminals.has_read_enough(end, done)) {
                    return Ok(done as u64);
                }
            }
            Err(stall)
                if matches!(stall.why(), Why::Wait(WakeKey::Terminal(_)))
                    && read_from
                        .is_some_and(|end| terminal::is_over(system, call, end, this_turn > 0)) =>
            {
                return Ok(call.progress);
            }
            Err(stall) => return stalled(system, call, id, direction, stall),
        }
    }
}

/// Decides what a call that cannot go on now does: what it has, it may keep.
fn stalled<B: Block>(
    system: &mut System<B>,
    call: &Call,
    id: DescriptionId,
    direction: Direction,
    stall: Stall,
) -> Outcome {
    let done = call.progress;
    let stall = system.files.wait_or_again(id, stall);
    match stall.why() {
        Why::Error(errno) => {
            if direction == Direction::Write && (done == 0 || errno == Errno::EPIPE) {
                system.signal_unwritten(call, errno);
            }
            if done > 0 { Ok(done) } else { Err(stall) }
        }
        Why::Wait(WakeKey::PipeReadable(_)) if done > 0 => Ok(done),
        _ => Err(stall),
    }
}

impl<B: Block> System<B> {
    /// Sends a task the signal that comes with some reasons why it cannot write: nobody reads, or the file would be larger
    /// than the process may make one.
    pub(super) fn signal_unwritten(&mut self, call: &Call, errno: Errno) {
        let (largest, _) = self.process(call.process).map_or((u64::MAX, 0), |process| {
            process.limits.get(Resource::FILE_SIZE)
        });
        match errno {
            Errno::EPIPE => self.signal_self(call.task, number::PIPE),
            Errno::EFBIG if largest < FILE_BYTES => self.signal_self(call.task, number::XFSZ),
            _ => {}
        }
    }
}

/// Moves bytes of one page.
fn move_piece<B: Block>(
    system: &mut System<B>,
    call: &Call,
    id: DescriptionId,
    direction: Direction,
    (address, len): (UserAddr, usize),
    position: Option<u64>,
    whole: usize,
) -> Result<usize, Stall> {
    let access = match direction {
        Direction::Read => Access::Write,
        Direction::Write => Access::Read,
    };
    let span = system.span(call.space, address, len, access)?;
    if span.len == 0 {
        return Ok(0);
    }
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
    match direction {
        Direction::Read => files.read_span(&mut context, id, position, span),
        Direction::Write => files.write_span(&mut context, id, position, span, whole),
    }
}
