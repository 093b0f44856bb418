//! Ending the machine the way its firmware tables say. What to do where they say nothing, and last resorts, are
//! [`crate::x86::power`]'s.

use super::acpi::fadt::{Ending, Place, Write};
use super::registers::{MapRegisters, Registers};
use crate::x86::port::Port;
use crate::x86::power::Platform;

/// How often the processor pauses until a switch counts as one without effect: tens of milliseconds.
const PATIENCE_SPINS: u32 = 1 << 20;

/// A register that ends the machine, within reach.
#[derive(Debug)]
enum Switch {
    Memory(Registers, Value),
    Port(Port, Value),
}

/// What is written to it.
#[derive(Clone, Copy, Debug)]
enum Value {
    Byte(u8),
    Word(u16),
}

/// Powers off and resets by the registers of the FADT.
#[derive(Debug)]
pub struct FirmwareSwitches {
    /// In the order in which they are tried: power off, then reset.
    switches: [Option<Switch>; 2],
}

impl FirmwareSwitches {
    /// Brings the registers within reach. What cannot be reached is reported and left out.
    pub fn new(ending: Ending, map: &mut impl MapRegisters) -> Self {
        let switches = [ending.power_off, ending.reset]
            .map(|write| write.and_then(|write| Switch::new(write, map)));
        Self { switches }
    }
}

impl Platform for FirmwareSwitches {
    fn end(&mut self) {
        for switch in self.switches.iter().flatten() {
            switch.turn();
            // The VMM may take a while, and must not find the next one turned meanwhile.
            (0..PATIENCE_SPINS).for_each(|_| core::hint::spin_loop());
        }
    }
}

impl Switch {
    fn new(write: Write, map: &mut impl MapRegisters) -> Option<Self> {
        let (place, value) = match write {
            Write::Byte(place, value) => (place, Value::Byte(value)),
            Write::Word(place, value) => (place, Value::Word(value)),
        };
        match place {
            // SAFETY: the register ends the machine, the firmware's table says so, and it is written for nothing else.
            Place::Port(number) => Some(Self::Port(unsafe { Port::new(number) }, value)),
            Place::Memory(address) => {
                let window = map.window(address, size_of::<u16>());
                if window.is_none() || !address.is_multiple_of(2) {
                    log::warn!("firmware: register at {address:#x} is out of reach");
                    return None;
                }
                window.map(|window| Self::Memory(window, value))
            }
        }
    }

    fn turn(&self) {
        match (self, self.value()) {
            (Self::Memory(window, _), Value::Byte(value)) => window.write(0, value),
            (Self::Memory(window, _), Value::Word(value)) => window.write(0, value),
            (Self::Port(port, _), Value::Byte(value)) => port.write_u8(value),
            (Self::Port(port, _), Value::Word(value)) => port.write_u16(value),
        }
    }

    const fn value(&self) -> Value {
        match self {
            Self::Memory(_, value) | Self::Port(_, value) => *value,
        }
    }
}
