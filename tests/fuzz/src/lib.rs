//! Hostile input for everything that reads bytes from a host, a device, a disk or a program file.
//!
//! A [`Target`] is a function of bytes that must return, whatever the bytes are; a panic is a finding. Targets whose
//! subject lives through a conversation (the agent, the vsock layer) read the bytes as a [`script::Script`] of what the
//! peer does.
//!
//! ```text
//! corpus (good examples) ─► mutation ◄─ random numbers from a seed
//!                              │
//!                              ▼
//!                         Target::run ─► a panic? ─► the input is kept in target/findings
//! ```
//!
//! `cargo xtask fuzz` drives the targets with [`runner`]: same seed, same inputs, same verdict on every machine.
//! `cargo xtask fuzz --libfuzzer TARGET` lets libFuzzer choose the inputs instead, guided by coverage (`libfuzzer/`, a
//! workspace of its own); the targets are the same functions. Both work with the stable toolchain.
#![forbid(unsafe_code)]

mod guest;
pub mod mutation;
pub mod random;
pub mod runner;
pub mod script;
pub mod target;

pub use target::Target;
