//! What does the host ask, and what do we answer?
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod agent;
pub mod config;
pub mod kernel;
pub mod limits;

pub use agent::{Activity, Agent, Buffers};
pub use config::{Config, ConfigError};
