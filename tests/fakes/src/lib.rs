//! The machine without a machine.
pub mod alloc;
pub mod memory;
pub mod virtio;
