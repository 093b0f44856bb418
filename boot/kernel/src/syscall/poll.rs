//! Waiting for one of several files: poll, ppoll, select, pselect6.
//!
//! A call looks at all files and, when none is ready, parks on the set of what would change that.

use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::fs::{Files, Readiness, Table, Watch};
use crate::limits::MAX_DESCRIPTORS;
use crate::signal::SignalSet;
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use core::time::Duration;
use hal::block::Block;
use hal::clock::Instant;

/// Bytes of `struct pollfd`.
const ENTRY_BYTES: usize = 8;

/// How many of them are read and written at once.
const POLL_BATCH: usize = 64;

/// Bytes of an `fd_set`.
const SET_BYTES: usize = MAX_DESCRIPTORS / 8;

/// The second field of a time that a program gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `struct timespec`.
    Nanos,
    /// `struct timeval`. Linux lets it be more than a second.
    Micros,
}

/// poll(2).
pub(super) fn poll<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = u64::try_from(call.int(2)).ok().map(Duration::from_millis);
    let end = end_of(system, call, timeout);
    poll_until(system, call, end)
}

/// ppoll(2).
pub(super) fn ppoll<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = read_timeout(system, call, call.address(2), Part::Nanos)?;
    let mask = read_mask(system, call, call.address(3), call.number(4))?;
    let end = end_of(system, call, timeout);
    with_mask(system, call, mask)?;
    let outcome = poll_until(system, call, end);
    finish(system, call, outcome, (call.address(2), Part::Nanos), end)
}

/// Reads a time span; `None` for a null pointer.
pub(super) fn read_timeout<B: Block>(
    system: &mut System<B>,
    call: &Call,
    address: UserAddr,
    part: Part,
) -> Result<Option<Duration>, Stall> {
    if address.is_null() || call.progress != 0 {
        return Ok(None);
    }
    let seconds = system.read_u64(call.space, address)?;
    let rest = system.read_u64(call.space, address.offset(8)?)?;
    let rest = match part {
        Part::Nanos if rest < 1_000_000_000 => Duration::from_nanos(rest),
        Part::Micros if rest <= i64::MAX as u64 => Duration::from_micros(rest),
        _ => return Err(Errno::EINVAL.into()),
    };
    if seconds > i64::MAX as u64 {
        return Err(Errno::EINVAL.into());
    }
    Ok(Some(Duration::from_secs(seconds).saturating_add(rest)))
}

/// Reads the signal mask a call waits with; `None` for a null pointer.
pub(super) fn read_mask<B: Block>(
    system: &mut System<B>,
    call: &Call,
    address: UserAddr,
    bytes: u64,
) -> Result<Option<SignalSet>, Stall> {
    if address.is_null() || call.progress != 0 {
        return Ok(None);
    }
    super::signal::check_set_size(bytes)?;
    Ok(Some(SignalSet::mask(system.read_u64(call.space, address)?)))
}

/// Returns until when the call waits: what it said at its first try, kept in `call.progress` as one more than its
/// nanoseconds.
pub(super) fn end_of<B: Block>(
    system: &System<B>,
    call: &mut Call,
    timeout: Option<Duration>,
) -> Instant {
    call.restart = Restart::Never;
    if call.progress == 0 {
        let end = timeout.map_or(Instant::NEVER, |timeout| system.now + timeout);
        call.progress = end.as_nanos().saturating_add(1);
    }
    match call.progress {
        u64::MAX => Instant::NEVER,
        kept => Instant::from_nanos(kept - 1),
    }
}

/// Waits with another signal mask, if one was given; it holds until [`unmask`], or until a handler returns.
pub(super) fn with_mask<B: Block>(
    system: &mut System<B>,
    call: &Call,
    mask: Option<SignalSet>,
) -> Result<(), Errno> {
    if let Some(mask) = mask {
        let task = system.task_mut(call.task)?;
        task.saved_mask = Some(core::mem::replace(&mut task.mask, mask));
    }
    Ok(())
}

/// Goes back to the mask from before. A call that found something is over: signals that only the other mask let through
/// wait on.
pub(super) fn unmask<B: Block>(system: &mut System<B>, call: &Call) {
    if let Ok(task) = system.task_mut(call.task)
        && let Some(mask) = task.saved_mask.take()
    {
        task.mask = mask;
    }
}

/// Ends a call that does not wait on: goes back to the signal mask from before, and tells how much of its time is left.
fn finish<B: Block>(
    system: &mut System<B>,
    call: &Call,
    outcome: Outcome,
    (address, part): (UserAddr, Part),
    end: Instant,
) -> Outcome {
    if outcome.is_err_and(|stall| !stall.is_error()) {
        return outcome;
    }
    unmask(system, call);
    if outcome.is_ok() && !address.is_null() {
        let left = end.since(system.now);
        let rest = match part {
            Part::Nanos => left.subsec_nanos(),
            Part::Micros => left.subsec_micros(),
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&left.as_secs().to_le_bytes());
        bytes[8..].copy_from_slice(&u64::from(rest).to_le_bytes());
        // A constant is not written to, and is no reason to fail (Linux `poll_select_finish`).
        let _ = system.write_user(call.space, address, &bytes);
    }
    outcome
}

/// Begins to look on behalf of a call.
pub(super) fn watch<B: Block>(
    system: &mut System<B>,
    call: &Call,
    end: Instant,
) -> Result<Watch, Errno> {
    let pending = system.pending_of(call)?.bits();
    Ok(Watch::new(end, system.now, pending))
}

/// Parks a call that found nothing.
pub(super) fn park<B: Block>(
    system: &System<B>,
    call: &mut Call,
    end: Instant,
    watch: Watch,
) -> Outcome {
    if system.now >= end {
        return Ok(0);
    }
    call.deadline = (watch.until < Instant::NEVER).then_some(watch.until);
    Err(Stall::wait(watch.key()))
}

fn poll_until<B: Block>(system: &mut System<B>, call: &mut Call, end: Instant) -> Outcome {
    let count = call.size(1)?;
    let table = system.table_of(call)?;
    if count > system.files.table(table)?.limit() {
        return Err(Errno::EINVAL.into());
    }
    let mut watch = watch(system, call, end)?;
    let mut ready = 0;
    let mut entries = [0; POLL_BATCH * ENTRY_BYTES];
    for first in (0..count).step_by(POLL_BATCH) {
        let bytes = (count - first).min(POLL_BATCH) * ENTRY_BYTES;
        let (entries, mut changed) = (&mut entries[..bytes], false);
        let at = call.address(0).offset((first * ENTRY_BYTES) as u64)?;
        system.read_user(call.space, at, entries)?;
        let known = system.files.table(table)?;
        for entry in entries.chunks_exact_mut(ENTRY_BYTES) {
            let found = system.files.answer_poll(known, entry, &mut watch).bits();
            ready += u64::from(found != 0);
            changed |= entry[6..] != found.to_le_bytes();
            entry[6..].copy_from_slice(&found.to_le_bytes());
        }
        // Also when nothing changed: an answer that cannot be written is an error whatever it is. They lie in two pages at
        // most, each of which holds an end of them.
        if changed {
            system.write_user(call.space, at, entries)?;
        } else {
            let last = bytes - ENTRY_BYTES;
            system.write_user(call.space, at, &entries[..ENTRY_BYTES])?;
            system.write_user(call.space, at.offset(last as u64)?, &entries[last..])?;
        }
    }
    if ready > 0 {
        return Ok(ready);
    }
    park(system, call, end, watch)
}

impl<B: Block> Files<B> {
    /// Returns what is to be said of the file that a `struct pollfd` names.
    #[inline(always)]
    fn answer_poll(&self, table: &Table, entry: &[u8], watch: &mut Watch) -> Readiness {
        let fd = i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let wanted = u16::from_le_bytes([entry[4], entry[5]]);
        let always = Readiness::ERROR | Readiness::HANG_UP | Readiness::INVALID;
        let found = if fd < 0 {
            Readiness::empty()
        } else {
            self.look_at_descriptor(table, fd, watch)
        };
        found & (Readiness::from_bits_truncate(wanted) | always)
    }
}

/// select(2).
pub(super) fn select<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = read_timeout(system, call, call.address(4), Part::Micros)?;
    let end = end_of(system, call, timeout);
    let outcome = select_until(system, call, end);
    finish(system, call, outcome, (call.address(4), Part::Micros), end)
}

/// pselect6(2). The mask and its size lie in a structure of their own.
pub(super) fn pselect6<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = read_timeout(system, call, call.address(4), Part::Nanos)?;
    let (mut mask, pair) = (None, call.address(5));
    if !pair.is_null() && call.progress == 0 {
        let address = UserAddr(system.read_u64(call.space, pair)?);
        let bytes = system.read_u64(call.space, pair.offset(8)?)?;
        mask = read_mask(system, call, address, bytes)?;
    }
    let end = end_of(system, call, timeout);
    with_mask(system, call, mask)?;
    let outcome = select_until(system, call, end);
    finish(system, call, outcome, (call.address(4), Part::Nanos), end)
}

fn select_until<B: Block>(system: &mut System<B>, call: &mut Call, end: Instant) -> Outcome {
    let count = usize::try_from(call.int(0)).map_err(|_| Errno::EINVAL)?;
    let count = count.min(MAX_DESCRIPTORS);
    let bytes = count.div_ceil(64) * 8;
    let table = system.table_of(call)?;
    let mut watch = watch(system, call, end)?;
    let mut wanted = [[0; SET_BYTES]; 3];
    for (nth, set) in wanted.iter_mut().enumerate() {
        if !call.address(nth + 1).is_null() {
            system.read_user(call.space, call.address(nth + 1), &mut set[..bytes])?;
        }
    }
    let mut found = [[0; SET_BYTES]; 3];
    let mut ready = 0;
    for fd in 0..count {
        let bit = 1_u8 << (fd % 8);
        if wanted.iter().all(|set| set[fd / 8] & bit == 0) {
            continue;
        }
        let (id, _) = system.files.description(table, fd as i32)?;
        let state = system.files.look(id, &mut watch);
        let answers = [
            Readiness::READ | Readiness::HANG_UP | Readiness::ERROR,
            Readiness::WRITE | Readiness::ERROR,
            Readiness::empty(),
        ];
        for (nth, answer) in answers.into_iter().enumerate() {
            if wanted[nth][fd / 8] & bit != 0 && state.intersects(answer) {
                found[nth][fd / 8] |= bit;
                ready += 1;
            }
        }
    }
    if ready == 0 && system.now < end {
        return park(system, call, end, watch);
    }
    for (nth, set) in found.iter().enumerate() {
        if !call.address(nth + 1).is_null() {
            system.write_user(call.space, call.address(nth + 1), &set[..bytes])?;
        }
    }
    Ok(ready)
}
