//! How a process ends: at once for everybody else, and piece by piece for what it leaves behind.

use crate::account::Resource;
use crate::alarm::Alarm;
use crate::fs::DescriptionId;
use crate::limits::{ENDING_SPACES_PER_STEP, WORK_PAGES};
use crate::process::{Life, Notices, ProcessId};
use crate::program::Load;
use crate::signal::SignalSet;
use crate::space::SpaceId;
use crate::syscall::{Call, Restart};
use crate::system::System;
use crate::task::TaskId;
use crate::wait::Stall;
use agent::kernel::{ExitStatus, Pid};
use hal::block::Block;

impl<B: Block> System<B> {
    /// Ends a process that runs or was stopped: its tasks are gone when this returns, its memory goes later.
    pub(crate) fn end_process(&mut self, id: ProcessId, status: ExitStatus) {
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        if !process.is_live() {
            return;
        }
        process.alarms = [Alarm::OFF; 3];
        self.drop_timers(id);
        self.leave_locks(id);
        self.discard_signals(id, SignalSet::ALL);
        self.drop_tasks(id);
        self.leave_children(id);
        self.drop_belongings(id);
        if let Some(process) = self.table.processes.get_mut(id) {
            process.life = Life::Zombie(status);
        }
        self.leave_session(id);
        self.leave_group(id);
        self.end_container(id);
        self.tell_end(id);
    }

    /// Takes a process's tasks away.
    pub(crate) fn drop_tasks(&mut self, id: ProcessId) {
        while let Some(task) = self.table.some_task(id) {
            self.drop_task(task);
        }
    }

    /// Takes a task away, and what it was about to make.
    pub(crate) fn drop_task(&mut self, id: TaskId) {
        let Some(mut task) = self.table.tasks.remove(id) else {
            return;
        };
        let (queue, accounts) = (&mut self.table.signals, &mut self.accounts);
        task.pending.discard(queue, accounts, SignalSet::ALL);
        self.ready.remove(id);
        if let Some(call) = &task.call {
            self.drop_call(call);
        }
        let Some(process) = self.table.processes.get_mut(task.process) else {
            return;
        };
        let account = process.account;
        // The first task was charged with its process, and is refunded with it.
        let is_leader = process.leader == Some(id);
        if process.exec.as_ref().is_some_and(|(by, _)| *by == id)
            && let Some((_, load)) = process.exec.take()
        {
            self.drop_load(&load);
            self.leave_space(load.space);
        }
        if !is_leader && let Some(account) = self.accounts.get_mut(account) {
            account.refund(Resource::Tasks, 1);
        }
    }

    /// Gives back what the call of a task that is gone holds, and takes away what it was about to make.
    pub(crate) fn drop_call(&mut self, call: &Call) {
        self.give_up(call);
        if let Some(child) = self.table.find(Pid(call.progress as u32))
            && let Ok(process) = self.process(child)
            && matches!(process.life, Life::Made { maker, .. } if maker == call.task)
        {
            self.abort_child(child);
        }
    }

    /// Gives back what a call holds that is not tried again.
    pub(crate) fn give_up(&mut self, call: &Call) {
        if call.restart == Restart::Opens
            && let Some(file) = DescriptionId::from_bits(call.progress)
        {
            let mut parts = self.own_file_parts();
            parts.files.release_description(&mut parts.context, file);
        }
    }

    /// Gives back the files a load holds.
    pub(crate) fn drop_load(&mut self, load: &Load) {
        for file in [load.file, load.interpreter].into_iter().flatten() {
            self.release_file(file.id);
        }
    }

    /// Ends one task by itself (exit(2)). With the last one its process ends, as the first one said.
    ///
    /// # Errors
    ///
    /// What to wait for.
    pub(crate) fn end_task(&mut self, id: TaskId, status: u8) -> Result<(), Stall> {
        self.leave_task_locks(id)?;
        let Some(owner) = self.table.tasks.get(id).map(|task| task.process) else {
            return Ok(());
        };
        let is_last = self
            .table
            .tasks
            .iter()
            .all(|(other, task)| other == id || task.process != owner);
        let process = self.process_mut(owner)?;
        if process.leader == Some(id) {
            process.kin.leader_status = status;
        }
        let status = process.kin.leader_status;
        if is_last {
            self.end_process(owner, ExitStatus::Exited(status));
        } else {
            self.drop_task(id);
        }
        Ok(())
    }

    /// Gives back what a process has, except its stdio, its number and whose it was.
    pub(crate) fn drop_belongings(&mut self, id: ProcessId) {
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        let space = process.space;
        let (table, directories) = (process.files.take(), process.directories.take());
        let executable = process.executable.take();
        let actions = process.actions;
        let life = match process.life {
            Life::Loading(_) => core::mem::replace(&mut process.life, Life::Stopped),
            _ => Life::Stopped,
        };
        self.table.leave_actions(actions);
        self.return_memory(id);
        self.leave_space(space);
        if let Life::Loading(load) = life {
            self.drop_load(&load);
        }
        let mut parts = self.own_file_parts();
        if let Some(table) = table {
            parts.files.release_table(&mut parts.context, table);
        }
        if let Some(directories) = directories {
            parts.files.release_directories(directories);
        }
        if let Some(executable) = executable {
            parts.files.release_program(executable);
        }
    }

    /// Takes one user from an address space; the last one leaves it to be taken down.
    pub(crate) fn leave_space(&mut self, id: SpaceId) {
        let Some(space) = self.spaces.get_mut(id) else {
            return;
        };
        space.users = space.users.saturating_sub(1);
        if space.users == 0 && self.dying.push(id).is_err() {
            // There is a place for each address space there can be.
            log::error!("kernel: an address space was lost");
        }
    }

    /// Takes down some of what ended processes left; returns whether there was anything.
    ///
    /// A small process needs several steps, which is more than the turns it ran for. So the steps of a turn grow with
    /// what waits: else a host that starts and ends processes without a pause would fill the table of address spaces.
    pub(crate) fn take_down(&mut self) -> bool {
        let mut parts = self.own_file_parts();
        let had_files = parts.files.tear_down(&mut parts.context);
        let waiting = self.dying.len();
        for _ in 0..waiting.div_ceil(ENDING_SPACES_PER_STEP) {
            let Some(&id) = self.dying.first() else {
                break;
            };
            if self.clear_space(id, WORK_PAGES) {
                self.dying.swap_remove(0);
            }
        }
        had_files || waiting > 0
    }

    /// Remembers something the agent is to be told.
    pub(crate) fn notify(&mut self, id: ProcessId, notice: Notices) {
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        let known = !process.notices.is_empty();
        process.notices.insert(notice);
        if !known && self.noticed.push_back(id).is_err() {
            // There is a place for each process there can be, and each stands there once.
            log::error!("kernel: an event was lost");
        }
    }
}
