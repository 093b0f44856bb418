//! Sending signals: to a process, to one task, to whoever broke a rule of the processor; and taking them.

use super::{DEFAULT, IGNORE, info, known, number};
use super::{Info, Raised, SignalSet, Unhandled, default_of, is_real_time};
use crate::account::Resource;
use crate::errno::Errno;
use crate::process::{Life, ProcessId};
use crate::rlimit;
use crate::system::System;
use crate::task::{Activity, TaskId};
use crate::wait::WakeKey;
use agent::kernel::{ExitStatus, Signal};
use hal::block::Block;
use hal::user::Fault;

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// Any task of a process.
    Process(ProcessId),
    /// One task.
    Task(TaskId),
}

impl<B: Block> System<B> {
    /// Sends a signal to a process. When there is no room to keep what it says of itself, it comes without.
    pub(crate) fn signal_process(&mut self, id: ProcessId, signal: Signal, info: &Info) {
        // A signal that must not come without is sent by `send_signal`.
        let _ = self.send_signal(Receiver::Process(id), signal, info);
    }

    /// Sends a task a signal it has caused itself, as kill(2) would.
    pub(crate) fn signal_self(&mut self, id: TaskId, signal: u8) {
        let Some(process) = self.table.tasks.get(id).map(|task| task.process) else {
            return;
        };
        let info = self.sent_by(process, info::code::USER);
        // As for `signal_process`.
        let _ = self.send_signal(Receiver::Task(id), known(signal), &info);
    }

    /// Returns what a signal says that a process sends.
    pub(crate) fn sent_by(&self, id: ProcessId, code: i32) -> Info {
        let pid = self.process(id).map_or(0, |process| process.pid.0);
        let uid = self.identity(id).map_or(0, |own| own.user.real);
        Info::sent(code, pid, uid)
    }

    /// Sends a signal. One that is ignored is dropped here, so that it interrupts nothing.
    ///
    /// A process that has not started has the default for every signal: what ends it does so at once, and what stops
    /// it waits for its start.
    ///
    /// # Errors
    ///
    /// EAGAIN when it is a real-time signal that nobody sent with kill(2), and there is no room for it.
    pub(crate) fn send_signal(
        &mut self,
        to: Receiver,
        signal: Signal,
        info: &Info,
    ) -> Result<(), Errno> {
        let Some(id) = self.process_of(to) else {
            return Ok(());
        };
        self.settle_stops(id, signal);
        if self.is_ignored(id, signal) && !self.is_blocked(to, signal) {
            return Ok(());
        }
        let Some(process) = self.table.processes.get_mut(id) else {
            return Ok(());
        };
        match process.life {
            Life::Running => {
                self.enqueue(to, id, signal, info)?;
                self.wakes.wake(WakeKey::Signal);
                self.interrupt_tasks(to, signal);
            }
            Life::Loading(_) | Life::Stopped => match default_of(signal) {
                Unhandled::End => self.end_process(id, ExitStatus::Killed(signal)),
                Unhandled::Stop => process.pending.insert(signal),
                Unhandled::Ignore | Unhandled::Continue => {}
            },
            Life::Zombie(_) | Life::Failed(_) | Life::Made { .. } => {}
        }
        Ok(())
    }

    /// Sends the signal of a timer, which has paid for it. `false` when it is ignored, or there is no room to keep it.
    pub(crate) fn send_counted(&mut self, to: Receiver, signal: Signal, info: &Info) -> bool {
        let Some(id) = self.process_of(to) else {
            return false;
        };
        self.settle_stops(id, signal);
        if self.is_ignored(id, signal) && !self.is_blocked(to, signal) {
            return false;
        }
        let table = &mut self.table;
        let pending = match to {
            Receiver::Process(id) => table.processes.get_mut(id).map(|it| &mut it.pending),
            Receiver::Task(id) => table.tasks.get_mut(id).map(|it| &mut it.pending),
        };
        let is_kept =
            pending.is_some_and(|pending| pending.push(&mut table.signals, signal, *info, None));
        self.wakes.wake(WakeKey::Signal);
        self.interrupt_tasks(to, signal);
        is_kept
    }

    /// Returns whose process a receiver is of.
    fn process_of(&self, to: Receiver) -> Option<ProcessId> {
        match to {
            Receiver::Process(id) => Some(id),
            Receiver::Task(task) => self.table.tasks.get(task).map(|task| task.process),
        }
    }

    /// Adds a signal to those that wait, if it may come a second time.
    fn enqueue(
        &mut self,
        to: Receiver,
        id: ProcessId,
        signal: Signal,
        info: &Info,
    ) -> Result<(), Errno> {
        let table = &mut self.table;
        let Some(process) = table.processes.get_mut(id) else {
            return Ok(());
        };
        let account = process.account;
        let pending = match to {
            Receiver::Process(_) => &mut process.pending,
            Receiver::Task(task) => match table.tasks.get_mut(task) {
                Some(task) => &mut task.pending,
                None => return Ok(()),
            },
        };
        let is_real_time = is_real_time(signal);
        if !is_real_time && (pending.set().contains(signal) || *info == Info::UNKNOWN) {
            pending.insert(signal);
            return Ok(());
        }
        // What kill and the kernel send keeps to the container's share alone (Linux `override_rlimit`).
        let most = match is_real_time || info.code < 0 {
            true => process.limits.get(rlimit::Resource::SIGNALS).0,
            false => u64::MAX,
        };
        let payer = self.accounts.get_mut(account);
        let charged = payer.is_some_and(|payer| {
            payer.used(Resource::Signals) < most && payer.charge(Resource::Signals, 1).is_ok()
        });
        if charged {
            if pending.push(&mut table.signals, signal, *info, Some(account)) {
                return Ok(());
            }
            if let Some(payer) = self.accounts.get_mut(account) {
                payer.refund(Resource::Signals, 1);
            }
        }
        if is_real_time && info.code != info::code::USER {
            return Err(Errno::EAGAIN);
        }
        pending.insert(signal);
        Ok(())
    }

    /// Sends the signal of an exception. A program that blocks or ignores it cannot go on, so it ends.
    pub(crate) fn signal_fault(&mut self, id: TaskId, signal: Signal, fault: Fault, info: Info) {
        if let Some(task) = self.table.tasks.get_mut(id) {
            task.raised = Some(Raised {
                signal,
                fault,
                info,
            });
        }
        self.force_signal(id, signal);
    }

    /// Sends a task a signal that it must not miss: blocked or ignored, it ends the program.
    pub(super) fn force_signal(&mut self, id: TaskId, signal: Signal) {
        let Some(task) = self.table.tasks.get_mut(id) else {
            return;
        };
        let (process, blocked) = (task.process, task.mask.contains(signal));
        task.pending.insert(signal);
        if blocked || self.action(process, signal).handler == IGNORE {
            self.end_process(process, ExitStatus::Killed(signal));
        }
    }

    /// Drops a pending signal that has come to be ignored (sigaction(2), NOTES).
    pub(crate) fn forget_ignored(&mut self, id: ProcessId, signal: Signal) {
        if self.is_ignored(id, signal) {
            self.discard_signals(id, SignalSet::only(signal));
        }
    }

    /// Drops signals that wait for a process and its tasks.
    pub(crate) fn discard_signals(&mut self, id: ProcessId, signals: SignalSet) {
        let (table, accounts) = (&mut self.table, &mut self.accounts);
        let queue = &mut table.signals;
        if let Some(process) = table.processes.get_mut(id) {
            process.pending.discard(queue, accounts, signals);
        }
        for (_, task) in table.tasks.iter_mut() {
            if task.process == id {
                task.pending.discard(queue, accounts, signals);
            }
        }
    }

    /// Returns whether a signal's receiver blocks it: it waits then, ignored or not, and may be read (signalfd).
    fn is_blocked(&self, to: Receiver, signal: Signal) -> bool {
        let mut tasks = self.table.tasks.iter();
        tasks.any(|(id, task)| {
            let is_meant = match to {
                Receiver::Process(process) => task.process == process,
                Receiver::Task(task) => task == id,
            };
            is_meant && task.mask.contains(signal)
        })
    }

    fn is_ignored(&self, id: ProcessId, signal: Signal) -> bool {
        let action = self.action(id, signal);
        action.handler == IGNORE
            || action.handler == DEFAULT && default_of(signal) == Unhandled::Ignore
    }

    /// Lets the tasks that could take the signal come back to user mode: parked ones whose mask allows it.
    fn interrupt_tasks(&mut self, to: Receiver, signal: Signal) {
        for (id, task) in self.table.tasks.iter_mut() {
            let is_meant = match to {
                Receiver::Process(process) => task.process == process,
                Receiver::Task(task) => task == id,
            };
            match task.activity {
                Activity::Parked { .. } if is_meant && !task.mask.contains(signal) => {}
                Activity::Stopped if is_meant && signal == Signal::KILL => {}
                _ => continue,
            }
            task.activity = Activity::Ready;
            self.ready.push_woken(id);
        }
    }

    /// Returns what a signal that waits for a task says of itself.
    pub(crate) fn signal_info(&self, id: TaskId, signal: Signal) -> Info {
        let Some(task) = self.table.tasks.get(id) else {
            return Info::UNKNOWN;
        };
        let Some(process) = self.table.processes.get(task.process) else {
            return Info::UNKNOWN;
        };
        let pending = match task.pending.set().contains(signal) {
            true => &task.pending,
            false => &process.pending,
        };
        let info = pending.info(&self.table.signals, signal);
        self.counted_info(task.process, info)
    }

    /// Takes one of the signals that wait for a task. What made it and repeats goes on.
    pub(crate) fn take_signal(&mut self, id: TaskId, signal: Signal) {
        let info = self.signal_info(id, signal);
        let (table, accounts) = (&mut self.table, &mut self.accounts);
        let Some(task) = table.tasks.get_mut(id) else {
            return;
        };
        if task.pending.set().contains(signal) {
            task.pending.take(&mut table.signals, accounts, signal);
        } else if let Some(process) = table.processes.get_mut(task.process) {
            process.pending.take(&mut table.signals, accounts, signal);
        }
        let process = task.process;
        if info.code == info::code::TIMER {
            self.resume_timer(process, info.words[0] as u32);
        } else if signal.number() == number::ALRM {
            self.resume_alarm(process);
        }
    }

    /// Sends a signal of the kernel's own to every process of a group.
    pub(crate) fn signal_group(&mut self, group: u32, signal: Signal) {
        let mut after = 0;
        while let Some((pid, id)) = self.table.member_after(Some(group), after) {
            after = pid;
            self.signal_process(id, signal, &Info::KERNEL);
        }
    }

    /// Tells a group that its terminal or whoever controlled it is gone.
    pub(crate) fn hang_up_group(&mut self, group: u32) {
        self.signal_group(group, known(number::HUP));
        self.signal_group(group, known(number::CONT));
    }
}
