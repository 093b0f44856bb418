//! Process groups and sessions.

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::process::{Process, ProcessId};
use crate::system::System;
use agent::kernel::Pid;
use hal::block::Block;

/// Returns the process a pid argument names; 0 is the caller.
fn named<B: Block>(system: &System<B>, call: &Call, nth: usize) -> Result<ProcessId, Errno> {
    match call.int(nth) {
        0 => Ok(call.process),
        pid => u32::try_from(pid)
            .ok()
            .and_then(|pid| system.table.find(Pid(pid)))
            .ok_or(Errno::ESRCH),
    }
}

fn visible<'a, B: Block>(
    system: &'a System<B>,
    call: &Call,
    nth: usize,
) -> Result<&'a Process, Errno> {
    let process = system.process(named(system, call, nth)?)?;
    let own = system.process(call.process)?;
    if process.view == own.view {
        Ok(process)
    } else {
        Err(Errno::ESRCH)
    }
}

/// getpgrp(2).
pub(super) fn getpgrp<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.process(call.process)?.group))
}

/// getpgid(2).
pub(super) fn getpgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(visible(system, call, 0)?.group))
}

/// getsid(2).
pub(super) fn getsid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(visible(system, call, 0)?.session))
}

/// setpgid(2): oneself, or a child that runs the same program still.
pub(super) fn setpgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let pid = call.int(0);
    let group = call.int(1);
    // A group of 0 is the process's number.
    if group < 0 || group == 0 && pid < 0 {
        return Err(Errno::EINVAL.into());
    }
    let target = named(system, call, 0)?;
    let (caller, process) = (system.process(call.process)?, system.process(target)?);
    let session = caller.session;
    if target != call.process {
        if process.kin.parent != caller.pid.0 {
            return Err(Errno::ESRCH.into());
        }
        if process.session != session {
            return Err(Errno::EPERM.into());
        }
        if process.job.has_executed {
            return Err(Errno::EACCES.into());
        }
    }
    let own = process.pid.0;
    let group = if group == 0 { own } else { group as u32 };
    let may_join = group == own || system.table.has_group(group, session);
    if process.session == own || !may_join {
        return Err(Errno::EPERM.into());
    }
    system.process_mut(target)?.group = group;
    Ok(0)
}

/// setsid(2).
pub(super) fn setsid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let own = system.process(call.process)?.pid.0;
    if system.table.leads_group(own) {
        return Err(Errno::EPERM.into());
    }
    let process = system.process_mut(call.process)?;
    process.group = own;
    process.session = own;
    process.job.is_detached = false;
    Ok(u64::from(own))
}
