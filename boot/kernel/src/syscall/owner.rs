//! The owner of an open file, who is told by a signal that there is something to be read: the part of fcntl(2) and ioctl(2)
//! that is about it.

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::owner_kind::{GROUP, PROCESS, TASK};
use crate::fs::{DescriptionId, FileOwner, OpenFlags, Setter};
use crate::system::System;
use hal::block::Block;

const SETOWN: i32 = 8;
const GETOWN: i32 = 9;
const SETSIG: i32 = 10;
const GETSIG: i32 = 11;
const SETOWN_EX: i32 = 15;
const GETOWN_EX: i32 = 16;

/// Signals there are.
const SIGNALS: u32 = 64;

/// Does what fcntl asks for; `None` when it is about something else.
pub(super) fn fcntl<B: Block>(
    system: &mut System<B>,
    call: &Call,
    id: DescriptionId,
) -> Option<Outcome> {
    matches!(call.int(1), SETOWN..=GETSIG | SETOWN_EX | GETOWN_EX).then(|| asked(system, call, id))
}

fn asked<B: Block>(system: &mut System<B>, call: &Call, id: DescriptionId) -> Outcome {
    // A path only has none.
    system.files.description_access(id)?;
    let mut owner = system.files.owner(id);
    let at = call.address(2);
    match call.int(1) {
        SETOWN => {
            let who = call.int(2);
            let kind = if who < 0 { GROUP } else { PROCESS };
            let number = who.checked_abs().ok_or(Errno::EINVAL)?;
            owner = owned(system, call, owner, kind, number)?;
        }
        SETOWN_EX => {
            let words = system.read_u64(call.space, at)?;
            owner = owned(system, call, owner, words as u32, (words >> 32) as i32)?;
        }
        SETSIG if call.number(2) > u64::from(SIGNALS) => return Err(Errno::EINVAL.into()),
        SETSIG => owner.signal = call.int(2) as u8,
        GETSIG => return Ok(owner.signal.into()),
        get => {
            let FileOwner { kind, number, .. } = owner;
            let number = if sees(system, call, kind, number) {
                number
            } else {
                0
            };
            if get == GETOWN {
                let number = i64::from(number);
                return Ok(if kind == GROUP { -number } else { number } as u64);
            }
            let words = u64::from(kind) | u64::from(number) << 32;
            system.write_user(call.space, at, &words.to_le_bytes())?;
            return Ok(0);
        }
    }
    system.files.set_owner_of(id, owner)?;
    Ok(0)
}

/// Returns an owner with this number, 0 for nobody.
fn owned<B: Block>(
    system: &System<B>,
    call: &Call,
    owner: FileOwner,
    kind: u32,
    number: i32,
) -> Result<FileOwner, Errno> {
    if ![TASK, PROCESS, GROUP].contains(&kind) {
        return Err(Errno::EINVAL);
    }
    let number = u32::try_from(number).map_err(|_| Errno::ESRCH)?;
    if number != 0 && !sees(system, call, kind, number) {
        return Err(Errno::ESRCH);
    }
    let own = &system.identity(call.process)?.user;
    let setter = Setter {
        users: [own.effective, own.real],
        view: system.process(call.process)?.view,
    };
    Ok(FileOwner {
        kind,
        number,
        setter,
        ..owner
    })
}

/// Returns whether the caller sees a task, a process or a group with this number.
fn sees<B: Block>(system: &System<B>, call: &Call, kind: u32, number: u32) -> bool {
    let found = system.owner_after(kind, number, 0);
    found.is_some_and(|(_, id, _)| system.view_of(id) == system.view_of(call.process))
}

/// Lets a file tell its owner, or not, for ioctl(2)'s FIOASYNC.
///
/// # Errors
///
/// ENOTTY for a file that has nothing to tell.
pub(super) fn set_telling<B: Block>(
    system: &mut System<B>,
    call: &Call,
    id: DescriptionId,
    tells: bool,
) -> Outcome {
    let table = system.table_of(call)?;
    let mut flags = system.files.description(table, call.int(0))?.1.flags;
    if flags.contains(OpenFlags::ASYNC) == tells {
        return Ok(0);
    }
    if !system.files.tells_owner(id) {
        return Err(Errno::ENOTTY.into());
    }
    flags.set(OpenFlags::ASYNC, tells);
    set_flags(system, call, id, flags)
}

/// Sets an open file's flags, and remembers by which descriptor it was asked to tell its owner.
pub(super) fn set_flags<B: Block>(
    system: &mut System<B>,
    call: &Call,
    id: DescriptionId,
    flags: OpenFlags,
) -> Outcome {
    if flags.contains(OpenFlags::ASYNC) && system.files.tells_owner(id) {
        let owner = system.files.owner(id);
        let fd = call.int(0);
        system.files.set_owner_of(id, FileOwner { fd, ..owner })?;
    }
    system.files.set_flags(id, flags)?;
    Ok(0)
}
