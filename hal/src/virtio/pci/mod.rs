//! The PCI transport (virtio 1.2 §4.1), modern interface only.
//!
//! Of virtio-drivers' own PCI transport this keeps the trait and leaves the rest: that one sizes base addresses four
//! times per device (2.9 ms on QEMU), reads the notification address on every kick, programs no MSI-X vector and
//! waits for a reset without a bound.

mod structure;

use crate::platform::pci::bar::{BarError, Window};
use crate::platform::pci::{
    COMMAND_BUS_MASTER, COMMAND_INTERRUPT_DISABLE, COMMAND_MEMORY, ConfigurationSpace, Function,
};
use crate::platform::registers::{MapRegisters, Registers};
use crate::virtio::interrupt::MsiMessage;
use structure::{Msix, Structures};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Offsets in `virtio_pci_common_cfg` (virtio 1.2 §4.1.4.3).
mod common {
    pub(super) const DEVICE_FEATURE_SELECT: usize = 0x00;
    pub(super) const DEVICE_FEATURE: usize = 0x04;
    pub(super) const DRIVER_FEATURE_SELECT: usize = 0x08;
    pub(super) const DRIVER_FEATURE: usize = 0x0c;
    pub(super) const CONFIG_MSIX_VECTOR: usize = 0x10;
    pub(super) const DEVICE_STATUS: usize = 0x14;
    pub(super) const CONFIG_GENERATION: usize = 0x15;
    pub(super) const QUEUE_SELECT: usize = 0x16;
    pub(super) const QUEUE_SIZE: usize = 0x18;
    pub(super) const QUEUE_MSIX_VECTOR: usize = 0x1a;
    pub(super) const QUEUE_ENABLE: usize = 0x1c;
    pub(super) const QUEUE_NOTIFY_OFF: usize = 0x1e;
    pub(super) const QUEUE_DESC: usize = 0x20;
    pub(super) const QUEUE_DRIVER: usize = 0x28;
    pub(super) const QUEUE_DEVICE: usize = 0x30;
    pub(super) const BYTES: usize = 0x38;
}

/// Queues of any device we drive: vsock has three.
const MAX_QUEUES: usize = 3;

/// The MSI-X table entry that all queues use.
const MSIX_ENTRY: u16 = 0;
/// `VIRTIO_MSI_NO_VECTOR` (virtio 1.2 §4.1.4.3).
const NO_VECTOR: u16 = 0xffff;

/// Why a function does not become a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PciError {
    /// A structure of virtio 1.2 §4.1.4 is missing: the device knows the legacy interface only.
    MissingStructure(&'static str),
    /// A structure is too small, misaligned or wraps around.
    BadStructure(&'static str),
    /// A base address cannot be used.
    Bar(BarError),
    /// Its registers cannot be mapped.
    Unmappable(u64),
}

impl core::fmt::Display for PciError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::MissingStructure(name) => write!(f, "no {name} structure, legacy device?"),
            Self::BadStructure(name) => write!(f, "{name} structure is malformed"),
            Self::Bar(error) => error.fmt(f),
            Self::Unmappable(address) => write!(f, "registers at {address:#x} cannot be mapped"),
        }
    }
}

impl core::error::Error for PciError {}

/// A virtio device on PCI.
#[derive(Debug)]
pub struct PciTransport {
    device_type: DeviceType,
    common: Registers,
    notify: Registers,
    notify_multiplier: u32,
    configuration: Option<Registers>,
    msix: Option<Msix>,
    /// Where in `notify` each queue is notified, once it was asked for.
    notify_offsets: [Option<usize>; MAX_QUEUES],
}

impl PciTransport {
    /// Makes the function's registers reachable and lets it write memory and send messages.
    ///
    /// # Errors
    ///
    /// When a structure is missing, malformed or out of reach.
    pub fn new(
        space: &mut impl ConfigurationSpace,
        map: &mut impl MapRegisters,
        function: Function,
        device_type: DeviceType,
        window: &mut Window,
    ) -> Result<Self, PciError> {
        let found = Structures::find(space, function)?;
        let common = found
            .common
            .map(space, map, function, window, common::BYTES)?;
        let notify = found.notify.map_all(space, map, function, window)?;
        let configuration = match found.device {
            Some(device) => Some(device.map_all(space, map, function, window)?),
            None => None,
        };
        let msix = match found.msix {
            Some(place) => Some(Msix::map(place, space, map, function, window)?),
            None => None,
        };
        let set = COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTERRUPT_DISABLE;
        space.update_command(function, set, 0);
        Ok(Self {
            device_type,
            common,
            notify,
            notify_multiplier: found.notify_multiplier,
            configuration,
            msix,
            notify_offsets: [None; MAX_QUEUES],
        })
    }

    /// Returns whether the function can send messages.
    #[must_use]
    pub const fn has_msix(&self) -> bool {
        self.msix.is_some()
    }

    /// Sends `message` whenever a queue has used buffers. Without it the device stays silent and must be polled. To be
    /// called before queues are set up; nothing happens when the function has no MSI-X.
    pub fn send_message(&mut self, space: &mut impl ConfigurationSpace, message: MsiMessage) {
        if let Some(msix) = &mut self.msix {
            msix.enable(space, message);
        }
    }

    fn select(&self, queue: u16) {
        self.common.write(common::QUEUE_SELECT, queue);
    }

    /// Writes a 64-bit field as two halves, which every implementation accepts (virtio 1.2 §4.1.3.1).
    fn write_address(&self, offset: usize, address: PhysAddr) {
        self.common.write(offset, address as u32);
        self.common.write(offset + 4, (address >> 32) as u32);
    }

    /// Returns where the selected queue is notified; `None` when that lies outside the structure.
    fn read_notify_offset(&self) -> Option<usize> {
        let index: u16 = self.common.read(common::QUEUE_NOTIFY_OFF);
        let offset = usize::from(index).checked_mul(self.notify_multiplier as usize)?;
        let fits = self.notify.holds(offset, size_of::<u16>()) && offset.is_multiple_of(2);
        fits.then_some(offset)
    }

    /// Names the MSI-X vector of the selected queue, or none.
    fn choose_vector(&self, queue: u16) {
        let vector = match &self.msix {
            Some(msix) if msix.is_enabled() => MSIX_ENTRY,
            _ => NO_VECTOR,
        };
        self.common.write(common::QUEUE_MSIX_VECTOR, vector);
        let taken: u16 = self.common.read(common::QUEUE_MSIX_VECTOR);
        if taken != vector {
            log::warn!("virtio queue {queue}: device has no room for a vector, it is polled");
        }
    }
}

impl Transport for PciTransport {
    fn device_type(&self) -> DeviceType {
        self.device_type
    }

    fn read_device_features(&mut self) -> u64 {
        self.common.write(common::DEVICE_FEATURE_SELECT, 0_u32);
        let low: u32 = self.common.read(common::DEVICE_FEATURE);
        self.common.write(common::DEVICE_FEATURE_SELECT, 1_u32);
        let high: u32 = self.common.read(common::DEVICE_FEATURE);
        (u64::from(high) << 32) | u64::from(low)
    }

    fn write_driver_features(&mut self, features: u64) {
        self.common.write(common::DRIVER_FEATURE_SELECT, 0_u32);
        self.common.write(common::DRIVER_FEATURE, features as u32);
        self.common.write(common::DRIVER_FEATURE_SELECT, 1_u32);
        let high = (features >> 32) as u32;
        self.common.write(common::DRIVER_FEATURE, high);
    }

    /// Also looks up where the queue is notified; a queue that cannot be notified counts as absent.
    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.select(queue);
        let Some(known) = self.notify_offsets.get_mut(usize::from(queue)) else {
            return 0;
        };
        *known = None;
        let offset = self.read_notify_offset();
        self.notify_offsets[usize::from(queue)] = offset;
        match offset {
            Some(_) => u32::from(self.common.read::<u16>(common::QUEUE_SIZE)),
            None => 0,
        }
    }

    fn notify(&mut self, queue: u16) {
        if let Some(Some(offset)) = self.notify_offsets.get(usize::from(queue)) {
            self.notify.write(*offset, queue);
        }
    }

    fn get_status(&self) -> DeviceStatus {
        let status: u8 = self.common.read(common::DEVICE_STATUS);
        DeviceStatus::from_bits_retain(status.into())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        let status = status.bits() as u8;
        self.common.write(common::DEVICE_STATUS, status);
    }

    /// Of the legacy MMIO interface only.
    fn set_guest_page_size(&mut self, _bytes: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.common.write(common::CONFIG_MSIX_VECTOR, NO_VECTOR);
        self.select(queue);
        self.common.write(common::QUEUE_SIZE, size as u16);
        self.choose_vector(queue);
        self.write_address(common::QUEUE_DESC, descriptors);
        self.write_address(common::QUEUE_DRIVER, driver_area);
        self.write_address(common::QUEUE_DEVICE, device_area);
        self.common.write(common::QUEUE_ENABLE, 1_u16);
    }

    /// A queue goes away with a reset of the device only (virtio 1.2 §4.1.4.3.2).
    fn queue_unset(&mut self, _queue: u16) {}

    fn queue_used(&mut self, queue: u16) -> bool {
        self.select(queue);
        self.common.read::<u16>(common::QUEUE_ENABLE) == 1
    }

    /// Messages need no acknowledgement, and the pin is off.
    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        u32::from(self.common.read::<u8>(common::CONFIG_GENERATION))
    }

    fn read_config_space<T: FromBytes + IntoBytes>(
        &self,
        offset: usize,
    ) -> virtio_drivers::Result<T> {
        let space = self.configuration.as_ref();
        let space = space.ok_or(Error::ConfigSpaceMissing)?;
        if !space.holds(offset, size_of::<T>()) {
            return Err(Error::ConfigSpaceTooSmall);
        }
        let mut value = T::new_zeroed();
        let bytes = value.as_mut_bytes();
        match bytes.len() {
            2 => bytes.copy_from_slice(&space.read::<u16>(offset).to_le_bytes()),
            4 => bytes.copy_from_slice(&space.read::<u32>(offset).to_le_bytes()),
            _ => (offset..)
                .zip(bytes)
                .for_each(|(at, byte)| *byte = space.read(at)),
        }
        Ok(value)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> virtio_drivers::Result<()> {
        let space = self.configuration.as_ref();
        let space = space.ok_or(Error::ConfigSpaceMissing)?;
        if !space.holds(offset, size_of::<T>()) {
            return Err(Error::ConfigSpaceTooSmall);
        }
        match value.as_bytes() {
            &[a, b] => space.write(offset, u16::from_le_bytes([a, b])),
            &[a, b, c, d] => space.write(offset, u32::from_le_bytes([a, b, c, d])),
            bytes => (offset..)
                .zip(bytes)
                .for_each(|(at, byte)| space.write(at, *byte)),
        }
        Ok(())
    }
}

impl Drop for PciTransport {
    /// The device must not write to memory that is given back next.
    fn drop(&mut self) {
        crate::virtio::init::reset(self);
    }
}

#[cfg(test)]
mod tests {
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
}
