//! The life of a process and its tasks: ending, yielding, names, segment bases, and the one processor they share.

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::system::System;
use crate::wait::Stall;
use agent::kernel::ExitStatus;
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

/// membarrier(2): on one processor every task sees memory in one order.
pub(super) fn membarrier<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// Commands of linux/membarrier.h.
    const QUERY: u32 = 0;
    const GLOBAL: u32 = 1;
    const PRIVATE: u32 = 8;
    const REGISTER_PRIVATE: u32 = 16;
    let space = system.space_mut(call.space)?;
    match call.uint(0) {
        _ if call.uint(1) != 0 => Err(Errno::EINVAL.into()),
        QUERY => Ok((GLOBAL | PRIVATE | REGISTER_PRIVATE).into()),
        REGISTER_PRIVATE => {
            space.has_barriers = true;
            Ok(0)
        }
        PRIVATE if !space.has_barriers => Err(Errno::EPERM.into()),
        GLOBAL | PRIVATE => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}
