//! What the host asks (gcs-protocol §7): bodies, member by member in the order the real host writes them.
//!
//! Nested documents travel as strings. Every body ends in a line feed, as the real host's encoder leaves one.

use crate::guid::NULL_GUID;
use crate::process_config::ProcessConfig;
use crate::properties::PropertyType;
use serde_json::{Map, Value, json};

/// The container id that means the VM itself.
pub const UTILITY_VM: &str = NULL_GUID;

/// A wait without a time limit.
pub const INFINITE_MS: u32 = u32::MAX;

/// The only protocol version there is (hcsshim `protocolVersion`).
pub const PROTOCOL_VERSION: u32 = 4;

/// The ports a process's streams are to be dialled on; 0 for a stream that was not asked for.
///
/// # Example
///
/// ```
/// use mote_host::request::StdioPorts;
/// let ports = StdioPorts { stdout: mote_host::FIRST_STDIO_PORT, ..StdioPorts::default() };
/// assert_eq!((ports.stdin, ports.stderr), (0, 0), "not asked for");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StdioPorts {
    /// Standard input.
    pub stdin: u32,
    /// Standard output.
    pub stdout: u32,
    /// Standard error.
    pub stderr: u32,
}

/// Returns the members every request begins with.
fn base(container_id: &str) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("ContainerId".into(), container_id.into());
    members.insert("ActivityId".into(), NULL_GUID.into());
    members
}

fn finish(members: Map<String, Value>) -> Vec<u8> {
    let mut body = Value::Object(members).to_string().into_bytes();
    body.push(b'\n');
    body
}

fn with(container_id: &str, more: &[(&str, Value)]) -> Vec<u8> {
    let mut members = base(container_id);
    for (name, value) in more {
        members.insert((*name).into(), value.clone());
    }
    finish(members)
}

/// Start, ShutdownGraceful, ShutdownForced, DumpStacks, DeleteContainerState: base members only.
///
/// # Example
///
/// ```
/// let body = mote_host::request::plain("c");
/// assert!(body.starts_with(br#"{"ContainerId":"c","ActivityId":"#));
/// ```
#[must_use]
pub fn plain(container_id: &str) -> Vec<u8> {
    finish(base(container_id))
}

/// NegotiateProtocol.
///
/// # Example
///
/// ```
/// let body = mote_host::request::negotiate();
/// assert!(body.ends_with(b"\"MinimumVersion\":4,\"MaximumVersion\":4}\n"));
/// ```
#[must_use]
pub fn negotiate() -> Vec<u8> {
    with(
        "",
        &[
            ("MinimumVersion", PROTOCOL_VERSION.into()),
            ("MaximumVersion", PROTOCOL_VERSION.into()),
        ],
    )
}

/// Create, with the container's document.
///
/// # Example
///
/// ```
/// let document = serde_json::json!({ "SystemType": "Container" });
/// let body = mote_host::request::create("c", &document);
/// assert!(body.windows(17).any(|part| part == br#""ContainerConfig""#));
/// ```
#[must_use]
pub fn create(container_id: &str, document: &Value) -> Vec<u8> {
    with(
        container_id,
        &[("ContainerConfig", document.to_string().into())],
    )
}

/// ExecuteProcess.
///
/// # Example
///
/// ```
/// use mote_host::ProcessConfig;
/// use mote_host::request::{self, StdioPorts};
/// let config = ProcessConfig::new(["true"]).without_stdio();
/// let body = request::execute_process(request::UTILITY_VM, &config, StdioPorts::default());
/// assert!(body.windows(19).any(|part| part == br#""ProcessParameters""#));
/// ```
#[must_use]
pub fn execute_process(container_id: &str, process: &ProcessConfig, ports: StdioPorts) -> Vec<u8> {
    let parameters = process.parameters(container_id).to_string();
    let mut relay = Map::new();
    for (name, port) in [
        ("StdIn", ports.stdin),
        ("StdOut", ports.stdout),
        ("StdErr", ports.stderr),
    ] {
        if port != 0 {
            relay.insert(name.into(), port.into());
        }
    }
    with(
        container_id,
        &[(
            "Settings",
            json!({ "ProcessParameters": parameters, "VsockStdioRelaySettings": relay }),
        )],
    )
}

/// WaitForProcess.
///
/// # Example
///
/// ```
/// use mote_host::request;
/// let body = request::wait_for_process("c", 7, request::INFINITE_MS);
/// assert!(body.ends_with(b"\"ProcessId\":7,\"TimeoutInMs\":4294967295}\n"));
/// ```
#[must_use]
pub fn wait_for_process(container_id: &str, pid: u32, timeout_ms: u32) -> Vec<u8> {
    with(
        container_id,
        &[
            ("ProcessId", pid.into()),
            ("TimeoutInMs", timeout_ms.into()),
        ],
    )
}

/// SignalProcess; without a signal the guest takes SIGKILL.
///
/// # Example
///
/// ```
/// let body = mote_host::request::signal_process("c", 7, Some(15));
/// assert!(body.ends_with(b"\"Options\":{\"Signal\":15}}\n"));
/// ```
#[must_use]
pub fn signal_process(container_id: &str, pid: u32, signal: Option<i32>) -> Vec<u8> {
    let mut members = vec![("ProcessId", pid.into())];
    if let Some(signal) = signal {
        members.push(("Options", json!({ "Signal": signal })));
    }
    with(container_id, &members)
}

/// ResizeConsole.
///
/// # Example
///
/// ```
/// let body = mote_host::request::resize_console("c", 7, 24, 80);
/// assert!(body.ends_with(b"\"Height\":24,\"Width\":80}\n"));
/// ```
#[must_use]
pub fn resize_console(container_id: &str, pid: u32, height: u16, width: u16) -> Vec<u8> {
    with(
        container_id,
        &[
            ("ProcessId", pid.into()),
            ("Height", height.into()),
            ("Width", width.into()),
        ],
    )
}

/// GetProperties.
///
/// # Example
///
/// ```
/// use mote_host::{PropertyType, request};
/// let body = request::get_properties("c", &[PropertyType::ProcessList]);
/// assert!(body.windows(11).any(|part| part == b"ProcessList"));
/// ```
#[must_use]
pub fn get_properties(container_id: &str, types: &[PropertyType]) -> Vec<u8> {
    let names: Vec<Value> = types.iter().map(|kind| kind.to_string().into()).collect();
    let query = if names.is_empty() {
        String::new()
    } else {
        json!({ "PropertyTypes": names }).to_string()
    };
    with(container_id, &[("Query", query.into())])
}

/// UpdateContainer, of early hosts: the resources travel as a document in a string.
///
/// # Example
///
/// ```
/// let body = mote_host::request::update_container("c", &serde_json::json!({ "memory": {} }));
/// assert!(body.ends_with(b"\"Resources\":\"{\\\"memory\\\":{}}\"}\n"));
/// ```
#[must_use]
pub fn update_container(container_id: &str, resources: &Value) -> Vec<u8> {
    with(container_id, &[("Resources", resources.to_string().into())])
}

/// ModifySettings; `request` is the object with `RequestType`, `ResourceType` and `Settings`.
///
/// # Example
///
/// ```
/// let request = serde_json::json!({ "ResourceType": "Network", "RequestType": "Remove" });
/// let body = mote_host::request::modify_settings("c", &request);
/// assert!(body.windows(9).any(|part| part == br#""Request""#));
/// ```
#[must_use]
pub fn modify_settings(container_id: &str, request: &Value) -> Vec<u8> {
    with(container_id, &[("Request", request.clone())])
}

/// ModifyServiceSettings, of Windows guests.
///
/// # Example
///
/// ```
/// let body = mote_host::request::modify_service_settings("Log", &serde_json::json!({}));
/// assert!(body.ends_with(b"\"PropertyType\":\"Log\",\"Settings\":{}}\n"));
/// ```
#[must_use]
pub fn modify_service_settings(property_type: &str, settings: &Value) -> Vec<u8> {
    with(
        UTILITY_VM,
        &[
            ("PropertyType", property_type.into()),
            ("Settings", settings.clone()),
        ],
    )
}
