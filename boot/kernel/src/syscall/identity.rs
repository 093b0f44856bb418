//! Who am I? Process, thread, group, session, user and group ids.
//!
//! A process has one user id and one group id: real, effective and saved are the same. Only root may change them, and
//! then all at once; asking for the ids one has is always right.

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::process::{Process, ProcessId};
use crate::system::System;
use agent::kernel::Pid;
use agent::limits::MAX_GROUPS;
use hal::block::Block;

/// "Leave it as it is" in setresuid(2) and its kin.
const UNCHANGED: u32 = u32::MAX;

/// getpid(2).
pub(super) fn getpid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.process(call.process)?.pid.0))
}

/// gettid(2).
pub(super) fn gettid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.task_mut(call.task)?.tid))
}

/// getppid(2); 0 when the parent is outside, as in a process namespace.
pub(super) fn getppid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.process(call.process)?.kin.parent))
}

/// getuid(2), geteuid(2).
pub(super) fn getuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.credentials(call.process)?.uid))
}

/// getgid(2), getegid(2).
pub(super) fn getgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.credentials(call.process)?.gid))
}

/// setuid(2), setreuid(2), setresuid(2): as many ids as the call has.
fn set_uid<B: Block>(system: &mut System<B>, call: &Call, count: usize) -> Outcome {
    let credentials = system.credentials_mut(call.process)?;
    let known = credentials.uid;
    credentials.uid = new_id(call, count, known, Rights::of(known))?;
    Ok(0)
}

fn set_gid<B: Block>(system: &mut System<B>, call: &Call, count: usize) -> Outcome {
    let credentials = system.credentials_mut(call.process)?;
    let rights = Rights::of(credentials.uid);
    credentials.gid = new_id(call, count, credentials.gid, rights)?;
    Ok(0)
}

/// Whose ids a process may take on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    /// Any.
    Root,
    /// Its own.
    User,
}

impl Rights {
    const fn of(uid: u32) -> Self {
        if uid == 0 { Self::Root } else { Self::User }
    }
}

/// Returns the id that the first `count` arguments agree on.
fn new_id(call: &Call, count: usize, known: u32, rights: Rights) -> Result<u32, Errno> {
    let mut wanted = (0..count)
        .map(|nth| call.uint(nth))
        .filter(|&id| id != UNCHANGED);
    let Some(id) = wanted.next() else {
        return if count == 1 {
            Err(Errno::EINVAL)
        } else {
            Ok(known)
        };
    };
    if wanted.any(|other| other != id) {
        // Different real, effective and saved ids are more than a process has here.
        return Err(Errno::EPERM);
    }
    if id == known || rights == Rights::Root {
        Ok(id)
    } else {
        Err(Errno::EPERM)
    }
}

/// setuid(2).
pub(super) fn setuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_uid(system, call, 1)
}

/// setreuid(2).
pub(super) fn setreuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_uid(system, call, 2)
}

/// setresuid(2).
pub(super) fn setresuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_uid(system, call, 3)
}

/// setgid(2).
pub(super) fn setgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_gid(system, call, 1)
}

/// setregid(2).
pub(super) fn setregid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_gid(system, call, 2)
}

/// setresgid(2).
pub(super) fn setresgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_gid(system, call, 3)
}

/// getresuid(2).
pub(super) fn getresuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let id = system.credentials(call.process)?.uid;
    write_three(system, call, id)
}

/// getresgid(2).
pub(super) fn getresgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let id = system.credentials(call.process)?.gid;
    write_three(system, call, id)
}

fn write_three<B: Block>(system: &mut System<B>, call: &Call, id: u32) -> Outcome {
    for nth in 0..3 {
        system.write_user(call.space, call.address(nth), &id.to_le_bytes())?;
    }
    Ok(0)
}

/// getgroups(2).
pub(super) fn getgroups<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let room = call.int(0);
    let groups = system.credentials(call.process)?.groups.clone();
    if room == 0 {
        return Ok(groups.len() as u64);
    }
    if usize::try_from(room).is_ok_and(|room| room >= groups.len()) {
        for (nth, group) in groups.iter().enumerate() {
            let at = call.address(1).offset(4 * nth as u64)?;
            system.write_user(call.space, at, &group.to_le_bytes())?;
        }
        return Ok(groups.len() as u64);
    }
    Err(Errno::EINVAL.into())
}

/// setgroups(2).
pub(super) fn setgroups<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let count = usize::try_from(call.int(0))
        .ok()
        .filter(|&count| count <= MAX_GROUPS)
        .ok_or(Errno::EINVAL)?;
    if system.credentials(call.process)?.uid != 0 {
        return Err(Errno::EPERM.into());
    }
    let mut groups = heapless::Vec::new();
    for nth in 0..count {
        let at = call.address(1).offset(4 * nth as u64)?;
        let group = system.read_u32(call.space, at)?;
        groups.push(group).map_err(|_| Errno::EINVAL)?;
    }
    system.credentials_mut(call.process)?.groups = groups;
    Ok(0)
}

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
