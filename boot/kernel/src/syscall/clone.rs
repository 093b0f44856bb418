//! fork, vfork, clone, clone3: what they ask for. What is done is in [`crate::fork`].

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fork::{CloneFlags, CloneRequest};
use crate::signal::{known, number};
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use agent::kernel::Signal;
use hal::block::Block;

/// fork(2).
pub(super) fn fork<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make(system, call, &child(CloneFlags::empty()))
}

/// vfork(2).
pub(super) fn vfork<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make(system, call, &child(CloneFlags::VFORK | CloneFlags::VM))
}

const fn child(flags: CloneFlags) -> CloneRequest {
    CloneRequest {
        flags,
        exit_signal: Some(known(number::CHLD)),
        stack: 0,
        tls: 0,
        parent_tid: UserAddr::NULL,
        child_tid: UserAddr::NULL,
    }
}

/// clone(2). Flags this kernel does not know ask for namespaces.
pub(super) fn clone<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// The part of the flags that is the exit signal (`CSIGNAL`).
    const SIGNAL: u64 = 0xff;
    let bits = u64::from(call.uint(0));
    let request = CloneRequest {
        flags: CloneFlags::from_bits(bits & !SIGNAL).ok_or(Errno::EINVAL)?,
        exit_signal: Signal::from_number((bits & SIGNAL) as i32),
        stack: call.number(1),
        parent_tid: call.address(2),
        child_tid: call.address(3),
        tls: call.number(4),
    };
    make(system, call, &request)
}

/// clone3(2).
pub(super) fn clone3<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// Bytes of `struct clone_args`: the first and the latest there was (linux/sched.h).
    const FIRST_BYTES: u64 = 64;
    const LATEST_BYTES: u64 = 88;
    /// No longer structure is read (Linux: a page).
    const MOST_BYTES: u64 = 4096;
    let bytes = call.number(1);
    if bytes < FIRST_BYTES {
        return Err(Errno::EINVAL.into());
    }
    if bytes > MOST_BYTES {
        return Err(Errno::E2BIG.into());
    }
    let mut fields = [0; LATEST_BYTES as usize / 8];
    for nth in 0..bytes.div_ceil(8) {
        let left = (bytes - 8 * nth).min(8) as usize;
        let mut field = [0; 8];
        let at = call.address(0).offset(8 * nth)?;
        system.read_user(call.space, at, &mut field[..left])?;
        let value = u64::from_le_bytes(field);
        match fields.get_mut(nth as usize) {
            Some(field) => *field = value,
            // What we do not know must not be asked for.
            None if value != 0 => return Err(Errno::E2BIG.into()),
            None => {}
        }
    }
    let [
        flags,
        _pidfd,
        child_tid,
        parent_tid,
        exit_signal,
        stack,
        stack_bytes,
        tls,
        set_tid,
        set_tid_count,
        _cgroup,
    ] = fields;
    let flags = CloneFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let signal = i32::try_from(exit_signal).map_err(|_| Errno::EINVAL)?;
    let exit_signal = Signal::from_number(signal);
    let is_thread = flags.intersects(CloneFlags::THREAD | CloneFlags::PARENT);
    // A stack has an address and a size, or neither. Numbers are ours to choose.
    if flags.contains(CloneFlags::DETACHED)
        || (stack == 0) != (stack_bytes == 0)
        || signal != 0 && (exit_signal.is_none() || is_thread)
        || set_tid != 0
        || set_tid_count != 0
    {
        return Err(Errno::EINVAL.into());
    }
    let request = CloneRequest {
        flags,
        exit_signal,
        stack: stack.checked_add(stack_bytes).ok_or(Errno::EINVAL)?,
        tls,
        parent_tid: UserAddr(parent_tid),
        child_tid: UserAddr(child_tid),
    };
    make(system, call, &request)
}

fn make<B: Block>(system: &mut System<B>, call: &mut Call, request: &CloneRequest) -> Outcome {
    if call.progress == 0 {
        request.check()?;
        if request.flags.contains(CloneFlags::THREAD) {
            return system.make_thread(call, request);
        }
        call.progress = u64::from(system.make_child(call, request).map_err(Stall::from)?.0);
    }
    system.finish_child(call, request)
}
