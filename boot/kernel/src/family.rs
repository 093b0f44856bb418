//! Parents and children: who is told of a process's end, who takes it out of the table, and who becomes the parent of
//! orphans.
//!
//! What the agent spawned is the agent's. What a program made is its parent's: it stays as a zombie until the parent
//! asks how it ended (`wait4`), unless that said that it does not want to know. An orphan goes to the nearest subreaper
//! above it, else to the first process of its container; where there is none (the utility VM, or a container whose first
//! process has ended) the kernel forgets it as soon as it ends. With a container's first process everything in it ends,
//! as in a process namespace (pid_namespaces(7)).

use crate::account::Resource;
use crate::process::{Life, Notices, Process, ProcessId};
use crate::signal::{ActionFlags, IGNORE, info, known, number};
use crate::system::System;
use crate::task::TaskId;
use crate::wait::WakeKey;
use agent::kernel::{ExitStatus, Pid, Signal, View};
use hal::block::Block;

/// Who is told when a process ends, and takes it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// The agent, which spawned it.
    #[default]
    Agent,
    /// Its parent.
    Parent,
    /// Nobody: it is taken out when it ends.
    Nobody,
}

/// What a process has to do with its relatives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kin {
    /// Its parent's pid; 0 when there is none.
    pub(crate) parent: u32,
    /// Who takes it out.
    pub(crate) keeper: Keeper,
    /// What is sent to the parent when it ends.
    pub(crate) exit_signal: Option<Signal>,
    /// What it is sent when its parent ends (PR_SET_PDEATHSIG).
    pub(crate) death_signal: Option<Signal>,
    /// Whether it becomes the parent of orphans below it (PR_SET_CHILD_SUBREAPER).
    pub(crate) is_subreaper: bool,
    /// The parent's task that waits until this process has left the memory it borrowed (vfork).
    pub(crate) lender: Option<TaskId>,
    /// What thread exit of the first task said, which counts when the last one has ended.
    pub(crate) leader_status: u8,
    /// Nanoseconds its children used that it has asked about, and theirs: user mode and kernel.
    pub(crate) reaped_nanos: (u64, u64),
}

impl<B: Block> System<B> {
    /// Tells whoever is to know that a process has become a zombie.
    pub(crate) fn tell_end(&mut self, id: ProcessId) {
        let Some(process) = self.table.processes.get(id) else {
            return;
        };
        let kin = process.kin;
        match kin.keeper {
            Keeper::Agent => self.notify(id, Notices::EXITED),
            Keeper::Nobody => self.forget_process(id),
            Keeper::Parent => self.tell_parent(id),
        }
    }

    fn tell_parent(&mut self, id: ProcessId) {
        let Some(process) = self.table.processes.get(id) else {
            return;
        };
        let kin = process.kin;
        let Some(parent) = self.table.find(Pid(kin.parent)) else {
            self.forget_process(id);
            return;
        };
        let child = known(number::CHLD);
        let Life::Zombie(status) = process.life else {
            return;
        };
        let is_unwanted = kin.exit_signal == Some(child)
            && self.actions(parent).is_ok_and(|actions| {
                let action = actions.get(child);
                action.handler == IGNORE || action.flags.contains(ActionFlags::NO_CHILD_WAIT)
            });
        if let Some(signal) = kin.exit_signal {
            let info = self.child_info(id, info::ending(status));
            self.signal_process(parent, signal, &info);
        }
        if is_unwanted {
            self.forget_process(id);
        }
        self.wakes.wake(WakeKey::Child(kin.parent));
    }

    /// Gives the children of a process that ends to somebody else.
    pub(crate) fn leave_children(&mut self, id: ProcessId) {
        let Some(process) = self.table.processes.get(id) else {
            return;
        };
        let (pid, view, kin) = (process.pid, process.view, process.kin);
        let (group, session) = (process.group, process.session);
        let mut after = 0;
        let mut adopter = None;
        while let Some((child, process)) = self.table.child_after(pid, after) {
            after = process.pid.0;
            let ended = matches!(process.life, Life::Zombie(_));
            let signal = process.kin.death_signal;
            let (child_group, child_session) = (process.group, process.session);
            let parent = *adopter.get_or_insert_with(|| self.adopter(pid, view, kin.parent));
            self.is_renamed = true;
            if let Some(process) = self.table.processes.get_mut(child) {
                process.kin.parent = parent;
                process.kin.exit_signal = Some(known(number::CHLD));
                if process.kin.keeper == Keeper::Parent && parent == 0 {
                    process.kin.keeper = Keeper::Nobody;
                }
            }
            if child_group != group && child_session == session {
                self.hang_up_orphans(child_group);
            }
            if ended {
                self.tell_end(child);
            } else if let Some(signal) = signal {
                let info = self.sent_by(id, info::code::USER);
                self.signal_process(child, signal, &info);
            }
        }
    }

    /// Returns the pid of who becomes the parent of the children of `orphaner`, whose own parent is `parent`; 0 for nobody.
    fn adopter(&self, orphaner: Pid, view: View, mut parent: u32) -> u32 {
        while let Some(process) = self.running(parent) {
            if process.kin.is_subreaper {
                return parent;
            }
            parent = process.kin.parent;
        }
        let init = self.views.get(view).map_or(0, |entry| entry.init);
        match self.running(init) {
            Some(_) if init != orphaner.0 => init,
            _ => 0,
        }
    }

    fn running(&self, pid: u32) -> Option<&Process> {
        let process = self.table.processes.get(self.table.find(Pid(pid))?)?;
        matches!(process.life, Life::Running).then_some(process)
    }

    /// Ends every other process of a container whose first process has ended.
    pub(crate) fn end_container(&mut self, id: ProcessId) {
        let Some(process) = self.table.processes.get(id) else {
            return;
        };
        let (pid, view) = (process.pid, process.view);
        if self.views.get(view).is_none_or(|entry| entry.init != pid.0) {
            return;
        }
        let mut after = 0;
        while let Some((other, process)) = self.table.next_in(view, after) {
            after = process.pid.0;
            if other != id && process.is_live() {
                self.end_process(other, ExitStatus::Killed(Signal::KILL));
            }
        }
    }

    /// Takes a process that is over out of the table.
    pub(crate) fn forget_process(&mut self, id: ProcessId) {
        let Some(process) = self.table.remove(id) else {
            return;
        };
        if let Some(account) = self.accounts.get_mut(process.account) {
            account.refund(Resource::Tasks, 1);
        }
        if let Some(entry) = self.views.get_mut(process.view)
            && entry.init == process.pid.0
        {
            entry.init = 0;
        }
    }

    /// Lets the parent go on whose memory a process borrowed (vfork), now that it uses another or none.
    pub(crate) fn return_memory(&mut self, id: ProcessId) {
        if let Some(process) = self.table.processes.get_mut(id)
            && process.kin.lender.take().is_some()
        {
            let pid = process.pid.0;
            self.wakes.wake(WakeKey::Memory(pid));
        }
    }
}
