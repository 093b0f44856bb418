//! What the firmware's tables come to: the answers start-up needs, with defaults for a machine without tables.

use super::acpi::fadt::{self, Ending};
use super::acpi::madt::{self, IoApicPlace};
use super::acpi::{Firmware, Tables, mcfg};
use super::registers::{MapRegisters, Registers};
use crate::limits::MAX_IO_APICS;
use crate::virtio::command_line::mmio_slots;
use heapless::Vec;

/// Where a PC's I/O interrupt controller is when no table tells (Intel 82093AA data sheet, 3.1).
const DEFAULT_IO_APIC: IoApicPlace = IoApicPlace {
    address: 0xfec0_0000,
    first_gsi: 0,
};

/// What the firmware's tables say.
#[derive(Clone, Debug)]
pub struct Description {
    /// The I/O interrupt controllers.
    pub io_apics: Vec<IoApicPlace, MAX_IO_APICS>,
    /// PCI's configuration space in memory, bus 0 of segment 0.
    pub ecam: Option<u64>,
    /// How the machine is ended.
    pub ending: Ending,
}

impl Description {
    /// Reads the tables; `root` is the root pointer's address, where the VMM tells it.
    ///
    /// It is searched for only when the command line names no virtio device either: QEMU's microvm without ACPI and
    /// Firecracker, which name devices there, have no table that says more than the defaults.
    pub fn read(firmware: &mut impl Firmware, root: Option<u64>, command_line: &str) -> Self {
        let tables = match root {
            None if mmio_slots(command_line).next().is_some() => Tables::default(),
            root => Tables::find(firmware, root),
        };
        let io_apics = tables
            .get(b"APIC")
            .map(|madt| madt::io_apics(firmware, madt));
        let ecam = tables.get(b"MCFG");
        let ending = tables.get(b"FACP");
        Self {
            io_apics: io_apics
                .filter(|list| !list.is_empty())
                .unwrap_or_else(|| Vec::from_iter([DEFAULT_IO_APIC])),
            ecam: ecam.and_then(|mcfg| mcfg::ecam(firmware, mcfg)),
            ending: ending
                .map(|fadt| fadt::ending(firmware, fadt))
                .unwrap_or_default(),
        }
    }
}

/// Firmware tables behind windows: they lie in parts of RAM that the VMM keeps out of its memory map, and the direct
/// map does not show those.
#[derive(Debug)]
pub struct FirmwareWindows<'a, M> {
    map: &'a mut M,
    /// The window used last, and its address.
    last: Option<(u64, Registers)>,
}

/// Tables are seen page by page: they lie close together, and every page that is mapped costs time.
const WINDOW_BYTES: u64 = 0x1000;
/// The board's part of the first MiB is seen as a whole: it is where a root pointer is searched for.
const LOW: core::ops::Range<u64> = 0xa_0000..0x10_0000;
const LOW_WINDOW_BYTES: u64 = 0x2_0000;

impl<'a, M: MapRegisters> FirmwareWindows<'a, M> {
    /// Reads through windows made by `map`.
    pub const fn new(map: &'a mut M) -> Self {
        Self { map, last: None }
    }

    /// Returns the window that shows `address`, and the offset in it.
    fn window(&mut self, address: u64) -> Option<(&Registers, usize)> {
        let bytes = if LOW.contains(&address) {
            LOW_WINDOW_BYTES
        } else {
            WINDOW_BYTES
        };
        let start = address & !(bytes - 1);
        if self.last.as_ref().is_none_or(|(at, _)| *at != start) {
            let window = self.map.window(start, bytes as usize)?;
            self.last = Some((start, window));
        }
        let (_, window) = self.last.as_ref()?;
        Some((window, (address - start) as usize))
    }
}

impl<M: MapRegisters> Firmware for FirmwareWindows<'_, M> {
    fn read(&mut self, physical: u64, into: &mut [u8]) -> Option<()> {
        let mut address = physical;
        let mut rest = into;
        while !rest.is_empty() {
            let (window, offset) = self.window(address)?;
            // A window's length is a multiple of 4, so an aligned word lies in it as a whole.
            let count = if offset.is_multiple_of(4) && rest.len() >= 4 {
                rest[..4].copy_from_slice(&window.read::<u32>(offset).to_le_bytes());
                4
            } else {
                rest[0] = window.read(offset);
                1
            };
            rest = &mut rest[count..];
            address = address.checked_add(count as u64)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::acpi::fake::{FakeFirmware, fix_checksum, table};
    use super::*;

    #[test]
    fn a_machine_without_tables_has_one_controller_at_the_usual_place() {
        let description = Description::read(&mut FakeFirmware::new(), None, "");
        assert_eq!(description.io_apics, [DEFAULT_IO_APIC]);
        assert_eq!(description.ecam, None);
        assert_eq!(description.ending, Ending::default());
    }

    #[test]
    fn a_table_of_no_controllers_counts_as_no_table() {
        let mut firmware = FakeFirmware::new();
        let at = firmware.put(table(b"APIC", &[0; 8]));
        let root = firmware.put_root(0, &[at]);
        let description = Description::read(&mut firmware, Some(root), "");
        assert_eq!(description.io_apics, [DEFAULT_IO_APIC]);
    }

    /// Memory whose bytes are the low bits of their addresses.
    struct Pattern {
        windows: usize,
    }

    // SAFETY: the memory is leaked and nobody else's.
    unsafe impl MapRegisters for Pattern {
        fn map(&mut self, physical: u64, bytes: usize) -> Option<core::ptr::NonNull<u8>> {
            if physical > u64::MAX / 2 {
                return None;
            }
            self.windows += 1;
            let words = (0..bytes as u64 / 4).map(|word| {
                let first = (physical + 4 * word) as u8;
                u32::from_le_bytes([0, 1, 2, 3].map(|byte| first.wrapping_add(byte)))
            });
            let memory = words.collect::<std::vec::Vec<u32>>().leak();
            Some(core::ptr::NonNull::from(memory).cast())
        }
    }

    #[test]
    fn reads_any_alignment_and_across_windows() {
        let mut map = Pattern { windows: 0 };
        let mut firmware = FirmwareWindows::new(&mut map);
        for (start, count) in [(0x10_0003, 9), (0x10_0ffb, 11), (0x10_1000, 0)] {
            let mut bytes = std::vec![0; count];
            assert_eq!(firmware.read(start, &mut bytes), Some(()));
            let expected: std::vec::Vec<u8> =
                (start..).take(count).map(|address| address as u8).collect();
            assert_eq!(bytes, expected);
        }
        assert_eq!(map.windows, 2);
    }

    #[test]
    fn searches_for_tables_only_where_devices_are_not_named() {
        let mut firmware = FakeFirmware::new();
        let at = firmware.put(table(
            b"APIC",
            &[&[0; 8][..], &[1, 12, 0, 0, 0, 0, 0xc1, 0xfe, 0, 0, 0, 0]].concat(),
        ));
        let root = firmware.put_root(2, &[at]);
        firmware.move_to(root, 0xe_0000);
        let named = "virtio_mmio.device=4K@0xc0001000:5";
        let skipped = Description::read(&mut firmware, None, named);
        assert_eq!(skipped.io_apics, [DEFAULT_IO_APIC]);
        let found = Description::read(&mut firmware, None, "");
        assert_eq!(found.io_apics[0].address, 0xfec1_0000);
    }

    #[test]
    fn no_byte_of_a_table_leads_astray() {
        let mut madt = std::vec![0; 8];
        madt.extend([
            0, 8, 0, 0, 1, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,
        ]);
        let contents = [
            table(b"APIC", &madt),
            table(b"MCFG", &[0xe8; 24]),
            table(b"FACP", &[1; 232]),
        ];
        for which in 0..contents.len() {
            for at in 0..contents[which].len() {
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut firmware = FakeFirmware::new();
                    let addresses = [0, 1, 2].map(|index: usize| {
                        let mut content = contents[index].clone();
                        if index == which {
                            content[at] = value;
                            fix_checksum(&mut content, 9);
                        }
                        firmware.put(content)
                    });
                    let root = firmware.put_root(2, &addresses);
                    let description = Description::read(&mut firmware, Some(root), "");
                    assert!(!description.io_apics.is_empty());
                }
            }
        }
    }

    #[test]
    fn refuses_what_cannot_be_mapped() {
        let mut map = Pattern { windows: 0 };
        let mut firmware = FirmwareWindows::new(&mut map);
        assert_eq!(firmware.read(u64::MAX - 1, &mut [0; 4]), None);
    }
}
