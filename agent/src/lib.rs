//! What does the host ask, and what do we answer?
//!
//! The agent is a state machine without I/O. It sees the world through two traits, [`kernel::Kernel`] (whatever runs the
//! programs) and `hal::vsock::Vsock` (connections to the host), and time is an argument. It forbids `unsafe`, never allocates
//! and never waits; a peer's bytes can not make it panic.
//!
//! # The path of one request
//!
//! ```text
//! vsock ──copy once──► body buffer ──► frame::Decoder ──► Header, &mut body
//!   ──► json::check, json::Cursor ──► message::Request<'_>          strings lent from the body, unescaped in place
//!   ──► session::dispatch ──► containers, processes ──► Kernel
//!   ──► answered now, or later: a launch, a Waiter, a notice        data in tables, not bytes
//!   ──► message::Response ──► outbox::Outbox ──► vsock
//! ```
//!
//! [`Agent::step`] moves all of it. Around that path: [`config`] reads the kernel command line, `entropy` and `log_stream` are
//! dialled before the `bridge`, `stream` carries standard input and output with back-pressure on both sides, `channel` the same way
//! what programs and the host say to each other over connections of their own.
#![no_std]
#![forbid(unsafe_code)]
#![expect(
    clippy::result_large_err,
    reason = "an error carries the path it is about, and there is no heap to box it into; the way it takes is cold"
)]

#[cfg(test)]
extern crate std;

mod agent;
mod bridge;
mod channel;
mod clock;
pub mod config;
mod container;
mod entropy;
pub mod failure;
pub mod frame;
pub mod hresult;
pub mod json;
pub mod kernel;
pub mod limits;
mod log_stream;
pub mod message;
pub mod outbox;
mod outgoing;
mod process;
mod record;
mod resource;
mod session;
mod stream;
mod table;
mod waiter;
mod world;

pub use agent::{Activity, Agent, Buffers};
pub use config::{Config, ConfigError};
