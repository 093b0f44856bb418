//! Which capabilities a process has, and which it gives up: capget(2), capset(2), and those of prctl(2).

use super::{Call, Outcome};
use crate::capability::{Capabilities, Secure};
use crate::errno::Errno;
use crate::system::System;
use agent::kernel::Pid;
use hal::block::Block;

/// Versions of the header (linux/capability.h): sets of 32 bits, and twice of 64.
const VERSION_1: u32 = 0x1998_0330;
const VERSION_2: u32 = 0x2007_1026;
const VERSION_3: u32 = 0x2008_0522;

/// Reads the header: how many words each set has, and whose they are. An unknown version is told the known one.
fn header<B: Block>(
    system: &mut System<B>,
    call: &Call,
) -> Result<(usize, i32), crate::wait::Stall> {
    let at = call.address(0);
    let words = match system.read_u32(call.space, at)? {
        VERSION_1 => 1,
        VERSION_2 | VERSION_3 => 2,
        _ => {
            system.write_user(call.space, at, &VERSION_3.to_le_bytes())?;
            return Err(Errno::EINVAL.into());
        }
    };
    let pid = system.read_u32(call.space, at.offset(4)?)? as i32;
    Ok((words, pid))
}

/// capget(2).
pub(super) fn capget<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (words, pid) = match header(system, call) {
        // It is the version that was asked for.
        Err(stall) if stall.errno() == Some(Errno::EINVAL) && call.address(1).is_null() => {
            return Ok(0);
        }
        header => header?,
    };
    let process = match pid {
        ..0 => return Err(Errno::EINVAL.into()),
        0 => call.process,
        tid => match system.table.find_task(tid as u32) {
            Some(task) => system.task_mut(task)?.process,
            None => system.table.find(Pid(tid as u32)).ok_or(Errno::ESRCH)?,
        },
    };
    if system.process(process)?.view != system.process(call.process)?.view {
        return Err(Errno::ESRCH.into());
    }
    let sets = &system.identity(process)?.files.capabilities;
    let sets = [sets.effective, sets.permitted, sets.inheritable];
    for nth in 0..words {
        for (field, set) in sets.into_iter().enumerate() {
            let at = call.address(1).offset(4 * (3 * nth + field) as u64)?;
            let word = (set.bits() >> (32 * nth)) as u32;
            system.write_user(call.space, at, &word.to_le_bytes())?;
        }
    }
    Ok(0)
}

/// capset(2).
pub(super) fn capset<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (words, pid) = header(system, call)?;
    let own = system.task_mut(call.task)?.tid;
    if pid != 0 && pid as u32 != own {
        return Err(Errno::EPERM.into());
    }
    let mut sets = [0_u64; 3];
    for nth in 0..words {
        for (field, set) in sets.iter_mut().enumerate() {
            let at = call.address(1).offset(4 * (3 * nth + field) as u64)?;
            *set |= u64::from(system.read_u32(call.space, at)?) << (32 * nth);
        }
    }
    // Bits of capabilities that there are not mean nothing.
    let [effective, permitted, inheritable] = sets.map(Capabilities::from_bits_truncate);
    let sets = &mut system.identity_mut(call.process)?.files.capabilities;
    sets.set(effective, permitted, inheritable)?;
    Ok(0)
}

/// PR_CAPBSET_READ.
pub(super) fn read_bound<B: Block>(system: &System<B>, call: &Call) -> Outcome {
    let one = Capabilities::one(call.number(1)).ok_or(Errno::EINVAL)?;
    let sets = &system.identity(call.process)?.files.capabilities;
    Ok(u64::from(sets.bounding.contains(one)))
}

/// PR_CAPBSET_DROP.
pub(super) fn drop_bound<B: Block>(system: &mut System<B>, call: &Call) -> Outcome {
    let identity = system.identity_mut(call.process)?;
    if !identity.can(Capabilities::SETPCAP) {
        return Err(Errno::EPERM.into());
    }
    let one = Capabilities::one(call.number(1)).ok_or(Errno::EINVAL)?;
    identity.files.capabilities.bounding -= one;
    Ok(0)
}

/// PR_CAP_AMBIENT.
pub(super) fn ambient<B: Block>(system: &mut System<B>, call: &Call) -> Outcome {
    const IS_SET: u64 = 1;
    const RAISE: u64 = 2;
    const LOWER: u64 = 3;
    const CLEAR_ALL: u64 = 4;
    let sets = &mut system.identity_mut(call.process)?.files.capabilities;
    let number = call.number(2);
    if call.number(3) != 0 || call.number(4) != 0 {
        return Err(Errno::EINVAL.into());
    }
    if call.number(1) == CLEAR_ALL && number == 0 {
        sets.ambient = Capabilities::empty();
        return Ok(0);
    }
    let one = Capabilities::one(number).ok_or(Errno::EINVAL)?;
    match call.number(1) {
        IS_SET => return Ok(u64::from(sets.ambient.contains(one))),
        RAISE => sets.raise_ambient(one)?,
        LOWER => sets.ambient -= one,
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// PR_GET_KEEPCAPS and PR_GET_SECUREBITS: those of `mask`.
pub(super) fn secure<B: Block>(system: &System<B>, call: &Call, mask: Secure) -> Outcome {
    let sets = &system.identity(call.process)?.files.capabilities;
    Ok(u64::from((sets.secure & mask).bits()))
}

/// PR_SET_KEEPCAPS.
pub(super) fn keep<B: Block>(system: &mut System<B>, call: &Call) -> Outcome {
    let sets = &mut system.identity_mut(call.process)?.files.capabilities;
    if call.number(1) > 1 {
        return Err(Errno::EINVAL.into());
    }
    if sets.secure.contains(Secure::KEEP_LOCKED) {
        return Err(Errno::EPERM.into());
    }
    sets.secure.set(Secure::KEEP, call.number(1) == 1);
    Ok(0)
}

/// PR_SET_SECUREBITS.
pub(super) fn set_secure<B: Block>(system: &mut System<B>, call: &Call) -> Outcome {
    let sets = &mut system.identity_mut(call.process)?.files.capabilities;
    sets.set_secure(call.number(1))?;
    Ok(0)
}
