//! What a guest is asked over its connection, about the VM as a whole.

use super::GuestConnection;
use crate::bridge::Patience;
use crate::container::Container;
use crate::container_config::ContainerConfig;
use crate::error::Result;
use crate::message::MessageType;
use crate::process::Process;
use crate::process_config::ProcessConfig;
use crate::properties::{Properties, PropertyType};
use crate::request::{self, UTILITY_VM};
use crate::resource::Resource;
use crate::response::{Answer, Expected};
use serde_json::Value;

impl GuestConnection {
    /// Adds, removes or changes a resource of the VM. `request` has `RequestType`, `ResourceType` and `Settings`.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let request = serde_json::json!({ "ResourceType": "Windmill", "Settings": {} });
    /// let error = guest.modify(&request).expect_err("there are none");
    /// assert!(error.to_string().contains("Windmill"));
    /// # Ok(()) }
    /// ```
    pub fn modify(&self, request: &Value) -> Result<()> {
        self.command(
            MessageType::MODIFY_SETTINGS,
            &request::modify_settings(UTILITY_VM, request),
        )
    }

    /// Asks for properties of the VM as a whole. hcsshim's own guest refuses this.
    ///
    /// # Errors
    ///
    /// The guest's refusal, [`crate::Error::Timeout`], or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let properties = guest.properties(&[PropertyType::Statistics])?;
    /// let metrics = properties.metrics.expect("asked for");
    /// assert!(metrics.memory_limit_bytes > 0, "that of the machine");
    /// # Ok(()) }
    /// ```
    pub fn properties(&self, types: &[PropertyType]) -> Result<Properties> {
        self.properties_of(UTILITY_VM, types)
    }

    /// Asks for properties of a container, or of the VM.
    pub(crate) fn properties_of(
        &self,
        container_id: &str,
        types: &[PropertyType],
    ) -> Result<Properties> {
        let answer = self.bridge().call(
            MessageType::GET_PROPERTIES,
            &request::get_properties(container_id, types),
            Expected::Properties,
            Patience::Abandonable,
        )?;
        let Answer::Properties(properties) = answer else {
            unreachable!("the reader decodes what the call expects")
        };
        Ok(*properties)
    }

    /// Adds a resource to the VM.
    ///
    /// # Errors
    ///
    /// As [`GuestConnection::modify`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let tree = Resource::CombinedLayers {
    ///     root: "/run/tree".into(),
    ///     layers: vec!["/data".into()],
    ///     scratch: None,
    /// };
    /// match guest.add(&tree) {
    ///     Ok(()) => guest.remove(&tree)?,
    ///     Err(error) => println!("{error}"), // Layers lie on mounted disks.
    /// }
    /// # Ok(()) }
    /// ```
    pub fn add(&self, resource: &Resource) -> Result<()> {
        self.modify(&resource.request("Add"))
    }

    /// Removes a resource from the VM.
    ///
    /// # Errors
    ///
    /// As [`GuestConnection::modify`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let nothing = Resource::ScsiDevice(vm::DiskAddress { controller: 0, lun: 60 });
    /// guest.remove(&nothing).or_else(|error| match error {
    ///     Error::Guest { .. } => Ok(println!("{error}")), // The guest says what it misses.
    ///     error => Err(error),
    /// })?;
    /// # Ok(()) }
    /// ```
    pub fn remove(&self, resource: &Resource) -> Result<()> {
        self.modify(&resource.request("Remove"))
    }

    /// Asks the guest what it is doing.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let text = guest.dump_stacks()?;
    /// assert!(text.contains("kernel:"));
    /// # Ok(()) }
    /// ```
    pub fn dump_stacks(&self) -> Result<String> {
        let answer = self.bridge().call(
            MessageType::DUMP_STACKS,
            &request::plain(UTILITY_VM),
            Expected::Stacks,
            Patience::Final,
        )?;
        let Answer::Stacks(text) = answer else {
            unreachable!("the reader decodes what the call expects")
        };
        Ok(text)
    }

    /// Has the guest forget a container.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let error = guest.delete_container_state("unknown").expect_err("there is none");
    /// assert!(error.is_not_exist());
    /// # Ok(()) }
    /// ```
    pub fn delete_container_state(&self, container_id: &str) -> Result<()> {
        self.command(
            MessageType::DELETE_CONTAINER_STATE,
            &request::plain(container_id),
        )
    }

    /// Creates a container. Its init process exists afterwards, and runs once it is asked for with
    /// [`ProcessConfig::init`].
    ///
    /// # Errors
    ///
    /// [`crate::Error::AlreadyExists`] for an id that was used on this connection, even if creating it failed, unless it was
    /// interrupted; the guest's refusal; the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ContainerConfig::new(&ProcessConfig::new(["true"]));
    /// let container = guest.create_container("create-container", &config)?;
    /// let init = container.create_process(&ProcessConfig::init())?;
    /// assert_eq!(init.wait()?, 0);
    /// guest.delete_container_state(container.id())?;
    /// # Ok(()) }
    /// ```
    pub fn create_container(&self, id: &str, config: &ContainerConfig) -> Result<Container> {
        let exit = self.bridge().expect_exit(id)?;
        let created = self.bridge().call(
            MessageType::CREATE,
            &request::create(id, &config.document(id)),
            Expected::Created,
            Patience::Final,
        );
        match created {
            Ok(_) => {
                self.bridge().set_unsure(id, false);
                Ok(Container::new(self.clone(), id, exit))
            }
            Err(error) => {
                if error.is_interrupted() {
                    self.bridge().set_unsure(id, true);
                }
                Err(error)
            }
        }
    }

    /// Takes up a container that exists in the guest already, after a new connection was made.
    ///
    /// # Errors
    ///
    /// [`crate::Error::AlreadyExists`] for an id that was used on this connection; the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// drop(guest.create_container("open-container", &config)?);
    /// // On a connection that has seen it already, its id is taken; on the next one it is not.
    /// let error = guest.open_container("open-container").expect_err("it is known here");
    /// assert!(error.is_already_exists());
    /// # Ok(()) }
    /// ```
    pub fn open_container(&self, id: &str) -> Result<Container> {
        let exit = self.bridge().expect_exit(id)?;
        self.bridge().set_unsure(id, false);
        Ok(Container::new(self.clone(), id, exit))
    }

    /// Runs a process in the VM, outside of every container.
    ///
    /// # Errors
    ///
    /// The guest's refusal (the program does not exist …), or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let process = guest.create_process(&ProcessConfig::new(["uname"]))?;
    /// assert_eq!(process.output(b"")?.stdout, b"Linux\n");
    /// # Ok(()) }
    /// ```
    pub fn create_process(&self, config: &ProcessConfig) -> Result<Process> {
        Process::create(self, UTILITY_VM, config)
    }

    /// Takes up a process of the VM that runs already, after a new connection was made. It has no streams.
    ///
    /// # Errors
    ///
    /// The end of the bridge. A pid the guest does not know looks ended, with the code 0, as it does to hcsshim.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// let same = guest.open_process(process.pid())?;
    /// process.close_stdin()?;
    /// assert_eq!(same.wait()?, 0);
    /// # Ok(()) }
    /// ```
    pub fn open_process(&self, pid: u32) -> Result<Process> {
        Process::open(self, UTILITY_VM, pid)
    }

    /// Asks the VM to power off. There is no answer: the VM ends.
    ///
    /// # Errors
    ///
    /// The end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// let vm = Vm::start(config)?;
    /// let guest = vm.connect()?;
    /// guest.shut_down_vm()?;
    /// assert_eq!(vm.wait(Duration::from_secs(60))?.status, Some(0));
    /// # Ok(()) }
    /// ```
    pub fn shut_down_vm(&self) -> Result<()> {
        self.bridge().shut_down_vm()
    }

    /// Changes a setting of a service in the guest: for Windows guests, which forward their logs so.
    ///
    /// # Errors
    ///
    /// A Linux guest's refusal: [`crate::Error::is_not_implemented`]; the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let settings = serde_json::json!({ "RPCType": "StartLogForwarding" });
    /// let error = guest.modify_service_settings("LogForwardService", &settings).expect_err("it is no Windows");
    /// assert!(error.is_not_implemented());
    /// # Ok(()) }
    /// ```
    pub fn modify_service_settings(&self, property_type: &str, settings: &Value) -> Result<()> {
        self.command(
            MessageType::MODIFY_SERVICE_SETTINGS,
            &request::modify_service_settings(property_type, settings),
        )
    }

    /// Changes a container's resources by the message of early hosts. Present guests do not know it (see
    /// [`Container::modify`]).
    ///
    /// # Errors
    ///
    /// The guest's refusal: [`crate::Error::is_not_implemented`]; the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let error = guest.update_container("unknown", &serde_json::json!({})).expect_err("it is unknown");
    /// assert!(error.hresult().is_some());
    /// # Ok(()) }
    /// ```
    pub fn update_container(&self, container_id: &str, resources: &Value) -> Result<()> {
        self.command(
            MessageType::UPDATE_CONTAINER,
            &request::update_container(container_id, resources),
        )
    }

    /// Sends a request that has no answer beside success.
    fn command(&self, message: MessageType, body: &[u8]) -> Result<()> {
        self.bridge()
            .call(message, body, Expected::Base, Patience::Final)
            .map(drop)
    }
}
