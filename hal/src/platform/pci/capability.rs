//! A function's list of capabilities (PCI Local Bus 3.0, 6.7).

use super::{ConfigurationSpace, Function, OFFSET_COMMAND};
use heapless::Vec;

/// The status bit that says that there is a list, in the upper half of the command register.
const STATUS_CAPABILITIES: u32 = 1 << 20;
/// Where the list begins: an offset in bits 0–7.
const OFFSET_POINTER: u8 = 0x34;
/// Capabilities lie behind the header.
const FIRST_OFFSET: u8 = 0x40;
/// More do not fit into the 192 bytes behind the header: each takes at least 4.
const MAX_CAPABILITIES: usize = 48;

/// Vendor-specific: virtio's structures (virtio 1.2 §4.1.4).
pub const ID_VENDOR: u8 = 0x09;
/// MSI-X (PCI Local Bus 3.0, 6.8.2).
pub const ID_MSIX: u8 = 0x11;

/// One capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What it is.
    pub id: u8,
    /// Where it is in the configuration space.
    pub offset: u8,
    /// Its first register: id, next, and two bytes of its own.
    pub head: u32,
}

/// Returns a function's capabilities in order. A list that never ends is cut where it must repeat itself.
pub fn capabilities(
    space: &mut impl ConfigurationSpace,
    function: Function,
) -> Vec<Capability, MAX_CAPABILITIES> {
    let mut list = Vec::new();
    if space.read(function, OFFSET_COMMAND) & STATUS_CAPABILITIES == 0 {
        return list;
    }
    let mut offset = (space.read(function, OFFSET_POINTER) as u8) & 0xfc;
    while offset >= FIRST_OFFSET {
        let head = space.read(function, offset);
        let capability = Capability {
            id: head as u8,
            offset,
            head,
        };
        if list.push(capability).is_err() {
            break;
        }
        offset = (head >> 8) as u8 & 0xfc;
    }
    list
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeSpace;
    use super::*;

    const AT: (u8, u8, u8) = (0, 1, 0);
    const FUNCTION: Function = Function {
        bus: 0,
        device: 1,
        function: 0,
    };

    fn space() -> FakeSpace {
        let mut space = FakeSpace::default();
        space.put(AT, 0, 0x1042_1af4);
        space.put(AT, OFFSET_COMMAND, STATUS_CAPABILITIES);
        space.put(AT, OFFSET_POINTER, 0x40);
        space
    }

    #[test]
    fn walks_the_list_in_order() {
        let mut space = space();
        space.put(AT, 0x40, 0x0000_5011);
        space.put(AT, 0x50, 0x0110_0009);
        let found = capabilities(&mut space, FUNCTION);
        let ids: std::vec::Vec<_> = found.iter().map(|c| (c.id, c.offset)).collect();
        assert_eq!(ids, [(ID_MSIX, 0x40), (ID_VENDOR, 0x50)]);
    }

    #[test]
    fn finds_none_without_the_status_bit() {
        let mut space = space();
        space.put(AT, OFFSET_COMMAND, 0);
        space.put(AT, 0x40, 0x0000_0011);
        assert!(capabilities(&mut space, FUNCTION).is_empty());
    }

    #[test]
    fn ends_on_a_list_that_bites_its_tail_or_points_into_the_header() {
        let mut looping = space();
        looping.put(AT, 0x40, 0x0000_4009);
        assert_eq!(capabilities(&mut looping, FUNCTION).len(), MAX_CAPABILITIES);
        let mut astray = space();
        astray.put(AT, 0x40, 0x0000_1009);
        assert_eq!(capabilities(&mut astray, FUNCTION).len(), 1);
    }
}
