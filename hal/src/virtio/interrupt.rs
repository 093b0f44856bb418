//! How a device asks for attention.

/// A write that makes an interrupt (Intel SDM vol. 3, 11.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiMessage {
    /// Where the device writes: names the local APIC.
    pub address: u64,
    /// What it writes: names the vector.
    pub data: u32,
}

/// The source of a device's interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// An input of an IOAPIC, to be programmed as edge-triggered and active high, and acknowledged at the device.
    Gsi(u32),
    /// A message.
    Message(MsiMessage),
    /// None: the device is polled.
    None,
}

/// Gives out interrupt vectors; on the machine [`crate::x86::ioapic::Interrupts`] does.
pub trait InterruptVectors {
    /// Returns the message of a device that sends messages; `None` when none would reach the processor.
    fn take_message(&mut self) -> Option<MsiMessage>;

    /// Routes a global system interrupt to a vector, edge-triggered and active high; `false` when there is no vector
    /// or no such input.
    fn route(&mut self, gsi: u32) -> bool;
}
