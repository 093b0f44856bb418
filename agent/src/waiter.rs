//! WaitForProcess requests that are not answered yet.

use crate::kernel::Pid;
use crate::limits::MAX_WAITERS;
use crate::outgoing::Tag;
use crate::process::Home;
use crate::world::Earliest;
use hal::clock::Instant;

/// One unanswered WaitForProcess.
#[derive(Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) tag: Tag,
    pub(crate) home: Home,
    pub(crate) pid: Pid,
    pub(crate) timeout_ms: u32,
    pub(crate) deadline: Instant,
    /// The exit code, once there is one: only the way out is awaited then.
    pub(crate) code: Option<u32>,
}

/// All of them, in the order they came.
pub(crate) struct Waiters {
    list: heapless::Vec<Waiter, MAX_WAITERS>,
}

impl Waiters {
    pub(crate) const fn new() -> Self {
        Self {
            list: heapless::Vec::new(),
        }
    }

    /// Adds one; `false` when the table is full.
    pub(crate) fn add(&mut self, waiter: Waiter) -> bool {
        self.list.push(waiter).is_ok()
    }

    /// A process has exited and its output is carried. Returns whether anyone waited for it.
    pub(crate) fn on_exited(&mut self, home: Home, pid: Pid, code: u32) -> bool {
        let mut any = false;
        for waiter in &mut self.list {
            if waiter.home == home && waiter.pid == pid && waiter.code.is_none() {
                waiter.code = Some(code);
                any = true;
            }
        }
        any
    }

    /// Returns whether a wait for this process is unanswered.
    pub(crate) fn has(&self, home: Home, pid: Pid) -> bool {
        self.list
            .iter()
            .any(|waiter| waiter.home == home && waiter.pid == pid)
    }

    /// Takes the first one that can be answered. An exit code is preferred to a time-out.
    pub(crate) fn take_answerable(&mut self, now: Instant) -> Option<Waiter> {
        let index = self
            .list
            .iter()
            .position(|waiter| waiter.code.is_some() || now >= waiter.deadline)?;
        Some(self.list.remove(index))
    }

    /// Forgets all: their host is gone.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    /// Notes when the next one times out.
    pub(crate) fn note_deadlines(&self, earliest: &mut Earliest) {
        for waiter in &self.list {
            earliest.note(waiter.deadline);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}
