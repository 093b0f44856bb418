//! The transport over fake registers.

use super::*;
use crate::platform::pci::fake::FakeSpace;
use crate::platform::pci::{OFFSET_COMMAND, OFFSET_ID};
use core::ptr::NonNull;
use std::collections::BTreeMap;

const AT: (u8, u8, u8) = (0, 1, 0);
const FUNCTION: Function = Function {
    bus: 0,
    device: 1,
    function: 0,
};
/// Just under 2^46, where Cloud Hypervisor puts base addresses.
const BASE: u64 = 0x3fff_ff80_0000;

/// Register windows in host memory, one for each address.
#[derive(Default)]
struct FakeMap {
    windows: BTreeMap<u64, Registers>,
}

// SAFETY: the memory is leaked and reached as registers only.
unsafe impl MapRegisters for FakeMap {
    fn map(&mut self, physical: u64, bytes: usize) -> Option<NonNull<u8>> {
        if let Some(window) = self.windows.get(&physical) {
            return Some(window.start());
        }
        let memory = std::vec![0_u32; bytes.div_ceil(4)].leak();
        let start = NonNull::from(memory).cast();
        // SAFETY: as long as the memory leaked just now.
        let window = unsafe { Registers::new(start, bytes) };
        self.windows.insert(physical, window);
        Some(start)
    }
}

/// Cloud Hypervisor's layout: everything in one 64-bit base address.
fn space() -> FakeSpace {
    let mut space = FakeSpace::default();
    space.put(AT, OFFSET_ID, 0x1042_1af4);
    space.put(AT, OFFSET_COMMAND, (1 << 20) | 0x103);
    space.put(AT, 0x10, BASE as u32 | 0xc);
    space.put(AT, 0x14, (BASE >> 32) as u32);
    space.put(AT, 0x34, 0x40);
    put_structure(&mut space, 0x40, 0x50, 1, 0x0, 0x38);
    put_structure(&mut space, 0x50, 0x64, 2, 0x6000, 0x1000);
    space.put(AT, 0x60, 4);
    put_structure(&mut space, 0x64, 0x74, 4, 0x4000, 6);
    space.put(AT, 0x74, 0x0001_0011);
    space.put(AT, 0x78, 0x8000);
    space
}

fn put_structure(space: &mut FakeSpace, at: u8, next: u8, kind: u8, offset: u32, length: u32) {
    let head = [9, next, 20, kind];
    space.put(AT, at, u32::from_le_bytes(head));
    space.put(AT, at + 4, 0);
    space.put(AT, at + 8, offset);
    space.put(AT, at + 12, length);
}

fn open(space: &mut FakeSpace, map: &mut FakeMap) -> Result<PciTransport, PciError> {
    let mut window = Window::none();
    PciTransport::new(space, map, FUNCTION, DeviceType::Block, &mut window)
}

#[test]
fn maps_structures_above_4_gib_and_lets_the_function_write_memory() {
    let (mut space, mut map) = (space(), FakeMap::default());
    assert!(open(&mut space, &mut map).is_ok());
    let mapped: std::vec::Vec<_> = map.windows.keys().map(|at| at - BASE).collect();
    assert_eq!(mapped, [0, 0x4000, 0x6000, 0x8000]);
    let command = space.read(FUNCTION, OFFSET_COMMAND);
    assert_eq!(command, 0x507);
}

#[test]
fn names_the_structure_that_is_missing_or_malformed() {
    let mut map = FakeMap::default();
    let mut legacy = space();
    legacy.put(AT, 0x34, 0x74);
    let missing = PciError::MissingStructure("notify");
    assert_eq!(open(&mut legacy, &mut map).err(), Some(missing));
    let mut short = space();
    short.put(AT, 0x4c, 0x37);
    let bad = PciError::BadStructure("common");
    assert_eq!(open(&mut short, &mut map).err(), Some(bad));
    let mut wrapping = space();
    wrapping.put(AT, 0x10, 0xffff_fff4);
    wrapping.put(AT, 0x14, u32::MAX);
    let behind = PciError::Unmappable(0xffff_ffff_ffff_fff0);
    assert_eq!(open(&mut wrapping, &mut map).err(), Some(behind));
    let mut nowhere = space();
    nowhere.put(AT, 0x44, 3);
    let bar = PciError::Bar(BarError::Unassigned(3));
    assert_eq!(open(&mut nowhere, &mut map).err(), Some(bar));
}

#[test]
fn sends_a_message_by_the_first_table_entry() {
    let (mut space, mut map) = (space(), FakeMap::default());
    let mut transport = open(&mut space, &mut map).expect("fine");
    let message = MsiMessage {
        address: 0xfee0_1000,
        data: 0x41,
    };
    transport.send_message(&mut space, message);
    let entry = &map.windows[&(BASE + 0x8000)];
    let words: [u32; 4] = [0, 4, 8, 12].map(|at| entry.read(at));
    assert_eq!(words, [0xfee0_1000, 0, 0x41, 0]);
    assert_eq!(space.read(FUNCTION, 0x74) >> 30, 0b10);
    transport.queue_set(2, 64, 0x1_2345_6000, 0x7000, 0x8000);
    let common = &map.windows[&BASE];
    assert_eq!(common.read::<u16>(common::QUEUE_MSIX_VECTOR), 0);
    assert_eq!(common.read::<u16>(common::CONFIG_MSIX_VECTOR), NO_VECTOR);
    assert_eq!(common.read::<u32>(common::QUEUE_DESC), 0x2345_6000);
    assert_eq!(common.read::<u32>(common::QUEUE_DESC + 4), 1);
    assert!(transport.queue_used(2));
}

#[test]
fn a_queue_that_cannot_be_notified_counts_as_absent() {
    let (mut space, mut map) = (space(), FakeMap::default());
    let mut transport = open(&mut space, &mut map).expect("fine");
    let common = &map.windows[&BASE];
    common.write(common::QUEUE_SIZE, 128_u16);
    common.write(common::QUEUE_NOTIFY_OFF, 0x3ff_u16);
    assert_eq!(transport.max_queue_size(1), 128);
    transport.notify(1);
    let notify = &map.windows[&(BASE + 0x6000)];
    assert_eq!(notify.read::<u16>(0xffc), 1);
    let common = &map.windows[&BASE];
    common.write(common::QUEUE_NOTIFY_OFF, 0x400_u16);
    assert_eq!(transport.max_queue_size(1), 0);
    transport.notify(1);
    assert_eq!(transport.max_queue_size(MAX_QUEUES as u16), 0);
    transport.notify(MAX_QUEUES as u16);
}

#[test]
fn reads_the_configuration_at_every_width_and_nothing_behind_it() {
    let (mut space, mut map) = (space(), FakeMap::default());
    let mut transport = open(&mut space, &mut map).expect("fine");
    let configuration = &map.windows[&(BASE + 0x4000)];
    configuration.write(0, 0x0403_0201_u32);
    configuration.write(4, 0x0605_u16);
    assert_eq!(transport.read_config_space::<u32>(0), Ok(0x0403_0201));
    assert_eq!(transport.read_config_space::<u16>(4), Ok(0x0605));
    assert_eq!(transport.read_config_space::<u8>(5), Ok(6));
    let bytes = transport.read_config_space::<[u8; 3]>(3);
    assert_eq!(bytes, Ok([4, 5, 6]));
    let behind = transport.read_config_space::<u32>(4);
    assert_eq!(behind, Err(Error::ConfigSpaceTooSmall));
    assert_eq!(transport.write_config_space(4, 7_u16), Ok(()));
    assert_eq!(transport.read_config_space::<u16>(4), Ok(7));
}

#[test]
fn resets_the_device_when_it_is_dropped() {
    let (mut space, mut map) = (space(), FakeMap::default());
    let mut transport = open(&mut space, &mut map).expect("fine");
    transport.set_status(DeviceStatus::ACKNOWLEDGE);
    drop(transport);
    assert_eq!(map.windows[&BASE].read::<u8>(common::DEVICE_STATUS), 0);
}
