//! The machine without a machine.
pub mod alloc;
pub mod clock;
pub mod memory;
pub mod user;
pub mod virtio;
