//! PCI functions: their configuration space, and which there are.
//!
//! * [`ConfigurationSpace`] reads and writes the registers of any function; [`Ports`] by the two I/O ports of
//!   PC-compatible machines, [`Ecam`] in memory.
//! * [`scan`] walks the buses, [`capability`] one function's capabilities, [`bar`] its base addresses.

pub mod bar;
pub mod capability;
#[cfg(test)]
pub(crate) mod fake;
pub mod port;
pub mod scan;

use super::registers::{MapRegisters, Registers};
use crate::x86::port::Port;

/// Ports of configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2).
const CONFIG_ADDRESS: u16 = 0xcf8;
const CONFIG_DATA: u16 = 0xcfc;
/// The bit of `CONFIG_ADDRESS` that makes `CONFIG_DATA` mean the configuration space.
const CONFIG_ENABLE: u32 = 1 << 31;

/// Bytes of a bus in an ECAM window (PCI Express 4.0, 7.2.2).
pub const ECAM_BUS_BYTES: usize = 1 << 20;

/// Offsets in a configuration header (PCI Local Bus 3.0, 6.1).
pub const OFFSET_ID: u8 = 0x00;
/// Command in the lower half, status in the upper.
pub const OFFSET_COMMAND: u8 = 0x04;
/// The header type is bits 16–23.
pub const OFFSET_HEADER_TYPE: u8 = 0x0c;
/// Subsystem vendor in the lower half, subsystem id in the upper.
pub const OFFSET_SUBSYSTEM: u8 = 0x2c;

/// Bits of the command register (PCI Local Bus 3.0, 6.2.2).
pub const COMMAND_MEMORY: u32 = 1 << 1;
/// The function may write memory itself, which rings and MSI-X need.
pub const COMMAND_BUS_MASTER: u32 = 1 << 2;
/// The function does not use its interrupt pin.
pub const COMMAND_INTERRUPT_DISABLE: u32 = 1 << 10;
/// The lower half of the register; the status bits above are cleared by writing ones.
const COMMAND_MASK: u32 = 0xffff;

/// A function's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Bus number.
    pub bus: u8,
    /// Device number, at most 31.
    pub device: u8,
    /// Function number, at most 7.
    pub function: u8,
}

impl core::fmt::Display for Function {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            bus,
            device,
            function,
        } = self;
        write!(f, "{bus:02x}:{device:02x}.{function}")
    }
}

/// Access to the configuration space of segment 0. Offsets are multiples of 4.
pub trait ConfigurationSpace {
    /// Reads a register; all ones or all zeroes where there is nothing.
    fn read(&mut self, function: Function, offset: u8) -> u32;

    /// Writes a register.
    fn write(&mut self, function: Function, offset: u8, value: u32);

    /// Sets and clears bits of the command register.
    fn update_command(&mut self, function: Function, set: u32, clear: u32) {
        let command = self.read(function, OFFSET_COMMAND) & COMMAND_MASK;
        self.write(function, OFFSET_COMMAND, (command | set) & !clear);
    }

    /// Returns vendor (lower half) and device id of a function; `None` when there is none. Absent functions read as
    /// all ones on QEMU and Cloud Hypervisor and as 0 on Firecracker.
    fn identify(&mut self, function: Function) -> Option<u32> {
        let id = self.read(function, OFFSET_ID);
        let vendor = id & 0xffff;
        (vendor != 0 && vendor != 0xffff).then_some(id)
    }
}

/// Configuration mechanism 1: ports 0xcf8 and 0xcfc.
#[derive(Debug, Default)]
pub struct Ports;

impl Ports {
    fn select(function: Function, offset: u8) {
        let address = CONFIG_ENABLE
            | u32::from(function.bus) << 16
            | u32::from(function.device & 0x1f) << 11
            | u32::from(function.function & 7) << 8
            | u32::from(offset & 0xfc);
        // SAFETY: this port only selects a register, and nothing where there is no host bridge.
        unsafe { Port::new(CONFIG_ADDRESS) }.write_u32(address);
    }
}

impl ConfigurationSpace for Ports {
    fn read(&mut self, function: Function, offset: u8) -> u32 {
        Self::select(function, offset);
        // SAFETY: reading a configuration register changes no memory.
        unsafe { Port::new(CONFIG_DATA) }.read_u32()
    }

    fn write(&mut self, function: Function, offset: u8, value: u32) {
        Self::select(function, offset);
        // SAFETY: callers write base addresses they chose outside RAM and command bits of functions they drive; the
        // function reaches memory only as the driver tells it to later.
        unsafe { Port::new(CONFIG_DATA) }.write_u32(value);
    }
}

/// Enhanced configuration access: one window of memory, here of one bus.
#[derive(Debug)]
pub struct Ecam {
    bus: u8,
    window: Registers,
}

impl Ecam {
    /// Maps the window of `bus` of an ECAM range that starts with bus 0 at `base`; `None` when that is no
    /// place for a bus or cannot be mapped.
    pub fn map(map: &mut impl MapRegisters, base: u64, bus: u8) -> Option<Self> {
        let start = base.checked_add(u64::from(bus) * ECAM_BUS_BYTES as u64)?;
        if !start.is_multiple_of(ECAM_BUS_BYTES as u64) {
            return None;
        }
        let window = map.window(start, ECAM_BUS_BYTES)?;
        Some(Self { bus, window })
    }

    fn offset(function: Function, offset: u8) -> usize {
        usize::from(function.device & 0x1f) << 15
            | usize::from(function.function & 7) << 12
            | usize::from(offset & 0xfc)
    }
}

impl ConfigurationSpace for Ecam {
    fn read(&mut self, function: Function, offset: u8) -> u32 {
        if function.bus != self.bus {
            return u32::MAX;
        }
        self.window.read(Self::offset(function, offset))
    }

    fn write(&mut self, function: Function, offset: u8, value: u32) {
        if function.bus == self.bus {
            self.window.write(Self::offset(function, offset), value);
        }
    }
}
