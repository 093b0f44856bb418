//! Limits of processes: getrlimit(2), setrlimit(2), prlimit(2).

use super::{Call, Outcome, clock};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::process::ProcessId;
use crate::rlimit::{Bounds, Resource};
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use agent::kernel::Pid;
use hal::block::Block;

fn resource(call: &Call, nth: usize) -> Result<Resource, Errno> {
    Resource::from_number(call.int(nth)).ok_or(Errno::EINVAL)
}

/// getrlimit(2).
pub(super) fn getrlimit<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let resource = resource(call, 0)?;
    let (soft, hard) = system.process(call.process)?.limits.get(resource);
    system.write_user(call.space, call.address(1), &clock::pair(soft, hard))?;
    Ok(0)
}

/// setrlimit(2).
pub(super) fn setrlimit<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let wanted = read(system, call, call.address(1))?;
    set(system, call, call.process, resource(call, 0)?, wanted)?;
    Ok(0)
}

/// prlimit64(2).
pub(super) fn prlimit64<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let resource = resource(call, 1)?;
    let mut wanted = None;
    if !call.address(2).is_null() {
        wanted = Some(read(system, call, call.address(2))?);
    }
    let id = target(system, call)?;
    let (soft, hard) = system.process(id)?.limits.get(resource);
    if let Some(wanted) = wanted {
        set(system, call, id, resource, wanted)?;
    }
    if !call.address(3).is_null() {
        system.write_user(call.space, call.address(3), &clock::pair(soft, hard))?;
    }
    Ok(0)
}

/// Returns whose limits argument 0 means: those of others are for who has all their ids, or may raise limits.
fn target<B: Block>(system: &System<B>, call: &Call) -> Result<ProcessId, Errno> {
    let own = system.process(call.process)?;
    if [0, own.pid.0].contains(&call.uint(0)) {
        return Ok(call.process);
    }
    let id = system.table.find(Pid(call.uint(0))).ok_or(Errno::ESRCH)?;
    let other = system.process(id)?;
    if other.view != own.view || !other.is_live() {
        return Err(Errno::ESRCH);
    }
    let (own, other) = (system.identity(call.process)?, system.identity(id)?);
    let is_same =
        other.user.list() == [own.user.real; 3] && other.group.list() == [own.group.real; 3];
    if is_same || own.can(Capabilities::SYS_RESOURCE) {
        Ok(id)
    } else {
        Err(Errno::EPERM)
    }
}

fn read<B: Block>(system: &mut System<B>, call: &Call, at: UserAddr) -> Result<(u64, u64), Stall> {
    let soft = system.read_u64(call.space, at)?;
    let hard = system.read_u64(call.space, at.offset(8)?)?;
    Ok((soft, hard))
}

/// Sets a limit. Who may raise one may do so again.
fn set<B: Block>(
    system: &mut System<B>,
    call: &Call,
    id: ProcessId,
    resource: Resource,
    (soft, hard): (u64, u64),
) -> Result<(), Errno> {
    if soft > hard {
        return Err(Errno::EINVAL);
    }
    let process = system.process(id)?;
    let may_raise = system
        .identity(call.process)?
        .can(Capabilities::SYS_RESOURCE);
    let is_raised = hard > process.limits.get(resource).1;
    if hard > resource.most() || is_raised && !may_raise {
        return Err(Errno::EPERM);
    }
    let process = system.process_mut(id)?;
    process.limits.set(resource, (soft, hard));
    system.apply_limits(id);
    Ok(())
}

impl<B: Block> System<B> {
    /// Lets a process's limits hold where its descriptors, its memory and its time are given. An address space that is shared
    /// keeps the bounds it was made with: whoever borrows it until it executes another program sets those of that one.
    pub(crate) fn apply_limits(&mut self, id: ProcessId) {
        let Ok(process) = self.process(id) else {
            return;
        };
        let (most, _) = process.limits.get(Resource::DESCRIPTORS);
        let (bounds, space) = (Bounds::new(&process.limits), process.space);
        if let Some(table) = process.files
            && let Ok(table) = self.files.table_mut(table)
        {
            table.set_limit(most as usize);
        }
        if let Some(space) = self.spaces.get_mut(space)
            && space.users == 1
        {
            space.bounds = bounds;
        }
        self.plan_looks(id);
    }
}
