//! The PCI transport (virtio 1.2 §4.1), modern interface only.
//!
//! Of virtio-drivers' own PCI transport this keeps the trait and leaves the rest: that one sizes base addresses four
//! times per device (2.9 ms on QEMU), reads the notification address on every kick, programs no MSI-X vector and
//! waits for a reset without a bound.

mod structure;
#[cfg(test)]
mod tests;

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
    function: Function,
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
            function,
            device_type,
            common,
            notify,
            notify_multiplier: found.notify_multiplier,
            configuration,
            msix,
            notify_offsets: [None; MAX_QUEUES],
        })
    }

    /// Returns which function this is.
    #[must_use]
    pub const fn function(&self) -> Function {
        self.function
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
