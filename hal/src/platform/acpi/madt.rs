//! MADT: the interrupt controllers (ACPI 6.5, 5.2.12).

use super::{Firmware, Table};
use crate::limits::MAX_IO_APICS;
use heapless::Vec;

/// Where the list of structures begins; each has its type and length in the first two bytes.
const FIRST: u32 = 44;
/// An I/O APIC structure (ACPI 6.5, table 5.23).
const TYPE_IO_APIC: u8 = 1;
const IO_APIC_BYTES: u8 = 12;

/// An I/O interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApicPlace {
    /// Physical address of its registers, a multiple of 4.
    pub address: u64,
    /// Global system interrupt of its first input.
    pub first_gsi: u32,
}

/// Returns the I/O interrupt controllers in order. Those beyond [`MAX_IO_APICS`] are reported and left out, and so is what is
/// behind a structure without a length; one that is too short or lies where no register can is passed over.
pub fn io_apics(firmware: &mut impl Firmware, madt: Table) -> Vec<IoApicPlace, MAX_IO_APICS> {
    let mut found = Vec::new();
    let mut offset = FIRST;
    while offset < madt.bytes() {
        let Some([kind, bytes]) = madt.read_array(firmware, offset) else {
            break;
        };
        if bytes < 2 {
            log::warn!("MADT: structure of {bytes} bytes at {offset}, the rest is ignored");
            break;
        }
        if kind == TYPE_IO_APIC && bytes >= IO_APIC_BYTES {
            let Some(place) = read_io_apic(firmware, madt, offset) else {
                break;
            };
            // Whoever opens it reads and writes words there.
            if place.address.is_multiple_of(4) && found.push(place).is_err() {
                log::warn!("MADT: more than {MAX_IO_APICS} I/O interrupt controllers");
            }
        }
        offset += u32::from(bytes);
    }
    found
}

fn read_io_apic(firmware: &mut impl Firmware, madt: Table, offset: u32) -> Option<IoApicPlace> {
    Some(IoApicPlace {
        address: madt.read_u32(firmware, offset + 4)?.into(),
        first_gsi: madt.read_u32(firmware, offset + 8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeFirmware, table};
    use super::*;

    fn controllers(structures: &[u8]) -> std::vec::Vec<(u64, u32)> {
        let mut firmware = FakeFirmware::new();
        let mut body = std::vec![0; 8];
        body.extend(structures);
        let at = firmware.put(table(b"APIC", &body));
        let madt = Table::open(&mut firmware, at).expect("fine");
        let found = io_apics(&mut firmware, madt);
        found.iter().map(|c| (c.address, c.first_gsi)).collect()
    }

    const LOCAL: [u8; 8] = [0, 8, 0, 0, 1, 0, 0, 0];
    const FIRST_IO: [u8; 12] = [1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0];
    const SECOND_IO: [u8; 12] = [1, 12, 1, 0, 0, 0, 0xc1, 0xfe, 24, 0, 0, 0];

    #[test]
    fn finds_both_controllers_of_a_microvm() {
        let list = [&LOCAL[..], &FIRST_IO, &SECOND_IO].concat();
        let expected = [(0xfec0_0000, 0), (0xfec1_0000, 24)];
        assert_eq!(controllers(&list), expected);
    }

    #[test]
    fn stops_at_structures_that_do_not_move_on_or_run_over_the_end() {
        let stuck = [&FIRST_IO[..], &[7, 0], &SECOND_IO].concat();
        assert_eq!(controllers(&stuck).len(), 1);
        let cut = [&FIRST_IO[..], &SECOND_IO[..11]].concat();
        assert_eq!(controllers(&cut).len(), 1);
        let half = [&FIRST_IO[..], &[1]].concat();
        assert_eq!(controllers(&half).len(), 1);
    }

    #[test]
    fn passes_over_a_controller_that_is_too_short() {
        let short = [&[1, 11, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0][..], &SECOND_IO].concat();
        assert_eq!(controllers(&short), [(0xfec1_0000, 24)]);
    }

    #[test]
    fn passes_over_a_controller_whose_registers_would_be_misaligned() {
        for low in 1..4 {
            let mut misaligned = FIRST_IO;
            misaligned[4] = low;
            let list = [&misaligned[..], &SECOND_IO].concat();
            assert_eq!(controllers(&list), [(0xfec1_0000, 24)], "{low}");
        }
        let mut aligned = FIRST_IO;
        aligned[4] = 4;
        assert_eq!(controllers(&aligned), [(0xfec0_0004, 0)]);
    }

    #[test]
    fn keeps_as_many_as_there_is_room_for() {
        let many = FIRST_IO.repeat(MAX_IO_APICS + 1);
        assert_eq!(controllers(&many).len(), MAX_IO_APICS);
    }
}
