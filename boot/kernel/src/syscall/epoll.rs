//! epoll: made, changed, waited for. Lists are told of from where the last telling ended.

use super::descriptor::flags_of;
use super::poll::{Part, end_of, park, read_mask, read_timeout, unmask, watch, with_mask};
use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::{Control, EpollId};
use crate::limits::EPOLL_BATCH;
use crate::system::System;
use core::time::Duration;
use hal::block::Block;
use hal::clock::Instant;

/// Bytes of `struct epoll_event`, which is packed on this machine.
const EVENT_BYTES: usize = 12;

/// epoll_create(2).
pub(super) fn epoll_create<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if call.int(0) <= 0 {
        return Err(Errno::EINVAL.into());
    }
    make(system, call, 0)
}

/// epoll_create1(2).
pub(super) fn epoll_create1<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make(system, call, call.uint(0))
}

fn make<B: Block>(system: &mut System<B>, call: &Call, flags: u32) -> Outcome {
    use crate::fs::OpenFlags;
    let flags = flags_of(flags, 0)?;
    if flags.contains(OpenFlags::NONBLOCK) {
        return Err(Errno::EINVAL.into());
    }
    let table = system.table_of(call)?;
    let mut parts = system.file_parts(call.process)?;
    let flags = flags | OpenFlags::RDWR;
    let fd = parts.files.open_epoll(&mut parts.context, table, flags)?;
    Ok(fd as u64)
}

/// epoll_ctl(2).
pub(super) fn epoll_ctl<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const ADD: i32 = 1;
    const REMOVE: i32 = 2;
    const CHANGE: i32 = 3;
    let operation = call.int(1);
    let mut asked = (0, 0);
    if operation != REMOVE {
        let mut bytes = [0; EVENT_BYTES];
        system.read_user(call.space, call.address(3), &mut bytes)?;
        let (events, data) = bytes.split_at(4);
        asked.0 = events.try_into().map_or(0, u32::from_le_bytes);
        asked.1 = data.try_into().map_or(0, u64::from_le_bytes);
    }
    let list = system.open_file(call, 0)?;
    let file = system.open_file(call, 2)?;
    let list_id = system.files.epoll_of(list)?;
    if list == file {
        return Err(Errno::EINVAL.into());
    }
    // The bits of errors are always asked for, so that what is asked for is never nothing.
    let (events, data) = (asked.0 | 0x18, asked.1);
    let control = match operation {
        ADD => Control::Add(events, data),
        CHANGE => Control::Change(events, data),
        REMOVE => Control::Remove,
        _ => return Err(Errno::EINVAL.into()),
    };
    let mut parts = system.file_parts(call.process)?;
    parts
        .files
        .control_epoll(&mut parts.context, list_id, call.int(2), file, control)?;
    // Whoever waits for the list may have to wait for something else now.
    system
        .wakes
        .wake(crate::wait::WakeKey::Epoll(list_id.index()));
    Ok(0)
}

/// epoll_wait(2).
pub(super) fn epoll_wait<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = u64::try_from(call.int(3)).ok().map(Duration::from_millis);
    let end = end_of(system, call, timeout);
    wait(system, call, end)
}

/// epoll_pwait(2).
pub(super) fn epoll_pwait<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = u64::try_from(call.int(3)).ok().map(Duration::from_millis);
    wait_masked(system, call, timeout)
}

/// epoll_pwait2(2).
pub(super) fn epoll_pwait2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let timeout = read_timeout(system, call, call.address(3), Part::Nanos)?;
    wait_masked(system, call, timeout)
}

fn wait_masked<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    timeout: Option<Duration>,
) -> Outcome {
    let mask = read_mask(system, call, call.address(4), call.number(5))?;
    let end = end_of(system, call, timeout);
    with_mask(system, call, mask)?;
    let outcome = wait(system, call, end);
    if !outcome.is_err_and(|stall| !stall.is_error()) {
        unmask(system, call);
    }
    outcome
}

fn wait<B: Block>(system: &mut System<B>, call: &mut Call, end: Instant) -> Outcome {
    let most = usize::try_from(call.int(2)).unwrap_or(0);
    if most == 0 || most > i32::MAX as usize / EVENT_BYTES {
        return Err(Errno::EINVAL.into());
    }
    let file = system.open_file(call, 0)?;
    let list: EpollId = system.files.epoll_of(file)?;
    system.files.note_edges(&mut system.wakes);
    let mut watch = watch(system, call, end)?;
    watch.add(crate::wait::WakeKey::Epoll(list.index()));
    let batch = system.files.look_at_list(list, &mut watch, most);
    if batch.is_empty() {
        return park(system, call, end, watch);
    }
    let mut bytes = [0; EVENT_BYTES * EPOLL_BATCH];
    for (told, event) in batch.iter().zip(bytes.chunks_exact_mut(EVENT_BYTES)) {
        event[..4].copy_from_slice(&told.events.to_le_bytes());
        event[4..].copy_from_slice(&told.data.to_le_bytes());
    }
    let bytes = &bytes[..EVENT_BYTES * batch.len()];
    system.write_user(call.space, call.address(1), bytes)?;
    // Only now: a call that has to wait for the program's memory is tried again and must find the same.
    system.files.on_told(list, &batch);
    Ok(batch.len() as u64)
}
