//! Timers of processes: timer_create and its relatives.

use super::clock::{meaning, read_timespec, timespec};
use super::{Call, Meaning, Outcome};
use crate::alarm::NEVER;
use crate::errno::Errno;
use crate::signal::{known, number};
use crate::system::System;
use crate::task::TaskId;
use crate::timer::{Notice, TimerId};
use crate::user_memory::UserAddr;
use agent::kernel::Signal;
use core::time::Duration;
use hal::block::Block;

/// Bytes of `struct timespec`.
const TIME_BYTES: u64 = 16;

/// timer_create(2).
pub(super) fn timer_create<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// Clocks without timers: raw, coarse, those that wake a machine that sleeps.
    const WITHOUT: [i32; 5] = [4, 5, 6, 8, 9];
    let clock = meaning(system, call, call.int(0))?;
    let is_own = match clock {
        Meaning::Processor(whose) => whose.is_of(system, call.process),
        _ => !WITHOUT.contains(&call.int(0)),
    };
    if !is_own {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let mut notice = Notice::Process(known(number::ALRM));
    let mut value = None;
    let event = call.address(1);
    if !event.is_null() {
        value = Some(system.read_u64(call.space, event)?);
        let signal = system.read_u32(call.space, event.offset(8)?)? as i32;
        let how = system.read_u32(call.space, event.offset(12)?)?;
        let tid = system.read_u32(call.space, event.offset(16)?)?;
        notice = notice_of(system, call, how, signal, tid)?;
    }
    system.touch_user(call.space, call.address(2), 4)?;
    let number = system.make_timer(call.process, clock, notice, value)?;
    system.write_user(call.space, call.address(2), &number.to_le_bytes())?;
    Ok(0)
}

/// Returns whom a `struct sigevent` means (Linux `good_sigevent`).
fn notice_of<B: Block>(
    system: &System<B>,
    call: &Call,
    how: u32,
    signal: i32,
    tid: u32,
) -> Result<Notice, Errno> {
    /// `SIGEV_SIGNAL`, `SIGEV_NONE`, `SIGEV_THREAD`, `SIGEV_THREAD_ID`.
    const SIGNAL: u32 = 0;
    const NONE: u32 = 1;
    const THREAD: u32 = 2;
    const THREAD_ID: u32 = 4;
    let signal = Signal::from_number(signal).ok_or(Errno::EINVAL);
    match how {
        NONE => Ok(Notice::Nobody),
        SIGNAL | THREAD => Ok(Notice::Process(signal?)),
        THREAD_ID => {
            let task: TaskId = system.table.find_task(tid).ok_or(Errno::EINVAL)?;
            let known = system.table.tasks.get(task);
            if known.is_none_or(|known| known.process != call.process) {
                return Err(Errno::EINVAL);
            }
            Ok(Notice::Task(task, signal?))
        }
        _ => Err(Errno::EINVAL),
    }
}

fn named<B: Block>(system: &System<B>, call: &Call) -> Result<TimerId, Errno> {
    system.timer(call.process, call.uint(0))
}

/// timer_settime(2).
pub(super) fn timer_settime<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const ABSOLUTE: u32 = 1;
    let (new, old) = (call.address(2), call.address(3));
    if new.is_null() {
        return Err(Errno::EINVAL.into());
    }
    let interval = read_timespec(system, call.space, new)?;
    let first = read_timespec(system, call.space, new.offset(TIME_BYTES)?)?;
    system.bill();
    let id = named(system, call)?;
    if !old.is_null() {
        tell(system, call, id, old)?;
    }
    let Some(timer) = system.table.timers.get(id) else {
        return Err(Errno::EINVAL.into());
    };
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1);
    let due = match (timer.clock, call.uint(1) & ABSOLUTE != 0) {
        _ if first.is_zero() => NEVER,
        (Meaning::Wall, true) => system.at_wall(first).as_nanos(),
        (_, true) => nanos(first),
        (clock, false) => system.timer_now(clock).saturating_add(nanos(first)),
    };
    if let Some(timer) = system.table.timers.get_mut(id) {
        timer.due = due;
        timer.interval = if first.is_zero() { 0 } else { nanos(interval) };
        timer.is_told = false;
        timer.overrun = 0;
    }
    system.plan_timer(id);
    Ok(0)
}

/// timer_gettime(2).
pub(super) fn timer_gettime<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    system.bill();
    let id = named(system, call)?;
    tell(system, call, id, call.address(1))
}

/// Writes the `struct itimerspec` of a timer.
fn tell<B: Block>(system: &mut System<B>, call: &Call, id: TimerId, at: UserAddr) -> Outcome {
    let timer = system.table.timers.get(id).ok_or(Errno::EINVAL)?;
    let left = timer.left(system.timer_now(timer.clock));
    let mut bytes = [0; 2 * TIME_BYTES as usize];
    bytes[..16].copy_from_slice(&timespec(Duration::from_nanos(timer.interval)));
    bytes[16..].copy_from_slice(&timespec(Duration::from_nanos(left)));
    system.write_user(call.space, at, &bytes)?;
    Ok(0)
}

/// timer_getoverrun(2).
pub(super) fn timer_getoverrun<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let id = named(system, call)?;
    let timer = system.table.timers.get(id).ok_or(Errno::EINVAL)?;
    Ok(u64::from(timer.overrun))
}

/// timer_delete(2).
pub(super) fn timer_delete<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let id = named(system, call)?;
    system.drop_timer(id);
    Ok(0)
}
