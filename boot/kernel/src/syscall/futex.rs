//! futex(2), and what goes with it. Operations with priority inheritance are refused with ENOSYS.

use super::{Call, Outcome, Restart};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::futex::{ANY, Scope};
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::{Stall, WakeKey};
use hal::block::Block;
use hal::clock::Instant;

/// Operations and their flags (linux/futex.h).
const WAIT: i32 = 0;
const WAKE: i32 = 1;
const REQUEUE: i32 = 3;
const CMP_REQUEUE: i32 = 4;
const WAKE_OP: i32 = 5;
const WAIT_BITSET: i32 = 9;
const WAKE_BITSET: i32 = 10;
const PRIVATE: i32 = 128;
const REALTIME: i32 = 256;

/// futex(2).
pub(super) fn futex<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = call.int(1) & (PRIVATE | REALTIME);
    let operation = call.int(1) & !(PRIVATE | REALTIME);
    if flags & REALTIME != 0 && !matches!(operation, WAIT | WAIT_BITSET) {
        return Err(Errno::ENOSYS.into());
    }
    let scope = if flags & PRIVATE != 0 {
        Scope::Private
    } else {
        Scope::Shared
    };
    match operation {
        WAIT | WAIT_BITSET => wait(system, call, scope),
        WAKE => wake(system, call, scope, ANY),
        WAKE_BITSET => wake(system, call, scope, call.uint(5)),
        REQUEUE | CMP_REQUEUE => requeue(system, call, scope, operation),
        WAKE_OP => wake_both(system, call, scope),
        _ => Err(Errno::ENOSYS.into()),
    }
}

fn wait<B: Block>(system: &mut System<B>, call: &mut Call, scope: Scope) -> Outcome {
    if call.progress != 0 {
        let task = system.task_mut(call.task)?;
        if task.futex.is_none() {
            return Ok(0);
        }
        if call.deadline.is_some_and(|until| system.now >= until) {
            system.task_mut(call.task)?.futex = None;
            return Err(Errno::ETIMEDOUT.into());
        }
        return Err(Stall::wait(WakeKey::Futex));
    }
    let bits = match call.int(1) & !(PRIVATE | REALTIME) {
        WAIT => ANY,
        _ => call.uint(5),
    };
    if bits == 0 {
        return Err(Errno::EINVAL.into());
    }
    let until = deadline(system, call)?;
    let address = call.address(0);
    let key = system.futex_key(call.space, address, scope)?;
    if system.read_u32(call.space, address)? != call.uint(2) {
        return Err(Errno::EAGAIN.into());
    }
    if until.is_some_and(|until| system.now >= until) {
        return Err(Errno::ETIMEDOUT.into());
    }
    call.deadline = until;
    if until.is_some() {
        call.restart = Restart::Never;
    }
    call.progress = 1;
    system.await_futex(call.task, key, bits)?;
    Err(Stall::wait(WakeKey::Futex))
}

/// Reads when a wait ends: FUTEX_WAIT says for how long, FUTEX_WAIT_BITSET when, by one of two clocks.
fn deadline<B: Block>(system: &mut System<B>, call: &Call) -> Result<Option<Instant>, Stall> {
    if call.address(3).is_null() {
        return Ok(None);
    }
    let time = super::clock::read_timespec(system, call.space, call.address(3))?;
    let operation = call.int(1);
    Ok(Some(if operation & !(PRIVATE | REALTIME) == WAIT {
        system.now + time
    } else if operation & REALTIME == 0 {
        Instant::ZERO + time
    } else {
        system.at_wall(time)
    }))
}

fn wake<B: Block>(system: &mut System<B>, call: &Call, scope: Scope, bits: u32) -> Outcome {
    if bits == 0 {
        return Err(Errno::EINVAL.into());
    }
    let key = system.futex_key(call.space, call.address(0), scope)?;
    Ok(u64::from(system.wake_futex(key, most(call, 2), bits)))
}

/// Returns how many to wake at most. A count below 1 wakes one, as Linux does.
fn most(call: &Call, nth: usize) -> u32 {
    u32::try_from(call.int(nth)).unwrap_or(1).max(1)
}

fn requeue<B: Block>(system: &mut System<B>, call: &Call, scope: Scope, operation: i32) -> Outcome {
    let (wake, more) = (call.int(2), call.int(3));
    let (Ok(wake), Ok(more)) = (u32::try_from(wake), u32::try_from(more)) else {
        return Err(Errno::EINVAL.into());
    };
    let from = system.futex_key(call.space, call.address(0), scope)?;
    let to = system.futex_key(call.space, call.address(4), scope)?;
    if operation == CMP_REQUEUE && system.read_u32(call.space, call.address(0))? != call.uint(5) {
        return Err(Errno::EAGAIN.into());
    }
    let woken = system.wake_futex(from, wake, ANY);
    Ok(u64::from(woken + system.move_waiters(from, to, more)))
}

/// FUTEX_WAKE_OP: changes the second word, wakes those of the first, and those of the second if that was as asked.
fn wake_both<B: Block>(system: &mut System<B>, call: &Call, scope: Scope) -> Outcome {
    let code = call.uint(5);
    let second = call.address(4);
    let one = system.futex_key(call.space, call.address(0), scope)?;
    let other = system.futex_key(call.space, second, scope)?;
    let old = system.read_u32(call.space, second)?;
    let new = changed(code, old).ok_or(Errno::ENOSYS)?;
    let is_as_asked = compared(code, old).ok_or(Errno::ENOSYS)?;
    system.write_user(call.space, second, &new.to_le_bytes())?;
    let mut woken = system.wake_futex(one, most(call, 2), ANY);
    if is_as_asked {
        woken += system.wake_futex(other, most(call, 3), ANY);
    }
    Ok(u64::from(woken))
}

/// Returns the low or high twelve bits of an operation's arguments, with their sign.
const fn signed(code: u32, shift: u32) -> i32 {
    ((code << (20 - shift)) as i32) >> 20
}

/// Applies the operation that `code` names (linux/futex.h, `FUTEX_OP`).
const fn changed(code: u32, old: u32) -> Option<u32> {
    let mut argument = signed(code, 12) as u32;
    if code >> 31 != 0 {
        argument = 1 << (argument & 31);
    }
    Some(match code >> 28 & 7 {
        0 => argument,
        1 => old.wrapping_add(argument),
        2 => old | argument,
        3 => old & !argument,
        4 => old ^ argument,
        _ => return None,
    })
}

/// Makes the comparison that `code` names.
const fn compared(code: u32, old: u32) -> Option<bool> {
    let (old, argument) = (old as i32, signed(code, 0));
    Some(match code >> 24 & 15 {
        0 => old == argument,
        1 => old != argument,
        2 => old < argument,
        3 => old <= argument,
        4 => old > argument,
        5 => old >= argument,
        _ => return None,
    })
}

/// Bytes of `struct robust_list_head`.
const HEAD_BYTES: u64 = 24;

/// get_robust_list(2), of a task whose memory the caller might look at.
pub(super) fn get_robust_list<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let id = match call.uint(0) {
        0 => call.task,
        tid => system.table.find_task(tid).ok_or(Errno::ESRCH)?,
    };
    let task = system.task_mut(id)?;
    let (list, process) = (task.robust_list, task.process);
    let (own, other) = (system.process(call.process)?, system.process(process)?);
    if own.view != other.view {
        return Err(Errno::ESRCH.into());
    }
    let (own, other) = (system.identity(call.process)?, system.identity(process)?);
    let is_permitted = process == call.process
        || other.user.list() == [own.user.real; 3]
        || own.can(Capabilities::SYS_PTRACE);
    if !is_permitted {
        return Err(Errno::EPERM.into());
    }
    let bytes = HEAD_BYTES.to_le_bytes();
    system.write_user(call.space, call.address(2), &bytes)?;
    system.write_user(call.space, call.address(1), &list.0.to_le_bytes())?;
    Ok(0)
}

/// set_robust_list(2).
pub(super) fn set_robust_list<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if call.number(1) != HEAD_BYTES {
        return Err(Errno::EINVAL.into());
    }
    system.task_mut(call.task)?.robust_list = UserAddr(call.number(0));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `FUTEX_OP(op, oparg, cmp, cmparg)`.
    const fn code(operation: u32, argument: i32, comparison: u32, compared: i32) -> u32 {
        operation << 28
            | comparison << 24
            | (argument as u32 & 0xfff) << 12
            | (compared as u32 & 0xfff)
    }

    #[test]
    fn a_word_is_set_added_to_and_has_bits_set_cleared_and_turned() {
        let table = [(0, 9), (1, 15), (2, 15), (3, 6), (4, 15)];
        for (operation, expected) in table {
            assert_eq!(changed(code(operation, 9, 0, 0), 6), Some(expected));
        }
        assert_eq!(changed(code(1, -1, 0, 0), 6), Some(5), "with its sign");
        assert_eq!(changed(code(8 | 2, 4, 0, 0), 1), Some(17), "as a shift");
        assert_eq!(changed(code(5, 0, 0, 0), 1), None);
    }

    #[test]
    fn a_word_is_compared_in_six_ways_with_its_sign() {
        let ways = [
            (-1, [false, true, true, true, false, false]),
            (-2, [true, false, false, true, false, true]),
            (-3, [false, true, false, false, true, true]),
        ];
        for (argument, expected) in ways {
            for (way, expected) in expected.into_iter().enumerate() {
                let code = code(0, 0, way as u32, argument);
                assert_eq!(compared(code, -2_i32 as u32), Some(expected));
            }
        }
        assert_eq!(compared(code(0, 0, 6, 0), 0), None);
    }
}
