//! Sessions and their terminals: who hears of what happens at one, and who may use it.

use super::hangup::Due;
use super::{TerminalId, TerminalNews};
use crate::errno::Errno;
use crate::process::ProcessId;
use crate::signal::{IGNORE, Info, known, number};
use crate::system::System;
use crate::task::TaskId;
use crate::wait::{Stall, WakeKey};
use agent::kernel::{Event, Pid, Refusal};
use hal::block::Block;

impl<B: Block> System<B> {
    /// Sends the signals that terminals have raised.
    pub(crate) fn settle_terminals(&mut self) {
        while self.files.terminals.has_raised() {
            let mut parts = self.own_file_parts();
            let Some(due) = parts.files.terminals.next_due(&mut parts.context) else {
                return;
            };
            self.settle_terminal(due);
        }
    }

    fn settle_terminal(&mut self, due: Due) {
        let mut raised = due.raised;
        while let Some(signal) = raised.first().filter(|_| due.foreground != 0) {
            raised.remove(signal);
            self.signal_group(due.foreground, signal);
        }
        let leader = self.table.find(Pid(due.session));
        if let Some(leader) = leader.filter(|_| due.session != due.foreground) {
            for signal in [number::HUP, number::CONT] {
                self.signal_process(leader, known(signal), &Info::KERNEL);
            }
        }
        if due.session != 0 && due.foreground != 0 {
            self.hang_up_group(due.foreground);
        }
    }

    /// Takes its terminal from a session whose leader has ended, and hangs up who was in its foreground.
    pub(crate) fn leave_session(&mut self, id: ProcessId) {
        let Ok(process) = self.process(id) else {
            return;
        };
        let pid = process.pid.0;
        if process.session != pid {
            return;
        }
        let foreground = self.files.terminals.leave_session(&mut self.wakes, pid);
        if foreground != 0 {
            self.hang_up_group(foreground);
        }
    }

    /// Returns the terminal that controls a process.
    pub(crate) fn terminal_of(&self, id: ProcessId) -> Option<TerminalId> {
        let process = self.process(id).ok()?;
        if process.job.is_detached {
            return None;
        }
        self.files.terminals.of_session(process.session)
    }

    /// Checks that a task may use its terminal, as one in the foreground may. One in the background is sent `signal`,
    /// SIGTTIN or SIGTTOU, with its group (Linux `__tty_check_change`).
    ///
    /// # Errors
    ///
    /// What to wait for when the signal is on its way; EIO when the signal would do nothing and must.
    pub(crate) fn check_foreground(
        &mut self,
        task: TaskId,
        id: TerminalId,
        signal: u8,
    ) -> Result<(), Stall> {
        let caller = self.table.tasks.get(task).ok_or(Errno::ESRCH)?;
        let (process, mask) = (caller.process, caller.mask);
        let group = self.process(process)?.group;
        let (_, foreground) = self.files.terminals.session(id);
        if foreground == 0 || foreground == group || self.terminal_of(process) != Some(id) {
            return Ok(());
        }
        let is_read = signal == number::TTIN;
        let signal = known(signal);
        if mask.contains(signal) || self.actions(process)?.get(signal).handler == IGNORE {
            return if is_read {
                Err(Errno::EIO.into())
            } else {
                Ok(())
            };
        }
        if self.table.is_orphaned(group) {
            return Err(Errno::EIO.into());
        }
        self.signal_group(group, signal);
        Err(if self.has_signal(task) {
            Stall::wait(WakeKey::Nothing)
        } else {
            // Another thread took it.
            Stall::AGAIN
        })
    }

    /// Gives a process that was just made its terminal.
    pub(crate) fn give_terminal(&mut self, id: ProcessId) -> Result<(), Refusal> {
        let process = self.process(id).map_err(crate::spawn::refusal)?;
        let pid = process.pid;
        let made = self
            .file_parts(id)
            .and_then(|mut parts| {
                let context = &mut parts.context;
                parts.files.room_for_terminal(context);
                parts.files.terminals.create_for_agent(context, pid)
            })
            .map_err(|errno| match errno {
                Errno::ENOSPC => Refusal::Limit("MAX_TERMINALS", crate::limits::MAX_TERMINALS),
                errno => crate::spawn::refusal(errno),
            })?;
        if let Ok(process) = self.process_mut(id) {
            process.pipes.terminal = Some(made);
        }
        Ok(())
    }

    /// Sets the size of the window of a process's terminal. One that was closed has none any more, and that is no error
    /// (gcs-protocol §7.6).
    pub(crate) fn resize(&mut self, id: ProcessId, rows: u16, columns: u16) -> Result<(), Refusal> {
        let process = self.process(id).map_err(|_| Refusal::NoProcess)?;
        let terminal = process.pipes.terminal.ok_or(Refusal::NotATerminal)?;
        let mut window = [0; 8];
        window[..2].copy_from_slice(&rows.to_le_bytes());
        window[2..4].copy_from_slice(&columns.to_le_bytes());
        self.files.terminals.set_window(terminal, window);
        Ok(())
    }

    /// Returns what the agent is to be told of terminals next.
    pub(crate) fn next_terminal_event(&mut self) -> Option<Event> {
        Some(match self.files.terminals.next_news()? {
            TerminalNews::Output(pid) => Event::OutputReady(pid),
            TerminalNews::Room(pid) => Event::InputReady(pid),
        })
    }
}
