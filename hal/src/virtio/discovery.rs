//! Which virtio devices this machine has, and where.
//!
//! Asked in this order, the first answer counts:
//!
//! 1. the command line (`virtio_mmio.device=`: QEMU microvm with `acpi=off`, Firecracker);
//! 2. PCI by its I/O ports (q35, pc, Cloud Hypervisor, Firecracker with PCI);
//! 3. PCI by the ECAM window that the firmware's MCFG table names;
//! 4. what a QEMU microvm has without telling anybody: the ECAM window of `pcie=on`, and 24 virtio-mmio slots.
//!
//! The slots come last because other machines have base addresses of PCI functions at that place.

use super::command_line::{MmioSlot, mmio_slots};
use super::interrupt::Interrupt;
use crate::limits::MAX_VIRTIO_DEVICES;
use crate::platform::pci::bar::Window;
use crate::platform::pci::scan::scan;
use crate::platform::pci::{ConfigurationSpace, Ecam, Function, OFFSET_SUBSYSTEM, Ports};
use crate::platform::registers::{MapRegisters, Registers};
use virtio_drivers::transport::DeviceType;

/// QEMU microvm's virtio-mmio slots with ACPI on (QEMU `include/hw/i386/microvm.h`).
const MICROVM_SLOT_BASE: u64 = 0xfeb0_0000;
const MICROVM_SLOT_BYTES: u64 = 512;
const MICROVM_SLOTS: u32 = 24;
const MICROVM_FIRST_GSI: u32 = 24;

/// QEMU microvm's ECAM window with `pcie=on`, and its window for 32-bit base addresses, which nobody assigns
/// (QEMU `include/hw/i386/microvm.h`).
const MICROVM_ECAM: u64 = 0xe000_0000;
const MICROVM_BARS: Window = Window::new(0xc000_0000, 0xe000_0000);

/// Registers of a virtio-mmio device (virtio 1.2 §4.2.2) and what identifies one.
const MMIO_MAGIC: usize = 0x000;
const MMIO_VERSION: usize = 0x004;
const MMIO_DEVICE_ID: usize = 0x008;
const MAGIC: u32 = u32::from_le_bytes(*b"virt");
/// Registers and the shortest configuration space any VMM gives; and the longest part that is of use.
const MIN_MMIO_BYTES: u64 = 0x200;
const MAX_MMIO_BYTES: u64 = 0x1000;

/// Vendor of virtio functions, and how their device ids tell the type (virtio 1.2 §4.1.2).
const PCI_VENDOR_VIRTIO: u32 = 0x1af4;
const PCI_TRANSITIONAL_FIRST: u32 = 0x1000;
const PCI_MODERN_FIRST: u32 = 0x1040;
const PCI_MODERN_LAST: u32 = 0x107f;

/// Where a device was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// Registers at a fixed place, and the input of an IOAPIC.
    Mmio(MmioSlot),
    /// A PCI function.
    Pci(Function),
}

impl core::fmt::Display for Location {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Mmio(slot) => write!(f, "mmio {:#x} gsi {}", slot.base, slot.gsi),
            Self::Pci(function) => write!(f, "pci {function}"),
        }
    }
}

impl Location {
    /// Returns the interrupt known before the device is set up: PCI functions get a message later.
    #[must_use]
    pub const fn interrupt(&self) -> Interrupt {
        match self {
            Self::Mmio(slot) => Interrupt::Gsi(slot.gsi),
            Self::Pci(_) => Interrupt::None,
        }
    }
}

/// A device that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub device_type: DeviceType,
    /// Where it is.
    pub location: Location,
}

/// How configuration space is reached on this machine.
#[derive(Debug)]
pub enum PciAccess {
    /// There is no PCI.
    None,
    /// By ports.
    Ports(Ports),
    /// By memory.
    Ecam(Ecam),
}

impl ConfigurationSpace for PciAccess {
    fn read(&mut self, function: Function, offset: u8) -> u32 {
        match self {
            Self::None => u32::MAX,
            Self::Ports(ports) => ports.read(function, offset),
            Self::Ecam(ecam) => ecam.read(function, offset),
        }
    }

    fn write(&mut self, function: Function, offset: u8, value: u32) {
        match self {
            Self::None => {}
            Self::Ports(ports) => ports.write(function, offset, value),
            Self::Ecam(ecam) => ecam.write(function, offset, value),
        }
    }
}

/// All that was found.
#[derive(Debug)]
pub struct Discovery {
    /// The devices, in the order disks are counted: by command line, bus address, or slot from the top down, as QEMU
    /// fills slots.
    pub devices: heapless::Vec<Found, MAX_VIRTIO_DEVICES>,
    /// How their configuration space is reached.
    pub pci: PciAccess,
    /// Where base addresses go that nobody assigned.
    pub window: Window,
}

/// Finds the devices. `ecam` is the window that the firmware's MCFG table names for bus 0 of segment 0.
pub fn discover(command_line: &str, ecam: Option<u64>, map: &mut impl MapRegisters) -> Discovery {
    let mut discovery = Discovery {
        devices: heapless::Vec::new(),
        pci: PciAccess::None,
        window: Window::none(),
    };
    discovery.read_command_line(command_line, map);
    if !discovery.devices.is_empty() {
        return discovery;
    }
    if discovery.search_pci(PciAccess::Ports(Ports)) {
        return discovery;
    }
    let named = ecam.and_then(|base| Ecam::map(map, base, 0));
    if named.is_some_and(|ecam| discovery.search_pci(PciAccess::Ecam(ecam))) {
        return discovery;
    }
    if let Some(ecam) = Ecam::map(map, MICROVM_ECAM, 0)
        && discovery.search_pci(PciAccess::Ecam(ecam))
    {
        discovery.window = MICROVM_BARS;
    }
    discovery.probe_slots(map);
    discovery
}

impl Discovery {
    fn read_command_line(&mut self, command_line: &str, map: &mut impl MapRegisters) {
        for parameter in mmio_slots(command_line) {
            match parameter {
                Ok(slot) => self.probe(slot, map),
                Err(bad) => log::warn!("virtio_mmio.device={}: not readable, ignored", bad.0),
            }
        }
    }

    fn probe_slots(&mut self, map: &mut impl MapRegisters) {
        for index in (0..MICROVM_SLOTS).rev() {
            let slot = MmioSlot {
                base: MICROVM_SLOT_BASE + u64::from(index) * MICROVM_SLOT_BYTES,
                bytes: MICROVM_SLOT_BYTES,
                gsi: MICROVM_FIRST_GSI + index,
            };
            self.probe(slot, map);
        }
    }

    /// Notes the device at `slot`, if there is one.
    fn probe(&mut self, slot: MmioSlot, map: &mut impl MapRegisters) {
        let slot = MmioSlot {
            bytes: slot.bytes.clamp(MIN_MMIO_BYTES, MAX_MMIO_BYTES),
            ..slot
        };
        let Some(window) = map.window(slot.base, slot.bytes as usize) else {
            log::warn!("virtio-mmio {:#x}: cannot be mapped, ignored", slot.base);
            return;
        };
        if let Some(device_type) = identify_mmio(&window) {
            self.note(device_type, Location::Mmio(slot));
        }
    }

    /// Notes the virtio functions reached by `access`; `false` when there is no PCI at all.
    fn search_pci(&mut self, mut access: PciAccess) -> bool {
        let mut functions = 0_usize;
        let mut found = heapless::Vec::<_, MAX_VIRTIO_DEVICES>::new();
        scan(&mut access, &mut |function, id| {
            functions += 1;
            if id & 0xffff == PCI_VENDOR_VIRTIO && found.push((function, id >> 16)).is_err() {
                log::warn!("pci {function}: ignored, limit {MAX_VIRTIO_DEVICES} virtio devices");
            }
        });
        for (function, id) in found {
            if let Some(device_type) = identify_pci(&mut access, function, id) {
                self.note(device_type, Location::Pci(function));
            }
        }
        if functions > 0 {
            self.pci = access;
        }
        functions > 0
    }

    /// Returns the type of the virtio device that a PCI function is, if it is one.
    pub(super) fn identify(&mut self, function: Function) -> Option<DeviceType> {
        let id = self.pci.identify(function)?;
        if id & 0xffff != PCI_VENDOR_VIRTIO {
            return None;
        }
        identify_pci(&mut self.pci, function, id >> 16)
    }

    fn note(&mut self, device_type: DeviceType, location: Location) {
        let found = Found {
            device_type,
            location,
        };
        if self.devices.push(found).is_err() {
            log::warn!("{location}: ignored, limit {MAX_VIRTIO_DEVICES} virtio devices");
        }
    }
}

fn identify_mmio(window: &Registers) -> Option<DeviceType> {
    if window.read::<u32>(MMIO_MAGIC) != MAGIC {
        return None;
    }
    let version = window.read::<u32>(MMIO_VERSION);
    let device = window.read::<u32>(MMIO_DEVICE_ID);
    // Device 0 is an empty slot.
    matches!(version, 1 | 2)
        .then(|| DeviceType::try_from(device).ok())
        .flatten()
}

fn identify_pci(
    space: &mut impl ConfigurationSpace,
    function: Function,
    device: u32,
) -> Option<DeviceType> {
    let device_type = match device {
        PCI_MODERN_FIRST..=PCI_MODERN_LAST => device - PCI_MODERN_FIRST,
        PCI_TRANSITIONAL_FIRST..PCI_MODERN_FIRST => space.read(function, OFFSET_SUBSYSTEM) >> 16,
        _ => return None,
    };
    DeviceType::try_from(device_type).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::NonNull;
    use std::vec::Vec;

    /// Register windows made of zeroes, with virtio-mmio headers at some addresses.
    struct FakeMap {
        headers: Vec<(u64, [u32; 3])>,
        refused: Option<u64>,
        asked: Vec<(u64, usize)>,
    }

    impl FakeMap {
        fn with(headers: &[(u64, [u32; 3])]) -> Self {
            Self {
                headers: headers.to_vec(),
                refused: None,
                asked: Vec::new(),
            }
        }
    }

    // SAFETY: the memory is leaked and nobody else's.
    unsafe impl MapRegisters for FakeMap {
        fn map(&mut self, physical: u64, bytes: usize) -> Option<NonNull<u8>> {
            self.asked.push((physical, bytes));
            if self.refused == Some(physical) {
                return None;
            }
            let memory = std::vec![0_u32; bytes / 4].leak();
            for (base, header) in &self.headers {
                if *base == physical {
                    memory[..3].copy_from_slice(header);
                }
            }
            Some(NonNull::from(memory).cast())
        }
    }

    fn empty() -> Discovery {
        Discovery {
            devices: heapless::Vec::new(),
            pci: PciAccess::None,
            window: Window::none(),
        }
    }

    fn types(discovery: &Discovery) -> Vec<DeviceType> {
        let devices = discovery.devices.iter();
        devices.map(|found| found.device_type).collect()
    }

    const DISK: [u32; 3] = [MAGIC, 2, 2];
    const VSOCK: [u32; 3] = [MAGIC, 1, 19];

    #[test]
    fn a_configuration_space_where_no_bus_can_begin_is_not_mapped() {
        let mut map = FakeMap::with(&[]);
        for base in [0xe800_0001, 0xe800_0002, 0xe800_1000, 0xe808_0000] {
            assert!(Ecam::map(&mut map, base, 0).is_none(), "{base:#x}");
        }
        assert!(map.asked.is_empty());
        assert!(Ecam::map(&mut map, 0xe810_0000, 0).is_some());
    }

    #[test]
    fn takes_what_the_command_line_names_in_its_order() {
        let mut map = FakeMap::with(&[(0xfeb0_0e00, VSOCK), (0xfeb0_0c00, DISK)]);
        let line =
            "quiet virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=512@0xfeb00c00:11";
        let found = discover(line, None, &mut map);
        assert_eq!(types(&found), [DeviceType::Socket, DeviceType::Block]);
        let interrupts: Vec<_> = found
            .devices
            .iter()
            .map(|d| d.location.interrupt())
            .collect();
        assert_eq!(interrupts, [Interrupt::Gsi(12), Interrupt::Gsi(11)]);
    }

    #[test]
    fn bounds_the_length_a_parameter_may_ask_for() {
        let mut map = FakeMap::with(&[(0x1000, DISK), (0x2000, DISK)]);
        let line = "virtio_mmio.device=1@0x1000:5 virtio_mmio.device=1G@0x2000:6";
        let _ = discover(line, None, &mut map);
        assert_eq!(map.asked, [(0x1000, 0x200), (0x2000, 0x1000)]);
    }

    #[test]
    fn skips_parameters_and_windows_that_are_unusable() {
        let headers = [(0x2000, DISK), (0x3000, DISK), (0x4000, VSOCK)];
        let mut map = FakeMap::with(&headers);
        map.refused = Some(0x3000);
        let line = "virtio_mmio.device=huh virtio_mmio.device=512@0x3000:1 virtio_mmio.device=512@0x4000:2";
        assert_eq!(types(&discover(line, None, &mut map)), [DeviceType::Socket]);
    }

    #[test]
    fn passes_over_windows_that_hold_no_device() {
        for header in [
            [0, 2, 2],
            [MAGIC, 0, 2],
            [MAGIC, 3, 2],
            [MAGIC, 2, 0],
            [MAGIC, 2, 99],
        ] {
            let mut map = FakeMap::with(&[(0x1000, header)]);
            let mut found = empty();
            found.read_command_line("virtio_mmio.device=512@0x1000:5", &mut map);
            assert!(found.devices.is_empty(), "{header:?}");
        }
    }

    #[test]
    fn probes_slots_from_the_top_down() {
        let top = MICROVM_SLOT_BASE + 23 * MICROVM_SLOT_BYTES;
        let mut map = FakeMap::with(&[(MICROVM_SLOT_BASE, DISK), (top, VSOCK)]);
        let mut found = empty();
        found.probe_slots(&mut map);
        assert_eq!(types(&found), [DeviceType::Socket, DeviceType::Block]);
        let interrupts: Vec<_> = found
            .devices
            .iter()
            .map(|d| d.location.interrupt())
            .collect();
        assert_eq!(interrupts, [Interrupt::Gsi(47), Interrupt::Gsi(24)]);
    }

    #[test]
    fn tells_the_type_of_modern_and_transitional_functions() {
        use crate::platform::pci::fake::FakeSpace;
        let at = Function {
            bus: 0,
            device: 1,
            function: 0,
        };
        let mut space = FakeSpace::default();
        space.put((0, 1, 0), 0, 0x1001_1af4);
        space.put((0, 1, 0), OFFSET_SUBSYSTEM, 0x0002_1af4);
        assert_eq!(
            identify_pci(&mut space, at, 0x1001),
            Some(DeviceType::Block)
        );
        assert_eq!(
            identify_pci(&mut space, at, 0x1053),
            Some(DeviceType::Socket)
        );
        assert_eq!(identify_pci(&mut space, at, 0x1040), None);
        assert_eq!(identify_pci(&mut space, at, 0x107f), None);
        assert_eq!(identify_pci(&mut space, at, 0x1080), None);
        assert_eq!(identify_pci(&mut space, at, 0x0fff), None);
    }

    #[test]
    fn an_ecam_window_without_a_host_bridge_is_no_pci() {
        let mut map = FakeMap::with(&[]);
        let ecam = Ecam::map(&mut map, 0xe000_0000, 0).expect("mapped");
        assert!(!empty().search_pci(PciAccess::Ecam(ecam)));
    }
}
