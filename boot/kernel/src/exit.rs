//! How a process ends: at once for everybody else, and piece by piece for what it leaves behind.

use crate::account::Resource;
use crate::limits::{ENDING_SPACES_PER_STEP, WORK_PAGES};
use crate::process::{Life, Notices, ProcessId};
use crate::space::SpaceId;
use crate::system::System;
use agent::kernel::ExitStatus;
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
        process.alarm = None;
        self.drop_tasks(id);
        self.drop_belongings(id);
        if let Some(process) = self.table.processes.get_mut(id) {
            process.life = Life::Zombie(status);
        }
        self.notify(id, Notices::EXITED);
    }

    /// Takes a process's tasks away.
    pub(crate) fn drop_tasks(&mut self, id: ProcessId) {
        while let Some(task) = self.table.some_task(id) {
            self.table.tasks.remove(task);
            self.ready.retain(|&ready| ready != task);
        }
    }

    /// Gives back what a process has, except its stdio, its number and whose it was.
    pub(crate) fn drop_belongings(&mut self, id: ProcessId) {
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        let (space, account) = (process.space, process.account);
        let (table, directories) = (process.files.take(), process.directories.take());
        let executable = process.executable.take();
        self.table.actions.remove(process.actions);
        let file = match &mut process.life {
            Life::Loading(load) => load.file.take(),
            _ => None,
        };
        self.leave_space(space);
        if let Some(file) = file {
            self.release_file(file);
        }
        let mut parts = self.own_file_parts();
        if let Some(table) = table {
            parts.files.release_table(&mut parts.context, table);
        }
        if let Some(directories) = directories {
            parts.files.release_directories(directories);
        }
        if let Some(executable) = executable {
            parts.files.release_place(executable);
        }
        if let Some(account) = self.accounts.get_mut(account) {
            account.refund(Resource::Tasks, 1);
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
