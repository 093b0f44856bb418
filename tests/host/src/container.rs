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
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How a container ended, as far as the guest tells (gcs-protocol §8.4).
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
/// # let container = guest.create_container("ExitType", &init)?;
/// # let init = container.create_process(&ProcessConfig::init())?;
/// init.close_stdin()?;
/// assert_eq!(init.wait()?, 0);
/// assert_eq!(container.wait()?, ContainerExit::Notified(ExitType::Unexpected));
/// # Ok(()) }
/// ```
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
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
/// # let container = guest.create_container("ContainerExit", &init)?;
/// # let init = container.create_process(&ProcessConfig::init())?;
/// container.shutdown()?;
/// init.wait()?;
/// match container.wait()? {
///     ContainerExit::Notified(exit) => assert_eq!(exit, ExitType::Graceful),
///     ContainerExit::BridgeEnded(reason) => println!("not known: {reason}"),
/// }
/// # Ok(()) }
/// ```
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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("id", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// assert_eq!(container.id(), "id");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the container's system: that of the guest.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("os", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// assert_eq!(container.os(), "linux");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn os(&self) -> &str {
        self.guest.os()
    }

    /// Returns whether the container is described by an OCI specification: every one but that of a Windows guest.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("is-oci", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// assert!(container.is_oci());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_oci(&self) -> bool {
        self.os() != "windows"
    }

    /// Starts the container. A Linux guest does nothing here: the init process runs when it is asked for.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ContainerConfig::new(&ProcessConfig::new(["true"]));
    /// let container = guest.create_container("start", &config)?;
    /// container.start()?;
    /// assert_eq!(container.create_process(&ProcessConfig::init())?.wait()?, 0);
    /// # Ok(()) }
    /// ```
    pub fn start(&self) -> Result<()> {
        self.command(MessageType::START, Patience::Final)
    }

    /// Asks the container to end: SIGTERM to its init process. Success does not mean that it will.
    ///
    /// # Errors
    ///
    /// The guest's refusal, [`Error::Timeout`], or the end of the bridge. A container the guest does not know is
    /// taken as ended.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("shutdown", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// container.shutdown()?;
    /// assert_eq!(init.wait()?, 128 + 15);
    /// # Ok(()) }
    /// ```
    pub fn shutdown(&self) -> Result<()> {
        unless_gone(self.command(MessageType::SHUTDOWN_GRACEFUL, Patience::Abandonable))
    }

    /// Ends the container: SIGKILL to its init process.
    ///
    /// # Errors
    ///
    /// As [`Container::shutdown`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("terminate", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// container.terminate()?;
    /// assert_eq!(init.wait()?, 128 + 9);
    /// # Ok(()) }
    /// ```
    pub fn terminate(&self) -> Result<()> {
        unless_gone(self.command(MessageType::SHUTDOWN_FORCED, Patience::Abandonable))
    }

    /// Stops the container by stopping the processors of its VM, as HCS does: everything else in the VM stands still too.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the VMM's words; [`Error::InvalidRequest`] when this library did not launch the VM.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("pause", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// container.pause()?;
    /// // Nothing in the VM runs now.
    /// container.resume()?;
    /// # Ok(()) }
    /// ```
    pub fn pause(&self) -> Result<()> {
        self.guest.control("Pause")?.pause()
    }

    /// Lets the VM's processors run again.
    ///
    /// # Errors
    ///
    /// As [`Container::pause`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("resume", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// container.pause()?;
    /// container.resume()?;
    /// assert!(!container.process_list()?.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn resume(&self) -> Result<()> {
        self.guest.control("Resume")?.resume()
    }

    /// Waits until the guest has notified the container's end.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyClosed`] after [`Container::close`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("wait", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// container.terminate()?;
    /// init.wait()?;
    /// assert_eq!(container.wait()?, ContainerExit::Notified(ExitType::Forced));
    /// # Ok(()) }
    /// ```
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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("wait-timeout", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// use std::time::Duration;
    /// let error = container.wait_timeout(Duration::from_millis(1)).expect_err("it runs");
    /// assert!(error.is_timeout());
    /// # Ok(()) }
    /// ```
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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("create-process", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let more = container.create_process(&ProcessConfig::new(["echo", "hello"]))?;
    /// assert_eq!(more.output(b"")?.stdout, b"hello\n");
    /// # Ok(()) }
    /// ```
    pub fn create_process(&self, config: &ProcessConfig) -> Result<Process> {
        Process::create(&self.guest, &self.id, config)
    }

    /// Takes up a process of the container that runs already. It has no streams.
    ///
    /// # Errors
    ///
    /// The end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("open-process", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let same = container.open_process(init.pid())?;
    /// assert!(init.kill()?);
    /// assert_eq!(same.wait()?, 137);
    /// # Ok(()) }
    /// ```
    pub fn open_process(&self, pid: u32) -> Result<Process> {
        Process::open(&self.guest, &self.id, pid)
    }

    /// Asks for properties.
    ///
    /// # Errors
    ///
    /// The guest's refusal, [`Error::Timeout`], or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("properties", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let properties = container.properties(&[PropertyType::ProcessList, PropertyType::Statistics])?;
    /// assert_eq!(properties.process_list.len(), 1);
    /// assert!(properties.metrics.is_some());
    /// # Ok(()) }
    /// ```
    pub fn properties(&self, types: &[PropertyType]) -> Result<Properties> {
        self.guest.properties_of(&self.id, types)
    }

    /// Asks for properties and returns the guest's document as it is, with what [`Properties`] has no field for.
    ///
    /// # Errors
    ///
    /// As [`Container::properties`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("properties-v2", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let document = container.properties_v2(&[PropertyType::ProcessList])?;
    /// assert_eq!(document["ProcessList"][0]["ProcessId"], init.pid());
    /// # Ok(()) }
    /// ```
    pub fn properties_v2(&self, types: &[PropertyType]) -> Result<Value> {
        Ok(self.properties(types)?.document)
    }

    /// Returns the container's processes.
    ///
    /// # Errors
    ///
    /// As [`Container::properties`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("process-list", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let processes = container.process_list()?;
    /// assert_eq!(processes[0].pid, init.pid());
    /// # Ok(()) }
    /// ```
    pub fn process_list(&self) -> Result<Vec<ProcessDetails>> {
        Ok(self.properties(&[PropertyType::ProcessList])?.process_list)
    }

    /// Returns the container's resource use.
    ///
    /// # Errors
    ///
    /// As [`Container::properties`]; [`Error::Missing`] when the guest answers without them.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("statistics", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let metrics = container.statistics()?;
    /// assert_eq!(metrics.pids_current, 1);
    /// assert!(metrics.memory_usage_bytes > 0);
    /// # Ok(()) }
    /// ```
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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("has-pending-updates", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// assert!(!container.has_pending_updates()?);
    /// # Ok(()) }
    /// ```
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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("mapped-virtual-disks", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// assert!(container.mapped_virtual_disks()?.is_null(), "a Linux guest does not tell");
    /// # Ok(()) }
    /// ```
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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("modify", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// container.modify(&serde_json::json!({
    ///     "RequestType": "Update",
    ///     "ResourceType": "ContainerConstraints",
    ///     "Settings": { "Linux": { "memory": { "limit": 16 << 20 } } },
    /// }))?;
    /// assert_eq!(container.statistics()?.memory_limit_bytes, 16 << 20);
    /// # Ok(()) }
    /// ```
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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("close", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// container.close();
    /// assert!(container.wait().is_err_and(|error| error.is_already_closed()));
    /// assert!(init.exit_code().is_err(), "it runs on");
    /// # Ok(()) }
    /// ```
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
