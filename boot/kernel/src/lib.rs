//! How does a Linux program run?
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod account;
pub mod errno;
pub mod slab;
pub mod wait;
