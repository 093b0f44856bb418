//! How does a Linux program run?
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod account;
#[cfg(test)]
mod bench;
mod dump;
pub mod errno;
mod exit;
pub mod fs;
mod kernel;
pub mod limits;
#[cfg(test)]
mod loading_tests;
mod process;
mod program;
mod random;
mod report;
mod schedule;
mod signal;
pub mod slab;
mod space;
mod spawn;
mod syscall;
mod system;
mod task;
#[cfg(test)]
mod tests;
mod user_memory;
mod view;
pub mod wait;

pub use kernel::{Kernel, Parts};
