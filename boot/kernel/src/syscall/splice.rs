//! Bytes moved to, from and between pipes: splice, tee, vmsplice. They are copied; nothing but the calls' rules is different
//! from reading and writing.

use super::copy::{Patience, Way, check_access, copy};
use super::{Call, Outcome, transfer};
use crate::errno::Errno;
use crate::fs::Access;
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::Why;
use hal::block::Block;

/// `SPLICE_F_NONBLOCK`, and all flags there are (linux/splice.h).
const NONBLOCK: u32 = 2;
const FLAGS: u32 = 0xf;

/// How patient a call is by its flags.
const fn patience(flags: u32) -> Patience {
    if flags & NONBLOCK == 0 {
        Patience::Part
    } else {
        Patience::None
    }
}

/// splice(2).
pub(super) fn splice<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = call.uint(5);
    if call.number(4) == 0 {
        return Ok(0);
    }
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    let way = Way::of(system, call, patience(flags))?;
    check_access(system, way)?;
    let pipes = [system.files.pipe_of(way.from), system.files.pipe_of(way.to)];
    let positions = [way.from_position, way.to_position];
    if pipes
        .iter()
        .zip(positions)
        .any(|(pipe, at)| pipe.is_some() && !at.is_null())
    {
        return Err(Errno::ESPIPE.into());
    }
    match pipes {
        [None, None] => return Err(Errno::EINVAL.into()),
        [one, other] if one == other => return Err(Errno::EINVAL.into()),
        [Some(_), None] if system.files.is_appending(way.to) => {
            return Err(Errno::EINVAL.into());
        }
        _ => {}
    }
    copy(system, call, way)
}

/// tee(2).
pub(super) fn tee<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (len, flags) = (call.size(2)?, call.uint(3));
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    let way = Way {
        from: system.open_file(call, 0)?,
        from_position: UserAddr::NULL,
        to: system.open_file(call, 1)?,
        to_position: UserAddr::NULL,
        len,
        patience: patience(flags),
        keeps: true,
    };
    check_access(system, way)?;
    match (system.files.pipe_of(way.from), system.files.pipe_of(way.to)) {
        (Some(from), Some(to)) if from != to => copy(system, call, way),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// vmsplice(2): writev(2) to a pipe, or readv(2) from one.
pub(super) fn vmsplice<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = call.uint(3);
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (id, access) = system.open_content(call, 0)?;
    if system.files.pipe_of(id).is_none() {
        return Err(Errno::EBADF.into());
    }
    let moved = if access.contains(Access::WRITE) {
        transfer::writev(system, call)
    } else {
        transfer::readv(system, call)
    };
    match moved {
        Err(stall) if matches!(stall.why(), Why::Wait(_)) && flags & NONBLOCK != 0 => {
            match call.progress {
                0 => Err(Errno::EAGAIN.into()),
                done => Ok(done),
            }
        }
        moved => moved,
    }
}
