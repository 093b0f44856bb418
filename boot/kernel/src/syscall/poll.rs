//! Waiting for one of several files: poll, ppoll, select, pselect6.
//!
//! A parked call waits for one key. When several files are waited for, it waits for the first one that can change and
//! looks again at a short interval: correct at once for the common case of one file, and a little late otherwise.

use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::fs::Readiness;
use crate::limits::{MAX_DESCRIPTORS, POLL_MS};
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::{Stall, WakeKey};
use core::time::Duration;
use hal::block::Block;
use hal::clock::Instant;

/// Bytes of `struct pollfd`.
const ENTRY_BYTES: u64 = 8;

/// Bytes of an `fd_set`.
const SET_BYTES: usize = MAX_DESCRIPTORS / 8;

/// poll(2).
pub(super) fn poll<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = u64::try_from(call.int(2)).ok().map(Duration::from_millis);
    poll_until(system, call, timeout)
}

/// ppoll(2), without a signal mask of its own.
pub(super) fn ppoll<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = read_timeout(system, call, call.address(2), 1)?;
    poll_until(system, call, timeout)
}

/// Reads a `timespec` or `timeval`, whose second field counts `unit` nanoseconds; `None` for a null pointer.
fn read_timeout<B: Block>(
    system: &mut System<B>,
    call: &Call,
    address: UserAddr,
    unit: u32,
) -> Result<Option<Duration>, Stall> {
    if address.is_null() {
        return Ok(None);
    }
    let seconds = system.read_u64(call.space, address)?;
    let part = system.read_u64(call.space, address.offset(8)?)?;
    if seconds > i64::MAX as u64 || part >= u64::from(1_000_000_000 / unit) {
        return Err(Errno::EINVAL.into());
    }
    Ok(Some(Duration::new(seconds, part as u32 * unit)))
}

/// Returns until when the call waits: what it said at its first try. `call.progress` counts the tries; the end itself
/// is kept in the upper part of it.
fn end_of<B: Block>(system: &System<B>, call: &mut Call, timeout: Option<Duration>) -> Instant {
    call.restart = Restart::Never;
    if call.progress == 0 {
        let end = timeout.map_or(Instant::NEVER, |timeout| system.now + timeout);
        call.progress = end.as_nanos().max(1);
    }
    Instant::from_nanos(call.progress)
}

/// Parks a call that found nothing: until `key`, or the end, or the next look.
fn park<B: Block>(
    system: &System<B>,
    call: &mut Call,
    end: Instant,
    keys: (Option<WakeKey>, usize),
) -> Outcome {
    if system.now >= end {
        return Ok(0);
    }
    let (key, count) = keys;
    let look = if count > 1 {
        system.now + Duration::from_millis(POLL_MS)
    } else {
        Instant::NEVER
    };
    let until = end.min(look);
    call.deadline = (until < Instant::NEVER).then_some(until);
    Err(Stall::Wait(key.unwrap_or(WakeKey::Nothing)))
}

fn poll_until<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    timeout: Option<Duration>,
) -> Outcome {
    let count = call.number(1);
    if count > MAX_DESCRIPTORS as u64 {
        return Err(Errno::EINVAL.into());
    }
    let end = end_of(system, call, timeout);
    let table = system.table_of(call)?;
    let (mut ready, mut key, mut keys) = (0, None, 0);
    for nth in 0..count {
        let at = call.address(0).offset(nth * ENTRY_BYTES)?;
        let mut entry = [0; ENTRY_BYTES as usize];
        system.read_user(call.space, at, &mut entry)?;
        let fd = i32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let wanted = u16::from_le_bytes([entry[4], entry[5]]);
        let always = Readiness::ERROR | Readiness::HANG_UP | Readiness::INVALID;
        let found = if fd < 0 {
            Readiness::empty()
        } else {
            match system.files.description(table, fd) {
                Ok((id, _)) => {
                    if let Some(found) = system.files.readiness_key(id) {
                        key.get_or_insert(found);
                        keys += 1;
                    }
                    system.files.readiness(id)
                }
                Err(_) => Readiness::INVALID,
            }
        };
        let found = found & (Readiness::from_bits_truncate(wanted) | always);
        ready += u64::from(!found.is_empty());
        let answer = found.bits().to_le_bytes();
        if entry[6..] != answer {
            system.write_user(call.space, at.offset(6)?, &answer)?;
        }
    }
    if ready > 0 {
        return Ok(ready);
    }
    park(system, call, end, (key, keys))
}

/// select(2). The time that is left is not told.
pub(super) fn select<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = read_timeout(system, call, call.address(4), 1000)?;
    select_until(system, call, timeout)
}

/// pselect6(2), without a signal mask of its own.
pub(super) fn pselect6<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = read_timeout(system, call, call.address(4), 1)?;
    select_until(system, call, timeout)
}

fn select_until<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    timeout: Option<Duration>,
) -> Outcome {
    let count = usize::try_from(call.int(0)).map_err(|_| Errno::EINVAL)?;
    let count = count.min(MAX_DESCRIPTORS);
    let bytes = count.div_ceil(64) * 8;
    let end = end_of(system, call, timeout);
    let table = system.table_of(call)?;
    let mut wanted = [[0; SET_BYTES]; 3];
    for (nth, set) in wanted.iter_mut().enumerate() {
        if !call.address(nth + 1).is_null() {
            system.read_user(call.space, call.address(nth + 1), &mut set[..bytes])?;
        }
    }
    let mut found = [[0; SET_BYTES]; 3];
    let (mut ready, mut key, mut keys) = (0, None, 0);
    for fd in 0..count {
        let bit = 1_u8 << (fd % 8);
        if wanted.iter().all(|set| set[fd / 8] & bit == 0) {
            continue;
        }
        let (id, _) = system.files.description(table, fd as i32)?;
        if let Some(known) = system.files.readiness_key(id) {
            key.get_or_insert(known);
            keys += 1;
        }
        let state = system.files.readiness(id);
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
        return park(system, call, end, (key, keys));
    }
    for (nth, set) in found.iter().enumerate() {
        if !call.address(nth + 1).is_null() {
            system.write_user(call.space, call.address(nth + 1), &set[..bytes])?;
        }
    }
    Ok(ready)
}
