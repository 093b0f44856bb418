//! Capabilities (capabilities(7)): those that follow from the ids. None can be given up alone.

use super::{Call, Outcome};
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
    let (effective, permitted) = system.identity(process)?.capabilities();
    for nth in 0..words {
        for (field, set) in [effective, permitted, 0].into_iter().enumerate() {
            let at = call.address(1).offset(4 * (3 * nth + field) as u64)?;
            let word = (set >> (32 * nth)) as u32;
            system.write_user(call.space, at, &word.to_le_bytes())?;
        }
    }
    Ok(0)
}

/// capset(2): what is there already may be set.
pub(super) fn capset<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (words, pid) = header(system, call)?;
    let own = system.task_mut(call.task)?.tid;
    if pid != 0 && pid as u32 != own {
        return Err(Errno::EPERM.into());
    }
    let (effective, permitted) = system.identity(call.process)?.capabilities();
    let known = [effective, permitted, 0];
    let mask = if words == 1 {
        u64::from(u32::MAX)
    } else {
        u64::MAX
    };
    let mut sets = [0_u64; 3];
    for nth in 0..words {
        for (field, set) in sets.iter_mut().enumerate() {
            let at = call.address(1).offset(4 * (3 * nth + field) as u64)?;
            *set |= u64::from(system.read_u32(call.space, at)?) << (32 * nth);
        }
    }
    let is_kept = sets.iter().zip(known).all(|(&set, known)| {
        // Bits of capabilities that there are not mean nothing.
        set & crate::identity::ALL_CAPABILITIES == known & mask
    });
    if is_kept {
        Ok(0)
    } else {
        Err(Errno::EPERM.into())
    }
}
