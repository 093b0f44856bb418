//! The host side of mote: launches utility VMs and speaks the HCS/GCS protocol with the agent inside them.
//!
//! Written from the protocol description, not from the agent: client and agent share no code, so they cannot share a
//! mistake. Everything blocks, everything has a time limit, and every type can be used from many threads.
//!
//! ```text
//! VmConfig ──► Vm::start ──► Vm::connect ──► GuestConnection ──► create_process ──► Process
//!   (vm/)      watchdog, QEMU,   entropy, log,      │   (bridge: one reader        │ wait, signal
//!              vsock daemon      bridge, Negotiate  │    thread, calls by id)      └ StdioStream ×3
//!                                                   └► create_container ──► Container ──► Process
//! ```
//!
//! # The path of one request
//!
//! A method of [`GuestConnection`], [`Container`] or [`Process`] builds a body ([`request`](mod@request)), the bridge
//! gives it the next id and writes one [`frame`]; the reader thread decodes the frame with the same id as what that
//! call expects ([`response`](mod@response)) and wakes the caller. Whatever the guest gets wrong on the wire ends the
//! bridge, with a reason, exactly where hcsshim's host ends it (gcs-protocol §14.4).
//!
//! # Examples
//!
//! Every public item has one, and [`Vm`], [`GuestConnection`], [`Container`], [`Process`] and [`Error`] one each that uses all
//! there is to them. The tests run all of them, those that need a VM against booted ones, and fail for an item without.
//!
//! ```no_run
//! # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> {
//! use mote_host::{ProcessConfig, Vm};
//!
//! // As for instance `VmConfig::new().disk("root.ext4")`.
//! let vm = Vm::start(config)?;
//! let guest = vm.connect()?;
//! let output = guest.create_process(&ProcessConfig::new(["/bin/busybox", "uname", "-a"]))?.output(b"")?;
//! assert_eq!(output.exit_code, 0);
//! print!("{}", String::from_utf8_lossy(&output.stdout));
//! vm.power_off()?;
//! # Ok(()) }
//! ```
//!
#![doc = include_str!("../doc/hcsshim.md")]
#![forbid(unsafe_code)]

mod bridge;
mod connection;
mod container;
mod container_config;
pub mod disk;
mod error;
pub mod frame;
mod guid;
mod hresult;
pub mod initrd;
mod json;
pub mod layer;
mod listener;
mod message;
pub mod oci;
mod once;
mod pipes;
mod process;
mod process_config;
mod properties;
pub mod request;
mod resource;
pub mod response;
mod resume;
mod stdio;
mod timeouts;
pub mod vm;

pub use connection::{Capabilities, GuestConnection};
pub use container::{Container, ContainerExit, ExitType};
pub use container_config::ContainerConfig;
pub use error::{Error, Result};
pub use hresult::Hresult;
pub use listener::{BRIDGE_PORT, ENTROPY_PORT, FIRST_STDIO_PORT, LOG_PORT, PortSpace};
pub use message::MessageType;
pub use pipes::Pipes;
pub use process::{Output, Process};
pub use process_config::ProcessConfig;
pub use properties::{DiskMetrics, Metrics, ProcessDetails, Properties, PropertyType};
pub use resource::{MappedDisk, Resource};
pub use stdio::StdioStream;
pub use timeouts::Timeouts;
pub use vm::{Machine, Vm, VmConfig};
