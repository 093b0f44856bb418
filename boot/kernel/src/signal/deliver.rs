//! Where signals take effect: on the way back to user mode.

use super::frame::{self, Cause, Place, STATE_BYTES};
use super::{
    Action, ActionFlags, DEFAULT, IGNORE, SignalSet, Unhandled, default_of, known, number,
};
use crate::errno::Errno;
use crate::process::{Life, ProcessId};
use crate::syscall::Restart;
use crate::system::System;
use crate::task::{Activity, TaskId};
use crate::user_memory::{Access, UserAddr};
use crate::wait::{Stall, WakeKey};
use agent::kernel::{ExitStatus, Signal};
use hal::block::Block;
use hal::user::Fault;

/// `SI_USER` and `SI_KERNEL` (asm-generic/siginfo.h).
const FROM_USER: i32 = 0;
const FROM_KERNEL: i32 = 0x80;

/// Bytes of the SYSCALL instruction, by which a call is set back to be tried again.
const SYSCALL_BYTES: u64 = 2;

/// Whether a task can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It goes on where its registers say.
    Proceed,
    /// It stopped or is gone.
    Leave,
    /// The frame's page is not there yet; try again when the task is woken.
    Stalled(Stall),
}

impl<B: Block> System<B> {
    /// Sends a signal to a process. One that is ignored is dropped here, so that it interrupts nothing.
    ///
    /// A process that has not started has the default for every signal: what ends it does so at once, and what stops
    /// it waits for its start.
    pub(crate) fn signal_process(&mut self, id: ProcessId, signal: Signal) {
        self.settle_stops(id, signal);
        if self.is_ignored(id, signal) && !self.is_blocked(id, signal) {
            return;
        }
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        match process.life {
            Life::Running => {
                process.pending.insert(signal);
                self.wakes.wake(WakeKey::Signal);
                self.interrupt_tasks(id, signal);
            }
            Life::Loading(_) | Life::Stopped => match default_of(signal) {
                Unhandled::End => self.end_process(id, ExitStatus::Killed(signal)),
                Unhandled::Stop => process.pending.insert(signal),
                Unhandled::Ignore | Unhandled::Continue => {}
            },
            Life::Zombie(_) | Life::Failed(_) | Life::Made { .. } => {}
        }
    }

    /// Sends a signal to one task.
    pub(crate) fn signal_task(&mut self, id: TaskId, signal: Signal) {
        let Some(process) = self.table.tasks.get(id).map(|task| task.process) else {
            return;
        };
        self.settle_stops(process, signal);
        if let Some(task) = self.table.tasks.get_mut(id) {
            task.pending.insert(signal);
        }
        self.wakes.wake(WakeKey::Signal);
        self.interrupt_tasks(process, signal);
    }

    /// Sends the signal of an exception. A program that blocks or ignores it cannot go on, so it ends.
    pub(crate) fn signal_fault(&mut self, id: TaskId, signal: Signal, fault: Fault) {
        let Some(task) = self.table.tasks.get_mut(id) else {
            return;
        };
        let blocked = task.mask.contains(signal);
        task.fault = Some((signal, fault));
        task.pending.insert(signal);
        let process = task.process;
        if blocked || self.action(process, signal).handler == IGNORE {
            self.end_process(process, ExitStatus::Killed(signal));
        }
    }

    /// Drops a pending signal that has come to be ignored (sigaction(2), NOTES).
    pub(crate) fn forget_ignored(&mut self, id: ProcessId, signal: Signal) {
        if !self.is_ignored(id, signal) {
            return;
        }
        if let Some(process) = self.table.processes.get_mut(id) {
            process.pending.remove(signal);
        }
        for (_, task) in self.table.tasks.iter_mut() {
            if task.process == id {
                task.pending.remove(signal);
            }
        }
    }

    /// Returns whether a task of a process blocks a signal: it waits then, ignored or not, and may be read (signalfd).
    fn is_blocked(&self, id: ProcessId, signal: Signal) -> bool {
        let mut tasks = self.table.tasks.iter();
        tasks.any(|(_, task)| task.process == id && task.mask.contains(signal))
    }

    fn is_ignored(&self, id: ProcessId, signal: Signal) -> bool {
        let action = self.action(id, signal);
        action.handler == IGNORE
            || action.handler == DEFAULT && default_of(signal) == Unhandled::Ignore
    }

    fn action(&self, id: ProcessId, signal: Signal) -> Action {
        self.actions(id)
            .map_or_else(|_| Action::default(), |actions| actions.get(signal))
    }

    /// Lets the tasks that could take the signal come back to user mode: parked ones whose mask allows it.
    fn interrupt_tasks(&mut self, id: ProcessId, signal: Signal) {
        for (task_id, task) in self.table.tasks.iter_mut() {
            let concerned = task.process == id && !task.mask.contains(signal);
            let kill = signal == Signal::KILL && task.process == id;
            match task.activity {
                Activity::Parked { .. } if concerned => {}
                Activity::Stopped if kill => {}
                _ => continue,
            }
            task.activity = Activity::Ready;
            self.ready.push_woken(task_id);
        }
    }

    /// Returns whether a signal waits that the task does not block.
    pub(crate) fn has_signal(&self, id: TaskId) -> bool {
        self.next_signal(id).is_some()
    }

    /// Returns the signals that wait and are not blocked. SIGKILL, which no mask holds, ranks before all others.
    fn deliverable(&self, id: TaskId) -> Option<SignalSet> {
        let task = self.table.tasks.get(id)?;
        let process = self.table.processes.get(task.process)?;
        let pending = task.pending.union(process.pending);
        if pending.contains(Signal::KILL) {
            return Some(SignalSet::only(Signal::KILL));
        }
        Some(pending.without(task.mask))
    }

    /// Returns the signal to deliver next: that of an exception first, because its frame has to show the place of the
    /// exception (Linux `dequeue_synchronous_signal`), then the lowest.
    fn next_signal(&self, id: TaskId) -> Option<Signal> {
        let deliverable = self.deliverable(id)?;
        let raised = self.table.tasks.get(id)?.fault.map(|(signal, _)| signal);
        raised
            .filter(|&signal| deliverable.contains(signal))
            .or_else(|| deliverable.first())
    }

    /// Returns a signal that waits for a task and will end its program, whatever else waits with it.
    pub(crate) fn fatal_signal(&self, id: TaskId) -> Option<Signal> {
        let mut left = self.deliverable(id)?;
        let process = self.table.tasks.get(id)?.process;
        while let Some(signal) = left.first() {
            if self.action(process, signal).handler == DEFAULT
                && default_of(signal) == Unhandled::End
            {
                return Some(signal);
            }
            left.remove(signal);
        }
        None
    }

    /// Lets the signals that wait for a task take effect. A call it is parked in is ended with EINTR or set back.
    pub(crate) fn deliver_signals(&mut self, id: TaskId) -> Delivery {
        while let Some(signal) = self.next_signal(id) {
            let Some(task) = self.table.tasks.get(id) else {
                return Delivery::Leave;
            };
            let process = task.process;
            let action = self.action(process, signal);
            match (action.handler, default_of(signal)) {
                (IGNORE, _) | (DEFAULT, Unhandled::Ignore | Unhandled::Continue) => {
                    self.take_signal(id, signal);
                }
                (DEFAULT, Unhandled::Stop) => {
                    self.take_signal(id, signal);
                    if self.stop_process(process, signal) {
                        return Delivery::Leave;
                    }
                }
                (DEFAULT, Unhandled::End) => {
                    self.end_process(process, ExitStatus::Killed(signal));
                    return Delivery::Leave;
                }
                _ => match self.enter_handler(id, signal, action) {
                    Ok(()) => {}
                    Err(stall) if stall.is_error() => {
                        let segv = known(number::SEGV);
                        self.end_process(process, ExitStatus::Killed(segv));
                        return Delivery::Leave;
                    }
                    Err(stall) => return Delivery::Stalled(stall),
                },
            }
        }
        if let Some(task) = self.table.tasks.get_mut(id)
            && task.call.is_none()
            && let Some(mask) = task.saved_mask.take()
        {
            task.mask = mask;
        }
        Delivery::Proceed
    }

    /// Takes one of the signals that wait for a task.
    pub(crate) fn take_signal(&mut self, id: TaskId, signal: Signal) {
        let Some(task) = self.table.tasks.get_mut(id) else {
            return;
        };
        if task.pending.contains(signal) {
            task.pending.remove(signal);
        } else if let Some(process) = self.table.processes.get_mut(task.process) {
            process.pending.remove(signal);
        }
    }

    /// Lays the frame on the program's stack and points its registers at the handler.
    fn enter_handler(&mut self, id: TaskId, signal: Signal, action: Action) -> Result<(), Stall> {
        let task = self.table.tasks.get(id).ok_or(Errno::ESRCH)?;
        let process = task.process;
        let space = self.table.processes.get(process).ok_or(Errno::ESRCH)?.space;
        let mut context = task.context.clone();
        if let Some(call) = &task.call {
            let restarts = action.flags.contains(ActionFlags::RESTART);
            context.registers.rax = match call.restart {
                Restart::Keeps => call.progress,
                Restart::IfAsked if restarts => {
                    context.registers.rip -= SYSCALL_BYTES;
                    u64::from(call.number)
                }
                Restart::IfAsked | Restart::Never => Errno::EINTR.as_return(),
            };
        }
        let place = Place::choose(&context.registers, &action, &task.alternate_stack)
            .ok_or(Errno::EFAULT)?;
        if !action.flags.contains(ActionFlags::RESTORER) {
            return Err(Errno::EFAULT.into());
        }
        let fault = task
            .fault
            .and_then(|(raised, fault)| (raised == signal).then_some(fault));
        let cause = Cause {
            signal,
            code: fault_code(fault),
            fault,
        };
        let mask = task.saved_mask.unwrap_or(task.mask);
        let bytes = frame::encode(place, &context, &action, mask, &task.alternate_stack, cause);
        let state = frame::encode_state(&mut context);
        self.store(space, UserAddr(place.state), &state, Access::Write)?;
        self.store(space, UserAddr(place.frame), &bytes, Access::Write)?;
        self.take_signal(id, signal);
        if action.flags.contains(ActionFlags::RESET_HAND)
            && let Ok(actions) = self.actions_mut(process)
        {
            actions.set(signal, Action::default());
        }
        let Some(task) = self.table.tasks.get_mut(id) else {
            return Ok(());
        };
        task.call = None;
        task.futex = None;
        if fault.is_some() {
            task.fault = None;
        }
        task.saved_mask = None;
        task.mask = task.mask.union(action.mask);
        if !action.flags.contains(ActionFlags::NO_DEFER) {
            task.mask.insert(signal);
        }
        let registers = &mut context.registers;
        registers.rip = action.handler;
        registers.rsp = place.frame;
        registers.rdi = u64::from(signal.number());
        registers.rsi = place.frame + frame::INFO_OFFSET;
        registers.rdx = place.frame + frame::UCONTEXT_OFFSET;
        registers.rax = 0;
        // Direction, trap and alignment-check flags are off at a function's entry (System V ABI AMD64, 3.2.1).
        registers.rflags &= !(1 << 10 | 1 << 8 | 1 << 18);
        task.context.registers = context.registers;
        Ok(())
    }

    /// Ends a handler: rt_sigreturn(2).
    ///
    /// # Errors
    ///
    /// What to wait for; a frame that cannot be read is an error, and the program ends.
    pub(crate) fn leave_handler(&mut self, id: TaskId) -> Result<(), Stall> {
        let task = self.table.tasks.get(id).ok_or(Errno::ESRCH)?;
        let space = self
            .table
            .processes
            .get(task.process)
            .ok_or(Errno::ESRCH)?
            .space;
        let now = task.context.registers;
        let start = now.rsp.checked_sub(8).ok_or(Errno::EFAULT)?;
        let mut bytes = [0; frame::FRAME_BYTES];
        self.read_user(space, UserAddr(start), &mut bytes)?;
        let resumption = frame::decode(&bytes, &now);
        let mut state = [0; STATE_BYTES];
        if resumption.state != 0 {
            self.read_user(space, UserAddr(resumption.state), &mut state)?;
        }
        let task = self.table.tasks.get_mut(id).ok_or(Errno::ESRCH)?;
        task.context.registers = resumption.registers;
        task.mask = resumption.mask;
        task.alternate_stack = resumption.alternate;
        if resumption.state != 0 {
            task.context.extended.restore(frame::state_bytes(&state));
        } else {
            task.context.extended = hal::user::ExtendedState::new();
        }
        Ok(())
    }
}

/// `si_code` of an exception (asm-generic/siginfo.h).
fn fault_code(fault: Option<Fault>) -> i32 {
    /// `SEGV_MAPERR` and `SEGV_ACCERR`: the page was present or not (Intel SDM vol. 3, 4.7, bit 0).
    const NOT_MAPPED: i32 = 1;
    const NOT_ALLOWED: i32 = 2;
    match fault {
        Some(fault) if fault.vector == Fault::PAGE && fault.code & 1 == 0 => NOT_MAPPED,
        Some(fault) if fault.vector == Fault::PAGE => NOT_ALLOWED,
        Some(_) => FROM_KERNEL,
        None => FROM_USER,
    }
}
