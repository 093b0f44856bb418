//! What machine is this, and how much of it is used? uname, sysinfo, times, random bytes.

use super::{Call, Outcome, clock};
use crate::errno::Errno;
use crate::limits::WORK_BYTES;
use crate::program::ticks;
use crate::system::System;
use crate::user_memory::Access;
use crate::wait::{Stall, WakeKey};
use core::time::Duration;
use hal::block::Block;
use hal::clock::Instant;
use hal::limits::PAGE_BYTES;

/// Bytes of each field of `struct utsname`.
const FIELD_BYTES: usize = 65;

const _: () = assert!(crate::limits::HOST_NAME_BYTES < FIELD_BYTES);

/// What uname(2) says. The release is that of the Linux whose calls these are, which C libraries compare with the
/// oldest they run on.
pub(crate) const RELEASE: &str = "6.6.0-mote";

/// uname(2).
pub(super) fn uname<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let view = system.process(call.process)?.view;
    let fields = [
        b"Linux",
        system.views.host_name(view),
        RELEASE.as_bytes(),
        concat!("#1 mote ", env!("CARGO_PKG_VERSION")).as_bytes(),
        b"x86_64",
        b"(none)",
    ];
    let mut bytes = [0; 6 * FIELD_BYTES];
    for (field, text) in bytes.chunks_exact_mut(FIELD_BYTES).zip(fields) {
        field[..text.len()].copy_from_slice(text);
    }
    system.write_user(call.space, call.address(0), &bytes)?;
    Ok(0)
}

/// sysinfo(2).
pub(super) fn sysinfo<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let mut bytes = [0; 112];
    let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0, system.now.since(Instant::ZERO).as_secs());
    put(32, system.pool.total() as u64);
    put(40, system.pool.available() as u64);
    let tasks = system.table.tasks.len() as u16;
    bytes[80..82].copy_from_slice(&tasks.to_le_bytes());
    // `mem_unit`: memory is told in pages.
    bytes[104..108].copy_from_slice(&(PAGE_BYTES as u32).to_le_bytes());
    system.write_user(call.space, call.address(0), &bytes)?;
    Ok(0)
}

/// times(2).
pub(super) fn times<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if !call.address(0).is_null() {
        system.bill();
        let process = system.process(call.process)?;
        let (user, kernel) = (ticks(process.user_nanos), ticks(process.kernel_nanos));
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&clock::pair(user, kernel));
        let (user, kernel) = process.kin.reaped_nanos;
        bytes[16..].copy_from_slice(&clock::pair(ticks(user), ticks(kernel)));
        system.write_user(call.space, call.address(0), &bytes)?;
    }
    Ok(ticks(system.now.as_nanos()))
}

/// getrusage(2): times, and the memory there is now.
pub(super) fn getrusage<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// `RUSAGE_SELF`, `RUSAGE_CHILDREN`, `RUSAGE_THREAD`.
    const SELF: i32 = 0;
    const CHILDREN: i32 = -1;
    const THREAD: i32 = 1;
    system.bill();
    let mut bytes = [0; 144];
    match call.int(0) {
        which @ (SELF | THREAD) => {
            let process = system.process(call.process)?;
            let (mut user, mut kernel) = (process.user_nanos, process.kernel_nanos);
            if which == THREAD {
                let task = system.task_mut(call.task)?;
                (user, kernel) = (task.user_nanos, task.kernel_nanos);
            }
            let frames = system.space(call.space)?.charged;
            bytes[..16].copy_from_slice(&clock::timeval(Duration::from_nanos(user)));
            bytes[16..32].copy_from_slice(&clock::timeval(Duration::from_nanos(kernel)));
            // `ru_maxrss` is in KiB.
            let kib = frames * PAGE_BYTES as u64 / 1024;
            bytes[32..40].copy_from_slice(&kib.to_le_bytes());
        }
        CHILDREN => {
            let (user, kernel) = system.process(call.process)?.kin.reaped_nanos;
            bytes[..16].copy_from_slice(&clock::timeval(Duration::from_nanos(user)));
            bytes[16..32].copy_from_slice(&clock::timeval(Duration::from_nanos(kernel)));
        }
        _ => return Err(Errno::EINVAL.into()),
    }
    system.write_user(call.space, call.address(1), &bytes)?;
    Ok(0)
}

/// getrandom(2).
pub(super) fn getrandom<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// Flags of linux/random.h.
    const NON_BLOCKING: u32 = 1;
    const RANDOM: u32 = 2;
    const INSECURE: u32 = 4;
    /// Most bytes of one call (Linux drivers/char/random.c: `INT_MAX & PAGE_MASK`).
    const MOST: u64 = 0x7fff_f000;
    let flags = call.uint(2);
    let contradictory = flags & (RANDOM | INSECURE) == RANDOM | INSECURE;
    if flags & !(NON_BLOCKING | RANDOM | INSECURE) != 0 || contradictory {
        return Err(Errno::EINVAL.into());
    }
    if !system.random.is_seeded() && flags & INSECURE == 0 {
        return Err(if flags & NON_BLOCKING != 0 {
            Errno::EAGAIN.into()
        } else {
            Stall::wait(WakeKey::Seed)
        });
    }
    let wanted = call.number(1).min(MOST);
    let turn = (call.progress + WORK_BYTES as u64).min(wanted);
    while call.progress < turn {
        let at = call.address(0).offset(call.progress)?;
        let rest = (turn - call.progress) as usize;
        let span = system.span(call.space, at, rest, Access::Write)?;
        let space = system.spaces.get(call.space).ok_or(Errno::EFAULT)?;
        let frame = span.frame(space, &system.pool)?;
        let bytes = &mut system.pool.bytes_mut(frame)[span.range()];
        system.random.fill(bytes);
        call.progress += span.len as u64;
    }
    if turn < wanted {
        return Err(Stall::AGAIN);
    }
    Ok(wanted)
}

/// personality(2): there is Linux's, without any of its quirks.
pub(super) fn personality<B: Block>(_: &mut System<B>, call: &mut Call) -> Outcome {
    const LINUX: u32 = 0;
    const ASK: u32 = u32::MAX;
    match call.uint(0) {
        LINUX | ASK => Ok(u64::from(LINUX)),
        _ => Err(Errno::EINVAL.into()),
    }
}
