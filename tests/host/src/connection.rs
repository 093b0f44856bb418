//! The connection to one guest (hcsshim `internal/gcs/guestconnection.go`): how it is made, what it is, how it ends.

mod call;

use crate::bridge::{Bridge, Patience};
use crate::error::{Error, Result};
use crate::json::{Members, Slip};
use crate::listener::PortSpace;
use crate::message::MessageType;
use crate::request::{self, PROTOCOL_VERSION, UTILITY_VM};
use crate::response::{Answer, Expected};
use crate::timeouts::Timeouts;
use crate::vm::Control;
use serde_json::json;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What a guest says it can do (gcs-protocol §6).
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// let Capabilities { os, signal_process, .. } = guest.capabilities();
/// assert_eq!(os, "linux");
/// assert!(signal_process);
/// # Ok(()) }
/// ```
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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// let vm = Vm::start(config)?;
    /// let stream = vm.accept_bridge(Duration::from_secs(60))?;
    /// let guest = GuestConnection::connect(stream, vm.ports(), Timeouts::default())?;
    /// assert_eq!(guest.protocol(), 4);
    /// # Ok(()) }
    /// ```
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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// assert!(guest.capabilities().dump_stacks);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    /// Returns the negotiated protocol version.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// assert_eq!(guest.protocol(), 4);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn protocol(&self) -> u32 {
        PROTOCOL_VERSION
    }

    /// Returns the guest's system: `linux`.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// assert_eq!(guest.os(), "linux");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn os(&self) -> &str {
        &self.0.capabilities.os
    }

    /// Returns whether the VM itself is a container of an OCI runtime: never, as in hcsshim. Its containers are
    /// ([`Container::is_oci`](crate::Container::is_oci)).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// assert!(!guest.is_oci());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn is_oci(&self) -> bool {
        false
    }

    /// Ends the connection. Calls that are outstanding fail, the guest and its processes live on.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// guest.close();
    /// assert!(guest.dump_stacks().is_err_and(|error| error.is_bridge_ended()));
    /// # Ok(()) }
    /// ```
    pub fn close(&self) {
        self.bridge().end("closed by the host");
    }

    /// Returns why the connection has ended; `None` while it is up.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// assert!(guest.end_reason().is_none(), "it is up");
    /// guest.close();
    /// assert_eq!(guest.end_reason().as_deref(), Some("closed by the host"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn end_reason(&self) -> Option<Arc<str>> {
        self.bridge().end_reason()
    }

    /// Waits for the connection to end and returns why; `None` when it is still up after `limit`.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// assert_eq!(guest.wait_end(Duration::from_millis(1)), None, "it is up");
    /// guest.close();
    /// assert!(guest.wait_end(Duration::from_secs(1)).is_some());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn wait_end(&self, limit: Duration) -> Option<Arc<str>> {
        self.bridge().wait_end(limit)
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
