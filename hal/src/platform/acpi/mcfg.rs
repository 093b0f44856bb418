//! MCFG: where PCI's configuration space is in memory (PCI Firmware Specification 3.0, 4.1.2).

use super::{Firmware, Table};

/// Where the allocations begin, and the bytes of each: base, segment, first bus, last bus, reserved.
const FIRST: u32 = 44;
const ALLOCATION_BYTES: u32 = 16;

/// Returns the window of segment 0 that begins with bus 0.
pub fn ecam(firmware: &mut impl Firmware, mcfg: Table) -> Option<u64> {
    let mut offset = FIRST;
    while let Some(bytes) = mcfg.read_array::<12>(firmware, offset) {
        let base = u64::from_le_bytes(bytes[..8].try_into().ok()?);
        let segment = u16::from_le_bytes([bytes[8], bytes[9]]);
        if segment == 0 && bytes[10] == 0 && base != 0 {
            return Some(base);
        }
        offset = offset.checked_add(ALLOCATION_BYTES)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeFirmware, table};
    use super::*;

    fn window(allocations: &[u8]) -> Option<u64> {
        let mut firmware = FakeFirmware::new();
        let mut body = std::vec![0; 8];
        body.extend(allocations);
        let at = firmware.put(table(b"MCFG", &body));
        let mcfg = Table::open(&mut firmware, at).expect("fine");
        ecam(&mut firmware, mcfg)
    }

    const OTHER: [u8; 16] = [0, 0, 0, 0xb0, 0, 0, 0, 0, 1, 0, 0, 0xff, 0, 0, 0, 0];
    const OURS: [u8; 16] = [0, 0, 0, 0xe8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn finds_segment_0_behind_others() {
        assert_eq!(window(&[OTHER, OURS].concat()), Some(0xe800_0000));
    }

    #[test]
    fn finds_nothing_in_an_empty_or_cut_list() {
        assert_eq!(window(&[]), None);
        assert_eq!(window(&OTHER), None);
        assert_eq!(window(&OURS[..11]), None);
        assert_eq!(window(&[0; 16]), None);
    }
}
