//! wait4(2), waitid(2): how children ended, stopped and went on.

use super::{Call, Outcome, clock};
use crate::errno::Errno;
use crate::process::{Life, Process, ProcessId};
use crate::signal::{News, info, known, number};
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::{Stall, WakeKey};
use agent::kernel::ExitStatus;
use core::time::Duration;
use hal::block::Block;

bitflags::bitflags! {
    /// Options of wait4 and waitid (linux/wait.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Options: u32 {
        const NO_HANG = 1;
        const STOPPED = 2;
        const EXITED = 4;
        const CONTINUED = 8;
        const NO_WAIT = 0x0100_0000;
        const NO_THREAD = 0x2000_0000;
        const ALL = 0x4000_0000;
        const CLONE = 0x8000_0000;
    }
}

/// Whose end is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Any,
    Process(u32),
    Group(u32),
}

/// What a child did.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Ended(ExitStatus),
    Lives(News),
}

/// What happened to a child.
#[derive(Clone, Copy, Debug)]
struct Found {
    id: ProcessId,
    pid: u32,
    uid: u32,
    deed: Deed,
    user_nanos: u64,
    kernel_nanos: u64,
}

/// wait4(2).
pub(super) fn wait4<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let options = Options::from_bits(call.uint(2)).ok_or(Errno::EINVAL)?;
    if options.intersects(Options::EXITED | Options::NO_WAIT) {
        return Err(Errno::EINVAL.into());
    }
    let which = match call.int(0) {
        -1 => Which::Any,
        0 => Which::Group(system.process(call.process)?.group),
        i32::MIN => return Err(Errno::ESRCH.into()),
        pid if pid < 0 => Which::Group(pid.unsigned_abs()),
        pid => Which::Process(pid as u32),
    };
    let Some(found) = find(system, call, which, options | Options::EXITED)? else {
        return Ok(0);
    };
    if !call.address(1).is_null() {
        let status = match found.deed {
            Deed::Ended(ExitStatus::Exited(code)) => u32::from(code) << 8,
            Deed::Ended(ExitStatus::Killed(signal)) => u32::from(signal.number()),
            Deed::Lives(News::Stopped(signal)) => u32::from(signal.number()) << 8 | 0x7f,
            Deed::Lives(News::Continued) => 0xffff,
        };
        system.write_user(call.space, call.address(1), &status.to_le_bytes())?;
    }
    write_usage(system, call, call.address(3), &found)?;
    take(system, call, &found);
    Ok(u64::from(found.pid))
}

/// waitid(2).
pub(super) fn waitid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// `P_ALL`, `P_PID`, `P_PGID` (linux/wait.h).
    const ALL: i32 = 0;
    const PROCESS: i32 = 1;
    const GROUP: i32 = 2;
    let options = Options::from_bits(call.uint(3)).ok_or(Errno::EINVAL)?;
    if !options.intersects(Options::EXITED | Options::STOPPED | Options::CONTINUED) {
        return Err(Errno::EINVAL.into());
    }
    let named = u32::try_from(call.int(1));
    let which = match (call.int(0), named) {
        (ALL, _) => Which::Any,
        (PROCESS, Ok(pid @ 1..)) => Which::Process(pid),
        (GROUP, Ok(0)) => Which::Group(system.process(call.process)?.group),
        (GROUP, Ok(group)) => Which::Group(group),
        _ => return Err(Errno::EINVAL.into()),
    };
    let found = find(system, call, which, options)?;
    if !call.address(2).is_null() {
        // `siginfo_t`: signal, error, code; process, user, status.
        let mut fields = [0; 7];
        if let Some(found) = &found {
            let (code, status) = match found.deed {
                Deed::Ended(status) => info::ending(status),
                Deed::Lives(news) => news.told(),
            };
            let signal = u32::from(number::CHLD);
            fields = [signal, 0, code as u32, 0, found.pid, found.uid, status];
        }
        for (nth, field) in fields.into_iter().enumerate() {
            if nth != 3 {
                let at = call.address(2).offset(4 * nth as u64)?;
                system.write_user(call.space, at, &field.to_le_bytes())?;
            }
        }
    }
    if let Some(found) = found {
        write_usage(system, call, call.address(4), &found)?;
        if !options.contains(Options::NO_WAIT) {
            take(system, call, &found);
        }
    }
    Ok(0)
}

/// Returns what a child did, if it was asked for.
fn deed(child: &Process, options: Options) -> Option<Deed> {
    let (deed, wanted) = match (&child.life, child.job.news) {
        (&Life::Zombie(status), _) => (Deed::Ended(status), Options::EXITED),
        (_, Some(news @ News::Stopped(_))) => (Deed::Lives(news), Options::STOPPED),
        (_, Some(news @ News::Continued)) => (Deed::Lives(news), Options::CONTINUED),
        (_, None) => return None,
    };
    options.contains(wanted).then_some(deed)
}

/// Looks for a child that did what is waited for; `None` when the call does not want to wait.
fn find<B: Block>(
    system: &System<B>,
    call: &Call,
    which: Which,
    options: Options,
) -> Result<Option<Found>, Stall> {
    let own = system.process(call.process)?.pid;
    let mut has_child = false;
    let mut after = 0;
    while let Some((id, child)) = system.table.child_after(own, after) {
        after = child.pid.0;
        if !is_meant(child, which, options) {
            continue;
        }
        has_child = true;
        if let Some(deed) = deed(child, options) {
            return Ok(Some(Found {
                id,
                pid: child.pid.0,
                uid: system.identity(id)?.user.real,
                deed,
                user_nanos: child.user_nanos + child.kin.reaped_nanos.0,
                kernel_nanos: child.kernel_nanos + child.kin.reaped_nanos.1,
            }));
        }
    }
    if !has_child {
        return Err(Errno::ECHILD.into());
    }
    if options.contains(Options::NO_HANG) {
        return Ok(None);
    }
    Err(Stall::wait(WakeKey::Child(own.0)))
}

fn is_meant(child: &Process, which: Which, options: Options) -> bool {
    // A child that ends with another signal than SIGCHLD is a "clone" child.
    let is_clone = child.kin.exit_signal != Some(known(number::CHLD));
    if !options.contains(Options::ALL) && is_clone != options.contains(Options::CLONE) {
        return false;
    }
    !matches!(child.life, Life::Made { .. })
        && match which {
            Which::Any => true,
            Which::Process(pid) => child.pid.0 == pid,
            Which::Group(group) => child.group == group,
        }
}

/// Writes what a child used as `struct rusage`, as far as it is counted.
fn write_usage<B: Block>(
    system: &mut System<B>,
    call: &Call,
    at: UserAddr,
    found: &Found,
) -> Result<(), Stall> {
    if at.is_null() {
        return Ok(());
    }
    let mut bytes = [0; 144];
    bytes[..16].copy_from_slice(&clock::timeval(Duration::from_nanos(found.user_nanos)));
    bytes[16..32].copy_from_slice(&clock::timeval(Duration::from_nanos(found.kernel_nanos)));
    system.write_user(call.space, at, &bytes)
}

/// Takes a child that has ended out of the table; of one that lives, the news.
fn take<B: Block>(system: &mut System<B>, call: &Call, found: &Found) {
    if let Deed::Lives(_) = found.deed {
        if let Ok(child) = system.process_mut(found.id) {
            child.job.news = None;
        }
        return;
    }
    if let Ok(process) = system.process_mut(call.process) {
        process.kin.reaped_nanos.0 += found.user_nanos;
        process.kin.reaped_nanos.1 += found.kernel_nanos;
    }
    system.forget_process(found.id);
}
