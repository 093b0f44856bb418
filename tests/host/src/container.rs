//! Containers (hcsshim `internal/gcs/container.go`).

use crate::Hresult;
use crate::bridge::Patience;
use crate::connection::GuestConnection;
use crate::error::{Error, Result};
use crate::message::MessageType;
use crate::once::Once;
use crate::process::Process;
use crate::process_config::ProcessConfig;
use crate::properties::{Metrics, ProcessDetails, Properties, PropertyType};
use crate::request;
use crate::response::Expected;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A container to create: its init process and its root directory in the VM.
#[derive(Clone, Debug)]
pub struct ContainerConfig {
    specification: Value,
}

impl ContainerConfig {
    /// A container whose init process is `init` and whose root is the whole root file system of the VM.
    #[must_use]
    pub fn new(init: &ProcessConfig) -> Self {
        Self::from_oci(json!({
            "ociVersion": "1.0.2",
            "process": init.oci_process(),
            "root": { "path": "/" },
            "linux": {},
        }))
    }

    /// A container with this OCI runtime specification.
    #[must_use]
    pub const fn from_oci(specification: Value) -> Self {
        Self { specification }
    }

    /// Sets the directory of the VM that is the container's root.
    #[must_use]
    pub fn root(mut self, path: &str) -> Self {
        self.specification["root"]["path"] = path.into();
        self
    }

    /// Limits the memory of the container's processes together.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.specification["linux"]["resources"]["memory"]["limit"] = bytes.into();
        self
    }

    /// Limits the number of the container's processes.
    #[must_use]
    pub fn pids_limit(mut self, count: u64) -> Self {
        self.specification["linux"]["resources"]["pids"]["limit"] = count.into();
        self
    }

    /// Returns the `ContainerConfig` document.
    pub(crate) fn document(&self, id: &str) -> Value {
        json!({
            "SchemaVersion": { "Major": 2, "Minor": 1 },
            "OciBundlePath": format!("/run/gcs/c/{id}"),
            "OciSpecification": self.specification,
        })
    }
}

/// How a container ended, as far as the guest tells (gcs-protocol §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitType {
    /// After SIGTERM was sent to init.
    Graceful,
    /// After SIGKILL was sent to init.
    Forced,
    /// Init ended by itself or by another signal.
    Unexpected,
    /// The guest named something else, or nothing.
    Other,
}

impl ExitType {
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "GracefulExit" => Self::Graceful,
            "ForcedExit" => Self::Forced,
            "UnexpectedExit" => Self::Unexpected,
            _ => Self::Other,
        }
    }
}

/// Why a container counts as ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerExit {
    /// The guest's notification has come.
    Notified(ExitType),
    /// The bridge ended first, with this reason.
    BridgeEnded(Arc<str>),
}

/// A container. Dropping it does not end it.
///
/// # Example
///
/// ```no_run
#[doc = include_str!("../doc/container.rs")]
/// ```
#[derive(Debug)]
pub struct Container {
    guest: GuestConnection,
    id: String,
    exit: Once<ContainerExit>,
    /// Set by [`Container::close`], so that who waits returns.
    closed: Once<()>,
}

impl Container {
    pub(crate) fn new(guest: GuestConnection, id: &str, exit: Once<ContainerExit>) -> Self {
        Self {
            guest,
            id: id.to_owned(),
            exit,
            closed: Once::new(),
        }
    }

    pub(crate) const fn guest(&self) -> &GuestConnection {
        &self.guest
    }

    /// Returns the container's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the container's system: that of the guest.
    #[must_use]
    pub fn os(&self) -> &str {
        self.guest.os()
    }

    /// Returns whether the container is described by an OCI specification: every one but that of a Windows guest.
    #[must_use]
    pub fn is_oci(&self) -> bool {
        self.os() != "windows"
    }

    /// Starts the container. A Linux guest does nothing here: the init process runs when it is asked for.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    pub fn start(&self) -> Result<()> {
        self.command(MessageType::START, Patience::Final)
    }

    /// Asks the container to end: SIGTERM to its init process. Success does not mean that it will.
    ///
    /// # Errors
    ///
    /// The guest's refusal, [`Error::Timeout`], or the end of the bridge. A container the guest does not know is
    /// taken as ended.
    pub fn shutdown(&self) -> Result<()> {
        unless_gone(self.command(MessageType::SHUTDOWN_GRACEFUL, Patience::Abandonable))
    }

    /// Ends the container: SIGKILL to its init process.
    ///
    /// # Errors
    ///
    /// As [`Container::shutdown`].
    pub fn terminate(&self) -> Result<()> {
        unless_gone(self.command(MessageType::SHUTDOWN_FORCED, Patience::Abandonable))
    }

    /// Stops the container by stopping the processors of its VM, as HCS does: everything else in the VM stands still too.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the VMM's words; [`Error::InvalidRequest`] when this library did not launch the VM.
    pub fn pause(&self) -> Result<()> {
        self.guest.control("Pause")?.pause()
    }

    /// Lets the VM's processors run again.
    ///
    /// # Errors
    ///
    /// As [`Container::pause`].
    pub fn resume(&self) -> Result<()> {
        self.guest.control("Resume")?.resume()
    }

    /// Waits until the guest has notified the container's end.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyClosed`] after [`Container::close`].
    pub fn wait(&self) -> Result<ContainerExit> {
        match self.exit.wait() {
            ContainerExit::BridgeEnded(_) if self.closed.get().is_some() => {
                Err(Error::AlreadyClosed("container"))
            }
            exit => Ok(exit),
        }
    }

    /// Waits until the guest has notified the container's end, for so long.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when it has not; [`Error::AlreadyClosed`] after [`Container::close`].
    pub fn wait_timeout(&self, limit: Duration) -> Result<ContainerExit> {
        if self.exit.wait_timeout(limit).is_none() {
            return Err(Error::Timeout {
                operation: "container exit notification",
                after: limit,
            });
        }
        self.wait()
    }

    /// Runs a process in the container: its init process with [`ProcessConfig::init`], else a further one.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    pub fn create_process(&self, config: &ProcessConfig) -> Result<Process> {
        Process::create(&self.guest, &self.id, config)
    }

    /// Takes up a process of the container that runs already. It has no streams.
    ///
    /// # Errors
    ///
    /// The end of the bridge.
    pub fn open_process(&self, pid: u32) -> Result<Process> {
        Process::open(&self.guest, &self.id, pid)
    }

    /// Asks for properties.
    ///
    /// # Errors
    ///
    /// The guest's refusal, [`Error::Timeout`], or the end of the bridge.
    pub fn properties(&self, types: &[PropertyType]) -> Result<Properties> {
        self.guest.properties_of(&self.id, types)
    }

    /// Asks for properties and returns the guest's document as it is, with what [`Properties`] has no field for.
    ///
    /// # Errors
    ///
    /// As [`Container::properties`].
    pub fn properties_v2(&self, types: &[PropertyType]) -> Result<Value> {
        Ok(self.properties(types)?.document)
    }

    /// Returns the container's processes.
    ///
    /// # Errors
    ///
    /// As [`Container::properties`].
    pub fn process_list(&self) -> Result<Vec<ProcessDetails>> {
        Ok(self.properties(&[PropertyType::ProcessList])?.process_list)
    }

    /// Returns the container's resource use.
    ///
    /// # Errors
    ///
    /// As [`Container::properties`]; [`Error::Missing`] when the guest answers without them.
    pub fn statistics(&self) -> Result<Metrics> {
        self.properties(&[PropertyType::Statistics])?
            .metrics
            .ok_or(Error::Missing("LCOWMetrics"))
    }

    /// Returns whether changes of the container wait for a restart. A Linux guest does not tell: `false`.
    ///
    /// # Errors
    ///
    /// As [`Container::properties`].
    pub fn has_pending_updates(&self) -> Result<bool> {
        Ok(self
            .properties(&[PropertyType::PendingUpdates])?
            .are_updates_pending)
    }

    /// Returns the disks mapped into the container, as the guest's document. A Linux guest does not tell: null.
    ///
    /// # Errors
    ///
    /// As [`Container::properties`].
    pub fn mapped_virtual_disks(&self) -> Result<Value> {
        Ok(self
            .properties(&[PropertyType::MappedVirtualDisk])?
            .mapped_virtual_disks)
    }

    /// Changes a resource of the container. `request` has `RequestType`, `ResourceType` and `Settings`.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    pub fn modify(&self, request: &Value) -> Result<()> {
        self.guest
            .bridge()
            .call(
                MessageType::MODIFY_SETTINGS,
                &request::modify_settings(&self.id, request),
                Expected::Base,
                Patience::Final,
            )
            .map(drop)
    }

    /// Stops caring: who waits for the container returns with an error. The container runs on.
    pub fn close(&self) {
        self.closed.set(());
        self.exit
            .set(ContainerExit::BridgeEnded("container closed".into()));
    }

    fn command(&self, message: MessageType, patience: Patience) -> Result<()> {
        self.guest
            .bridge()
            .call(message, &request::plain(&self.id), Expected::Base, patience)
            .map(drop)
    }
}

fn unless_gone(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.hresult() == Some(Hresult::SYSTEM_NOT_FOUND) => Ok(()),
        result => result,
    }
}
