//! Out of memory: somebody ends, so that the others can go on.
//!
//! ```text
//! over a limit          the fattest process of that account ends
//! no frame is left      the fattest process of the account that has the most ends
//! memory is coming back  nobody ends; who asked tries again
//! ```
//!
//! Only a page that a running program touches comes to this. Whatever can fail with an error does: loading a program, files,
//! pipes, tables.

use crate::account::AccountId;
use crate::errno::Errno;
use crate::process::{Life, ProcessId};
use crate::space::SpaceId;
use crate::system::System;
use crate::wait::Stall;
use agent::kernel::{ExitStatus, MemoryKill, Signal};
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// What there was not enough of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// What the account may have.
    Limit,
    /// Frames.
    Frames,
}

/// How readily a process is ended for want of memory (`/proc/PID/oom_score_adj`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blame {
    /// Thousandths of all memory that it counts for more than it has; of who would never be ended, Linux's `-1000`, the others
    /// end first.
    pub(crate) adjustment: i16,
    /// The least it may give itself.
    pub(crate) least: i16,
}

impl Blame {
    /// The largest adjustment, and the smallest below zero (linux/oom.h, `OOM_SCORE_ADJ_MAX`).
    pub(crate) const MOST: i16 = 1000;
}

impl<B: Block> System<B> {
    /// Deals with a page of an address space that could not be had. Returns [`Stall::AGAIN`] when it may be had soon; the
    /// process that asks may have ended then. Else ENOMEM.
    pub(crate) fn on_shortage(&mut self, space: SpaceId, shortage: Shortage) -> Stall {
        let Some(asker) = self.spaces.get(space).map(|space| space.account) else {
            return Errno::ENOMEM.into();
        };
        let scope = (shortage == Shortage::Limit).then_some(asker);
        if self.has_memory_to_come(scope) || self.memory_kills.is_full() {
            return Stall::AGAIN;
        }
        let runs =
            self.table.processes.iter().any(|(_, process)| {
                process.space == space && matches!(process.life, Life::Running)
            });
        let guilty = scope.or_else(|| self.fattest_account());
        match guilty
            .filter(|_| runs)
            .and_then(|id| self.fattest_process(id))
        {
            Some(victim) => {
                self.end_for_memory(victim, scope);
                Stall::AGAIN
            }
            None => Errno::ENOMEM.into(),
        }
    }

    /// Returns whether something that ended has yet to give memory back, to this account or to anybody.
    fn has_memory_to_come(&self, scope: Option<AccountId>) -> bool {
        let dying = self.dying.iter().filter_map(|&id| self.spaces.get(id));
        dying
            .into_iter()
            .any(|space| scope.is_none_or(|account| space.account == account))
            || self.files.has_pages_to_come()
    }

    fn fattest_account(&self) -> Option<AccountId> {
        let processes = self.table.processes.iter();
        processes
            .filter(|(_, process)| matches!(process.life, Life::Running))
            .filter_map(|(_, process)| {
                let memory = self.accounts.get(process.account)?.memory();
                Some((process.account, memory))
            })
            .max_by_key(|&(_, memory)| memory)
            .map(|(account, _)| account)
    }

    /// Returns the running process of an account that has the most memory, as far as it was said to count; among equals the
    /// youngest.
    fn fattest_process(&self, account: AccountId) -> Option<ProcessId> {
        let processes = self.table.in_order();
        processes
            .filter(|(_, process)| {
                process.account == account && matches!(process.life, Life::Running)
            })
            .max_by_key(|(_, process)| {
                let frames = self
                    .spaces
                    .get(process.space)
                    .map_or(0, |space| space.charged);
                let adjustment = process.blame.adjustment;
                let more =
                    i64::from(adjustment) * self.pool.total() as i64 / i64::from(Blame::MOST);
                (adjustment != -Blame::MOST, frames as i64 + more)
            })
            .map(|(id, _)| id)
    }

    /// Ends a process, for what its account (`over`) or the machine has not got, and notes it for the agent, which knows
    /// what the container is called.
    fn end_for_memory(&mut self, id: ProcessId, over: Option<AccountId>) {
        let Ok(process) = self.process(id) else {
            return;
        };
        let frames = self.space(process.space).map_or(0, |space| space.charged);
        let account = process.account;
        let kill = MemoryKill {
            pid: process.pid,
            view: process.view,
            bytes: frames * PAGE_BYTES as u64,
            over: over
                .and_then(|id| self.accounts.get(id))
                .map(|account| (account.memory(), account.memory_limit())),
        };
        // Whoever comes here has looked whether there is room.
        let _ = self.memory_kills.push_back(kill);
        if let Some(account) = self.accounts.get_mut(account) {
            account.counters.memory_kills += 1;
        }
        self.end_process(id, ExitStatus::Killed(Signal::KILL));
    }
}
