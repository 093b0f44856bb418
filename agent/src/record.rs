//! Exit codes of processes that are gone, kept for a wait that may still come.
//!
//! The reference guest forgets the exit code of an exec or external process with its first answered wait (gcs-protocol
//! §7.4). That answer may be lost with the connection it was sent on, so here it is only hidden from the connection that
//! learnt it: a wait on a later one, of the same session or another, is answered once more.

use crate::kernel::Pid;
use crate::limits::MAX_EXIT_RECORDS;
use crate::process::{Home, Process};

/// One exit code.
#[derive(Clone, Copy)]
struct Record {
    home: Home,
    asked: Home,
    pid: Pid,
    code: u32,
    has_terminal: bool,
    /// The connection that learnt it.
    told: Option<u32>,
}

/// All of them, oldest first.
pub(crate) struct Records {
    list: heapless::Vec<Record, MAX_EXIT_RECORDS>,
}

impl Records {
    pub(crate) const fn new() -> Self {
        Self {
            list: heapless::Vec::new(),
        }
    }

    /// Keeps an exit code. A full table forgets the oldest one that was told, else the oldest.
    pub(crate) fn keep(&mut self, process: &Process, code: u32, told: Option<u32>) {
        if self.list.is_full() {
            let told = self.list.iter().position(|record| record.told.is_some());
            let forgotten = self.list.remove(told.unwrap_or(0));
            if forgotten.told.is_none() {
                log::warn!(
                    "pid={} its exit code was never asked for and is forgotten: MAX_EXIT_RECORDS = {MAX_EXIT_RECORDS}",
                    forgotten.pid.0
                );
            }
        }
        let record = Record {
            home: process.home,
            asked: process.asked,
            pid: process.pid,
            code,
            has_terminal: process.has_terminal,
            told,
        };
        // There is room: made above.
        let _ = self.list.push(record);
    }

    /// Tells an exit code on a connection, unless it was told there already.
    pub(crate) fn tell(&mut self, home: Home, pid: Pid, connection: u32) -> Option<u32> {
        let record = self
            .list
            .iter_mut()
            .rev()
            .find(|record| record.home == home && record.pid == pid)?;
        if record.told == Some(connection) {
            return None;
        }
        record.told = Some(connection);
        Some(record.code)
    }

    /// Returns whether a process that is gone ran in the utility VM and was asked for under another id, `asked`.
    pub(crate) fn is_beside(&self, asked: Home, pid: Pid) -> bool {
        self.list
            .iter()
            .any(|record| record.pid == pid && record.asked == asked && record.home != asked)
    }

    /// Returns whether a process whose exit code nobody has asked for yet had a terminal; `None` without such a process.
    pub(crate) fn had_terminal(&self, home: Home, pid: Pid) -> Option<bool> {
        let is_it =
            |record: &&Record| record.home == home && record.pid == pid && record.told.is_none();
        self.list
            .iter()
            .find(is_it)
            .map(|record| record.has_terminal)
    }

    /// Forgets the exit codes of a container.
    pub(crate) fn forget(&mut self, home: Home) {
        self.list.retain(|record| record.home != home);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Sequence;
    use crate::message::MessageType;
    use crate::message::guid::Activity;
    use crate::outgoing::Tag;
    use crate::process::Role;

    const HOME: Home = Home::UtilityVm;

    /// A process that is gone.
    fn gone(pid: u32) -> Process {
        let tag = Tag {
            message: MessageType::EXECUTE_PROCESS,
            sequence: Sequence(0),
            activity: Activity::default(),
        };
        Process::loading(Pid(pid), HOME, Role::Further, tag)
    }

    #[test]
    fn a_connection_learns_an_exit_code_once_and_a_later_one_again() {
        let mut records = Records::new();
        records.keep(&gone(1), 7, None);
        assert_eq!(records.tell(HOME, Pid(1), 1), Some(7));
        assert_eq!(records.tell(HOME, Pid(1), 1), None);
        assert_eq!(records.tell(HOME, Pid(1), 2), Some(7));
    }

    #[test]
    fn a_full_table_forgets_what_was_told_before_what_was_not() {
        let mut records = Records::new();
        for pid in 1..=MAX_EXIT_RECORDS as u32 {
            records.keep(&gone(pid), 0, None);
        }
        assert_eq!(records.tell(HOME, Pid(5), 1), Some(0));
        records.keep(&gone(1000), 0, None);
        assert_eq!(records.tell(HOME, Pid(5), 2), None);
        assert_eq!(records.tell(HOME, Pid(1), 2), Some(0));
        records.forget(HOME);
        assert_eq!(records.tell(HOME, Pid(1000), 2), None);
    }
}
