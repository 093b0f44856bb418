//! What tasks want of disks beside each other: said and told. Requests are taken as they come.

use super::priority::{Whose, next, whose};
use super::{Call, Outcome};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::system::System;
use hal::block::Block;

/// Where the class stands beside the level (linux/ioprio.h).
const CLASS_SHIFT: u32 = 13;
/// Levels of a class.
const LEVELS: u32 = 8;
/// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE`, `IOPRIO_CLASS_IDLE`.
const REAL_TIME: u32 = 1;
const BEST_EFFORT: u32 = 2;
const IDLE: u32 = 3;

/// ioprio_set(2).
pub(super) fn ioprio_set<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let wanted = u16::try_from(call.uint(2)).map_err(|_| Errno::EINVAL)?;
    let level = u32::from(wanted) & ((1 << CLASS_SHIFT) - 1);
    let may_be_first = Capabilities::SYS_ADMIN | Capabilities::SYS_NICE;
    match u32::from(wanted) >> CLASS_SHIFT {
        REAL_TIME if !system.identity(call.process)?.can_any(may_be_first) => {
            return Err(Errno::EPERM.into());
        }
        REAL_TIME | BEST_EFFORT if level < LEVELS => {}
        IDLE => {}
        0 if level == 0 => {}
        _ => return Err(Errno::EINVAL.into()),
    }
    let mut outcome = Err(Errno::ESRCH);
    let whose = whose(system, call, call.int(0).wrapping_sub(1))?;
    let mut at = None;
    while let Some(id) = next(system, call, whose, at) {
        system.check_owner(call, id)?;
        system.task_mut(id)?.priority.io = wanted;
        outcome = Ok(0);
        at = Some(id);
    }
    Ok(outcome?)
}

/// ioprio_get(2): of several tasks, that of the first in line.
pub(super) fn ioprio_get<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let whose = whose(system, call, call.int(0).wrapping_sub(1))?;
    let mut first = None;
    let mut at = None;
    while let Some(id) = next(system, call, whose, at) {
        at = Some(id);
        let priority = system.task_mut(id)?.priority;
        let said = match priority.io {
            0 if !matches!(whose, Whose::Task(_)) => {
                // By how nice it is.
                (BEST_EFFORT << CLASS_SHIFT) + (i32::from(priority.nice) + 20) as u32 / 5
            }
            said => said.into(),
        };
        first = Some(first.map_or(said, |first: u32| first.min(said)));
    }
    Ok(first.ok_or(Errno::ESRCH)?.into())
}
