//! Alarms: alarm(2), getitimer(2), setitimer(2).

use super::clock::timeval;
use super::{Call, Outcome};
use crate::alarm::{Alarm, NEVER, Which};
use crate::errno::Errno;
use crate::system::System;
use core::time::Duration;
use hal::block::Block;

/// alarm(2).
pub(super) fn alarm<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let span = Duration::from_secs(u64::from(call.uint(0)));
    let (left, _) = told(system, call, Which::Real)?;
    set(system, call, Which::Real, span, Duration::ZERO)?;
    // Told to the nearest second, but never as none (Linux `alarm_setitimer`).
    let rounded = (left + Duration::from_millis(500)).as_secs();
    Ok(rounded.max(u64::from(!left.is_zero())))
}

/// Returns what is left of an alarm, and how it repeats.
fn told<B: Block>(
    system: &mut System<B>,
    call: &Call,
    which: Which,
) -> Result<(Duration, Duration), Errno> {
    system.bill();
    let process = system.process(call.process)?;
    let counted = process.counted(which, system.now.as_nanos());
    let alarm = &process.alarms[which as usize];
    Ok((alarm.left(counted), Duration::from_nanos(alarm.interval)))
}

fn set<B: Block>(
    system: &mut System<B>,
    call: &Call,
    which: Which,
    span: Duration,
    interval: Duration,
) -> Result<(), Errno> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1);
    let process = system.process(call.process)?;
    let counted = process.counted(which, system.now.as_nanos());
    let alarm = if span.is_zero() {
        Alarm::OFF
    } else {
        Alarm::new(counted.saturating_add(nanos(span)), nanos(interval))
    };
    system.set_alarm(call.process, which, alarm);
    Ok(())
}

fn which(call: &Call) -> Result<Which, Errno> {
    match call.int(0) {
        0 => Ok(Which::Real),
        1 => Ok(Which::Virtual),
        2 => Ok(Which::Profile),
        _ => Err(Errno::EINVAL),
    }
}

/// getitimer(2).
pub(super) fn getitimer<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let alarm = told(system, call, which(call)?)?;
    write(system, call, 1, alarm)
}

/// Writes a `struct itimerval` to argument `nth`.
fn write<B: Block>(
    system: &mut System<B>,
    call: &Call,
    nth: usize,
    (left, interval): (Duration, Duration),
) -> Outcome {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&timeval(interval));
    bytes[16..].copy_from_slice(&timeval(left));
    system.write_user(call.space, call.address(nth), &bytes)?;
    Ok(0)
}

/// setitimer(2). Without a new value the alarm is taken back, as on Linux.
pub(super) fn setitimer<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let mut fields = [0; 4];
    if !call.address(1).is_null() {
        for (nth, field) in fields.iter_mut().enumerate() {
            let at = call.address(1).offset(8 * nth as u64)?;
            *field = system.read_u64(call.space, at)?;
        }
    }
    let time = |seconds: u64, micros: u64| match u32::try_from(micros) {
        Ok(micros @ ..1_000_000) if i64::try_from(seconds).is_ok() => {
            Ok(Duration::new(seconds, 1000 * micros))
        }
        _ => Err(Errno::EINVAL),
    };
    let interval = time(fields[0], fields[1])?;
    let span = time(fields[2], fields[3])?;
    let which = which(call)?;
    let old = told(system, call, which)?;
    if !call.address(2).is_null() {
        write(system, call, 2, old)?;
    }
    set(system, call, which, span, interval)?;
    Ok(0)
}
