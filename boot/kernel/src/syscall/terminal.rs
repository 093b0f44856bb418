//! What ioctl(2) means to terminals (ioctl_tty(2)), and what reading one waits for.

use super::{Call, Outcome};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::{DescriptionId, OpenFlags};
use crate::signal::number;
use crate::system::{FileParts, System};
use crate::tty::{Character, Flow, Queue, Side, TERMIOS_BYTES, TERMIOS2_BYTES, TerminalEnd};
use crate::wait::Stall;
use core::time::Duration;
use hal::block::Block;

/// Requests (asm-generic/ioctls.h).
mod request {
    pub(super) const TCGETS: u32 = 0x5401;
    pub(super) const TCSETS: u32 = 0x5402;
    pub(super) const TCSETSF: u32 = 0x5404;
    pub(super) const TCSBRK: u32 = 0x5409;
    pub(super) const TCXONC: u32 = 0x540a;
    pub(super) const TCFLSH: u32 = 0x540b;
    pub(super) const TIOCEXCL: u32 = 0x540c;
    pub(super) const TIOCNXCL: u32 = 0x540d;
    pub(super) const TIOCSCTTY: u32 = 0x540e;
    pub(super) const TIOCGPGRP: u32 = 0x540f;
    pub(super) const TIOCSPGRP: u32 = 0x5410;
    pub(super) const TIOCOUTQ: u32 = 0x5411;
    pub(super) const TIOCSTI: u32 = 0x5412;
    pub(super) const TIOCGWINSZ: u32 = 0x5413;
    pub(super) const TIOCSWINSZ: u32 = 0x5414;
    pub(super) const FIONREAD: u32 = 0x541b;
    pub(super) const TIOCNOTTY: u32 = 0x5422;
    pub(super) const TIOCGETD: u32 = 0x5424;
    pub(super) const TCSBRKP: u32 = 0x5425;
    pub(super) const TIOCGSID: u32 = 0x5429;
    pub(super) const TIOCGPTPEER: u32 = 0x5441;
    pub(super) const TCGETS2: u32 = 0x802c_542a;
    pub(super) const TCSETS2: u32 = 0x402c_542b;
    pub(super) const TCSETSF2: u32 = 0x402c_542d;
    pub(super) const TIOCGPTN: u32 = 0x8004_5430;
    pub(super) const TIOCSPTLCK: u32 = 0x4004_5431;
    pub(super) const TIOCGPTLCK: u32 = 0x8004_5439;
    pub(super) const TIOCGEXCL: u32 = 0x8004_5440;
}
use request::*;

/// Carries a request out that only terminals know; `None` for any other file or request.
pub(super) fn ioctl<B: Block>(
    system: &mut System<B>,
    call: &Call,
    file: DescriptionId,
) -> Option<Outcome> {
    let end = system.files.terminal(file)?;
    let request = call.uint(1);
    if system.files.terminals.is_hung_up(end) {
        return Some(Err(match request {
            TIOCSPGRP => Errno::ENOTTY,
            _ => Errno::EIO,
        }
        .into()));
    }
    let is_master = end.side == Side::Master;
    let terminals = &system.files.terminals;
    Some(match request {
        TCGETS => {
            let termios = terminals.termios(end.id);
            store(system, call, &termios.bytes()[..TERMIOS_BYTES])
        }
        TCGETS2 => {
            let termios = terminals.termios(end.id);
            store(system, call, termios.bytes())
        }
        TCSETS..=TCSETSF => set(system, call, end, TERMIOS_BYTES, request == TCSETSF),
        TCSETS2..=TCSETSF2 => set(system, call, end, TERMIOS2_BYTES, request == TCSETSF2),
        TIOCGWINSZ => {
            let window = terminals.window(end.id);
            store(system, call, &window)
        }
        TIOCSWINSZ => {
            let mut window = [0; 8];
            let read = system.read_user(call.space, call.address(2), &mut window);
            read.map(|()| {
                system.files.terminals.set_window(end.id, window);
                0
            })
        }
        // There is no line that could be broken, and nothing to wait for.
        TCSBRK | TCSBRKP => check(system, call, end).map(|()| 0),
        TCXONC => flow(system, call, end),
        TCFLSH => flush(system, call, end),
        TIOCOUTQ => {
            let count = terminals.unsent(end.id) as u32;
            store(system, call, &count.to_le_bytes())
        }
        FIONREAD => {
            let count = terminals.readable_bytes(&system.pool, end) as u32;
            store(system, call, &count.to_le_bytes())
        }
        // N_TTY.
        TIOCGETD => store(system, call, &[0; 4]),
        TIOCEXCL | TIOCNXCL => {
            let terminals = &mut system.files.terminals;
            terminals.set_exclusive(end.id, request == TIOCEXCL);
            Ok(0)
        }
        TIOCGEXCL => {
            let is_exclusive = u32::from(terminals.is_exclusive(end.id));
            store(system, call, &is_exclusive.to_le_bytes())
        }
        // Nobody types for another (Linux `dev.tty.legacy_tiocsti` 0).
        TIOCSTI => Err(Errno::EIO.into()),
        TIOCSCTTY => take(system, call, end),
        TIOCNOTTY => give_up(system, call, end),
        TIOCGPGRP | TIOCGSID => {
            let (session, foreground) = terminals.session(end.id);
            if !is_master && system.terminal_of(call.process) != Some(end.id) {
                Err(Errno::ENOTTY.into())
            } else if request == TIOCGPGRP {
                store(system, call, &foreground.to_le_bytes())
            } else if session == 0 {
                Err(Errno::ENOTTY.into())
            } else {
                store(system, call, &session.to_le_bytes())
            }
        }
        TIOCSPGRP => set_foreground(system, call, end),
        TIOCGPTN if is_master => store(system, call, &end.id.index().to_le_bytes()),
        TIOCSPTLCK if is_master => system.read_u32(call.space, call.address(2)).map(|locked| {
            system.files.terminals.set_locked(end.id, locked != 0);
            0
        }),
        TIOCGPTLCK if is_master => {
            let locked = u32::from(terminals.is_locked(end.id));
            store(system, call, &locked.to_le_bytes())
        }
        TIOCGPTPEER if is_master => open_peer(system, call, end),
        _ => return None,
    })
}

fn store<B: Block>(system: &mut System<B>, call: &Call, bytes: &[u8]) -> Outcome {
    system.write_user(call.space, call.address(2), bytes)?;
    Ok(0)
}

/// Keeps processes in the background from changing the terminal of who is in the foreground.
fn check<B: Block>(system: &mut System<B>, call: &Call, end: TerminalEnd) -> Result<(), Stall> {
    system.check_foreground(call.task, end.id, number::TTOU)
}

fn set<B: Block>(
    system: &mut System<B>,
    call: &Call,
    end: TerminalEnd,
    len: usize,
    flushes: bool,
) -> Outcome {
    check(system, call, end)?;
    let mut bytes = [0; TERMIOS2_BYTES];
    system.read_user(call.space, call.address(2), &mut bytes[..len])?;
    let FileParts {
        files, mut context, ..
    } = system.file_parts(call.process)?;
    if flushes {
        files.terminals.flush(&mut context, end.id, Queue::Input);
    }
    files
        .terminals
        .set_termios(&mut context, end.id, &bytes[..len]);
    Ok(0)
}

fn flow<B: Block>(system: &mut System<B>, call: &Call, end: TerminalEnd) -> Outcome {
    check(system, call, end)?;
    let flow = match call.int(2) {
        0 => Flow::Hold,
        1 => Flow::GoOn,
        2 => Flow::Send(Character::Stop),
        3 => Flow::Send(Character::Start),
        _ => return Err(Errno::EINVAL.into()),
    };
    let mut parts = system.file_parts(call.process)?;
    let context = &mut parts.context;
    parts.files.terminals.control_flow(context, end.id, flow);
    Ok(0)
}

fn flush<B: Block>(system: &mut System<B>, call: &Call, end: TerminalEnd) -> Outcome {
    check(system, call, end)?;
    let queue = match (call.int(2), end.side) {
        (0, Side::Slave) | (1, Side::Master) => Queue::Input,
        (1, Side::Slave) | (0, Side::Master) => Queue::Output,
        (2, _) => Queue::Both,
        _ => return Err(Errno::EINVAL.into()),
    };
    let mut parts = system.file_parts(call.process)?;
    let context = &mut parts.context;
    parts.files.terminals.flush(context, end.id, queue);
    Ok(0)
}

/// TIOCSCTTY: a session's leader without a terminal takes one that controls no session; root may take it away from one.
fn take<B: Block>(system: &mut System<B>, call: &Call, end: TerminalEnd) -> Outcome {
    let process = system.process(call.process)?;
    let (pid, session) = (process.pid.0, process.session);
    let (taken_by, _) = system.files.terminals.session(end.id);
    if pid == session && taken_by == session {
        return Ok(0);
    }
    let may_steal = call.int(2) == 1 && system.identity(call.process)?.can(Capabilities::SYS_ADMIN);
    let has_one = system.terminal_of(call.process).is_some();
    if pid != session || has_one || taken_by != 0 && !may_steal {
        return Err(Errno::EPERM.into());
    }
    system.files.terminals.set_session(end.id, session, session);
    Ok(0)
}

/// vhangup(2), of the caller's own terminal.
pub(super) fn vhangup<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if !system
        .identity(call.process)?
        .can(Capabilities::SYS_TTY_CONFIG)
    {
        return Err(Errno::EPERM.into());
    }
    if let Some(terminal) = system.terminal_of(call.process) {
        let wakes = &mut system.wakes;
        system.files.terminals.hang_up(wakes, terminal);
    }
    Ok(0)
}

/// TIOCNOTTY: the leader gives the terminal up for its session, anybody else for itself.
fn give_up<B: Block>(system: &mut System<B>, call: &Call, end: TerminalEnd) -> Outcome {
    if system.terminal_of(call.process) != Some(end.id) {
        return Err(Errno::ENOTTY.into());
    }
    let process = system.process_mut(call.process)?;
    if process.pid.0 != process.session {
        process.job.is_detached = true;
        return Ok(0);
    }
    let foreground = system.files.terminals.release_session(end.id);
    if foreground != 0 {
        system.hang_up_group(foreground);
    }
    Ok(0)
}

/// TIOCSPGRP.
fn set_foreground<B: Block>(system: &mut System<B>, call: &Call, end: TerminalEnd) -> Outcome {
    match check(system, call, end) {
        Err(stall) if stall.errno() == Some(Errno::EIO) => return Err(Errno::ENOTTY.into()),
        other => other?,
    }
    let group = system.read_u32(call.space, call.address(2))?;
    if group > i32::MAX as u32 {
        return Err(Errno::EINVAL.into());
    }
    let session = system.process(call.process)?.session;
    if system.terminal_of(call.process) != Some(end.id) {
        return Err(Errno::ENOTTY.into());
    }
    if !system.table.leads_group(group) {
        return Err(Errno::ESRCH.into());
    }
    if !system.table.has_group(group, session) {
        return Err(Errno::EPERM.into());
    }
    // What was typed before is for who was in the foreground before.
    system.settle_terminals();
    system.files.terminals.set_session(end.id, session, group);
    Ok(0)
}

fn open_peer<B: Block>(system: &mut System<B>, call: &Call, end: TerminalEnd) -> Outcome {
    let flags = OpenFlags::from_bits_truncate(call.uint(2));
    let table = system.table_of(call)?;
    let mut parts = system.file_parts(call.process)?;
    let context = &mut parts.context;
    let fd = parts.files.open_peer(context, table, end.id, flags)?;
    Ok(fd as u64)
}

/// Begins a read or write of a terminal: keeps those out that are in the background and must not, and lets a read take a
/// line.
pub(super) fn begin<B: Block>(
    system: &mut System<B>,
    call: &Call,
    end: TerminalEnd,
    signal: u8,
) -> Result<(), Stall> {
    let is_read = signal == number::TTIN;
    let terminals = &mut system.files.terminals;
    if call.progress > 0 || end.side == Side::Master || terminals.is_hung_up(end) {
        return Ok(());
    }
    if is_read {
        terminals.begin_read(end);
    }
    if is_read || terminals.stops_background(end.id) {
        system.check_foreground(call.task, end.id, signal)?;
    }
    Ok(())
}

/// Decides whether a read that moved bytes, just now if `moved`, and found no more now returns, by VMIN and VTIME.
pub(super) fn is_over<B: Block>(
    system: &System<B>,
    call: &mut Call,
    end: TerminalEnd,
    moved: bool,
) -> bool {
    /// Nanoseconds of VTIME's unit.
    const TENTH: u32 = 100_000_000;
    let done = call.progress as usize;
    if end.side == Side::Master {
        return done > 0;
    }
    let Some(tenths) = system.files.terminals.patience(end, done) else {
        return false;
    };
    let time = Duration::from_nanos(u64::from(tenths) * u64::from(TENTH));
    if moved || call.deadline.is_none() {
        call.deadline = Some(system.now + time);
    }
    call.deadline.is_some_and(|due| system.now >= due)
}
