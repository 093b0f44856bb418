//! Copies from file to file inside the kernel: sendfile, copy_file_range, and what splice is made of.

use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::fs::{Access, DescriptionId, Kind, Span};
use crate::limits::WORK_BYTES;
use crate::system::{FileParts, System};
use crate::user_memory::UserAddr;
use crate::wait::{Stall, Why};
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// What becomes of a copy that has got something and would have to wait for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It waits until all is copied.
    Whole,
    /// It ends; only for the first bytes it waits.
    Part,
    /// It ends, and does not wait for the first bytes either.
    None,
}

/// Where to read and write, and where positions of the program's own are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) from: DescriptionId,
    pub(super) from_position: UserAddr,
    pub(super) to: DescriptionId,
    pub(super) to_position: UserAddr,
    pub(super) len: usize,
    pub(super) patience: Patience,
    /// What was read stays: of a pipe, so that the next read gets it too (tee).
    pub(super) keeps: bool,
}

impl Way {
    /// The way of a call that names two files, each with a position, and a length.
    pub(super) fn of<B: Block>(
        system: &System<B>,
        call: &Call,
        patience: Patience,
    ) -> Result<Self, Errno> {
        Ok(Self {
            from: system.open_file(call, 0)?,
            from_position: call.address(1),
            to: system.open_file(call, 2)?,
            to_position: call.address(3),
            len: call.size(4)?,
            patience,
            keeps: false,
        })
    }
}

/// sendfile(2).
pub(super) fn sendfile<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let way = Way {
        to: system.open_file(call, 0)?,
        to_position: UserAddr::NULL,
        from: system.open_file(call, 1)?,
        from_position: call.address(2),
        len: call.size(3)?,
        patience: Patience::Whole,
        keeps: false,
    };
    if !way.from_position.is_null() && system.files.pipe_of(way.from).is_some() {
        return Err(Errno::ESPIPE.into());
    }
    system.files.offset_for_copy(way.from)?;
    copy(system, call, way)
}

/// copy_file_range(2), between regular files.
pub(super) fn copy_file_range<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if call.number(5) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let way = Way::of(system, call, Patience::Whole)?;
    if call.progress == 0 {
        check_range(system, call, way)?;
    }
    copy(system, call, way)
}

/// Checks what copy_file_range(2) can copy: parts of regular files that do not overlap.
fn check_range<B: Block>(system: &mut System<B>, call: &Call, way: Way) -> Result<(), Stall> {
    let parts = system.file_parts(call.process)?;
    let from = parts.files.attributes_of(&parts.context, way.from)?;
    let to = parts.files.attributes_of(&parts.context, way.to)?;
    let kinds = [from.kind, to.kind];
    if kinds.contains(&Kind::Directory) {
        return Err(Errno::EISDIR.into());
    }
    if kinds != [Kind::Regular; 2] {
        return Err(Errno::EINVAL.into());
    }
    check_access(system, way)?;
    if system.files.is_appending(way.to) {
        return Err(Errno::EBADF.into());
    }
    let mut start = |id, at| -> Result<u64, Stall> {
        match position(system, call, at)? {
            Some(position) => Ok(position),
            None => Ok(system.files.offset_for_copy(id)?),
        }
    };
    let (source, target) = (
        start(way.from, way.from_position)?,
        start(way.to, way.to_position)?,
    );
    let len = way.len as u64;
    if source.checked_add(len).is_none() || target.checked_add(len).is_none() {
        return Err(Errno::EOVERFLOW.into());
    }
    let is_same = (from.device, from.number) == (to.device, to.number);
    if is_same && source < target + len && target < source + len {
        return Err(Errno::EINVAL.into());
    }
    Ok(())
}

/// Checks that a copy may read here and write there.
pub(super) fn check_access<B: Block>(system: &System<B>, way: Way) -> Result<(), Errno> {
    let reads = system.files.description_access(way.from)?;
    let writes = system.files.description_access(way.to)?;
    if reads.contains(Access::READ) && writes.contains(Access::WRITE) {
        Ok(())
    } else {
        Err(Errno::EBADF)
    }
}

/// Copies page by page through a frame of the kernel's own. Bytes are taken from the source only as far as the target took
/// them.
pub(super) fn copy<B: Block>(system: &mut System<B>, call: &mut Call, way: Way) -> Outcome {
    let len = way.len.min(super::transfer::MAX_TRANSFER);
    let mut this_turn = 0;
    while (call.progress as usize) < len {
        if this_turn >= WORK_BYTES {
            return Err(Stall::AGAIN);
        }
        let count = (len - call.progress as usize).min(PAGE_BYTES);
        match copy_page(system, call, way, count) {
            Ok(0) => break,
            Ok(count) => {
                call.progress += count as u64;
                call.restart = Restart::Keeps;
                this_turn += count;
            }
            Err(stall) => return stopped(system, call, way, stall),
        }
    }
    Ok(call.progress)
}

/// Decides what a copy that cannot go on now does.
fn stopped<B: Block>(system: &mut System<B>, call: &Call, way: Way, stall: Stall) -> Outcome {
    let mut stall = system.files.wait_or_again(way.to, stall);
    if way.patience != Patience::Whole {
        stall = system.files.wait_or_again(way.from, stall);
    }
    let why = stall.why();
    let ends = match why {
        Why::Error(_) => true,
        Why::Wait(_) => way.patience != Patience::Whole,
        Why::Again => false,
    };
    if let Why::Error(errno) = why
        && (call.progress == 0 || errno == Errno::EPIPE)
    {
        system.signal_unwritten(call, errno);
    }
    if ends && call.progress > 0 {
        return Ok(call.progress);
    }
    match (why, way.patience) {
        (Why::Wait(_), Patience::None) if !stall.is_of_disk() => Err(Errno::EAGAIN.into()),
        _ => Err(stall),
    }
}

/// Reads a position a program keeps; `None` when it keeps none.
fn position<B: Block>(
    system: &mut System<B>,
    call: &Call,
    at: UserAddr,
) -> Result<Option<u64>, Stall> {
    if at.is_null() {
        return Ok(None);
    }
    let position = system.read_u64(call.space, at)?;
    // Written back as it is: so its pages are there and can be written before any byte moves.
    system.write_user(call.space, at, &position.to_le_bytes())?;
    if position > i64::MAX as u64 {
        return Err(Errno::EINVAL.into());
    }
    Ok(Some(position))
}

fn copy_page<B: Block>(
    system: &mut System<B>,
    call: &Call,
    way: Way,
    count: usize,
) -> Result<usize, Stall> {
    let from_position = position(system, call, way.from_position)?;
    let to_position = position(system, call, way.to_position)?;
    let FileParts {
        files, mut context, ..
    } = system.file_parts(call.process)?;
    let context = &mut context;
    let pipe = files.pipe_of(way.from);
    let start = match (from_position, files.offset_for_copy(way.from)) {
        (Some(position), _) => Some(position),
        // What has no offset gives its bytes only once.
        (None, offset) => offset.ok(),
    };
    let count = match files.pipe_of(way.to) {
        // So that what was read finds room.
        Some(to) => count.min(files.pipes.room(to)?),
        None => count,
    };
    let frame = files.take_frame(context)?;
    let span = |len| Span {
        frame: frame.by_ref(),
        offset: 0,
        len,
    };
    let read = match pipe {
        Some(pipe) => {
            let skip = if way.keeps { call.progress as usize } else { 0 };
            files.pipes.copy_out(context, pipe, skip, span(count))
        }
        None => files.read_span(context, way.from, start, span(count)),
    };
    let moved = read.and_then(|len| match len {
        0 => Ok(0),
        // More than what is written as one piece or not at all.
        len => files.write_span(context, way.to, to_position, span(len), usize::MAX),
    });
    context.pool.release(frame);
    let moved = moved?;
    if let Some(pipe) = pipe.filter(|_| !way.keeps) {
        files.pipes.take(context, pipe, moved);
    }
    if let Some(end) = start.map(|start| start + moved as u64) {
        match from_position {
            None => files.skip_entry(way.from, end),
            Some(_) => system.write_user(call.space, way.from_position, &end.to_le_bytes())?,
        }
    }
    if let Some(position) = to_position {
        let end = position + moved as u64;
        system.write_user(call.space, way.to_position, &end.to_le_bytes())?;
    }
    Ok(moved)
}
