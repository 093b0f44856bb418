//! Copies from file to file inside the kernel: sendfile, copy_file_range.

use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::fs::{DescriptionId, Span};
use crate::limits::WORK_BYTES;
use crate::system::{FileParts, System};
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// Where to read and write, and where positions of the program's own are kept.
#[derive(Clone, Copy, Debug)]
struct Way {
    from: DescriptionId,
    from_position: UserAddr,
    to: DescriptionId,
    to_position: UserAddr,
    len: usize,
}

/// sendfile(2).
pub(super) fn sendfile<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let way = Way {
        to: system.open_file(call, 0)?,
        to_position: UserAddr::NULL,
        from: system.open_file(call, 1)?,
        from_position: call.address(2),
        len: call.size(3)?,
    };
    copy(system, call, way)
}

/// copy_file_range(2).
pub(super) fn copy_file_range<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if call.number(5) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let way = Way {
        from: system.open_file(call, 0)?,
        from_position: call.address(1),
        to: system.open_file(call, 2)?,
        to_position: call.address(3),
        len: call.size(4)?,
    };
    copy(system, call, way)
}

/// Copies page by page through a frame of the kernel's own. Bytes are taken from the source at a position, and its
/// offset moves on only as far as the target took them.
fn copy<B: Block>(system: &mut System<B>, call: &mut Call, way: Way) -> Outcome {
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
            Err(stall) if stall.is_error() && call.progress > 0 => break,
            Err(stall) => {
                let stall = system.files.wait_or_again(way.to, stall);
                return if stall.is_error() && call.progress > 0 {
                    Ok(call.progress)
                } else {
                    Err(stall)
                };
            }
        }
    }
    Ok(call.progress)
}

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
    let start = match from_position {
        Some(position) => position,
        None => files.offset_for_copy(way.from)?,
    };
    let frame = files.take_frame(&mut context)?;
    let moved = files
        .read_span(
            &mut context,
            way.from,
            Some(start),
            Span {
                frame: frame.by_ref(),
                offset: 0,
                len: count,
            },
        )
        .and_then(|len| {
            if len == 0 {
                return Ok(0);
            }
            let span = Span {
                frame: frame.by_ref(),
                offset: 0,
                len,
            };
            files.write_span(&mut context, way.to, to_position, span, len)
        });
    context.pool.release(frame);
    let moved = moved?;
    let end = start + moved as u64;
    match from_position {
        None => files.skip_entry(way.from, end),
        Some(_) => system.write_user(call.space, way.from_position, &end.to_le_bytes())?,
    }
    if let Some(position) = to_position {
        let end = position + moved as u64;
        system.write_user(call.space, way.to_position, &end.to_le_bytes())?;
    }
    Ok(moved)
}
