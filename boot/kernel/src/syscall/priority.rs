//! Who has how much of the processor: niceness, policies, and the one processor there is.

use super::{Call, Outcome, clock};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::limits::SLICE;
use crate::priority::{LEAST_NICE, NICEST, Policy, Priority};
use crate::process::ProcessId;
use crate::rlimit::Resource;
use crate::system::System;
use crate::task::{Task, TaskId};
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// `SCHED_RESET_ON_FORK` beside a policy (linux/sched.h).
const RESET_ON_FORK: u32 = 0x4000_0000;

/// `SCHED_FIFO`, `SCHED_RR`, `SCHED_DEADLINE`.
const FIFO: u32 = 1;
const ROUND_ROBIN: u32 = 2;
const DEADLINE: u32 = 6;

/// The highest real-time priority.
const HIGHEST: u32 = 99;

/// What getpriority(2) tells of niceness 0; it tells nothing that is negative.
const MIDDLE: i32 = 20;

/// Whose niceness a call is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    Task(u32),
    Group(u32),
    User(u32),
}

/// Returns whom a call names: `PRIO_PROCESS` and what follows it, and a number.
pub(super) fn whose<B: Block>(
    system: &mut System<B>,
    call: &Call,
    kind: i32,
) -> Result<Whose, Errno> {
    let who = call.uint(1);
    Ok(match (kind, who) {
        (0, 0) => Whose::Task(system.task_mut(call.task)?.tid),
        (0, tid) => Whose::Task(tid),
        (1, 0) => Whose::Group(system.process(call.process)?.group),
        (1, group) => Whose::Group(group),
        (2, 0) => Whose::User(system.identity(call.process)?.user.real),
        (2, user) => Whose::User(user),
        _ => return Err(Errno::EINVAL),
    })
}

/// Returns the next task a call is about, of those that the caller can see.
pub(super) fn next<B: Block>(
    system: &System<B>,
    call: &Call,
    whose: Whose,
    after: Option<TaskId>,
) -> Option<TaskId> {
    let own = system.process(call.process).ok()?;
    let begin = after.map_or(0, |task| task.index() + 1);
    let mut tasks = system.table.tasks.iter();
    let found = tasks.find(|(id, task)| {
        let Ok(process) = system.process(task.process) else {
            return false;
        };
        let is_meant = match whose {
            Whose::Task(tid) => task.tid == tid,
            Whose::Group(group) => process.group == group,
            Whose::User(user) => system
                .identity(task.process)
                .is_ok_and(|known| known.user.real == user),
        };
        id.index() >= begin && is_meant && process.view == own.view
    });
    found.map(|(id, _)| id)
}

/// getpriority(2): that of the least nice one.
pub(super) fn getpriority<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let whose = whose(system, call, call.int(0))?;
    let mut most = None;
    let mut at = None;
    while let Some(id) = next(system, call, whose, at) {
        at = Some(id);
        let nice = i32::from(system.task_mut(id)?.priority.nice);
        most = most.max(Some(MIDDLE - nice));
    }
    Ok(most.ok_or(Errno::ESRCH)? as u64)
}

/// setpriority(2).
pub(super) fn setpriority<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let whose = whose(system, call, call.int(0))?;
    let nice = call.int(2).clamp(LEAST_NICE, NICEST) as i8;
    let mut outcome = Err(Errno::ESRCH);
    let mut at = None;
    while let Some(id) = next(system, call, whose, at) {
        at = Some(id);
        match system.set_nice(call, id, nice) {
            Err(errno) => outcome = Err(errno),
            Ok(()) if outcome == Err(Errno::ESRCH) => outcome = Ok(0),
            Ok(()) => {}
        }
    }
    Ok(outcome?)
}

impl<B: Block> System<B> {
    /// Makes a task as nice as somebody says who may.
    fn set_nice(&mut self, call: &Call, id: TaskId, nice: i8) -> Result<(), Errno> {
        self.check_owner(call, id)?;
        let task = self.task_mut(id)?;
        let (is_less, process) = (nice < task.priority.nice, task.process);
        if is_less && !self.may_be(call, process, nice)? {
            return Err(Errno::EACCES);
        }
        self.task_mut(id)?.priority.nice = nice;
        Ok(())
    }

    /// Returns whether a process's tasks may be as little nice as this.
    fn may_be(&self, call: &Call, process: ProcessId, nice: i8) -> Result<bool, Errno> {
        let (least, _) = self.process(process)?.limits.get(Resource::NICE);
        // From 1 to 40.
        let is_allowed = (MIDDLE - i32::from(nice)) as u64 <= least;
        Ok(is_allowed || self.identity(call.process)?.can(Capabilities::SYS_NICE))
    }

    /// Checks that the caller may say how much of the processor a task has.
    pub(super) fn check_owner(&mut self, call: &Call, id: TaskId) -> Result<(), Errno> {
        let process = self.task_mut(id)?.process;
        let own = self.identity(call.process)?;
        if own.owns(self.identity(process)?) {
            Ok(())
        } else {
            Err(Errno::EPERM)
        }
    }
}

/// Returns the task that argument 0 names; 0 is the caller's own.
fn named<B: Block>(system: &System<B>, call: &Call) -> Result<TaskId, Errno> {
    match call.uint(0) {
        0 => Ok(call.task),
        tid => next(system, call, Whose::Task(tid), None).ok_or(Errno::ESRCH),
    }
}

/// Checks that argument 0 is no negative number, and that argument 1 or 2 is an address.
fn check<B: Block>(system: &System<B>, call: &Call, nth: usize) -> Result<TaskId, Errno> {
    if call.int(0) < 0 || call.address(nth).is_null() {
        return Err(Errno::EINVAL);
    }
    named(system, call)
}

/// sched_getscheduler(2).
pub(super) fn sched_getscheduler<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if call.int(0) < 0 {
        return Err(Errno::EINVAL.into());
    }
    let id = named(system, call)?;
    let Priority { policy, resets, .. } = system.task_mut(id)?.priority;
    let flag = if resets { RESET_ON_FORK } else { 0 };
    Ok(u64::from(policy.number() | flag))
}

/// sched_getparam(2): 0, as without a real-time policy.
pub(super) fn sched_getparam<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    check(system, call, 1)?;
    system.write_user(call.space, call.address(1), &[0; 4])?;
    Ok(0)
}

/// sched_setparam(2).
pub(super) fn sched_setparam<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set(system, call, None, call.address(1))
}

/// sched_setscheduler(2).
pub(super) fn sched_setscheduler<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if call.int(1) < 0 {
        return Err(Errno::EINVAL.into());
    }
    set(system, call, Some(call.uint(1)), call.address(2))
}

fn set<B: Block>(
    system: &mut System<B>,
    call: &Call,
    policy: Option<u32>,
    parameter: UserAddr,
) -> Outcome {
    if call.int(0) < 0 || parameter.is_null() {
        return Err(Errno::EINVAL.into());
    }
    let priority = system.read_u32(call.space, parameter)?;
    let id = named(system, call)?;
    let known = system.task_mut(id)?.priority;
    let wanted = Wanted {
        policy: policy.map(|policy| policy & !RESET_ON_FORK),
        priority,
        nice: known.nice,
        resets: policy.map_or(known.resets, |policy| policy & RESET_ON_FORK != 0),
    };
    system.apply(call, id, wanted)
}

/// What a task is to have.
struct Wanted {
    /// `None` for the one it has.
    policy: Option<u32>,
    /// A real-time priority; 0 for none.
    priority: u32,
    nice: i8,
    resets: bool,
}

impl<B: Block> System<B> {
    /// Gives a task a policy and a niceness (Linux `__sched_setscheduler`).
    fn apply(&mut self, call: &Call, id: TaskId, wanted: Wanted) -> Outcome {
        let known = self.task_mut(id)?.priority;
        let policy = match wanted.policy.unwrap_or(known.policy.number()) {
            0 => Some(Policy::Other),
            3 => Some(Policy::Batch),
            5 => Some(Policy::Idle),
            FIFO | ROUND_ROBIN | DEADLINE => None,
            _ => return Err(Errno::EINVAL.into()),
        };
        let is_ordinary = policy.is_some();
        if wanted.priority > HIGHEST || is_ordinary != (wanted.priority == 0) {
            return Err(Errno::EINVAL.into());
        }
        // There is no real time here, for nobody.
        let policy = policy.ok_or(Errno::EPERM)?;
        self.check_owner(call, id)?;
        let process = self.task_mut(id)?.process;
        let is_less_nice = wanted.nice < known.nice && !self.may_be(call, process, wanted.nice)?
            || known.policy == Policy::Idle
                && policy != Policy::Idle
                && !self.may_be(call, process, known.nice)?;
        let is_undone = known.resets && !wanted.resets;
        if is_less_nice || is_undone && !self.identity(call.process)?.can(Capabilities::SYS_NICE) {
            return Err(Errno::EPERM.into());
        }
        self.task_mut(id)?.priority = Priority {
            nice: wanted.nice,
            policy,
            resets: wanted.resets,
            ..known
        };
        Ok(0)
    }
}

/// Bytes of `struct sched_attr` as it was first.
const ATTRIBUTE_BYTES: usize = 48;

/// `SCHED_FLAG_RESET_ON_FORK`, `SCHED_FLAG_KEEP_POLICY`, `SCHED_FLAG_KEEP_PARAMS` (linux/sched.h).
const ATTRIBUTE_RESETS: u64 = 1;
const KEEP_POLICY: u64 = 8;
const KEEP_PARAMETERS: u64 = 16;

/// sched_getattr(2).
pub(super) fn sched_getattr<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let size = call.uint(2) as usize;
    if !(ATTRIBUTE_BYTES..=PAGE_BYTES).contains(&size) || call.uint(3) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let id = check(system, call, 1)?;
    let Priority {
        nice,
        policy,
        resets,
        ..
    } = system.task_mut(id)?.priority;
    let mut bytes = [0; ATTRIBUTE_BYTES];
    bytes[0] = ATTRIBUTE_BYTES as u8;
    bytes[4..8].copy_from_slice(&policy.number().to_le_bytes());
    bytes[8] = u8::from(resets);
    bytes[16..20].copy_from_slice(&i32::from(nice).to_le_bytes());
    system.write_user(call.space, call.address(1), &bytes)?;
    Ok(0)
}

/// sched_setattr(2).
pub(super) fn sched_setattr<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let at = call.address(1);
    if at.is_null() || call.int(0) < 0 || call.uint(2) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let size = match system.read_u32(call.space, at)? as usize {
        0 => ATTRIBUTE_BYTES,
        size => size,
    };
    if !(ATTRIBUTE_BYTES..=PAGE_BYTES).contains(&size) {
        return too_large(system, call);
    }
    // What we do not know must not be asked for.
    for nth in ATTRIBUTE_BYTES..size {
        let mut byte = [0];
        system.read_user(call.space, at.offset(nth as u64)?, &mut byte)?;
        if byte != [0] {
            return too_large(system, call);
        }
    }
    let mut words = [0; ATTRIBUTE_BYTES / 8];
    for (nth, word) in words.iter_mut().enumerate() {
        *word = system.read_u64(call.space, at.offset(8 * nth as u64)?)?;
    }
    let [head, flags, nice, ..] = words;
    let policy = (head >> 32) as u32;
    let is_known = flags & !(ATTRIBUTE_RESETS | KEEP_POLICY | KEEP_PARAMETERS) == 0;
    if (policy as i32) < 0 || !is_known {
        return Err(Errno::EINVAL.into());
    }
    let id = named(system, call)?;
    let known = system.task_mut(id)?.priority;
    let keeps = flags & KEEP_PARAMETERS != 0;
    let wanted = Wanted {
        policy: (flags & KEEP_POLICY == 0).then_some(policy),
        priority: if keeps { 0 } else { (nice >> 32) as u32 },
        nice: if keeps {
            known.nice
        } else {
            (nice as i32).clamp(LEAST_NICE, NICEST) as i8
        },
        resets: if flags & KEEP_POLICY != 0 {
            known.resets
        } else {
            flags & ATTRIBUTE_RESETS != 0
        },
    };
    system.apply(call, id, wanted)
}

/// Says which size is known.
fn too_large<B: Block>(system: &mut System<B>, call: &Call) -> Outcome {
    let known = (ATTRIBUTE_BYTES as u32).to_le_bytes();
    system.write_user(call.space, call.address(1), &known)?;
    Err(Stall::from(Errno::E2BIG))
}

/// sched_get_priority_max(2).
pub(super) fn sched_get_priority_max<B: Block>(_: &mut System<B>, call: &mut Call) -> Outcome {
    bound(call, HIGHEST)
}

/// sched_get_priority_min(2).
pub(super) fn sched_get_priority_min<B: Block>(_: &mut System<B>, call: &mut Call) -> Outcome {
    bound(call, 1)
}

fn bound(call: &Call, of_real_time: u32) -> Outcome {
    match call.uint(0) {
        FIFO | ROUND_ROBIN => Ok(u64::from(of_real_time)),
        0 | 3 | 5 | DEADLINE => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// sched_rr_get_interval(2).
pub(super) fn sched_rr_get_interval<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if call.int(0) < 0 {
        return Err(Errno::EINVAL.into());
    }
    let id = named(system, call)?;
    let slice = system.tasks_slice(id);
    system.write_user(call.space, call.address(1), &clock::timespec(slice))?;
    Ok(0)
}

impl<B: Block> System<B> {
    /// Returns how long a task's turns are.
    pub(crate) fn tasks_slice(&self, id: TaskId) -> core::time::Duration {
        let task: Option<&Task> = self.table.tasks.get(id);
        task.map_or(SLICE, |task| task.priority.slice())
    }
}

/// sched_getaffinity(2): one processor.
pub(super) fn sched_getaffinity<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let bytes = call.number(1);
    if bytes < 8 || !bytes.is_multiple_of(8) {
        return Err(Errno::EINVAL.into());
    }
    named(system, call)?;
    system.write_user(call.space, call.address(2), &1_u64.to_le_bytes())?;
    Ok(8)
}

/// sched_setaffinity(2): a set without the one processor has none.
pub(super) fn sched_setaffinity<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let mut first = [0; 1];
    if call.number(1) > 0 {
        system.read_user(call.space, call.address(2), &mut first)?;
    }
    let id = named(system, call)?;
    system.check_owner(call, id)?;
    if first[0] & 1 == 0 {
        return Err(Errno::EINVAL.into());
    }
    Ok(0)
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
