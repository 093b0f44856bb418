//! The machine around the virtio devices: registers, PCI, and what the firmware says of them.

pub mod pci;
pub mod registers;
