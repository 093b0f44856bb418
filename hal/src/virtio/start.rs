//! From what was found to transports whose interrupts are routed, and to running disks.

use super::block::VirtioBlock;
use super::discovery::{Discovery, Found, Location};
use super::dma::MachineDma;
use super::init::InitError;
use super::interrupt::{Interrupt, InterruptVectors};
use super::pci::{PciError, PciTransport};
use super::transport::MachineTransport;
use crate::clock::Instant;
use crate::heap;
use crate::limits::MAX_DISKS;
use crate::platform::registers::MapRegisters;
use alloc::boxed::Box;
use alloc::vec::Vec;
use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::mmio::{MmioError, MmioTransport, VirtIOHeader};

/// A disk of this machine.
pub type MachineDisk = Box<VirtioBlock<MachineDma, MachineTransport>>;

/// Why a device that was found is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The registers of an MMIO device say something else than before.
    Mmio(MmioError),
    /// The registers cannot be mapped.
    Unmappable(u64),
    /// The PCI function is unfit.
    Pci(PciError),
    /// The device does not play along.
    Init(InitError),
    /// The heap has no room for its driver.
    OutOfMemory,
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Mmio(error) => error.fmt(f),
            Self::Unmappable(address) => write!(f, "registers at {address:#x} cannot be mapped"),
            Self::Pci(error) => error.fmt(f),
            Self::Init(error) => error.fmt(f),
            Self::OutOfMemory => f.write_str("no memory for its driver"),
        }
    }
}

impl core::error::Error for StartError {}

/// Makes the transport of a device and routes its interrupt. Returns the interrupt as well; [`Interrupt::None`] when
/// there is none and the device must be polled.
///
/// # Errors
///
/// When the device cannot be reached.
pub fn open(
    discovery: &mut Discovery,
    found: Found,
    map: &mut impl MapRegisters,
    vectors: &mut impl InterruptVectors,
) -> Result<(MachineTransport, Interrupt), StartError> {
    match found.location {
        Location::Mmio(slot) => {
            let window = map
                .window(slot.base, slot.bytes as usize)
                .ok_or(StartError::Unmappable(slot.base))?;
            let header = window.start().cast::<VirtIOHeader>();
            // SAFETY: the window is mapped for good and holds at least the registers and a configuration space,
            // `discover` made it so long; its base is a multiple of 4, the command line's parser saw to it.
            let transport = unsafe { MmioTransport::new(header, window.bytes()) };
            let transport = MachineTransport::Mmio(transport.map_err(StartError::Mmio)?);
            let interrupt = match vectors.route(slot.gsi) {
                true => Interrupt::Gsi(slot.gsi),
                false => Interrupt::None,
            };
            Ok((transport, interrupt))
        }
        Location::Pci(function) => {
            let Discovery { pci, window, .. } = discovery;
            let device_type = found.device_type;
            let mut transport = PciTransport::new(pci, map, function, device_type, window)
                .map_err(StartError::Pci)?;
            let message = transport.has_msix().then(|| vectors.take_message());
            let interrupt = match message.flatten() {
                Some(message) => {
                    transport.send_message(pci, message);
                    Interrupt::Message(message)
                }
                None => Interrupt::None,
            };
            Ok((MachineTransport::Pci(transport), interrupt))
        }
    }
}

/// Starts every disk that was found, in order. A disk that does not start, or for which there is no room, is reported
/// and left alone; the others keep their order.
pub fn start_disks(
    discovery: &mut Discovery,
    map: &mut impl MapRegisters,
    vectors: &mut impl InterruptVectors,
    now: Instant,
) -> Vec<MachineDisk> {
    let is_disk = |found: &Found| found.device_type == DeviceType::Block;
    let found = discovery.devices.clone();
    let count = found.iter().copied().filter(is_disk).count();
    let mut disks = Vec::new();
    if disks.try_reserve_exact(count.min(MAX_DISKS)).is_err() {
        log::error!("no memory for {count} disks, none is used");
        return disks;
    }
    for disk in found.into_iter().filter(is_disk) {
        let place = disk.location;
        if disks.len() == MAX_DISKS {
            log::warn!("disk at {place} ignored, limit {MAX_DISKS} disks");
            continue;
        }
        match start_disk(discovery, disk, map, vectors, now) {
            Ok(disk) => disks.push(disk),
            Err(error) => log::error!("disk at {place} not used: {error}"),
        }
    }
    disks
}

/// Starts one disk that was found. Never inlined: a driver is some kilobytes, and passes over the stack once.
///
/// # Errors
///
/// When the device cannot be reached, or does not play along.
#[inline(never)]
pub fn start_disk(
    discovery: &mut Discovery,
    found: Found,
    map: &mut impl MapRegisters,
    vectors: &mut impl InterruptVectors,
    now: Instant,
) -> Result<MachineDisk, StartError> {
    // Boxes cannot be refused; some room beside it is left to everybody else.
    if heap::headroom() < 2 * size_of::<VirtioBlock<MachineDma, MachineTransport>>() {
        return Err(StartError::OutOfMemory);
    }
    let (transport, _) = open(discovery, found, map, vectors)?;
    let driver = VirtioBlock::start(transport, now).map_err(StartError::Init)?;
    Ok(Box::new(driver))
}
