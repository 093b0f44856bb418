//! Where signals take effect: on the way back to user mode.

use super::frame::{self, Place, STATE_BYTES};
use super::{
    Action, ActionFlags, AlternateStack, DEFAULT, IGNORE, Info, SignalSet, Unhandled, default_of,
};
use crate::errno::Errno;
use crate::process::ProcessId;
use crate::syscall::Restart;
use crate::system::System;
use crate::task::TaskId;
use crate::user_memory::{Access, UserAddr};
use crate::wait::Stall;
use agent::kernel::{ExitStatus, Signal};
use hal::block::Block;
use hal::user::{ExtendedState, Fault};

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
    pub(super) fn action(&self, id: ProcessId, signal: Signal) -> Action {
        self.actions(id)
            .map_or_else(|_| Action::default(), |actions| actions.get(signal))
    }

    /// Returns whether a signal waits that the task does not block.
    pub(crate) fn has_signal(&self, id: TaskId) -> bool {
        self.next_signal(id).is_some()
    }

    /// Returns the signals that wait and are not blocked, the task's own and those of its process. SIGKILL, which no mask
    /// holds, ranks before all others.
    fn deliverable(&self, id: TaskId) -> Option<[SignalSet; 2]> {
        let task = self.table.tasks.get(id)?;
        let process = self.table.processes.get(task.process)?;
        let sets = [task.pending.set(), process.pending.set()];
        if sets[0].union(sets[1]).contains(Signal::KILL) {
            return Some([SignalSet::only(Signal::KILL), SignalSet::default()]);
        }
        Some(sets.map(|set| set.without(task.mask)))
    }

    /// Returns the signal to deliver next: that of an exception first, because its frame has to show the place of the
    /// exception (Linux `dequeue_synchronous_signal`), then the task's own, then those of its process. Of several, those
    /// that exceptions make go first, then the lowest.
    fn next_signal(&self, id: TaskId) -> Option<Signal> {
        let [own, shared] = self.deliverable(id)?;
        let raised = self.table.tasks.get(id)?.raised.map(|raised| raised.signal);
        raised
            .filter(|&signal| own.contains(signal))
            .or_else(|| own.most_urgent())
            .or_else(|| shared.most_urgent())
    }

    /// Returns a signal that waits for a task and will end its program, whatever else waits with it.
    pub(crate) fn fatal_signal(&self, id: TaskId) -> Option<Signal> {
        let [own, shared] = self.deliverable(id)?;
        let mut left = own.union(shared);
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
                        self.take_signal(id, signal);
                        if signal == Signal::SEGV {
                            self.end_process(process, ExitStatus::Killed(signal));
                        }
                        self.force_segv(id);
                        if self.table.tasks.get(id).is_none() {
                            return Delivery::Leave;
                        }
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

    /// Raises SIGSEGV in a task whose signal frame could not be written or read.
    pub(crate) fn force_segv(&mut self, id: TaskId) {
        let fault = Fault {
            vector: 0,
            code: 0,
            address: 0,
        };
        self.signal_fault(id, Signal::SEGV, fault, Info::KERNEL);
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
                Restart::IfAsked | Restart::Opens if restarts => {
                    context.registers.rip -= SYSCALL_BYTES;
                    u64::from(call.number)
                }
                Restart::IfAsked | Restart::Opens | Restart::Never => Errno::EINTR.as_return(),
            };
        }
        let place = Place::choose(&context.registers, &action, &task.alternate_stack)
            .ok_or(Errno::EFAULT)?;
        if !action.flags.contains(ActionFlags::RESTORER) {
            return Err(Errno::EFAULT.into());
        }
        let raised = task.raised.filter(|raised| raised.signal == signal);
        let info = match &raised {
            Some(raised) => raised.info,
            None => self.signal_info(id, signal),
        };
        let mask = task.saved_mask.unwrap_or(task.mask);
        let mut bytes = frame::encode(place, &context, &action, mask, &task.alternate_stack);
        frame::tell(
            &mut bytes,
            info.encode(signal),
            raised.map(|raised| raised.fault),
        );
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
        let call = task.call.take();
        task.futex = None;
        if raised.is_some() {
            task.raised = None;
        }
        if task.alternate_stack.disarms {
            task.alternate_stack = AlternateStack::default();
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
        // What the program set in the control words is not the handler's; the frame has it.
        task.context.extended = ExtendedState::new();
        if let Some(call) = call {
            self.give_up(&call);
        }
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
        // As if by sigaltstack(2): not while it is in use, and nothing that would be an error.
        if let Ok(stack) = resumption.alternate
            && !task.alternate_stack.is_used(resumption.registers.rsp)
        {
            task.alternate_stack = stack;
        }
        if resumption.state != 0 {
            task.context.extended.restore(frame::state_bytes(&state));
        } else {
            task.context.extended = ExtendedState::new();
        }
        Ok(())
    }
}
