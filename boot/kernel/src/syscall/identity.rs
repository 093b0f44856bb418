//! Who am I? Process, thread, group, session, user and group ids.

use super::{Call, Outcome};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::identity::Ids;
use crate::system::System;
use agent::limits::MAX_GROUPS;
use hal::block::Block;

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

/// getuid(2).
pub(super) fn getuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.identity(call.process)?.user.real))
}

/// geteuid(2).
pub(super) fn geteuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.identity(call.process)?.user.effective))
}

/// getgid(2).
pub(super) fn getgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.identity(call.process)?.group.real))
}

/// getegid(2).
pub(super) fn getegid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    Ok(u64::from(system.identity(call.process)?.group.effective))
}

/// Which ids a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User,
    Group,
}

impl Kind {
    /// Returns the capability to take on any id.
    const fn capability(self) -> Capabilities {
        match self {
            Self::User => Capabilities::SETUID,
            Self::Group => Capabilities::SETGID,
        }
    }
}

/// setuid(2), setreuid(2), setresuid(2) and those for groups: as many ids as the call has.
fn set<B: Block>(system: &mut System<B>, call: &Call, kind: Kind, count: usize) -> Outcome {
    let identity = system.identity_mut(call.process)?;
    let (old, may_all) = (identity.user, identity.can(kind.capability()));
    let ids = match kind {
        Kind::User => &mut identity.user,
        Kind::Group => &mut identity.group,
    };
    let wanted = [0, 1, 2].map(|nth| call.uint(nth));
    *ids = match count {
        1 => ids.set(wanted[0], may_all),
        2 => ids.set_two([wanted[0], wanted[1]], may_all),
        _ => ids.set_three(wanted, may_all),
    }?;
    let before = (identity.files.uid, identity.files.gid);
    match kind {
        Kind::User => {
            identity.files.uid = identity.user.effective;
            identity.files.capabilities.change_users(old, identity.user);
        }
        Kind::Group => identity.files.gid = identity.group.effective,
    }
    if kind == Kind::User {
        // Without this one, which was another's until now.
        let is_crowded = system.excess_tasks(call.process)? > 1;
        system.identity_mut(call.process)?.is_crowded = is_crowded;
    }
    system.note_change(call, before)
}

impl<B: Block> System<B> {
    /// Keeps what a process has learnt as another from whom it acts for now (Linux `commit_creds`).
    fn note_change(&mut self, call: &Call, before: (u32, u32)) -> Outcome {
        let identity = self.identity_mut(call.process)?;
        if before != (identity.files.uid, identity.files.gid) {
            identity.is_secret = true;
            self.process_mut(call.process)?.kin.death_signal = None;
        }
        Ok(0)
    }
}

/// setuid(2).
pub(super) fn setuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, Kind::User, 1)
}

/// setreuid(2).
pub(super) fn setreuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, Kind::User, 2)
}

/// setresuid(2).
pub(super) fn setresuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, Kind::User, 3)
}

/// setgid(2).
pub(super) fn setgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, Kind::Group, 1)
}

/// setregid(2).
pub(super) fn setregid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, Kind::Group, 2)
}

/// setresgid(2).
pub(super) fn setresgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, Kind::Group, 3)
}

/// setfsuid(2): what was is what it returns; that it did nothing it does not say.
pub(super) fn setfsuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_for_files(system, call, Kind::User)
}

/// setfsgid(2).
pub(super) fn setfsgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_for_files(system, call, Kind::Group)
}

fn set_for_files<B: Block>(system: &mut System<B>, call: &Call, kind: Kind) -> Outcome {
    let wanted = call.uint(0);
    let identity = system.identity_mut(call.process)?;
    let before = (identity.files.uid, identity.files.gid);
    let may_all = identity.can(kind.capability());
    let (ids, own) = match kind {
        Kind::User => (identity.user, &mut identity.files.uid),
        Kind::Group => (identity.group, &mut identity.files.gid),
    };
    let old = *own;
    if wanted != u32::MAX && (may_all || ids.list().contains(&wanted)) {
        *own = wanted;
        if kind == Kind::User {
            identity.files.capabilities.change_file_user(old, wanted);
        }
    }
    system.note_change(call, before)?;
    Ok(u64::from(old))
}

/// getresuid(2).
pub(super) fn getresuid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let ids = system.identity(call.process)?.user;
    write_three(system, call, ids)
}

/// getresgid(2).
pub(super) fn getresgid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let ids = system.identity(call.process)?.group;
    write_three(system, call, ids)
}

fn write_three<B: Block>(system: &mut System<B>, call: &Call, ids: Ids) -> Outcome {
    for (nth, id) in ids.list().into_iter().enumerate() {
        system.write_user(call.space, call.address(nth), &id.to_le_bytes())?;
    }
    Ok(0)
}

/// getgroups(2).
pub(super) fn getgroups<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let room = call.int(0);
    let groups = system.identity(call.process)?.files.groups.clone();
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
    if !system.identity(call.process)?.can(Capabilities::SETGID) {
        return Err(Errno::EPERM.into());
    }
    let mut groups = heapless::Vec::new();
    for nth in 0..count {
        let at = call.address(1).offset(4 * nth as u64)?;
        let group = system.read_u32(call.space, at)?;
        groups.push(group).map_err(|_| Errno::EINVAL)?;
    }
    system.identity_mut(call.process)?.files.groups = groups;
    Ok(0)
}
