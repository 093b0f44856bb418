//! virtio-mmio devices named on the kernel command line.
//!
//! ```text
//! virtio_mmio.device=<size>@<base>:<gsi>[:<id>]      Linux Documentation/admin-guide/kernel-parameters.txt
//! virtio_mmio.device=512@0xfeb00e00:12               QEMU microvm,acpi=off
//! virtio_mmio.device=4K@0xc0001000:5                 Firecracker
//! ```
//!
//! VMMs append them to whatever command line they were given, also behind a `--`, so the whole line is searched.

use crate::words::{Words, cut};

/// The parameter's name.
const PARAMETER: &str = "virtio_mmio.device=";

/// A register window of a virtio-mmio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmioSlot {
    /// Physical address.
    pub base: u64,
    /// Length.
    pub bytes: u64,
    /// Global system interrupt.
    pub gsi: u32,
}

/// A parameter that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadParameter<'a>(pub &'a str);

/// Returns the devices named on `command_line`, in order.
pub fn mmio_slots(
    command_line: &str,
) -> impl Iterator<Item = Result<MmioSlot, BadParameter<'_>>> + '_ {
    Words::new(command_line)
        .filter_map(|word| word.strip_prefix(PARAMETER))
        .map(|value| parse_slot(value).ok_or(BadParameter(value)))
}

fn parse_slot(value: &str) -> Option<MmioSlot> {
    let (bytes, place) = cut(value, b'@');
    let (base, inputs) = cut(place?, b':');
    let (gsi, id) = cut(inputs?, b':');
    if let Some(id) = id {
        parse_number(id)?;
    }
    let base = parse_number(base)?;
    base.is_multiple_of(4).then_some(MmioSlot {
        base,
        bytes: parse_size(bytes)?,
        gsi: u32::try_from(parse_number(gsi)?).ok()?,
    })
}

/// Reads a number with an optional suffix K, M or G.
fn parse_size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    parse_number(digits)?.checked_mul(1 << shift)
}

/// Reads a number: hexadecimal after `0x`, octal after `0`, else decimal, as C's strtoul does.
fn parse_number(text: &str) -> Option<u64> {
    let hex = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    let octal = text.strip_prefix('0').filter(|rest| !rest.is_empty());
    let (digits, radix) = match (hex, octal) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) => (octal, 8),
        (None, None) => (text, 10),
    };
    // `from_str_radix` alone would take a sign.
    let is_plain = digits.starts_with(|first: char| first.is_digit(radix));
    is_plain
        .then(|| u64::from_str_radix(digits, radix).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Option<MmioSlot> {
        let mut slots = mmio_slots(text);
        let first = slots.next()?.ok()?;
        assert_eq!(slots.next(), None);
        Some(first)
    }

    fn slot(base: u64, bytes: u64, gsi: u32) -> Option<MmioSlot> {
        Some(MmioSlot { base, bytes, gsi })
    }

    #[test]
    fn reads_what_qemu_and_firecracker_append() {
        let qemu = "console=ttyS0 virtio_mmio.device=512@0xfeb00e00:12";
        assert_eq!(only(qemu), slot(0xfeb0_0e00, 512, 12));
        let firecracker = "pci=off virtio_mmio.device=4K@0xc0001000:5";
        assert_eq!(only(firecracker), slot(0xc000_1000, 4096, 5));
    }

    #[test]
    fn reads_several_and_those_behind_a_double_dash() {
        let line =
            "a -- init arg virtio_mmio.device=1M@0x1000:5 virtio_mmio.device=0x200@010000:6:0";
        let slots: std::vec::Vec<_> = mmio_slots(line).collect();
        assert_eq!(slots[0].ok(), slot(0x1000, 1 << 20, 5));
        assert_eq!(slots[1].ok(), slot(0o10000, 0x200, 6));
    }

    #[test]
    fn refuses_what_is_malformed_and_names_it() {
        for value in [
            "",
            "512",
            "512@",
            "512@0x1000",
            "512@0x1000:",
            "@0x1000:5",
            "512@0x1000:5:",
            "512@0x1000:5:1:2",
            "512@0x:5",
            "512@+4096:5",
            "-1@0x1000:5",
            "512@0x1002:5",
            "512@0x1000:4294967296",
            "16777216G@0x1000:5000000000",
            "99999999999999999999@0x1000:5",
            "18014398509481984G@0x1000:5",
        ] {
            let line = std::format!("virtio_mmio.device={value}");
            let found: std::vec::Vec<_> = mmio_slots(&line).collect();
            assert_eq!(found, [Err(BadParameter(value))]);
        }
    }

    #[test]
    fn finds_nothing_in_other_parameters() {
        assert_eq!(
            mmio_slots("xvirtio_mmio.device=1@0x0:1 virtio_mmio").count(),
            0
        );
    }
}
