//! Where a function keeps its virtio structures and its MSI-X table.

use super::PciError;
use crate::platform::pci::bar::{self, Window};
use crate::platform::pci::capability::{Capability, ID_MSIX, ID_VENDOR, capabilities};
use crate::platform::pci::{ConfigurationSpace, Function};
use crate::platform::registers::{MapRegisters, Registers};
use crate::virtio::interrupt::MsiMessage;

/// `cfg_type` of the structures (virtio 1.2 §4.1.4).
const TYPE_COMMON: u8 = 1;
const TYPE_NOTIFY: u8 = 2;
const TYPE_DEVICE: u8 = 4;

/// Offsets in `virtio_pci_cap` and `virtio_pci_notify_cap` (virtio 1.2 §4.1.4, §4.1.4.4).
const CAP_BAR: u8 = 4;
const CAP_OFFSET: u8 = 8;
const CAP_LENGTH: u8 = 12;
const CAP_NOTIFY_MULTIPLIER: u8 = 16;

/// The longest part of a structure that is mapped: notifications of three queues at most 4 KiB apart, or the
/// configuration of any device.
const MAX_STRUCTURE_BYTES: u64 = 16 * 1024;

/// The MSI-X capability (PCI Local Bus 3.0, 6.8.2): control in the upper half of the first register.
const MSIX_ENABLE: u32 = 1 << 31;
const MSIX_FUNCTION_MASK: u32 = 1 << 30;
const MSIX_TABLE: u8 = 4;
const MSIX_TABLE_BAR: u32 = 0b111;
/// A table entry: address, upper address, data, control.
const MSIX_ENTRY_BYTES: usize = 16;

/// A range of a base address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    name: &'static str,
    bar: u8,
    offset: u32,
    length: u32,
}

/// The structures of a function; of each the first that is announced (virtio 1.2 §4.1.4.1).
#[derive(Debug)]
pub(super) struct Structures {
    pub(super) common: Place,
    pub(super) notify: Place,
    pub(super) notify_multiplier: u32,
    pub(super) device: Option<Place>,
    pub(super) msix: Option<MsixPlace>,
}

/// Where MSI-X is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MsixPlace {
    capability: u8,
    table: Place,
}

impl Structures {
    pub(super) fn find(
        space: &mut impl ConfigurationSpace,
        function: Function,
    ) -> Result<Self, PciError> {
        let (mut common, mut notify, mut device, mut msix) = (None, None, None, None);
        for capability in capabilities(space, function) {
            let configuration_type = (capability.head >> 24) as u8;
            match (capability.id, configuration_type) {
                (ID_VENDOR, TYPE_COMMON) if common.is_none() => {
                    common = Some(read(space, function, capability, "common"));
                }
                (ID_VENDOR, TYPE_NOTIFY) if notify.is_none() => {
                    let at = capability.offset.saturating_add(CAP_NOTIFY_MULTIPLIER);
                    let place = read(space, function, capability, "notify");
                    notify = Some((place, space.read(function, at)));
                }
                (ID_VENDOR, TYPE_DEVICE) if device.is_none() => {
                    device = Some(read(space, function, capability, "device"));
                }
                (ID_MSIX, _) if msix.is_none() => {
                    msix = Some(read_msix(space, function, capability));
                }
                _ => {}
            }
        }
        let (notify, notify_multiplier) = notify.ok_or(PciError::MissingStructure("notify"))?;
        Ok(Self {
            common: common.ok_or(PciError::MissingStructure("common"))?,
            notify,
            notify_multiplier,
            device,
            msix,
        })
    }
}

fn read(
    space: &mut impl ConfigurationSpace,
    function: Function,
    capability: Capability,
    name: &'static str,
) -> Place {
    let mut field = |at: u8| space.read(function, capability.offset.saturating_add(at));
    Place {
        name,
        bar: field(CAP_BAR) as u8,
        offset: field(CAP_OFFSET),
        length: field(CAP_LENGTH),
    }
}

fn read_msix(
    space: &mut impl ConfigurationSpace,
    function: Function,
    capability: Capability,
) -> MsixPlace {
    let table = space.read(function, capability.offset.saturating_add(MSIX_TABLE));
    MsixPlace {
        capability: capability.offset,
        table: Place {
            name: "MSI-X table",
            bar: (table & MSIX_TABLE_BAR) as u8,
            offset: table & !MSIX_TABLE_BAR,
            length: MSIX_ENTRY_BYTES as u32,
        },
    }
}

impl Place {
    /// Maps the first `bytes` bytes.
    pub(super) fn map(
        self,
        space: &mut impl ConfigurationSpace,
        map: &mut impl MapRegisters,
        function: Function,
        window: &mut Window,
        bytes: usize,
    ) -> Result<Registers, PciError> {
        if (self.length as usize) < bytes || !self.offset.is_multiple_of(4) {
            return Err(PciError::BadStructure(self.name));
        }
        let base = bar::address(space, function, self.bar, window).map_err(PciError::Bar)?;
        let start = base
            .checked_add(self.offset.into())
            .ok_or(PciError::BadStructure(self.name))?;
        map.window(start, bytes).ok_or(PciError::Unmappable(start))
    }

    /// Maps the whole structure, or as much of it as is of use.
    pub(super) fn map_all(
        self,
        space: &mut impl ConfigurationSpace,
        map: &mut impl MapRegisters,
        function: Function,
        window: &mut Window,
    ) -> Result<Registers, PciError> {
        let bytes = u64::from(self.length).min(MAX_STRUCTURE_BYTES) as usize;
        self.map(space, map, function, window, bytes.max(1))
    }
}

/// A function's MSI-X, one table entry of it.
#[derive(Debug)]
pub(super) struct Msix {
    function: Function,
    capability: u8,
    entry: Registers,
    is_enabled: bool,
}

impl Msix {
    pub(super) fn map(
        place: MsixPlace,
        space: &mut impl ConfigurationSpace,
        map: &mut impl MapRegisters,
        function: Function,
        window: &mut Window,
    ) -> Result<Self, PciError> {
        let entry = place
            .table
            .map(space, map, function, window, MSIX_ENTRY_BYTES)?;
        Ok(Self {
            function,
            capability: place.capability,
            entry,
            is_enabled: false,
        })
    }

    pub(super) const fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Writes and unmasks the first table entry and turns MSI-X on.
    pub(super) fn enable(&mut self, space: &mut impl ConfigurationSpace, message: MsiMessage) {
        self.entry.write(0, message.address as u32);
        self.entry.write(4, (message.address >> 32) as u32);
        self.entry.write(8, message.data);
        self.entry.write(12, 0_u32);
        let control = space.read(self.function, self.capability);
        let control = (control | MSIX_ENABLE) & !MSIX_FUNCTION_MASK;
        space.write(self.function, self.capability, control);
        self.is_enabled = true;
    }
}
