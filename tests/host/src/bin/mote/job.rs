//! A program that runs in a VM, wherever the VM's owner is: what the relay of streams and signals needs of it.

use crate::failure::Result;
use crate::terminal::Size;
use mote_host::{Error, Process};
use std::fmt::Debug;
use std::time::Duration;

/// A running program. [`Process`] is one in a VM of this process, `Remote` one in the VM of a supervisor.
pub(crate) trait Job: Debug + Send + Sync {
    /// Sends a signal. One that cannot be delivered is noticed by who waits: the program has ended, or does not end.
    fn signal(&self, signal: i32);

    /// Sets the window size of its terminal.
    fn resize(&self, size: Size);

    /// Waits for its end, for so long; `None` when it runs on.
    fn wait(&self, limit: Option<Duration>) -> Result<Option<u32>>;
}

impl Job for Process {
    fn signal(&self, signal: i32) {
        let _ = Self::signal(self, signal);
    }

    fn resize(&self, size: Size) {
        // A window that cannot be told its size is used as it is.
        let _ = self.resize_console(size.columns, size.rows);
    }

    fn wait(&self, limit: Option<Duration>) -> Result<Option<u32>> {
        let Some(limit) = limit else {
            return Ok(Some(Self::wait(self)?));
        };
        match self.wait_timeout(limit) {
            Ok(code) => Ok(Some(code)),
            Err(Error::Timeout { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
