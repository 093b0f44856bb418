//! The life of a process and its tasks: ending, yielding, names, segment bases, and the one processor they share.

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::system::System;
use crate::wait::Stall;
use agent::kernel::{ExitStatus, Pid, Signal};
use hal::block::Block;
use hal::page_table::Page;

/// exit(2), of one task.
pub(super) fn exit<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    system.end_task(call.task, call.int(0) as u8)?;
    Ok(0)
}

/// exit_group(2).
pub(super) fn exit_group<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    system.end_process(call.process, ExitStatus::Exited(call.int(0) as u8));
    Ok(0)
}

/// sched_yield(2).
pub(super) fn sched_yield<B: Block>(_: &mut System<B>, call: &mut Call) -> Outcome {
    if call.progress == 0 {
        call.progress = 1;
        return Err(Stall::AGAIN);
    }
    Ok(0)
}

/// set_tid_address(2).
pub(super) fn set_tid_address<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let task = system.task_mut(call.task)?;
    task.clear_tid = call.address(0);
    Ok(u64::from(task.tid))
}

/// arch_prctl(2).
pub(super) fn arch_prctl<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// Codes of asm/prctl.h.
    const SET_GS: i32 = 0x1001;
    const SET_FS: i32 = 0x1002;
    const GET_FS: i32 = 0x1003;
    const GET_GS: i32 = 0x1004;
    let base = call.number(1);
    let registers = &mut system.task_mut(call.task)?.context.registers;
    let (fs, gs) = (registers.fs_base, registers.gs_base);
    match call.int(0) {
        SET_FS | SET_GS if base >= Page::END.address() => Err(Errno::EPERM.into()),
        SET_FS => {
            registers.fs_base = base;
            Ok(0)
        }
        SET_GS => {
            registers.gs_base = base;
            Ok(0)
        }
        GET_FS => store(system, call, &fs.to_le_bytes()),
        GET_GS => store(system, call, &gs.to_le_bytes()),
        _ => Err(Errno::EINVAL.into()),
    }
}

fn store<B: Block>(system: &mut System<B>, call: &Call, bytes: &[u8]) -> Outcome {
    system.write_user(call.space, call.address(1), bytes)?;
    Ok(0)
}

/// prctl(2): the name, what ends with a parent or is taken over from one, and what can be answered truthfully without
/// being done.
pub(super) fn prctl<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// Options of linux/prctl.h.
    const SET_PARENT_DEATH_SIGNAL: i32 = 1;
    const GET_PARENT_DEATH_SIGNAL: i32 = 2;
    const GET_DUMPABLE: i32 = 3;
    const SET_DUMPABLE: i32 = 4;
    const SET_NAME: i32 = 15;
    const GET_NAME: i32 = 16;
    const SET_NO_NEW_PRIVILEGES: i32 = 38;
    const GET_NO_NEW_PRIVILEGES: i32 = 39;
    const SET_SUBREAPER: i32 = 36;
    const GET_SUBREAPER: i32 = 37;
    match call.int(0) {
        SET_NAME => set_name(system, call),
        GET_NAME => {
            let mut bytes = [0; 16];
            let name = system.process(call.process)?.name.as_bytes();
            bytes[..name.len()].copy_from_slice(name);
            store(system, call, &bytes)
        }
        GET_DUMPABLE => Ok(0),
        // Nothing dumps core, and no program gains privileges by being executed.
        SET_DUMPABLE if call.number(1) <= 1 => Ok(0),
        SET_NO_NEW_PRIVILEGES if call.number(1) == 1 => Ok(0),
        GET_NO_NEW_PRIVILEGES => Ok(1),
        SET_PARENT_DEATH_SIGNAL if call.number(1) <= 64 => {
            let signal = Signal::from_number(call.int(1));
            system.process_mut(call.process)?.kin.death_signal = signal;
            Ok(0)
        }
        GET_PARENT_DEATH_SIGNAL => {
            let signal = system.process(call.process)?.kin.death_signal;
            let number = signal.map_or(0, |signal| u32::from(signal.number()));
            store(system, call, &number.to_le_bytes())
        }
        SET_SUBREAPER => {
            system.process_mut(call.process)?.kin.is_subreaper = call.number(1) != 0;
            Ok(0)
        }
        GET_SUBREAPER => {
            let is_subreaper = system.process(call.process)?.kin.is_subreaper;
            store(system, call, &u32::from(is_subreaper).to_le_bytes())
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

fn set_name<B: Block>(system: &mut System<B>, call: &Call) -> Outcome {
    let mut bytes = [0; 16];
    for (nth, byte) in bytes[..15].iter_mut().enumerate() {
        let mut one = [0];
        let at = call.address(1).offset(nth as u64)?;
        system.read_user(call.space, at, &mut one)?;
        if one[0] == 0 {
            break;
        }
        *byte = one[0];
    }
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(15);
    let name = &mut system.process_mut(call.process)?.name;
    name.clear();
    for chunk in bytes[..length].utf8_chunks() {
        // A name of fifteen bytes fits; a mark for a bad byte that does not is left out.
        let _ = name.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            let _ = name.push('?');
        }
    }
    Ok(0)
}

/// sched_getaffinity(2): one processor.
pub(super) fn sched_getaffinity<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let bytes = call.number(1);
    if bytes < 8 || !bytes.is_multiple_of(8) {
        return Err(Errno::EINVAL.into());
    }
    let tid = call.uint(0);
    if tid != 0 {
        system.table.find_task(tid).ok_or(Errno::ESRCH)?;
    }
    system.write_user(call.space, call.address(2), &1_u64.to_le_bytes())?;
    Ok(8)
}

/// sched_setaffinity(2): a set without the one processor has none.
pub(super) fn sched_setaffinity<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let mut first = [0; 1];
    if call.number(1) > 0 {
        system.read_user(call.space, call.address(2), &mut first)?;
    }
    if first[0] & 1 == 0 {
        return Err(Errno::EINVAL.into());
    }
    Ok(0)
}

/// membarrier(2): on one processor every task sees memory in one order.
pub(super) fn membarrier<B: Block>(_: &mut System<B>, call: &mut Call) -> Outcome {
    /// GLOBAL, PRIVATE_EXPEDITED and registering for that (linux/membarrier.h).
    const KNOWN: u64 = 1 | 8 | 16;
    match u64::from(call.uint(0)) {
        _ if call.uint(1) != 0 => Err(Errno::EINVAL.into()),
        0 => Ok(KNOWN),
        1 | 8 | 16 => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// getcpu(2): processor 0 of node 0.
pub(super) fn getcpu<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    for nth in 0..2 {
        if !call.address(nth).is_null() {
            system.write_user(call.space, call.address(nth), &[0; 4])?;
        }
    }
    Ok(0)
}

/// getpriority(2): nice 0, as the call returns it.
pub(super) fn getpriority<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const PROCESS: i32 = 0;
    const USER: i32 = 2;
    match call.int(0) {
        PROCESS if call.int(1) != 0 => {
            system.table.find(Pid(call.uint(1))).ok_or(Errno::ESRCH)?;
        }
        PROCESS..=USER => {}
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(20)
}
