//! What is asked of the VMM itself while its VM runs.

use super::watchdog::{Leash, Order};
use super::{api, qmp};
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
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
    /// QEMU. Its monitor takes every command but those that stop and start the processors: with a vhost-user vsock back
    /// end they would stop that device too, and vhost-device-vsock gives up for good when bytes come for a stopped one.
    /// The watchdog stops QEMU as a process instead: guest and device model stand still, the back end goes on filling
    /// the rings they share.
    Qemu(Arc<Leash>),
    /// Cloud Hypervisor's API socket.
    CloudHypervisor(PathBuf),
    /// Firecracker's API socket.
    Firecracker(PathBuf),
}

impl Control {
    /// Stops the VM's processors. Nothing in the guest runs until [`Control::resume`].
    pub(crate) fn pause(&self) -> Result<()> {
        match self {
            Self::Qemu(leash) => signal(leash, Order::Pause, Processors::Stopped),
            Self::CloudHypervisor(socket) => cloud_hypervisor(socket, "PUT", "vm.pause").map(drop),
            Self::Firecracker(socket) => firecracker(socket, "Paused"),
        }
    }

    /// Lets the VM's processors run again.
    pub(crate) fn resume(&self) -> Result<()> {
        match self {
            Self::Qemu(leash) => signal(leash, Order::Resume, Processors::Running),
            Self::CloudHypervisor(socket) => cloud_hypervisor(socket, "PUT", "vm.resume").map(drop),
            Self::Firecracker(socket) => firecracker(socket, "Resumed"),
        }
    }

    /// Returns whether the VM's processors are stopped.
    pub(crate) fn is_paused(&self) -> Result<bool> {
        match self {
            Self::Qemu(leash) => Ok(processors(leash)? == Processors::Stopped),
            Self::CloudHypervisor(socket) => {
                Ok(cloud_hypervisor(socket, "GET", "vm.info")?["state"] == "Paused")
            }
            Self::Firecracker(socket) => {
                let state = api::request(socket, "GET", "/", &Value::Null).map_err(named)?;
                Ok(state["state"] == "Paused")
            }
        }
    }

    /// Gives QEMU's monitor a command.
    pub(crate) fn qmp(&self, command: &str, arguments: &Value) -> Result<Value> {
        let named = |error| Error::io(format!("QEMU's monitor, {command}"), error);
        let Self::Qemu(leash) = self else {
            return Err(named(io::Error::other("the VM is not run by QEMU")));
        };
        if self.is_paused()? {
            return Err(named(io::Error::other("the VM is paused; resume it first")));
        }
        qmp::execute(&leash.run_directory().join(qmp::SOCKET), command, arguments).map_err(named)
    }
}

fn named(error: io::Error) -> Error {
    Error::io("the VMM's API", error)
}

fn cloud_hypervisor(socket: &Path, method: &str, action: &str) -> Result<Value> {
    api::request(socket, method, &format!("/api/v1/{action}"), &Value::Null).map_err(named)
}

fn firecracker(socket: &Path, state: &str) -> Result<()> {
    api::request(socket, "PATCH", "/vm", &json!({ "state": state }))
        .map(drop)
        .map_err(named)
}

fn signal(leash: &Leash, order: Order, wanted: Processors) -> Result<()> {
    let tried = match order {
        Order::Pause => "cannot pause the VM",
        Order::Resume => "cannot resume the VM",
    };
    leash
        .order(order)
        .map_err(|error| Error::io(tried, error))?;
    let deadline = Instant::now() + SIGNAL_LIMIT;
    while processors(leash)? != wanted {
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

fn processors(leash: &Leash) -> Result<Processors> {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processors {
    Running,
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

    #[test]
    fn cloud_hypervisor_is_asked_by_its_api() {
        let directory = tempfile::tempdir().expect("a directory");
        let vmm = api::tests::scripted(
            directory.path(),
            &[
                DONE,
                "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"state\":\"Paused\"}",
                DONE,
            ],
        );
        let control = Control::CloudHypervisor(directory.path().join(api::SOCKET));
        control.pause().expect("done");
        assert!(control.is_paused().expect("told"));
        control.resume().expect("done");
        let asked: Vec<String> = vmm
            .join()
            .expect("ended")
            .into_iter()
            .map(|(line, _)| line)
            .collect();
        assert_eq!(
            asked,
            [
                "PUT /api/v1/vm.pause HTTP/1.1",
                "GET /api/v1/vm.info HTTP/1.1",
                "PUT /api/v1/vm.resume HTTP/1.1"
            ]
        );
        assert!(control.qmp("stop", &Value::Null).is_err());
    }

    #[test]
    fn firecracker_is_asked_by_its_api() {
        let directory = tempfile::tempdir().expect("a directory");
        let vmm = api::tests::scripted(
            directory.path(),
            &[
                DONE,
                "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"state\":\"Running\"}",
                "HTTP/1.1 400 Bad Request\r\nContent-Length: 28\r\n\r\n{\"fault_message\":\"not paused\"",
            ],
        );
        let control = Control::Firecracker(directory.path().join(api::SOCKET));
        control.pause().expect("done");
        assert!(!control.is_paused().expect("told"));
        let error = control.resume().expect_err("refused");
        assert!(error.to_string().contains("not paused"), "{error}");
        let asked = vmm.join().expect("ended");
        assert_eq!(
            asked[0],
            ("PATCH /vm HTTP/1.1".into(), "{\"state\":\"Paused\"}".into())
        );
        assert_eq!(asked[2].1, "{\"state\":\"Resumed\"}");
    }
}
