//! PCI Express ports that cards are plugged into: their slots' power, and the memory window behind them.

use super::bar::Window;
use super::capability::capabilities;
use super::scan::{scan, secondary_bus};
use super::{COMMAND_BUS_MASTER, COMMAND_MEMORY, ConfigurationSpace, Function};
use crate::limits::MAX_PCI_BUSES;
use heapless::Vec;

/// The PCI Express capability (PCI Express Base 4.0, 7.5.3), and offsets in it.
const ID_EXPRESS: u8 = 0x10;
const SLOT_CONTROL: u8 = 0x18;
/// In the capability's first register: the port has a slot.
const HEAD_SLOT: u32 = 1 << 24;

/// Slot control in the lower half (7.5.3.10), slot status in the upper (7.5.3.11), whose events writing ones clears.
const POWER_INDICATOR: u32 = 0b11 << 8;
const POWER_INDICATOR_ON: u32 = 0b01 << 8;
const POWER_INDICATOR_OFF: u32 = 0b11 << 8;
const POWER_OFF: u32 = 1 << 10;
const CARD_PRESENT: u32 = 1 << 22;

/// Memory base and limit of a bridge (PCI-to-PCI Bridge 1.2, 3.2.5.6): bits 31–20 of the first and last address.
const OFFSET_MEMORY: u8 = 0x20;

/// A port with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    function: Function,
    /// Where its capability is.
    express: u8,
    /// The bus behind it.
    pub secondary: u8,
}

/// Returns the ports that have slots and whose buses are numbered.
pub fn ports(space: &mut impl ConfigurationSpace) -> Vec<Port, MAX_PCI_BUSES> {
    let mut bridges: Vec<Function, MAX_PCI_BUSES> = Vec::new();
    let mut all = Vec::new();
    scan(space, &mut |function, _| {
        // What is beyond has no place in the list of ports either.
        let _ = bridges.push(function);
    });
    for function in bridges {
        let Some(secondary) = secondary_bus(space, function) else {
            continue;
        };
        let express = capabilities(space, function)
            .into_iter()
            .find(|known| known.id == ID_EXPRESS && known.head & HEAD_SLOT != 0);
        if let Some(express) = express {
            // Not more ports than functions.
            let _ = all.push(Port {
                function,
                express: express.offset,
                secondary,
            });
        }
    }
    all
}

impl Port {
    /// Switches the slot on if there is a card in it and it is off.
    pub fn power_on(self, space: &mut impl ConfigurationSpace) {
        let register = self.express.saturating_add(SLOT_CONTROL);
        let slot = space.read(self.function, register);
        if slot & CARD_PRESENT != 0 && slot & POWER_OFF != 0 {
            let on = slot & !(POWER_OFF | POWER_INDICATOR) | POWER_INDICATOR_ON;
            space.write(self.function, register, on);
        }
    }

    /// Switches the slot off: its card may be pulled.
    pub fn power_off(self, space: &mut impl ConfigurationSpace) {
        let register = self.express.saturating_add(SLOT_CONTROL);
        let slot = space.read(self.function, register);
        let off = slot | POWER_OFF | POWER_INDICATOR_OFF;
        space.write(self.function, register, off);
    }

    /// Lets memory accesses through in both directions, and returns the addresses that lead to the bus behind; there is
    /// one card there, so all of them are its.
    pub fn open_window(self, space: &mut impl ConfigurationSpace) -> Window {
        space.update_command(self.function, COMMAND_MEMORY | COMMAND_BUS_MASTER, 0);
        let register = space.read(self.function, OFFSET_MEMORY);
        let first = u64::from(register & 0xfff0) << 16;
        let last = u64::from(register & 0xfff0_0000) | 0xf_ffff;
        if first == 0 || first > last {
            return Window::none();
        }
        Window::new(first, last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeSpace;
    use super::super::{OFFSET_COMMAND, OFFSET_HEADER_TYPE};
    use super::*;

    const AT: (u8, u8, u8) = (0, 3, 0);
    const REGISTER: u8 = 0x40 + SLOT_CONTROL;

    /// A port in front of bus 5 whose slot register is `slot`.
    fn space(slot: u32) -> FakeSpace {
        let mut space = FakeSpace::default();
        space.put((0, 0, 0), 0, 0x29c0_8086);
        space.put(AT, 0, 0x000c_1b36);
        space.put(AT, OFFSET_HEADER_TYPE, 0x01_0000);
        space.put(AT, 0x18, 0x0005_0500);
        space.put(AT, OFFSET_COMMAND, 1 << 20);
        space.put(AT, 0x34, 0x40);
        space.put(AT, 0x40, 0x0142_0010);
        space.put(AT, REGISTER, slot);
        space
    }

    fn only(space: &mut FakeSpace) -> Port {
        let ports = ports(space);
        assert_eq!(ports.len(), 1);
        ports[0]
    }

    #[test]
    fn a_bridge_with_a_slot_is_a_port_and_one_without_is_none() {
        let mut space = space(0);
        assert_eq!(only(&mut space).secondary, 5);
        space.put(AT, 0x40, 0x0042_0010);
        assert!(ports(&mut space).is_empty(), "no slot");
        space.put(AT, 0x40, 0x0142_0011);
        assert!(ports(&mut space).is_empty(), "no PCI Express");
        space.put(AT, 0x40, 0x0142_0010);
        space.put(AT, 0x18, 0);
        assert!(ports(&mut space).is_empty(), "not numbered");
    }

    #[test]
    fn a_slot_is_switched_on_when_a_card_is_there_and_off() {
        for (slot, expected) in [
            (
                CARD_PRESENT | POWER_OFF | POWER_INDICATOR_OFF,
                Some(CARD_PRESENT | POWER_INDICATOR_ON),
            ),
            (POWER_OFF | POWER_INDICATOR_OFF, None),
            (CARD_PRESENT | POWER_INDICATOR_ON, None),
            (0, None),
        ] {
            let mut space = space(slot);
            only(&mut space).power_on(&mut space);
            assert_eq!(
                space.writes.last().copied(),
                expected.map(|on| (REGISTER, on))
            );
        }
    }

    #[test]
    fn a_slot_is_switched_off_with_its_indicator() {
        let mut space = space(CARD_PRESENT | POWER_INDICATOR_ON);
        only(&mut space).power_off(&mut space);
        let off = CARD_PRESENT | POWER_OFF | POWER_INDICATOR_OFF;
        assert_eq!(space.writes, [(REGISTER, off)]);
    }

    #[test]
    fn the_window_is_what_the_firmware_set_aside() {
        for (register, expected) in [
            (0xfe80_fe60, Window::new(0xfe60_0000, 0xfe90_0000)),
            (0xfe60_fe60, Window::new(0xfe60_0000, 0xfe70_0000)),
            (0xfe50_fe60, Window::none()),
            (0x0000_fff0, Window::none()),
            (0, Window::none()),
        ] {
            let mut space = space(0);
            space.put(AT, OFFSET_MEMORY, register);
            assert_eq!(
                only(&mut space).open_window(&mut space),
                expected,
                "{register:#x}"
            );
        }
    }
}
