//! FADT: the registers that end the machine (ACPI 6.5, 5.2.9).

use super::{Firmware, Table};

/// Offsets (ACPI 6.5, table 5.9).
const PM1A_CONTROL: u32 = 64;
const FLAGS: u32 = 112;
const RESET_REGISTER: u32 = 116;
const RESET_VALUE: u32 = 128;
const X_PM1A_CONTROL: u32 = 172;
const SLEEP_CONTROL: u32 = 244;

/// Flags (ACPI 6.5, table 5.10).
const FLAG_RESET_REGISTER: u32 = 1 << 10;
const FLAG_HW_REDUCED: u32 = 1 << 20;

/// `SLP_TYP` 5 and `SLP_EN` of the sleep control register (ACPI 6.5, table 4.19); 5 is S5 on QEMU's microvm and Cloud
/// Hypervisor.
const SLEEP_S5: u16 = (5 << 2) | (1 << 5);
/// `SLP_TYP` 0 and `SLP_EN` of the PM1 control register (ACPI 6.5, table 4.13); 0 is S5 in QEMU's DSDT for q35 and pc.
const PM1_S5: u16 = 1 << 13;

/// A register of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In memory.
    Memory(u64),
    /// An I/O port.
    Port(u16),
}

/// A write that ends the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// One byte.
    Byte(Place, u8),
    /// Two bytes.
    Word(Place, u16),
}

/// What the table says about ending the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Powers off.
    pub power_off: Option<Write>,
    /// Resets.
    pub reset: Option<Write>,
}

/// Reads the table. Registers it lacks, or that are malformed, count as absent.
pub fn ending(firmware: &mut impl Firmware, fadt: Table) -> Ending {
    let flags = fadt.read_u32(firmware, FLAGS).unwrap_or(0);
    let power_off = match flags & FLAG_HW_REDUCED {
        0 => pm1_control(firmware, fadt).map(|place| Write::Word(place, PM1_S5)),
        _ => address(firmware, fadt, SLEEP_CONTROL).map(|place| Write::Byte(place, SLEEP_S5 as u8)),
    };
    let reset = match flags & FLAG_RESET_REGISTER {
        0 => None,
        _ => address(firmware, fadt, RESET_REGISTER).and_then(|place| {
            let [value] = fadt.read_array(firmware, RESET_VALUE)?;
            Some(Write::Byte(place, value))
        }),
    };
    Ending { power_off, reset }
}

/// Returns the PM1a control register: the wide field where it is filled in, else the old one, which is a port.
fn pm1_control(firmware: &mut impl Firmware, fadt: Table) -> Option<Place> {
    if let Some(place) = address(firmware, fadt, X_PM1A_CONTROL) {
        return Some(place);
    }
    let port = u16::try_from(fadt.read_u32(firmware, PM1A_CONTROL)?).ok()?;
    (port != 0).then_some(Place::Port(port))
}

/// Reads a generic address (ACPI 6.5, 5.2.3.2); `None` for an absent one and for other spaces than memory and ports.
fn address(firmware: &mut impl Firmware, fadt: Table, offset: u32) -> Option<Place> {
    let bytes = fadt.read_array::<12>(firmware, offset)?;
    let address = u64::from_le_bytes(bytes[4..].try_into().ok()?);
    match (bytes[0], address) {
        (_, 0) => None,
        (0, address) => Some(Place::Memory(address)),
        (1, port) => u16::try_from(port).ok().map(Place::Port),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeFirmware, table};
    use super::*;

    /// A table of `bytes` bytes with `fields` at their offsets.
    fn read(bytes: usize, fields: &[(u32, &[u8])]) -> Ending {
        let mut body = std::vec![0; bytes - 36];
        for (offset, field) in fields {
            let start = *offset as usize - 36;
            body[start..start + field.len()].copy_from_slice(field);
        }
        let mut firmware = FakeFirmware::new();
        let at = firmware.put(table(b"FACP", &body));
        let fadt = Table::open(&mut firmware, at).expect("fine");
        ending(&mut firmware, fadt)
    }

    /// A generic address.
    fn generic(space: u8, address: u64) -> [u8; 12] {
        let mut bytes = [space, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[4..].copy_from_slice(&address.to_le_bytes());
        bytes
    }

    #[test]
    fn a_microvm_sleeps_by_memory() {
        let flags = (FLAG_HW_REDUCED | FLAG_RESET_REGISTER).to_le_bytes();
        let ending = read(
            268,
            &[
                (FLAGS, &flags),
                (SLEEP_CONTROL, &generic(0, 0xfea0_0200)),
                (RESET_REGISTER, &generic(0, 0xfea0_0202)),
                (RESET_VALUE, &[0x42]),
            ],
        );
        let off = Write::Byte(Place::Memory(0xfea0_0200), 0x34);
        let reset = Write::Byte(Place::Memory(0xfea0_0202), 0x42);
        assert_eq!(ending.power_off, Some(off));
        assert_eq!(ending.reset, Some(reset));
    }

    #[test]
    fn cloud_hypervisor_sleeps_by_a_port() {
        let flags = FLAG_HW_REDUCED.to_le_bytes();
        let ending = read(276, &[(FLAGS, &flags), (SLEEP_CONTROL, &generic(1, 0x600))]);
        let off = Write::Byte(Place::Port(0x600), 0x34);
        assert_eq!(ending.power_off, Some(off));
        assert_eq!(ending.reset, None);
    }

    #[test]
    fn a_pc_sleeps_by_pm1_in_the_wide_or_the_old_field() {
        let off = Some(Write::Word(Place::Port(0x604), 0x2000));
        let old = read(116, &[(PM1A_CONTROL, &0x604_u32.to_le_bytes())]);
        assert_eq!(old.power_off, off);
        let wide = read(244, &[(X_PM1A_CONTROL, &generic(1, 0x604))]);
        assert_eq!(wide.power_off, off);
    }

    #[test]
    fn firecracker_has_no_register_at_all() {
        let flags = FLAG_HW_REDUCED.to_le_bytes();
        let ending = read(276, &[(FLAGS, &flags)]);
        assert_eq!(ending, Ending::default());
    }

    #[test]
    fn registers_of_other_spaces_and_ports_out_of_range_count_as_absent() {
        let flags = FLAG_HW_REDUCED.to_le_bytes();
        for place in [generic(2, 0x600), generic(1, 0x1_0000)] {
            let ending = read(276, &[(FLAGS, &flags), (SLEEP_CONTROL, &place)]);
            assert_eq!(ending.power_off, None);
        }
        let wide_port = read(116, &[(PM1A_CONTROL, &0x1_0604_u32.to_le_bytes())]);
        assert_eq!(wide_port.power_off, None);
    }

    #[test]
    fn a_table_that_ends_early_has_nothing() {
        assert_eq!(read(36, &[]), Ending::default());
        assert_eq!(read(112, &[]), Ending::default());
    }
}
