//! The transports of this machine as one type, so that drivers are compiled once.

use super::pci::PciTransport;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A virtio device on any of the buses.
#[derive(Debug)]
pub enum MachineTransport {
    /// Registers at a fixed place.
    Mmio(MmioTransport<'static>),
    /// A PCI function.
    Pci(PciTransport),
}

/// Calls the same method of whichever transport it is.
macro_rules! delegate {
    ($self:ident, $transport:ident => $call:expr) => {
        match $self {
            Self::Mmio($transport) => $call,
            Self::Pci($transport) => $call,
        }
    };
}

impl Transport for MachineTransport {
    fn device_type(&self) -> DeviceType {
        delegate!(self, transport => transport.device_type())
    }

    fn read_device_features(&mut self) -> u64 {
        delegate!(self, transport => transport.read_device_features())
    }

    fn write_driver_features(&mut self, features: u64) {
        delegate!(self, transport => transport.write_driver_features(features));
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        delegate!(self, transport => transport.max_queue_size(queue))
    }

    fn notify(&mut self, queue: u16) {
        delegate!(self, transport => transport.notify(queue));
    }

    fn get_status(&self) -> DeviceStatus {
        delegate!(self, transport => transport.get_status())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        delegate!(self, transport => transport.set_status(status));
    }

    fn set_guest_page_size(&mut self, bytes: u32) {
        delegate!(self, transport => transport.set_guest_page_size(bytes));
    }

    fn requires_legacy_layout(&self) -> bool {
        delegate!(self, transport => transport.requires_legacy_layout())
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        delegate!(self, transport => {
            transport.queue_set(queue, size, descriptors, driver_area, device_area);
        });
    }

    /// Does nothing: our drivers give up a queue only by resetting the device, and virtio-drivers' MMIO transport would
    /// wait here without a bound.
    fn queue_unset(&mut self, _queue: u16) {}

    fn queue_used(&mut self, queue: u16) -> bool {
        delegate!(self, transport => transport.queue_used(queue))
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        delegate!(self, transport => transport.ack_interrupt())
    }

    fn read_config_generation(&self) -> u32 {
        delegate!(self, transport => transport.read_config_generation())
    }

    fn read_config_space<V: FromBytes + IntoBytes>(&self, offset: usize) -> Result<V> {
        delegate!(self, transport => transport.read_config_space(offset))
    }

    fn write_config_space<V: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: V,
    ) -> Result<()> {
        delegate!(self, transport => transport.write_config_space(offset, value))
    }
}
