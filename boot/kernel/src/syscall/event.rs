//! Events as files: eventfd, timerfd, signalfd.

use super::clock::{read_timespec, timespec};
use super::descriptor::flags_of;
use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::{DescriptionId, Event, EventId, OpenFlags};
use crate::signal::SignalSet;
use crate::signal::info::INFO_BYTES;
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::{Stall, WakeKey};
use core::time::Duration;
use hal::block::Block;
use hal::clock::Instant;

/// Bytes of a counter, and of a count of expirations.
const COUNT_BYTES: usize = 8;

/// Bytes of `struct timespec`.
const TIME_BYTES: u64 = 16;

/// Where a read puts what it gets, or a write takes it: an address and a length.
type Buffer = (UserAddr, usize);

fn make<B: Block>(system: &mut System<B>, call: &Call, event: Event, flags: OpenFlags) -> Outcome {
    let table = system.table_of(call)?;
    let mut parts = system.file_parts(call.process)?;
    let fd = parts
        .files
        .open_event(&mut parts.context, table, event, flags)?;
    Ok(fd as u64)
}

fn set<B: Block>(
    system: &mut System<B>,
    call: &Call,
    id: EventId,
    event: Event,
) -> Result<(), Errno> {
    let mut parts = system.file_parts(call.process)?;
    parts.files.set_event(&mut parts.context, id, event);
    Ok(())
}

/// eventfd(2), the call without flags.
pub(super) fn eventfd<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make_counter(system, call, 0)
}

/// eventfd2(2).
pub(super) fn eventfd2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make_counter(system, call, call.uint(1))
}

fn make_counter<B: Block>(system: &mut System<B>, call: &Call, flags: u32) -> Outcome {
    const SEMAPHORE: u32 = 1;
    let event = Event::Counter {
        value: u64::from(call.uint(0)),
        is_semaphore: flags & SEMAPHORE != 0,
    };
    make(system, call, event, flags_of(flags, SEMAPHORE)?)
}

/// Reads an event as a whole.
pub(super) fn read<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    (id, name): (DescriptionId, EventId),
    (address, len): Buffer,
) -> Outcome {
    let (_, mut event) = system.files.event_of(id)?;
    if let Event::Signals(signals) = event {
        return read_signals(system, call, (id, name), signals, (address, len));
    }
    if len < COUNT_BYTES {
        return Err(Errno::EINVAL.into());
    }
    let Some(count) = event.take(system.now) else {
        if let Event::Timer { due, .. } = event {
            call.deadline = (due < Instant::NEVER).then_some(due);
        }
        return Err(wait(system, id, name));
    };
    system.write_user(call.space, address, &count.to_le_bytes())?;
    set(system, call, name, event)?;
    Ok(COUNT_BYTES as u64)
}

/// Writes to an event: only counters can be written.
pub(super) fn write<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    (id, name): (DescriptionId, EventId),
    (address, len): Buffer,
) -> Outcome {
    let (_, mut event) = system.files.event_of(id)?;
    if !matches!(event, Event::Counter { .. }) || len < COUNT_BYTES {
        return Err(Errno::EINVAL.into());
    }
    let more = system.read_u64(call.space, address)?;
    if more > Event::MOST {
        return Err(Errno::EINVAL.into());
    }
    if !event.add(more) {
        return Err(wait(system, id, name));
    }
    set(system, call, name, event)?;
    Ok(COUNT_BYTES as u64)
}

fn wait<B: Block>(system: &System<B>, id: DescriptionId, name: EventId) -> Stall {
    let stall = Stall::wait(WakeKey::Event(name.index()));
    system.files.wait_or_again(id, stall)
}

/// Takes signals that wait for the caller, as many as fit.
fn read_signals<B: Block>(
    system: &mut System<B>,
    call: &Call,
    (id, _): (DescriptionId, EventId),
    signals: u64,
    (address, len): Buffer,
) -> Outcome {
    if len < INFO_BYTES {
        return Err(Errno::EINVAL.into());
    }
    let mut done = 0;
    while done + INFO_BYTES <= len {
        let Some(signal) = system.first_pending(call, SignalSet::mask(signals))? else {
            break;
        };
        let info = system.signal_info(call.task, signal);
        let info = info.encode_for_reading(signal);
        match system.write_user(call.space, address.offset(done as u64)?, &info) {
            Err(_) if done > 0 => break,
            written => written?,
        }
        system.take_signal(call.task, signal);
        done += INFO_BYTES;
    }
    if done == 0 {
        let stall = Stall::wait(WakeKey::Signal);
        return Err(system.files.wait_or_again(id, stall));
    }
    Ok(done as u64)
}

/// signalfd(2), the call without flags.
pub(super) fn signalfd<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make_signals(system, call, 0)
}

/// signalfd4(2).
pub(super) fn signalfd4<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make_signals(system, call, call.uint(3))
}

fn make_signals<B: Block>(system: &mut System<B>, call: &Call, flags: u32) -> Outcome {
    let flags = flags_of(flags, 0)?;
    super::signal::check_set_size(call.number(2))?;
    let signals = SignalSet::mask(system.read_u64(call.space, call.address(1))?);
    let event = Event::Signals(signals.bits());
    if call.int(0) == -1 {
        return make(system, call, event, flags);
    }
    let id = system.open_file(call, 0)?;
    let (name, Event::Signals(_)) = system.files.event_of(id)? else {
        return Err(Errno::EINVAL.into());
    };
    set(system, call, name, event)?;
    Ok(u64::from(call.uint(0)))
}

/// timerfd_create(2).
pub(super) fn timerfd_create<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME.
    const REALTIME: i32 = 0;
    const MONOTONIC: i32 = 1;
    const BOOTTIME: i32 = 7;
    let clock = call.int(0);
    if ![REALTIME, MONOTONIC, BOOTTIME].contains(&clock) {
        return Err(Errno::EINVAL.into());
    }
    let event = Event::Timer {
        is_wall: clock == REALTIME,
        due: Instant::NEVER,
        interval: Duration::ZERO,
    };
    make(system, call, event, flags_of(call.uint(1), 0)?)
}

/// Returns the timer in argument 0.
fn timer<B: Block>(
    system: &System<B>,
    call: &Call,
) -> Result<(EventId, bool, Instant, Duration), Errno> {
    match system.files.event_of(system.open_file(call, 0)?)? {
        (
            name,
            Event::Timer {
                is_wall,
                due,
                interval,
            },
        ) => Ok((name, is_wall, due, interval)),
        _ => Err(Errno::EINVAL),
    }
}

/// timerfd_settime(2). That the wall clock is set is not noticed: it never is.
pub(super) fn timerfd_settime<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const ABSOLUTE: u32 = 1;
    const CANCEL_ON_SET: u32 = 2;
    if call.uint(1) & !(ABSOLUTE | CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (name, is_wall, ..) = timer(system, call)?;
    let interval = read_timespec(system, call.space, call.address(2))?;
    let first = read_timespec(system, call.space, call.address(2).offset(TIME_BYTES)?)?;
    let due = match call.uint(1) & ABSOLUTE != 0 {
        _ if first.is_zero() => Instant::NEVER,
        false => system.now + first,
        true if is_wall => system.at_wall(first),
        true => Instant::ZERO + first,
    };
    if !call.address(3).is_null() {
        tell(system, call, 3)?;
    }
    let event = Event::Timer {
        is_wall,
        due,
        interval,
    };
    set(system, call, name, event)?;
    Ok(0)
}

/// timerfd_gettime(2).
pub(super) fn timerfd_gettime<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    tell(system, call, 1)
}

/// Writes the `struct itimerspec` of the timer in argument 0 to argument `nth`.
fn tell<B: Block>(system: &mut System<B>, call: &Call, nth: usize) -> Outcome {
    let (_, _, due, interval) = timer(system, call)?;
    let left = match due {
        Instant::NEVER => Duration::ZERO,
        // One that has expired and repeats is due again within its interval.
        due if due <= system.now && !interval.is_zero() => {
            let late = system.now.since(due).as_nanos() % interval.as_nanos();
            interval - Duration::from_nanos(late as u64)
        }
        // One that has expired and was not read is as good as off.
        due => due.since(system.now),
    };
    let mut bytes = [0; 2 * TIME_BYTES as usize];
    bytes[..16].copy_from_slice(&timespec(interval));
    bytes[16..].copy_from_slice(&timespec(left));
    system.write_user(call.space, call.address(nth), &bytes)?;
    Ok(0)
}
