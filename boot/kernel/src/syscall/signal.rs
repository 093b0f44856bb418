//! Signals as programs ask for them.

use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::signal::info::{INFO_BYTES, MEANT_BYTES};
use crate::signal::{Action, ActionFlags, AlternateStack, SignalSet, known, number};
use crate::system::System;
use crate::wait::{Stall, WakeKey};
use agent::kernel::Signal;
use hal::block::Block;

/// Bytes of the kernel's `sigset_t`.
const SET_BYTES: u64 = 8;

pub(super) fn check_set_size(bytes: u64) -> Result<(), Errno> {
    if bytes == SET_BYTES {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

pub(super) fn named_signal(call: &Call, nth: usize) -> Result<Signal, Errno> {
    Signal::from_number(call.int(nth)).ok_or(Errno::EINVAL)
}

/// rt_sigaction(2).
pub(super) fn rt_sigaction<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    check_set_size(call.number(3))?;
    let signal = named_signal(call, 0)?;
    let old = system.actions(call.process)?.get(signal);
    let mut new = None;
    if !call.address(1).is_null() {
        if matches!(signal, Signal::KILL) || signal == known(number::STOP) {
            return Err(Errno::EINVAL.into());
        }
        let at = |offset| call.address(1).offset(offset);
        new = Some(Action {
            handler: system.read_u64(call.space, at(0)?)?,
            flags: ActionFlags::from_bits_truncate(system.read_u64(call.space, at(8)?)?),
            restorer: system.read_u64(call.space, at(16)?)?,
            mask: SignalSet::mask(system.read_u64(call.space, at(24)?)?),
        });
    }
    if !call.address(2).is_null() {
        let fields = [old.handler, old.flags.bits(), old.restorer, old.mask.bits()];
        let mut bytes = [0; 32];
        for (field, value) in bytes.chunks_exact_mut(8).zip(fields) {
            field.copy_from_slice(&value.to_le_bytes());
        }
        system.write_user(call.space, call.address(2), &bytes)?;
    }
    if let Some(action) = new {
        system.actions_mut(call.process)?.set(signal, action);
        system.forget_ignored(call.process, signal);
    }
    Ok(0)
}

/// rt_sigprocmask(2).
pub(super) fn rt_sigprocmask<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// `SIG_BLOCK`, `SIG_UNBLOCK`, `SIG_SETMASK`.
    const BLOCK: i32 = 0;
    const UNBLOCK: i32 = 1;
    const SET: i32 = 2;
    check_set_size(call.number(3))?;
    let old = system.task_mut(call.task)?.mask;
    let mut new = old;
    if !call.address(1).is_null() {
        let given = SignalSet::mask(system.read_u64(call.space, call.address(1))?);
        new = match call.int(0) {
            BLOCK => old.union(given),
            UNBLOCK => old.without(given),
            SET => given,
            _ => return Err(Errno::EINVAL.into()),
        };
    }
    if !call.address(2).is_null() {
        system.write_user(call.space, call.address(2), &old.bits().to_le_bytes())?;
    }
    system.task_mut(call.task)?.mask = new;
    Ok(0)
}

impl<B: Block> System<B> {
    /// Returns the signals that wait for the task that called.
    pub(super) fn pending_of(&mut self, call: &Call) -> Result<SignalSet, Errno> {
        let shared = self.process(call.process)?.pending.set();
        Ok(self.task_mut(call.task)?.pending.set().union(shared))
    }

    /// Returns the first of the `wanted` signals that wait for the task that called: its own before its process's.
    pub(super) fn first_pending(
        &mut self,
        call: &Call,
        wanted: SignalSet,
    ) -> Result<Option<Signal>, Errno> {
        let own = self.task_mut(call.task)?.pending.set();
        let shared = self.process(call.process)?.pending.set();
        Ok([own, shared]
            .into_iter()
            .find_map(|pending| pending.without(pending.without(wanted)).most_urgent()))
    }
}

/// rt_sigpending(2).
pub(super) fn rt_sigpending<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    check_set_size(call.number(1))?;
    let pending = system.pending_of(call)?;
    system.write_user(call.space, call.address(0), &pending.bits().to_le_bytes())?;
    Ok(0)
}

/// rt_sigsuspend(2).
pub(super) fn rt_sigsuspend<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    check_set_size(call.number(1))?;
    if call.progress == 0 {
        let mask = SignalSet::mask(system.read_u64(call.space, call.address(0))?);
        let task = system.task_mut(call.task)?;
        task.saved_mask = Some(task.mask);
        task.mask = mask;
        call.progress = 1;
    }
    pause(system, call)
}

/// pause(2).
pub(super) fn pause<B: Block>(_: &mut System<B>, call: &mut Call) -> Outcome {
    call.restart = Restart::Never;
    Err(Stall::wait(WakeKey::Nothing))
}

/// rt_sigtimedwait(2): takes a signal that waits, without a handler.
pub(super) fn rt_sigtimedwait<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    check_set_size(call.number(3))?;
    let wanted = SignalSet::mask(system.read_u64(call.space, call.address(0))?);
    if call.progress == 0 {
        if !call.address(2).is_null() {
            let time = super::clock::read_timespec(system, call.space, call.address(2))?;
            call.deadline = Some(system.now + time);
        }
        call.progress = 1;
        call.restart = Restart::Never;
    }
    if let Some(signal) = system.first_pending(call, wanted)? {
        if !call.address(1).is_null() {
            let mut info = [0; INFO_BYTES];
            let meant = system.signal_info(call.task, signal).encode(signal);
            info[..MEANT_BYTES].copy_from_slice(&meant);
            system.write_user(call.space, call.address(1), &info)?;
        }
        system.take_signal(call.task, signal);
        return Ok(u64::from(signal.number()));
    }
    if call.deadline.is_some_and(|until| system.now >= until) {
        return Err(Errno::EAGAIN.into());
    }
    Err(Stall::wait(WakeKey::Signal))
}

/// rt_sigreturn(2).
pub(super) fn rt_sigreturn<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    match system.leave_handler(call.task) {
        Ok(()) => {
            // All registers are the frame's, `rax` included.
            call.sets_registers = true;
            Ok(0)
        }
        Err(stall) if stall.is_error() => {
            system.force_segv(call.task);
            call.sets_registers = true;
            Ok(0)
        }
        Err(stall) => Err(stall),
    }
}

/// sigaltstack(2).
pub(super) fn sigaltstack<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let task = system.task_mut(call.task)?;
    let old = task.alternate_stack;
    let in_use = old.is_used(task.context.registers.rsp);
    let mut new = None;
    if !call.address(0).is_null() {
        let base = system.read_u64(call.space, call.address(0))?;
        let flags = system.read_u32(call.space, call.address(0).offset(8)?)?;
        let bytes = system.read_u64(call.space, call.address(0).offset(16)?)?;
        if in_use {
            return Err(Errno::EPERM.into());
        }
        new = Some(AlternateStack::new(base, flags, bytes)?);
    }
    if !call.address(1).is_null() {
        let used = if in_use { AlternateStack::IN_USE } else { 0 };
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&old.base.to_le_bytes());
        bytes[8..12].copy_from_slice(&(old.flags() | used).to_le_bytes());
        bytes[16..].copy_from_slice(&old.bytes.to_le_bytes());
        system.write_user(call.space, call.address(1), &bytes)?;
    }
    if let Some(stack) = new {
        system.task_mut(call.task)?.alternate_stack = stack;
    }
    Ok(0)
}
