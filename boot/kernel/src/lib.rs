//! How does a Linux program run?
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod account;
pub mod errno;
pub mod fs;
pub mod limits;
mod process;
pub mod slab;
mod space;
mod syscall;
mod system;
mod task;
mod user_memory;
pub mod wait;
