//! What does the host ask, and what do we answer?
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod agent;
pub mod config;
pub mod failure;
pub mod frame;
pub mod hresult;
pub mod json;
pub mod kernel;
pub mod limits;
pub mod message;

pub use agent::{Activity, Agent, Buffers};
pub use config::{Config, ConfigError};
