//! The machine without a machine.
pub mod alloc;
pub mod clock;
pub mod disk;
pub mod kernel;
pub mod memory;
pub mod program;
pub mod user;
pub mod virtio;
pub mod vsock;
