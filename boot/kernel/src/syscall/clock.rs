//! Time: clocks, sleeping, alarms.

use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::process::ProcessId;
use crate::space::SpaceId;
use crate::system::System;
use crate::task::TaskId;
use crate::user_memory::UserAddr;
use crate::wait::{Stall, WakeKey};
use agent::kernel::Pid;
use core::time::Duration;
use hal::block::Block;
use hal::clock::Instant;

/// Which time a clock id means (uapi/linux/time.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Since 1970-01-01 UTC.
    Wall,
    /// Since the machine was entered.
    Monotonic,
    /// Of somebody on the processor.
    Processor(Used),
}

/// Whose time on the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    /// That of a process's tasks, in user mode alone or the kernel's on its behalf too.
    Process(ProcessId, Modes),
    /// A task's.
    Task(TaskId, Modes),
}

/// Which time of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Modes {
    User,
    Both,
}

/// Returns what a clock id means to the caller. A negative one names a process or a task (Linux `CPUCLOCK_PERTHREAD_MASK`).
pub(super) fn meaning<B: Block>(
    system: &System<B>,
    call: &Call,
    id: i32,
) -> Result<Meaning, Errno> {
    let whose = match id {
        // REALTIME, REALTIME_COARSE, REALTIME_ALARM, TAI (no leap seconds are known).
        0 | 5 | 8 | 11 => return Ok(Meaning::Wall),
        // MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE, BOOTTIME, BOOTTIME_ALARM.
        1 | 4 | 6 | 7 | 9 => return Ok(Meaning::Monotonic),
        // PROCESS_CPUTIME_ID, THREAD_CPUTIME_ID.
        2 => Used::Process(call.process, Modes::Both),
        3 => Used::Task(call.task, Modes::Both),
        ..0 => named(system, call, id)?,
        _ => return Err(Errno::EINVAL),
    };
    Ok(Meaning::Processor(whose))
}

/// Returns whose clock a negative id means: its lower bits say which of three, and whether a task's.
fn named<B: Block>(system: &System<B>, call: &Call, id: i32) -> Result<Used, Errno> {
    let number = !(id >> 3) as u32;
    let modes = match id & 3 {
        // PROF, VIRT, SCHED; 3 is a clock that is a file.
        1 => Modes::User,
        0 | 2 => Modes::Both,
        _ => return Err(Errno::EINVAL),
    };
    if id & 4 == 0 {
        let process = match number {
            0 => call.process,
            pid => system.table.find(Pid(pid)).ok_or(Errno::EINVAL)?,
        };
        let is_seen = system.process(process)?.view == system.process(call.process)?.view;
        return is_seen
            .then_some(Used::Process(process, modes))
            .ok_or(Errno::EINVAL);
    }
    let task = match number {
        0 => call.task,
        tid => system.table.find_task(tid).ok_or(Errno::EINVAL)?,
    };
    let known = system.table.tasks.get(task);
    known
        .filter(|known| known.process == call.process)
        .map(|_| Used::Task(task, modes))
        .ok_or(Errno::EINVAL)
}

impl<B: Block> System<B> {
    /// Returns how much of the processor somebody had so far; `None` when it is gone.
    pub(crate) fn used(&self, whose: Used) -> Option<Duration> {
        let (user, kernel, modes) = match whose {
            Used::Process(id, modes) => {
                let process = self.table.processes.get(id)?;
                (process.user_nanos, process.kernel_nanos, modes)
            }
            Used::Task(id, modes) => {
                let task = self.table.tasks.get(id)?;
                (task.user_nanos, task.kernel_nanos, modes)
            }
        };
        Some(Duration::from_nanos(match modes {
            Modes::User => user,
            Modes::Both => user + kernel,
        }))
    }
}

fn read_clock<B: Block>(system: &mut System<B>, call: &Call) -> Result<Duration, Errno> {
    Ok(match meaning(system, call, call.int(0))? {
        Meaning::Wall => system.wall(),
        Meaning::Monotonic => system.now.since(Instant::ZERO),
        Meaning::Processor(whose) => {
            system.bill();
            system.used(whose).ok_or(Errno::EINVAL)?
        }
    })
}

/// Writes a pair of 64-bit numbers: `struct timespec`, `struct timeval`.
pub(super) fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    bytes
}

pub(super) fn timespec(span: Duration) -> [u8; 16] {
    pair(span.as_secs(), u64::from(span.subsec_nanos()))
}

/// Writes a `struct timeval`.
pub(super) fn timeval(span: Duration) -> [u8; 16] {
    pair(span.as_secs(), u64::from(span.subsec_micros()))
}

/// Reads a `struct timespec` that says how long, or when.
pub(super) fn read_timespec<B: Block>(
    system: &mut System<B>,
    space: SpaceId,
    address: UserAddr,
) -> Result<Duration, Stall> {
    let seconds = system.read_u64(space, address)?;
    let nanos = system.read_u64(space, address.offset(8)?)?;
    match (i64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(_), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// clock_gettime(2).
pub(super) fn clock_gettime<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let time = read_clock(system, call)?;
    system.write_user(call.space, call.address(1), &timespec(time))?;
    Ok(0)
}

/// clock_getres(2): a nanosecond.
pub(super) fn clock_getres<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    meaning(system, call, call.int(0))?;
    if !call.address(1).is_null() {
        let nanosecond = timespec(Duration::from_nanos(1));
        system.write_user(call.space, call.address(1), &nanosecond)?;
    }
    Ok(0)
}

/// What only administrators of a machine may do, in a container nobody: the time, names, mounts, modules and the rest are
/// the host's. As Linux answers root in a container without rights.
pub(super) fn refuse_setting<B: Block>(_: &mut System<B>, _: &mut Call) -> Outcome {
    Err(Errno::EPERM.into())
}

/// gettimeofday(2). The time zone is UTC.
pub(super) fn gettimeofday<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let now = timeval(system.wall());
    if !call.address(0).is_null() {
        system.write_user(call.space, call.address(0), &now)?;
    }
    if !call.address(1).is_null() {
        system.write_user(call.space, call.address(1), &[0; 8])?;
    }
    Ok(0)
}

/// time(2).
pub(super) fn time<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let now = system.wall().as_secs();
    if !call.address(0).is_null() {
        system.write_user(call.space, call.address(0), &now.to_le_bytes())?;
    }
    Ok(now)
}

/// nanosleep(2).
pub(super) fn nanosleep<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let until = match call.deadline {
        Some(until) => until,
        None => system.now + read_timespec(system, call.space, call.address(0))?,
    };
    sleep(system, call, until, 1)
}

/// clock_nanosleep(2).
pub(super) fn clock_nanosleep<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// `TIMER_ABSTIME`.
    const ABSOLUTE: i32 = 1;
    /// MONOTONIC_RAW, REALTIME_COARSE, MONOTONIC_COARSE: nobody is woken by them.
    const READ_ONLY: core::ops::RangeInclusive<i32> = 4..=6;
    let clock = meaning(system, call, call.int(0))?;
    if READ_ONLY.contains(&call.int(0)) {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let absolute = call.int(1) & ABSOLUTE != 0;
    let until = match call.deadline {
        Some(until) => until,
        None => {
            let time = read_timespec(system, call.space, call.address(2))?;
            match (clock, absolute) {
                (Meaning::Processor(_), _) => return Err(Errno::EOPNOTSUPP.into()),
                (_, false) => system.now + time,
                (Meaning::Wall, true) => system.at_wall(time),
                (Meaning::Monotonic, true) => Instant::ZERO + time,
            }
        }
    };
    // An absolute sleep has nothing left over to tell.
    sleep(system, call, until, if absolute { usize::MAX } else { 3 })
}

/// Waits until `until`. Should a signal end it, argument `rest` has been told how much was left.
fn sleep<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    until: Instant,
    rest: usize,
) -> Outcome {
    if system.now >= until {
        return Ok(0);
    }
    call.deadline = Some(until);
    call.restart = Restart::Never;
    if rest < 6 && !call.address(rest).is_null() && system.has_signal(call.task) {
        let left = timespec(until.since(system.now));
        system.write_user(call.space, call.address(rest), &left)?;
    }
    Err(Stall::wait(WakeKey::Nothing))
}
