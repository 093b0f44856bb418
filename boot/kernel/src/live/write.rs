//! What programs write to texts of `/proc`.

use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::{Owner, Written};
use crate::out_of_memory::Blame;
use crate::syscall::{Call, Outcome, TASK_NAME_BYTES};
use crate::system::System;
use crate::task::TaskId;
use crate::user_memory::UserAddr;
use hal::block::Block;

/// Writes to a text. All of it is taken, as of a line; what is behind the longest name or number there can be means nothing.
///
/// # Errors
///
/// EINVAL for what makes no sense there, EACCES for what may not be, ESRCH when it is about nobody any more.
pub(crate) fn write<B: Block>(
    system: &mut System<B>,
    call: &Call,
    (written, owner): (Written, Owner),
    (address, len): (UserAddr, usize),
) -> Outcome {
    let mut bytes = [0; TASK_NAME_BYTES - 1];
    let bytes = &mut bytes[..len.min(TASK_NAME_BYTES - 1)];
    system.read_user(call.space, address, bytes)?;
    let id = system.table.find(owner.pid).ok_or(Errno::ESRCH)?;
    match written {
        Written::Name => {
            let leader = system.process(id)?.leader;
            let named = match owner.tid {
                0 => leader,
                tid => system.table.find_task(tid),
            };
            let named: TaskId = named.ok_or(Errno::ESRCH)?;
            // Others are called what they say themselves.
            if id != call.process || system.task_mut(named)?.process != id {
                return Err(Errno::EINVAL.into());
            }
            system.name_task(named, bytes)?;
        }
        Written::Blame => {
            let text = core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
            let adjustment = text.trim().parse().map_err(|_| Errno::EINVAL)?;
            if !(-Blame::MOST..=Blame::MOST).contains(&adjustment) {
                return Err(Errno::EINVAL.into());
            }
            let may_lower = system
                .identity(call.process)?
                .can(Capabilities::SYS_RESOURCE);
            let blame = &mut system.process_mut(id)?.blame;
            if adjustment < blame.least && !may_lower {
                return Err(Errno::EACCES.into());
            }
            blame.adjustment = adjustment;
            if may_lower {
                blame.least = adjustment;
            }
        }
    }
    Ok(len as u64)
}
