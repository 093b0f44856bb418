//! Locks of files: flock(2), and fcntl(2)'s of ranges.

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::{Access, DescriptionId, InodeId, LAST_BYTE, Lock, LockKind, LockOwner};
use crate::limits::MAX_LOCK_WAITS;
use crate::system::System;
use crate::task::Activity;
use crate::wait::{Stall, WakeKey};
use hal::block::Block;

/// fcntl(2)'s commands on locks (asm-generic/fcntl.h).
pub(super) const GETLK: i32 = 5;
pub(super) const SETLKW: i32 = 7;
pub(super) const OFD_GETLK: i32 = 36;
pub(super) const OFD_SETLKW: i32 = 38;

/// The number of fcntl(2).
const FCNTL: u32 = 72;

/// `F_RDLCK`, `F_WRLCK`, `F_UNLCK`.
const READ: u16 = 0;
const WRITE: u16 = 1;
const UNLOCK: u16 = 2;

/// Bytes of `struct flock`, and where its fields are.
const FLOCK_BYTES: usize = 32;
const START: usize = 8;
const LENGTH: usize = 16;
const PID: usize = 24;

/// flock(2).
pub(super) fn flock<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const SHARED: i32 = 1;
    const EXCLUSIVE: i32 = 2;
    const NONBLOCK: i32 = 4;
    const UNLOCK: i32 = 8;
    let kind = match call.int(1) & !NONBLOCK {
        SHARED => Some(LockKind::Shared),
        EXCLUSIVE => Some(LockKind::Exclusive),
        UNLOCK => None,
        _ => return Err(Errno::EINVAL.into()),
    };
    let (id, _) = system.open_content(call, 0)?;
    let file = system.files.locked_file(id)?;
    let pid = system.process(call.process)?.pid.0;
    let lock = Lock::whole(LockOwner::Whole(id), kind.unwrap_or(LockKind::Shared), pid);
    let mut parts = system.file_parts(call.process)?;
    let conflict = kind.and_then(|_| parts.files.find_conflict(file, &lock));
    if kind.is_some() && conflict.is_none() {
        parts.files.set_lock(&mut parts.context, file, lock)?;
        return Ok(0);
    }
    // One of another kind goes before the new one is waited for, so that two who change theirs do not wait for ever.
    parts.files.clear_lock(&mut parts.context, file, &lock)?;
    match conflict {
        None => Ok(0),
        Some(_) if call.int(1) & NONBLOCK != 0 => Err(Errno::EAGAIN.into()),
        Some(_) => Err(Stall::wait(WakeKey::Lock(file.index()))),
    }
}

/// The part of fcntl(2) that locks ranges.
pub(super) fn range<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    id: DescriptionId,
) -> Outcome {
    let command = call.int(1);
    let (_, access) = system.open_content(call, 0)?;
    let mut bytes = [0; FLOCK_BYTES];
    system.read_user(call.space, call.address(2), &mut bytes)?;
    let is_of_file = command >= OFD_GETLK;
    if is_of_file && bytes[PID..PID + 4] != [0; 4] {
        return Err(Errno::EINVAL.into());
    }
    let owner = if is_of_file {
        LockOwner::File(id)
    } else {
        LockOwner::Table(system.table_of(call)?)
    };
    let (start, last) = span(system, id, &bytes)?;
    let wanted = u16::from_le_bytes([bytes[0], bytes[1]]);
    let lock = Lock {
        owner,
        kind: if wanted == WRITE {
            LockKind::Exclusive
        } else {
            LockKind::Shared
        },
        start,
        last,
        pid: system.process(call.process)?.pid.0,
    };
    let file = system.files.locked_file(id)?;
    if matches!(command, GETLK | OFD_GETLK) {
        if wanted > WRITE {
            return Err(Errno::EINVAL.into());
        }
        describe(&mut bytes, system.files.find_conflict(file, &lock));
        system.write_user(call.space, call.address(2), &bytes)?;
        return Ok(0);
    }
    let needed = match wanted {
        READ => Access::READ,
        WRITE => Access::WRITE,
        UNLOCK => Access::empty(),
        _ => return Err(Errno::EINVAL.into()),
    };
    if !access.contains(needed) {
        return Err(Errno::EBADF.into());
    }
    if wanted != UNLOCK
        && let Some(held) = system.files.find_conflict(file, &lock)
    {
        return wait(system, call, file, held);
    }
    let mut parts = system.file_parts(call.process)?;
    if wanted == UNLOCK {
        parts.files.clear_lock(&mut parts.context, file, &lock)?;
    } else {
        parts.files.set_lock(&mut parts.context, file, lock)?;
    }
    Ok(0)
}

/// Decides what a call does that cannot have its lock because of one that is held.
fn wait<B: Block>(system: &System<B>, call: &mut Call, file: InodeId, held: Lock) -> Outcome {
    match call.int(1) {
        SETLKW | OFD_SETLKW => {}
        _ => return Err(Errno::EAGAIN.into()),
    }
    if let (SETLKW, LockOwner::Table(table)) = (call.int(1), held.owner) {
        // Whoever looks for a circle of waiters finds here whom this one waits for.
        call.progress = table.bits();
        if closes_circle(system, table.bits(), system.table_of(call)?.bits()) {
            return Err(Errno::EDEADLK.into());
        }
    }
    Err(Stall::wait(WakeKey::Lock(file.index())))
}

/// Returns whether the owner of a lock waits for `asker`, itself or through others that wait. A waiter that was woken and has
/// not looked again yet waits for nobody: should it have to wait again, it finds the circle itself.
fn closes_circle<B: Block>(system: &System<B>, mut owner: u64, asker: u64) -> bool {
    for _ in 0..MAX_LOCK_WAITS {
        if owner == asker {
            return true;
        }
        let waits_for = system.table.tasks.iter().find_map(|(_, task)| {
            let call = task.call.as_ref()?;
            let waits = matches!(
                task.activity,
                Activity::Parked {
                    key: WakeKey::Lock(_),
                    ..
                }
            ) && (call.number, call.int(1)) == (FCNTL, SETLKW)
                && call.progress != 0;
            let table = system.table.processes.get(task.process)?.files?;
            (waits && table.bits() == owner).then_some(call.progress)
        });
        match waits_for {
            Some(next) => owner = next,
            None => return false,
        }
    }
    false
}

/// Reads the bytes `struct flock` means: the first and the last.
fn span<B: Block>(
    system: &System<B>,
    id: DescriptionId,
    bytes: &[u8; FLOCK_BYTES],
) -> Result<(u64, u64), Errno> {
    let field = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        i64::from_le_bytes(word)
    };
    let base = system
        .files
        .offset_from(id, u16::from_le_bytes([bytes[2], bytes[3]]))?;
    let start = base.checked_add(field(START)).ok_or(Errno::EOVERFLOW)?;
    let length = field(LENGTH);
    if start < 0 {
        return Err(Errno::EINVAL);
    }
    let (first, last) = match length {
        0 => (start, LAST_BYTE as i64),
        1.. => (
            start,
            start.checked_add(length - 1).ok_or(Errno::EOVERFLOW)?,
        ),
        _ => (start.checked_add(length).ok_or(Errno::EINVAL)?, start - 1),
    };
    let first = u64::try_from(first).map_err(|_| Errno::EINVAL)?;
    Ok((first, last as u64))
}

/// Writes a lock, or that there is none, into `struct flock`.
fn describe(bytes: &mut [u8; FLOCK_BYTES], held: Option<Lock>) {
    let Some(held) = held else {
        bytes[..2].copy_from_slice(&UNLOCK.to_le_bytes());
        return;
    };
    let kind = match held.kind {
        LockKind::Shared => READ,
        LockKind::Exclusive => WRITE,
    };
    let length = match held.last {
        LAST_BYTE => 0,
        last => last - held.start + 1,
    };
    let pid = match held.owner {
        LockOwner::Table(_) => held.pid,
        // An open file is nobody's.
        LockOwner::File(_) | LockOwner::Whole(_) => u32::MAX,
    };
    bytes[..2].copy_from_slice(&kind.to_le_bytes());
    bytes[2..4].fill(0);
    bytes[START..START + 8].copy_from_slice(&held.start.to_le_bytes());
    bytes[LENGTH..LENGTH + 8].copy_from_slice(&length.to_le_bytes());
    bytes[PID..PID + 4].copy_from_slice(&pid.to_le_bytes());
}
