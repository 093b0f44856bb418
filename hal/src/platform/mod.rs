//! The machine around the virtio devices: what its firmware says, PCI, clocks, and how it ends.
//!
//! * [`firmware`] sums up the [`acpi`] tables: interrupt controllers, PCI's configuration space, power registers.
//! * [`pci`] finds functions and reads their capabilities and base addresses.
//! * [`power`] ends the machine, [`wall_clock`] asks [`kvm_clock`] or [`rtc`] for the time of day.
//! * [`registers`] is how device registers are reached.

pub mod acpi;
pub mod firmware;
pub mod kvm_clock;
pub mod pci;
pub mod power;
pub mod registers;
pub mod rtc;
pub mod wall_clock;
