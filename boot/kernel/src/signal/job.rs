//! Job control: processes that stop and go on, what their parents hear of it, and signals to process groups.
//!
//! Groups and sessions are numbers processes carry (credentials(7)); neither has a table of its own. A group is
//! *orphaned* when no member has a parent that is in another group of the same session: nobody is left who could let it
//! go on, so the terminal's stop signals do nothing to it, and one that is stopped while it comes to that is hung up.

use super::{ActionFlags, Info, SignalSet, known, number};
use crate::process::{ProcessId, ProcessTable};
use crate::system::System;
use crate::task::Activity;
use crate::wait::WakeKey;
use agent::kernel::{Pid, Signal};
use hal::block::Block;

/// What wait(2) has to say of a child that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A signal stopped it (WUNTRACED).
    Stopped(Signal),
    /// SIGCONT let it go on (WCONTINUED).
    Continued,
}

impl News {
    /// Returns `si_code` and `si_status` (`CLD_STOPPED`, `CLD_CONTINUED`).
    pub(crate) const fn told(self) -> (i32, u32) {
        match self {
            Self::Stopped(signal) => (5, signal.number() as u32),
            Self::Continued => (6, number::CONT as u32),
        }
    }
}

/// A process's part in job control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Job {
    /// The signal it is stopped by.
    stopped: Option<Signal>,
    /// What its parent was not told yet; wait(2) takes it unless it is asked to leave it (WNOWAIT).
    pub(crate) news: Option<News>,
    /// It gave up its session's terminal (TIOCNOTTY) and is not the session's leader.
    pub(crate) is_detached: bool,
    /// It runs the program of an execve(2) of its own: its parent can move it to another group no more.
    pub(crate) has_executed: bool,
}

impl Job {
    /// Returns the part of a process that the agent spawned.
    pub(crate) const fn of_agent() -> Self {
        Self {
            stopped: None,
            news: None,
            is_detached: false,
            has_executed: true,
        }
    }

    /// Returns the part of a child that was forked from a process with this one.
    pub(crate) const fn of_child(self) -> Self {
        Self {
            stopped: None,
            news: None,
            is_detached: self.is_detached,
            has_executed: false,
        }
    }

    /// Returns whether it is stopped.
    pub(crate) const fn is_stopped(self) -> bool {
        self.stopped.is_some()
    }
}

impl ProcessTable {
    /// Returns whether no live member of a group has a live parent outside the group that is in its session.
    pub(crate) fn is_orphaned(&self, group: u32) -> bool {
        let mut members = self
            .in_order()
            .filter(|(_, process)| process.group == group && process.is_live());
        !members.any(|(_, member)| {
            self.find(Pid(member.kin.parent))
                .and_then(|parent| self.processes.get(parent))
                .is_some_and(|parent| {
                    parent.is_live() && parent.group != group && parent.session == member.session
                })
        })
    }

    /// Returns whether a session has a group.
    pub(crate) fn has_group(&self, group: u32, session: u32) -> bool {
        self.processes
            .iter()
            .any(|(_, known)| known.group == group && known.session == session)
    }

    /// Returns whether there is a group of this number.
    pub(crate) fn leads_group(&self, number: u32) -> bool {
        self.processes
            .iter()
            .any(|(_, known)| known.group == number)
    }

    /// Returns the process with the smallest pid above `after`; with `group`, of that group.
    pub(crate) fn member_after(&self, group: Option<u32>, after: u32) -> Option<(u32, ProcessId)> {
        self.behind(after)
            .find(|(_, process)| group.is_none_or(|group| process.group == group))
            .map(|(id, process)| (process.pid.0, id))
    }
}

impl<B: Block> System<B> {
    /// Does what SIGCONT and the stop signals do when they are sent, blocked, ignored and handled or not: each takes
    /// away the other kind that waits, and SIGCONT lets the process go on (Linux `prepare_signal`).
    pub(super) fn settle_stops(&mut self, id: ProcessId, signal: Signal) {
        let goes_on = signal.number() == number::CONT;
        let opposite = if goes_on {
            SignalSet::STOPS
        } else if SignalSet::STOPS.contains(signal) {
            SignalSet::only(known(number::CONT))
        } else {
            return;
        };
        self.discard_signals(id, opposite);
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        let was_stopped = goes_on && process.job.stopped.take().is_some();
        for (task_id, task) in self.table.tasks.iter_mut() {
            if task.process != id {
                continue;
            }
            if goes_on && task.activity == Activity::Stopped {
                task.activity = Activity::Ready;
                self.ready.push_woken(task_id);
            }
        }
        if was_stopped {
            self.tell_news(id, News::Continued);
        }
    }

    /// Stops all tasks of a process. The terminal's stop signals do nothing to an orphaned group; returns whether the
    /// process is stopped.
    pub(super) fn stop_process(&mut self, id: ProcessId, signal: Signal) -> bool {
        let Some(process) = self.table.processes.get(id) else {
            return false;
        };
        if signal.number() != number::STOP && self.table.is_orphaned(process.group) {
            return false;
        }
        for (task_id, task) in self.table.tasks.iter_mut() {
            if task.process == id && task.activity != Activity::Held {
                task.activity = Activity::Stopped;
                self.ready.remove(task_id);
            }
        }
        if let Some(process) = self.table.processes.get_mut(id) {
            process.job.stopped = Some(signal);
        }
        self.tell_news(id, News::Stopped(signal));
        true
    }

    /// Keeps the news for wait(2) and sends SIGCHLD, unless the parent does not want it for children that live.
    fn tell_news(&mut self, id: ProcessId, news: News) {
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        process.job.news = Some(news);
        let did = news.told();
        let pid = process.kin.parent;
        let Some(parent) = self.table.find(Pid(pid)) else {
            return;
        };
        self.wakes.wake(WakeKey::Child(pid));
        let child = known(number::CHLD);
        let is_wanted = self.actions(parent).is_ok_and(|actions| {
            !actions
                .get(child)
                .flags
                .contains(ActionFlags::NO_CHILD_STOP)
        });
        if is_wanted {
            let info = self.child_info(id, did);
            self.signal_process(parent, child, &info);
        }
    }

    /// Returns what SIGCHLD says of what a process did (`si_code`, `si_status`).
    pub(crate) fn child_info(&self, id: ProcessId, did: (i32, u32)) -> Info {
        let Ok(process) = self.process(id) else {
            return Info::UNKNOWN;
        };
        let uid = self.identity(id).map_or(0, |own| own.user.real);
        let used = [process.user_nanos, process.kernel_nanos].map(crate::program::ticks);
        Info::child(process.pid.0, uid, did, used)
    }

    /// Hangs up the group of a process that has ended, if that was what tied the group to its parent and now it is
    /// orphaned with somebody stopped in it (Linux `kill_orphaned_pgrp`).
    pub(crate) fn leave_group(&mut self, id: ProcessId) {
        let Ok(process) = self.process(id) else {
            return;
        };
        let (group, session) = (process.group, process.session);
        let parent = self.table.find(Pid(process.kin.parent));
        let parent = parent.and_then(|parent| self.table.processes.get(parent));
        if parent.is_some_and(|parent| parent.group != group && parent.session == session) {
            self.hang_up_orphans(group);
        }
    }

    /// Hangs a group up if it is orphaned and somebody in it is stopped.
    pub(crate) fn hang_up_orphans(&mut self, group: u32) {
        let has_stopped = self.table.in_order().any(|(_, process)| {
            process.is_live() && process.group == group && process.job.is_stopped()
        });
        if has_stopped && self.table.is_orphaned(group) {
            self.hang_up_group(group);
        }
    }
}
