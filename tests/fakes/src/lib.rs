//! The machine without a machine.
pub mod memory;
