//! What is asked of the VMM itself while its VM runs.

use super::qmp;
use super::watchdog::{Leash, Order};
use crate::error::{Error, Result};
use serde_json::Value;
use std::fs;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a process may take to stop or to go on after it was signalled.
const SIGNAL_LIMIT: Duration = Duration::from_secs(10);

/// How often it is looked at.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// Where a VMM takes orders.
#[derive(Clone, Debug)]
pub(crate) enum Control {
    /// QEMU with a vhost-user vsock back end. Its monitor takes every command but those that stop and start the
    /// processors: they would stop the vhost device too, and vhost-device-vsock gives up for good when bytes come for
    /// a stopped one. The watchdog stops QEMU as a process instead: guest and device model stand still, the back
    /// end goes on filling the rings they share.
    Qemu(Arc<Leash>),
}

impl Control {
    /// Stops the VM's processors. Nothing in the guest runs until [`Control::resume`].
    pub(crate) fn pause(&self) -> Result<()> {
        self.order(Order::Pause, Processors::Stopped)
    }

    /// Lets the VM's processors run again.
    pub(crate) fn resume(&self) -> Result<()> {
        self.order(Order::Resume, Processors::Running)
    }

    /// Returns whether the VM's processors are stopped.
    pub(crate) fn is_paused(&self) -> Result<bool> {
        Ok(self.processors()? == Processors::Stopped)
    }

    /// Gives QEMU's monitor a command.
    pub(crate) fn qmp(&self, command: &str, arguments: &Value) -> Result<Value> {
        let Self::Qemu(leash) = self;
        let named = |error| Error::io(format!("QEMU's monitor, {command}"), error);
        if self.is_paused()? {
            return Err(named(io::Error::other("the VM is paused; resume it first")));
        }
        qmp::execute(&leash.run_directory().join(qmp::SOCKET), command, arguments).map_err(named)
    }

    fn order(&self, order: Order, wanted: Processors) -> Result<()> {
        let Self::Qemu(leash) = self;
        let tried = match order {
            Order::Pause => "cannot pause the VM",
            Order::Resume => "cannot resume the VM",
        };
        leash
            .order(order)
            .map_err(|error| Error::io(tried, error))?;
        let deadline = Instant::now() + SIGNAL_LIMIT;
        while self.processors()? != wanted {
            if Instant::now() > deadline {
                return Err(Error::Timeout {
                    operation: "QEMU to stop or to go on",
                    after: SIGNAL_LIMIT,
                });
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    fn processors(&self) -> Result<Processors> {
        let Self::Qemu(leash) = self;
        let state = leash
            .vmm_pid()
            .and_then(|pid| fs::read_to_string(format!("/proc/{pid}/stat")))
            .map_err(|error| Error::io("cannot look at QEMU", error))?;
        // The state is the first letter behind the name, which may contain anything but ends in `)`.
        Ok(match state.rsplit_once(") ") {
            Some((_, rest)) if rest.starts_with('T') => Processors::Stopped,
            _ => Processors::Running,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processors {
    Running,
    Stopped,
}
