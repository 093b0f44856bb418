//! Exit codes of processes that are gone, kept for a wait that may still come.
//!
//! The reference guest forgets the exit code of an exec or external process with its first answered wait (gcs-protocol
//! §7.4). That answer may be lost with the connection it was sent on, so here it is only hidden from the connection that
//! learnt it: a wait on a later one, of the same session or another, is answered once more.

use crate::kernel::Pid;
use crate::limits::MAX_EXIT_RECORDS;
use crate::process::Home;

/// One exit code.
#[derive(Clone, Copy)]
struct Record {
    home: Home,
    pid: Pid,
    code: u32,
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
    pub(crate) fn keep(&mut self, home: Home, pid: Pid, code: u32, told: Option<u32>) {
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
            home,
            pid,
            code,
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

    /// Forgets the exit codes of a container.
    pub(crate) fn forget(&mut self, home: Home) {
        self.list.retain(|record| record.home != home);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home = Home::UtilityVm;

    #[test]
    fn a_connection_learns_an_exit_code_once_and_a_later_one_again() {
        let mut records = Records::new();
        records.keep(HOME, Pid(1), 7, None);
        assert_eq!(records.tell(HOME, Pid(1), 1), Some(7));
        assert_eq!(records.tell(HOME, Pid(1), 1), None);
        assert_eq!(records.tell(HOME, Pid(1), 2), Some(7));
    }

    #[test]
    fn a_full_table_forgets_what_was_told_before_what_was_not() {
        let mut records = Records::new();
        for pid in 1..=MAX_EXIT_RECORDS as u32 {
            records.keep(HOME, Pid(pid), 0, None);
        }
        assert_eq!(records.tell(HOME, Pid(5), 1), Some(0));
        records.keep(HOME, Pid(1000), 0, None);
        assert_eq!(records.tell(HOME, Pid(5), 2), None);
        assert_eq!(records.tell(HOME, Pid(1), 2), Some(0));
        records.forget(HOME);
        assert_eq!(records.tell(HOME, Pid(1000), 2), None);
    }
}
