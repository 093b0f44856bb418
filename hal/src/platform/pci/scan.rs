//! Which functions there are: bus 0 and the buses behind the bridges the firmware numbered.

use super::{ConfigurationSpace, Function, OFFSET_HEADER_TYPE};
use crate::limits::MAX_PCI_BUSES;
use heapless::Vec;

/// Devices of a bus, and functions of a device.
const DEVICES: u8 = 32;
const FUNCTIONS: u8 = 8;

/// Bits of the header type: the layout, and whether there are functions beside function 0.
const HEADER_LAYOUT: u8 = 0x7f;
const HEADER_MULTI_FUNCTION: u8 = 0x80;
/// The layout of a bridge (PCI-to-PCI Bridge 1.2, 3.2), and its register with the bus numbers: secondary in bits 8–15.
const LAYOUT_BRIDGE: u8 = 1;
const OFFSET_BUS_NUMBERS: u8 = 0x18;

/// Calls `found` with every function and its vendor and device id.
///
/// Bus numbers only grow on the way down a healthy tree; a bridge that leads back is not followed, so this ends.
pub fn scan(space: &mut impl ConfigurationSpace, found: &mut dyn FnMut(Function, u32)) {
    let mut buses: Vec<u8, MAX_PCI_BUSES> = Vec::from_iter([0]);
    let mut next = 0;
    while let Some(&bus) = buses.get(next) {
        next += 1;
        for device in 0..DEVICES {
            for function in functions(space, bus, device) {
                let Some(id) = space.identify(function) else {
                    continue;
                };
                found(function, id);
                let behind = secondary_bus(space, function);
                if let Some(behind) = behind.filter(|behind| !buses.contains(behind))
                    && buses.push(behind).is_err()
                {
                    log::warn!("pci {function}: bus {behind} ignored, limit {MAX_PCI_BUSES} buses");
                }
            }
        }
    }
}

/// Returns the functions of a device that are worth asking for.
fn functions<C: ConfigurationSpace>(
    space: &mut C,
    bus: u8,
    device: u8,
) -> impl Iterator<Item = Function> + use<C> {
    let at = move |function| Function {
        bus,
        device,
        function,
    };
    let count = match space.identify(at(0)) {
        None => 0,
        Some(_) if header_type(space, at(0)) & HEADER_MULTI_FUNCTION != 0 => FUNCTIONS,
        Some(_) => 1,
    };
    (0..count).map(at)
}

fn header_type(space: &mut impl ConfigurationSpace, function: Function) -> u8 {
    (space.read(function, OFFSET_HEADER_TYPE) >> 16) as u8
}

/// Returns the bus behind a bridge; `None` for other functions and for bridges nobody numbered.
pub(super) fn secondary_bus(space: &mut impl ConfigurationSpace, function: Function) -> Option<u8> {
    if header_type(space, function) & HEADER_LAYOUT != LAYOUT_BRIDGE {
        return None;
    }
    let bus = (space.read(function, OFFSET_BUS_NUMBERS) >> 8) as u8;
    (bus != 0).then_some(bus)
}

#[cfg(test)]
mod tests {
    use super::super::OFFSET_ID;
    use super::super::fake::FakeSpace;
    use super::*;

    fn found(space: &mut FakeSpace) -> std::vec::Vec<(u8, u8, u8)> {
        let mut all = std::vec::Vec::new();
        scan(space, &mut |at, _| {
            all.push((at.bus, at.device, at.function))
        });
        all
    }

    #[test]
    fn counts_ids_of_zeroes_and_of_ones_as_absent() {
        let mut space = FakeSpace::default();
        space.put((0, 0, 0), OFFSET_ID, 0x0d57_8086);
        space.put((0, 1, 0), OFFSET_ID, 0);
        space.put((0, 2, 0), OFFSET_ID, 0xffff_ffff);
        space.put((0, 31, 0), OFFSET_ID, 0x1053_1af4);
        assert_eq!(found(&mut space), [(0, 0, 0), (0, 31, 0)]);
    }

    #[test]
    fn asks_for_further_functions_only_of_multi_function_devices() {
        let mut space = FakeSpace::default();
        for device in [1, 2] {
            space.put((0, device, 0), OFFSET_ID, 0x1111_8086);
            space.put((0, device, 7), OFFSET_ID, 0x2222_8086);
        }
        space.put((0, 2, 0), OFFSET_HEADER_TYPE, 0x80_0000);
        assert_eq!(found(&mut space), [(0, 1, 0), (0, 2, 0), (0, 2, 7)]);
    }

    #[test]
    fn follows_bridges_but_never_twice() {
        let mut space = FakeSpace::default();
        for (bus, behind) in [(0, 3), (3, 0), (3, 3)] {
            let device = behind;
            space.put((bus, device, 0), OFFSET_ID, 0x000c_1b36);
            space.put((bus, device, 0), OFFSET_HEADER_TYPE, 0x01_0000);
            let numbers = u32::from(behind) << 8;
            space.put((bus, device, 0), OFFSET_BUS_NUMBERS, numbers);
        }
        assert_eq!(found(&mut space), [(0, 3, 0), (3, 0, 0), (3, 3, 0)]);
    }

    #[test]
    fn ends_when_every_bridge_names_another_bus() {
        let mut space = FakeSpace::default();
        for device in 0..32 {
            space.put((0, device, 0), OFFSET_ID, 0x000c_1b36);
            space.put((0, device, 0), OFFSET_HEADER_TYPE, 0x01_0000);
            let numbers = u32::from(device + 1) << 8;
            space.put((0, device, 0), OFFSET_BUS_NUMBERS, numbers);
        }
        assert_eq!(found(&mut space).len(), 32);
    }
}
