//! Sending signals, as programs ask for it: kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo.

use super::signal::named_signal;
use super::{Call, Outcome};
use crate::errno::Errno;
use crate::process::{Life, ProcessId};
use crate::signal::info::{MEANT_BYTES, code};
use crate::signal::{Info, Receiver, known, number};
use crate::system::System;
use crate::wait::Stall;
use agent::kernel::{Pid, Signal};
use hal::block::Block;

/// Returns a process of the caller's view that the caller may send `signal`. SIGCONT is for everybody in the session.
fn target<B: Block>(
    system: &System<B>,
    call: &Call,
    pid: i32,
    signal: Option<Signal>,
) -> Result<ProcessId, Errno> {
    let pid = u32::try_from(pid).map_err(|_| Errno::ESRCH)?;
    let id = system.table.find(Pid(pid)).ok_or(Errno::ESRCH)?;
    let (own, other) = (system.process(call.process)?, system.process(id)?);
    let is_zombie = matches!(other.life, Life::Zombie(_));
    if own.view != other.view || !other.is_live() && !is_zombie {
        return Err(Errno::ESRCH);
    }
    let goes_on = signal == Some(known(number::CONT));
    let is_open = goes_on && own.session == other.session;
    if !is_open
        && !system
            .identity(call.process)?
            .may_signal(system.identity(id)?)
    {
        return Err(Errno::EPERM);
    }
    Ok(id)
}

/// Reads the number of a signal; `None` for 0, which only asks.
fn asked_signal(call: &Call, nth: usize) -> Result<Option<Signal>, Errno> {
    match call.int(nth) {
        0 => Ok(None),
        _ => named_signal(call, nth).map(Some),
    }
}

/// kill(2).
pub(super) fn kill<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let signal = asked_signal(call, 1);
    let info = system.sent_by(call.process, code::USER);
    let pid = call.int(0);
    if pid > 0 {
        let id = target(system, call, pid, signal.unwrap_or_default())?;
        if let Some(signal) = signal? {
            system.signal_process(id, signal, &info);
        }
        return Ok(0);
    }
    let signal = signal?;
    let own = system.process(call.process)?;
    let (own_pid, own_group) = (own.pid.0, own.group);
    let group = match pid {
        0 => Some(own_group),
        -1 => None,
        _ => Some(pid.unsigned_abs()),
    };
    let mut outcome = Err(Errno::ESRCH.into());
    let mut after = 0;
    while let Some((pid, _)) = system.table.member_after(group, after) {
        after = pid;
        if group.is_none() && pid == own_pid {
            continue;
        }
        match target(system, call, pid as i32, signal) {
            Ok(id) => {
                outcome = Ok(0);
                if let Some(signal) = signal {
                    system.signal_process(id, signal, &info);
                }
            }
            Err(Errno::EPERM) if group.is_some() && outcome.is_err() => {
                outcome = Err(Errno::EPERM.into());
            }
            Err(_) => {}
        }
    }
    outcome
}

/// tkill(2).
pub(super) fn tkill<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let info = system.sent_by(call.process, code::TKILL);
    signal_task(system, call, (None, call.int(0)), 1, &info)
}

/// tgkill(2).
pub(super) fn tgkill<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let info = system.sent_by(call.process, code::TKILL);
    let named = (Some(call.int(0)), call.int(1));
    signal_task(system, call, named, 2, &info)
}

/// rt_sigqueueinfo(2).
pub(super) fn rt_sigqueueinfo<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let info = read_info(system, call, 2, call.int(0))?;
    let id = target(
        system,
        call,
        call.int(0),
        asked_signal(call, 1).unwrap_or_default(),
    )?;
    if let Some(signal) = asked_signal(call, 1)? {
        system.send_signal(Receiver::Process(id), signal, &info)?;
    }
    Ok(0)
}

/// rt_tgsigqueueinfo(2).
pub(super) fn rt_tgsigqueueinfo<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (group, tid) = (call.int(0), call.int(1));
    let info = read_info(system, call, 3, tid)?;
    signal_task(system, call, (Some(group), tid), 2, &info)
}

/// Reads what a program lets a signal say to `receiver`. That the kernel, kill or tkill sent it, it may tell itself only.
fn read_info<B: Block>(
    system: &mut System<B>,
    call: &Call,
    nth: usize,
    receiver: i32,
) -> Result<Info, Stall> {
    let mut bytes = [0; MEANT_BYTES];
    system.read_user(call.space, call.address(nth), &mut bytes)?;
    let info = Info::parse(&bytes);
    let own = system.task_mut(call.task)?.tid;
    let pid = system.process(call.process)?.pid.0;
    let is_feigned = info.code >= 0 || info.code == code::TKILL;
    if is_feigned && ![own, pid].contains(&(receiver as u32)) {
        return Err(Errno::EPERM.into());
    }
    Ok(info)
}

/// Sends a signal to the task of a process, any process without one, that has the number `tid`.
fn signal_task<B: Block>(
    system: &mut System<B>,
    call: &Call,
    (group, tid): (Option<i32>, i32),
    nth: usize,
    info: &Info,
) -> Outcome {
    if tid <= 0 || group.is_some_and(|group| group <= 0) {
        return Err(Errno::EINVAL.into());
    }
    let task = system.table.find_task(tid as u32).ok_or(Errno::ESRCH)?;
    let process = system.task_mut(task)?.process;
    let pid = system.process(process)?.pid.0 as i32;
    if group.is_some_and(|group| group != pid) {
        return Err(Errno::ESRCH.into());
    }
    let signal = asked_signal(call, nth)?;
    target(system, call, pid, signal)?;
    if let Some(signal) = signal {
        system.send_signal(Receiver::Task(task), signal, info)?;
    }
    Ok(0)
}
