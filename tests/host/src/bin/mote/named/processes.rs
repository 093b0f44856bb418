//! The processes a supervisor has started.

use super::message::ProcessRow;
use crate::failure::{Failure, Result};
use mote_host::{Container, Process};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Ended processes that are remembered for `wait` and `ps`; older ones are forgotten.
const MAX_ENDED: usize = 64;

/// A process and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) process: Arc<Process>,
    command: Vec<String>,
    started: Instant,
    /// Kept, so that its end is noticed.
    _container: Option<Arc<Container>>,
}

impl Entry {
    /// Returns the row of `ps`.
    pub(super) fn row(&self) -> ProcessRow {
        ProcessRow {
            pid: self.process.pid(),
            command: self.command.clone(),
            age_seconds: Some(self.started.elapsed().as_secs()),
            exit_code: self.process.exit_code().ok(),
            ..ProcessRow::default()
        }
    }
}

/// All of them, in the order they were started. The first one is the main program where there is one.
#[derive(Debug, Default)]
pub(super) struct Processes {
    entries: Mutex<Vec<Entry>>,
    main: Mutex<Option<Entry>>,
}

impl Processes {
    /// Adds a process.
    pub(super) fn add(
        &self,
        process: Process,
        container: Option<Container>,
        command: Vec<String>,
    ) -> Entry {
        let entry = Entry {
            process: Arc::new(process),
            command,
            started: Instant::now(),
            _container: container.map(Arc::new),
        };
        let mut entries = lock(&self.entries);
        let ended = |entry: &Entry| entry.process.exit_code().is_ok();
        if entries.iter().filter(|entry| ended(entry)).count() >= MAX_ENDED
            && let Some(oldest) = entries.iter().position(ended)
        {
            entries.remove(oldest);
        }
        entries.push(entry.clone());
        entry
    }

    /// Says which one is the main program.
    pub(super) fn set_main(&self, entry: Entry) {
        *lock(&self.main) = Some(entry);
    }

    /// Returns the main program.
    pub(super) fn main(&self) -> Option<Entry> {
        lock(&self.main).clone()
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> Vec<Entry> {
        lock(&self.entries).clone()
    }

    /// Returns a process by its id, or the main program.
    pub(super) fn find(&self, pid: Option<u32>) -> Result<Entry> {
        let Some(pid) = pid else {
            return self.main().ok_or_else(|| {
                Failure::new("the VM has no main program")
                    .hint("name a process by its PID; `mote ps` lists them")
            });
        };
        self.all()
            .into_iter()
            .rev()
            .find(|entry| entry.process.pid() == pid)
            .ok_or_else(|| {
                Failure::new(format!("no process {pid} was started in this VM by mote"))
                    .hint("`mote ps` lists them")
            })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
