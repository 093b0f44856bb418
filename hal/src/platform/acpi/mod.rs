//! The firmware's tables (ACPI 6.5, chapter 5), as far as this guest needs them: interrupt controllers, ECAM, and how
//! to end the machine. No AML is read.
//!
//! Every byte comes from the VMM and is hostile: a table is read field by field through [`Firmware`], each field is
//! checked to lie inside its table, and lengths, counts and checksums are checked before that.

pub mod fadt;
pub mod madt;
pub mod mcfg;

use crate::limits::{MAX_ACPI_TABLE_BYTES, MAX_ACPI_TABLES};
use heapless::Vec;

/// Bytes of the header that every table begins with (ACPI 6.5, table 5.4): signature, length, checksum at byte 9.
const HEADER_BYTES: u32 = 36;
const HEADER_LENGTH: usize = 4;

/// Where the root pointer is looked for when nobody names it (ACPI 6.5, 5.2.5.1), and at which steps.
const SCAN_START: u64 = 0xe_0000;
const SCAN_END: u64 = 0x10_0000;
const SCAN_STEP: u64 = 16;

/// The root pointer (ACPI 6.5, table 5.3): its first part, which has a checksum of its own, and all of it.
const ROOT_SIGNATURE: &[u8; 8] = b"RSD PTR ";
const ROOT_FIRST_BYTES: usize = 20;
const ROOT_BYTES: usize = 36;
const ROOT_REVISION: usize = 15;
const ROOT_RSDT: usize = 16;
const ROOT_XSDT: usize = 24;

/// Reads physical memory where firmware tables may be.
pub trait Firmware {
    /// Copies bytes out; `None` when the range cannot be reached.
    fn read(&mut self, physical: u64, into: &mut [u8]) -> Option<()>;
}

/// A table whose length and checksum were found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    signature: [u8; 4],
    address: u64,
    bytes: u32,
}

/// The tables the root names.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    all: Vec<Table, MAX_ACPI_TABLES>,
}

impl Tables {
    /// Finds the tables: from the root pointer at `root`, or by searching for it where a BIOS would put it (Firecracker
    /// does not tell). Without a usable root there are none.
    pub fn find(firmware: &mut impl Firmware, root: Option<u64>) -> Self {
        let list = match root {
            Some(address) => read_root(firmware, address),
            None => (SCAN_START..SCAN_END)
                .step_by(SCAN_STEP as usize)
                .find_map(|address| read_root(firmware, address)),
        };
        list.and_then(|list| Self::read_list(firmware, list))
            .unwrap_or_default()
    }

    /// Returns the first table with this signature.
    #[must_use]
    pub fn get(&self, signature: &[u8; 4]) -> Option<Table> {
        let mut all = self.all.iter().copied();
        all.find(|table| table.signature == *signature)
    }

    fn read_list(firmware: &mut impl Firmware, list: List) -> Option<Self> {
        let (address, entry_bytes) = match list {
            List::Rsdt(address) => (address, 4),
            List::Xsdt(address) => (address, 8),
        };
        let table = Table::open(firmware, address)?;
        let mut found = Self::default();
        let count = (table.bytes - HEADER_BYTES) / entry_bytes;
        for index in 0..count.min(MAX_ACPI_TABLES as u32) {
            let offset = HEADER_BYTES + index * entry_bytes;
            let entry = match list {
                List::Rsdt(_) => table.read_u32(firmware, offset)?.into(),
                List::Xsdt(_) => table.read_u64(firmware, offset)?,
            };
            if let Some(table) = Table::open(firmware, entry) {
                // There is room: the count was bounded above.
                let _ = found.all.push(table);
            }
        }
        Some(found)
    }
}

/// The list of tables: with 32-bit entries or with 64-bit ones.
#[derive(Clone, Copy, Debug)]
enum List {
    Rsdt(u64),
    Xsdt(u64),
}

/// Reads the root pointer at `address`; `None` when there is none or its checksum is wrong.
fn read_root(firmware: &mut impl Firmware, address: u64) -> Option<List> {
    let mut root = [0; ROOT_BYTES];
    let (first, _) = root.split_at_mut(ROOT_FIRST_BYTES);
    // The search comes here 8192 times: most end at the first word.
    firmware.read(address, &mut first[..4])?;
    if !ROOT_SIGNATURE.starts_with(&first[..4]) {
        return None;
    }
    firmware.read(address, first)?;
    if !first.starts_with(ROOT_SIGNATURE) || sum(first) != 0 {
        return None;
    }
    let rsdt = u32::from_le_bytes(root[ROOT_RSDT..ROOT_RSDT + 4].try_into().ok()?);
    if root[ROOT_REVISION] < 2 {
        return Some(List::Rsdt(rsdt.into()));
    }
    firmware.read(address, &mut root)?;
    let xsdt = u64::from_le_bytes(root[ROOT_XSDT..ROOT_XSDT + 8].try_into().ok()?);
    match (sum(&root), xsdt) {
        (0, 0) => Some(List::Rsdt(rsdt.into())),
        (0, _) => Some(List::Xsdt(xsdt)),
        _ => None,
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().copied().fold(0, u8::wrapping_add)
}

impl Table {
    /// Checks the table at `address`.
    fn open(firmware: &mut impl Firmware, address: u64) -> Option<Self> {
        let mut start = [0; 8];
        firmware.read(address, &mut start)?;
        let bytes = u32::from_le_bytes(start[HEADER_LENGTH..].try_into().ok()?);
        let table = Self {
            signature: [start[0], start[1], start[2], start[3]],
            address,
            bytes,
        };
        let is_plausible = (HEADER_BYTES..=MAX_ACPI_TABLE_BYTES).contains(&bytes);
        (is_plausible && table.sum(firmware)? == 0).then_some(table)
    }

    fn sum(self, firmware: &mut impl Firmware) -> Option<u8> {
        let mut total = 0_u8;
        let mut piece = [0; 64];
        for offset in (0..self.bytes).step_by(piece.len()) {
            let count = (self.bytes - offset).min(piece.len() as u32) as usize;
            self.read(firmware, offset, &mut piece[..count])?;
            total = total.wrapping_add(sum(&piece[..count]));
        }
        Some(total)
    }

    /// Returns the table's length.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.bytes
    }

    /// Copies bytes out of the table; `None` behind its end.
    fn read(self, firmware: &mut impl Firmware, offset: u32, into: &mut [u8]) -> Option<()> {
        let end = u64::from(offset) + into.len() as u64;
        if end > u64::from(self.bytes) {
            return None;
        }
        let address = self.address.checked_add(offset.into())?;
        firmware.read(address, into)
    }

    fn read_array<const N: usize>(
        self,
        firmware: &mut impl Firmware,
        offset: u32,
    ) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read(firmware, offset, &mut bytes)?;
        Some(bytes)
    }

    fn read_u32(self, firmware: &mut impl Firmware, offset: u32) -> Option<u32> {
        self.read_array(firmware, offset).map(u32::from_le_bytes)
    }

    fn read_u64(self, firmware: &mut impl Firmware, offset: u32) -> Option<u64> {
        self.read_array(firmware, offset).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
pub(crate) mod fake;

#[cfg(test)]
mod tests {
    use super::fake::{FakeFirmware, table};
    use super::*;

    const MCFG: &[u8; 4] = b"MCFG";

    #[test]
    fn follows_the_root_of_either_revision() {
        for revision in [0, 2] {
            let mut firmware = FakeFirmware::new();
            let at = firmware.put(table(MCFG, &[0; 24]));
            let root = firmware.put_root(revision, &[at]);
            let tables = Tables::find(&mut firmware, Some(root));
            assert_eq!(tables.get(MCFG).map(Table::bytes), Some(60));
            assert_eq!(tables.get(b"APIC"), None);
        }
    }

    #[test]
    fn searches_for_the_root_when_nobody_names_it() {
        let mut firmware = FakeFirmware::new();
        let at = firmware.put(table(MCFG, &[]));
        let root = firmware.put_root(2, &[at]);
        firmware.move_to(root, 0xf_fff0 - 16);
        assert!(Tables::find(&mut firmware, None).get(MCFG).is_some());
    }

    #[test]
    fn finds_nothing_in_memory_without_a_root() {
        let mut firmware = FakeFirmware::new();
        assert!(Tables::find(&mut firmware, None).all.is_empty());
        assert!(Tables::find(&mut firmware, Some(u64::MAX)).all.is_empty());
    }

    #[test]
    fn refuses_a_wrong_checksum_of_root_list_and_table() {
        for broken in 0..3 {
            let mut firmware = FakeFirmware::new();
            let at = firmware.put(table(MCFG, &[]));
            let root = firmware.put_root(2, &[at]);
            let list = root - 0x100;
            firmware.flip([at, list, root][broken] + 9);
            let tables = Tables::find(&mut firmware, Some(root));
            assert_eq!(tables.get(MCFG), None, "{broken}");
        }
    }

    #[test]
    fn refuses_lengths_below_the_header_and_above_the_limit() {
        for (bytes, is_fine) in [
            (0, false),
            (35, false),
            (36, true),
            (MAX_ACPI_TABLE_BYTES, true),
            (MAX_ACPI_TABLE_BYTES + 1, false),
            (u32::MAX, false),
        ] {
            let mut firmware = FakeFirmware::new();
            let body = std::vec![0; (bytes.min(1 << 20) as usize).saturating_sub(36)];
            let mut content = table(MCFG, &body);
            content[4..8].copy_from_slice(&bytes.to_le_bytes());
            fake::fix_checksum(&mut content, 9);
            let at = firmware.put(content);
            let root = firmware.put_root(2, &[at]);
            let found = Tables::find(&mut firmware, Some(root)).get(MCFG);
            assert_eq!(found.is_some(), is_fine, "{bytes}");
        }
    }

    #[test]
    fn takes_as_many_tables_as_there_is_room_for() {
        let mut firmware = FakeFirmware::new();
        let at = firmware.put(table(MCFG, &[]));
        let root = firmware.put_root(2, &[at; MAX_ACPI_TABLES + 1]);
        let tables = Tables::find(&mut firmware, Some(root));
        assert_eq!(tables.all.len(), MAX_ACPI_TABLES);
    }

    #[test]
    fn reads_no_field_behind_the_end_of_its_table() {
        let mut firmware = FakeFirmware::new();
        let at = firmware.put(table(MCFG, &[1, 2, 3, 4]));
        let table = Table::open(&mut firmware, at).expect("fine");
        assert_eq!(table.read_u32(&mut firmware, 36), Some(0x0403_0201));
        assert_eq!(table.read_u32(&mut firmware, 37), None);
        assert_eq!(table.read_u32(&mut firmware, u32::MAX), None);
    }
}
