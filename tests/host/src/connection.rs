//! The connection to one guest (hcsshim `internal/gcs/guestconnection.go`).

use crate::bridge::{Bridge, Patience};
use crate::container::{Container, ContainerConfig};
use crate::error::{Error, Result};
use crate::json::{Members, Slip};
use crate::listener::PortSpace;
use crate::message::MessageType;
use crate::process::Process;
use crate::process_config::ProcessConfig;
use crate::properties::{Properties, PropertyType};
use crate::request::{self, PROTOCOL_VERSION, UTILITY_VM};
use crate::resource::Resource;
use crate::response::{Answer, Expected};
use crate::timeouts::Timeouts;
use crate::vm::Control;
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What a guest says it can do (gcs-protocol §6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The guest's system in lower case; a guest that does not say is a Windows one.
    pub os: String,
    /// The host is to send Create for the VM itself.
    pub send_host_create: bool,
    /// The host is to send Start for the VM itself.
    pub send_host_start: bool,
    /// Network adapters can be announced.
    pub namespace_add_request: bool,
    /// Signals other than TERM and KILL can be sent.
    pub signal_process: bool,
    /// DumpStacks is answered.
    pub dump_stacks: bool,
    /// DeleteContainerState is answered.
    pub delete_container_state: bool,
}

impl Capabilities {
    pub(crate) fn parse(members: Members<'_>) -> Result<Self, Slip> {
        let defined = members.object("GuestDefinedCapabilities")?;
        for version in members.list("SupportedSchemaVersions")? {
            let version = Members::of(version, "SupportedSchemaVersions")?;
            version.i32("Major")?;
            version.i32("Minor")?;
        }
        if !members.has("GuestDefinedCapabilities") {
            // Not fatal for the bridge but for the negotiation: the real host decodes an empty document here.
            return Err(Slip::new("GuestDefinedCapabilities is missing"));
        }
        Ok(Self {
            os: match members.string("RuntimeOsType")?.unwrap_or("") {
                "" => "windows".into(),
                os => os.to_lowercase(),
            },
            send_host_create: members.boolean("SendHostCreateMessage")?,
            send_host_start: members.boolean("SendHostStartMessage")?,
            namespace_add_request: defined.boolean("NamespaceAddRequestSupported")?,
            signal_process: defined.boolean("SignalProcessSupported")?,
            dump_stacks: defined.boolean("DumpStacksSupported")?,
            delete_container_state: defined.boolean("DeleteContainerStateSupported")?,
        })
    }
}

/// A negotiated connection to a guest. Clones are the same connection; it ends with the last of them, and with the
/// last container and process that came from it.
///
/// # Example
///
/// ```no_run
#[doc = include_str!("../doc/connection.rs")]
/// ```
#[derive(Clone, Debug)]
pub struct GuestConnection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bridge: Arc<Bridge>,
    ports: Arc<PortSpace>,
    capabilities: Capabilities,
    /// The VMM, where this side launched it.
    control: Option<Control>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.bridge.end("closed by the host");
    }
}

impl GuestConnection {
    /// Negotiates on a bridge stream the guest has dialled. `ports` is where its stdio streams will arrive.
    ///
    /// # Errors
    ///
    /// [`Error::Negotiation`] when the guest's answer is not acceptable; the guest's refusal; the end of the bridge.
    pub fn connect(stream: UnixStream, ports: Arc<PortSpace>, timeouts: Timeouts) -> Result<Self> {
        Self::over(stream, ports, timeouts, None)
    }

    /// As [`GuestConnection::connect`], in a VM this side has launched.
    pub(crate) fn of_vm(
        stream: UnixStream,
        ports: Arc<PortSpace>,
        timeouts: Timeouts,
        control: Control,
    ) -> Result<Self> {
        Self::over(stream, ports, timeouts, Some(control))
    }

    fn over(
        stream: UnixStream,
        ports: Arc<PortSpace>,
        timeouts: Timeouts,
        control: Option<Control>,
    ) -> Result<Self> {
        let bridge = Bridge::start(stream, timeouts)?;
        Self::negotiate(&bridge).map_or_else(
            |error| {
                bridge.end("negotiation failed");
                Err(error)
            },
            |capabilities| {
                Ok(Self(Arc::new(Shared {
                    bridge: Arc::clone(&bridge),
                    ports,
                    capabilities,
                    control,
                })))
            },
        )
    }

    fn negotiate(bridge: &Bridge) -> Result<Capabilities> {
        let answer = bridge.call(
            MessageType::NEGOTIATE_PROTOCOL,
            &request::negotiate(),
            Expected::Negotiated,
            Patience::Final,
        )?;
        let Answer::Negotiated(version, capabilities) = answer else {
            unreachable!("the reader decodes what the call expects")
        };
        if version != PROTOCOL_VERSION {
            return Err(Error::Negotiation(format!(
                "the guest chose version {version}; this host speaks {PROTOCOL_VERSION} only"
            )));
        }
        if capabilities.send_host_create {
            let document = json!({ "SystemType": "Container", "TimeZoneInformation": null });
            bridge.call(
                MessageType::CREATE,
                &request::create(UTILITY_VM, &document),
                Expected::Created,
                Patience::Final,
            )?;
            if capabilities.send_host_start {
                bridge.call(
                    MessageType::START,
                    &request::plain(UTILITY_VM),
                    Expected::Base,
                    Patience::Final,
                )?;
            }
        }
        Ok(capabilities)
    }

    /// Returns what the guest says it can do.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    /// Returns the negotiated protocol version.
    #[must_use]
    pub const fn protocol(&self) -> u32 {
        PROTOCOL_VERSION
    }

    /// Returns the guest's system: `linux`.
    #[must_use]
    pub fn os(&self) -> &str {
        &self.0.capabilities.os
    }

    /// Adds, removes or changes a resource of the VM. `request` has `RequestType`, `ResourceType` and `Settings`.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
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
    /// The guest's refusal, [`Error::Timeout`], or the end of the bridge.
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
    pub fn add(&self, resource: &Resource) -> Result<()> {
        self.modify(&resource.request("Add"))
    }

    /// Removes a resource from the VM.
    ///
    /// # Errors
    ///
    /// As [`GuestConnection::modify`].
    pub fn remove(&self, resource: &Resource) -> Result<()> {
        self.modify(&resource.request("Remove"))
    }

    /// Asks the guest what it is doing.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
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
    /// [`Error::AlreadyExists`] for an id that was used on this connection, even if creating it failed, unless it was
    /// interrupted; the guest's refusal; the end of the bridge.
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
    /// [`Error::AlreadyExists`] for an id that was used on this connection; the end of the bridge.
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
    pub fn create_process(&self, config: &ProcessConfig) -> Result<Process> {
        Process::create(self, UTILITY_VM, config)
    }

    /// Takes up a process of the VM that runs already, after a new connection was made. It has no streams.
    ///
    /// # Errors
    ///
    /// The end of the bridge. A pid the guest does not know looks ended, with the code 0, as it does to hcsshim.
    pub fn open_process(&self, pid: u32) -> Result<Process> {
        Process::open(self, UTILITY_VM, pid)
    }

    /// Asks the VM to power off. There is no answer: the VM ends.
    ///
    /// # Errors
    ///
    /// The end of the bridge.
    pub fn shut_down_vm(&self) -> Result<()> {
        self.bridge().shut_down_vm()
    }

    /// Changes a container's resources by the message of early hosts. Present guests do not know it (see
    /// [`Container::modify`]).
    ///
    /// # Errors
    ///
    /// The guest's refusal: [`Error::is_not_implemented`]; the end of the bridge.
    pub fn update_container(&self, container_id: &str, resources: &Value) -> Result<()> {
        self.command(
            MessageType::UPDATE_CONTAINER,
            &request::update_container(container_id, resources),
        )
    }

    /// Ends the connection. Calls that are outstanding fail, the guest and its processes live on.
    pub fn close(&self) {
        self.bridge().end("closed by the host");
    }

    /// Returns why the connection has ended; `None` while it is up.
    #[must_use]
    pub fn end_reason(&self) -> Option<Arc<str>> {
        self.bridge().end_reason()
    }

    /// Waits for the connection to end and returns why; `None` when it is still up after `limit`.
    #[must_use]
    pub fn wait_end(&self, limit: Duration) -> Option<Arc<str>> {
        self.bridge().wait_end(limit)
    }

    /// Sends a request that has no answer beside success.
    fn command(&self, message: MessageType, body: &[u8]) -> Result<()> {
        self.bridge()
            .call(message, body, Expected::Base, Patience::Final)
            .map(drop)
    }

    /// Returns the VMM, or that this connection does not know one.
    pub(crate) fn control(&self, operation: &'static str) -> Result<&Control> {
        self.0
            .control
            .as_ref()
            .ok_or_else(|| Error::InvalidRequest {
                operation,
                reason: "the VM was not launched by this library, so its VMM is not known".into(),
            })
    }

    pub(crate) fn bridge(&self) -> &Bridge {
        &self.0.bridge
    }

    /// Takes the session of a connection that is negotiated over to another one.
    pub(crate) fn renegotiate(&self) -> Result<()> {
        let answer = self.bridge().negotiate_again(&request::negotiate())?;
        match answer {
            Answer::Negotiated(PROTOCOL_VERSION, _) => Ok(()),
            _ => Err(Error::Negotiation(
                "the guest chose another version than before".into(),
            )),
        }
    }

    pub(crate) fn bridge_handle(&self) -> Arc<Bridge> {
        Arc::clone(&self.0.bridge)
    }

    pub(crate) fn downgrade(&self) -> Weak<Bridge> {
        Arc::downgrade(&self.0.bridge)
    }

    pub(crate) fn ports(&self) -> &PortSpace {
        &self.0.ports
    }
}
