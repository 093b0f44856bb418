//! Telling the owners of open files that there is something to be read (SIGIO).

use super::{Info, Receiver, known, number};
use crate::fs::{FileOwner, Readiness, owner_kind as kind};
use crate::process::ProcessId;
use crate::system::System;
use agent::kernel::{Pid, Signal, View};
use hal::block::Block;

/// `POLL_IN`, `POLL_OUT` and `POLL_HUP` of `si_code`, with the events `si_band` tells (Linux fs/fcntl.c, `band_table`).
const IN: (i32, u64) = (1, 0x41);
const OUT: (i32, u64) = (2, 0x304);
const HANG_UP: (i32, u64) = (6, 0x18);

impl<B: Block> System<B> {
    /// Sends a signal to the owner of every file that somebody is about to be woken for. To be called before anybody is.
    pub(crate) fn tell_owners(&mut self) {
        for nth in 0..self.files.owner_count() {
            let Some((&owner, ready)) = self.files.told_owner(nth, &self.wakes) else {
                continue;
            };
            let (code, band) = if ready.contains(Readiness::HANG_UP) {
                HANG_UP
            } else if ready.intersects(Readiness::READ | Readiness::ERROR) {
                IN
            } else {
                OUT
            };
            let info = Info::of(code, [band, u64::from(owner.fd as u32), 0, 0]);
            let mut after = 0;
            while let Some((pid, id, to)) = self.owner_after(owner.kind, owner.number, after) {
                after = pid;
                if self.may_be_told(id, &owner) {
                    self.tell_owner(to, owner.signal, &info);
                }
            }
        }
    }

    /// Returns who is behind the process `after` of those an owner's number names, of any view.
    pub(crate) fn owner_after(
        &self,
        kind: u32,
        number: u32,
        after: u32,
    ) -> Option<(u32, ProcessId, Receiver)> {
        let table = &self.table;
        if kind == kind::GROUP {
            let (pid, id) = table.member_after(Some(number), after)?;
            return Some((pid, id, Receiver::Process(id)));
        }
        if after > 0 {
            return None;
        }
        if kind == kind::PROCESS {
            let id = table.find(Pid(number))?;
            return Some((number, id, Receiver::Process(id)));
        }
        let task = table.find_task(number)?;
        let id = table.tasks.get(task)?.process;
        Some((number, id, Receiver::Task(task)))
    }

    /// Returns whether a process may get a signal from whoever made it the owner.
    fn may_be_told(&self, id: ProcessId, owner: &FileOwner) -> bool {
        self.view_of(id) == Some(owner.setter.view)
            && self
                .identity(id)
                .is_ok_and(|it| it.may_get_from(owner.setter.users))
    }

    /// Returns where a process is.
    pub(crate) fn view_of(&self, id: ProcessId) -> Option<View> {
        Some(self.process(id).ok()?.view)
    }

    fn tell_owner(&mut self, to: Receiver, signal: u8, info: &Info) {
        let told = Signal::from_number(signal.into())
            .is_some_and(|signal| self.send_signal(to, signal, info).is_ok());
        if !told {
            // None was asked for, or there was no room for what it says. SIGIO is no signal that fails.
            let _ = self.send_signal(to, known(number::IO), &Info::KERNEL);
        }
    }
}
