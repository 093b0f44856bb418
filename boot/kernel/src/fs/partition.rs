//! GUID partition tables (UEFI 2.10, 5.3): a header behind the first sector, with a copy in the last one, and a list of
//! entries. Everything is checked against the device and both checksums before it is believed; when the first header is
//! damaged the copy is asked.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::limits::PARTITION_TABLE_BYTES;
use crate::wait::Stall;
use hal::block::{Block, SECTOR_BYTES};
use hal::limits::PAGE_BYTES;

const SECTOR: u64 = SECTOR_BYTES as u64;

const SIGNATURE: &[u8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
const MIN_HEADER_BYTES: usize = 92;
const MIN_ENTRY_BYTES: u32 = 128;

/// What a header says of the list of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// Sectors partitions may lie in, first and last.
    usable: (u64, u64),
    /// First sector of the list.
    entries: u64,
    count: u32,
    /// Bytes of an entry.
    size: u32,
    /// Checksum of the list.
    checksum: u32,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let field = bytes
        .get(at..at + 4)
        .and_then(|field| field.try_into().ok());
    u32::from_le_bytes(field.unwrap_or_default())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

impl Header {
    /// Parses the header in sector `here` of a disk of `sectors`; `None` when it is damaged.
    fn parse(bytes: &[u8], here: u64, sectors: u64) -> Option<Self> {
        let length = word(bytes, 12) as usize;
        if !bytes.starts_with(SIGNATURE)
            || word(bytes, 8) != REVISION
            || length < MIN_HEADER_BYTES
            || length > bytes.len()
        {
            return None;
        }
        // The checksum is that of the header with zeroes in its place.
        let crc = crc32(!0, &bytes[..16]);
        let crc = crc32(crc, &[0; 4]);
        if !crc32(crc, &bytes[20..length]) != word(bytes, 16) || long(bytes, 24) != here {
            return None;
        }
        let header = Self {
            usable: (long(bytes, 40), long(bytes, 48)),
            entries: long(bytes, 72),
            count: word(bytes, 80),
            size: word(bytes, 84),
            checksum: word(bytes, 88),
        };
        let (first, last) = header.usable;
        let bytes = header.count.checked_mul(header.size)?;
        let end = header
            .entries
            .checked_add(u64::from(bytes).div_ceil(SECTOR))?;
        let is_sound = header.size >= MIN_ENTRY_BYTES
            && header.size.is_power_of_two()
            && header.size <= PAGE_BYTES as u32
            && bytes <= PARTITION_TABLE_BYTES
            && header.entries > 1
            && end <= sectors
            && first <= last
            && last < sectors;
        is_sound.then_some(header)
    }

    /// Returns the first byte of the partition that an entry describes and how many there are; `None` when it is unused,
    /// or lies where none may lie.
    fn partition(&self, entry: &[u8]) -> Option<(u64, u64)> {
        let (first, last) = (long(entry, 32), long(entry, 40));
        let is_used = entry.iter().take(16).any(|&byte| byte != 0);
        let is_inside = self.usable.0 <= first && first <= last && last <= self.usable.1;
        (is_used && is_inside).then(|| (first * SECTOR, (last - first + 1) * SECTOR))
    }
}

impl<B: Block> Files<B> {
    /// Finds partition `number`, counted from 1, of the disk whose whole is `volume`: its first byte and how many it has.
    ///
    /// # Errors
    ///
    /// ENODATA without a sound partition table, ENXIO without such a partition, EIO.
    pub(super) fn find_partition(
        &mut self,
        context: &mut Context<'_>,
        volume: u8,
        number: u64,
    ) -> Result<(u64, u64), Stall> {
        let sectors = self.volumes.bytes(volume) / SECTOR;
        for here in [1, sectors.saturating_sub(1)] {
            let found = self.partition_by(context, volume, (here, sectors), number);
            if found != Err(Errno::ENODATA.into()) {
                return found;
            }
        }
        Err(Errno::ENODATA.into())
    }

    /// Finds a partition by the header in one sector.
    fn partition_by(
        &mut self,
        context: &mut Context<'_>,
        volume: u8,
        (here, sectors): (u64, u64),
        number: u64,
    ) -> Result<(u64, u64), Stall> {
        if here >= sectors {
            return Err(Errno::ENODATA.into());
        }
        let (page, range) = self.volume_bytes(context, volume, here * SECTOR, SECTOR_BYTES)?;
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        let bytes = &context.pool.bytes(frame)[range];
        let header = Header::parse(bytes, here, sectors).ok_or(Errno::ENODATA)?;
        let start = header.entries * SECTOR;
        let end = start + u64::from(header.count * header.size);
        let wanted = number
            .checked_sub(1)
            .filter(|&nth| nth < header.count.into());
        let wanted = wanted.map(|nth| start + nth * u64::from(header.size));
        let mut found = None;
        let mut crc = !0;
        let mut at = start;
        // Sector by sector, because entries may begin at any of them and end in another page.
        while at < end {
            let length = (end - at).min(SECTOR) as usize;
            let (page, range) = self.volume_bytes(context, volume, at, length)?;
            let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
            let bytes = &context.pool.bytes(frame)[range];
            crc = crc32(crc, bytes);
            if let Some(entry) = wanted
                && (at..at + length as u64).contains(&entry)
            {
                found = header.partition(&bytes[(entry - at) as usize..]);
            }
            at += length as u64;
        }
        if !crc != header.checksum {
            return Err(Errno::ENODATA.into());
        }
        Ok(found.ok_or(Errno::ENXIO)?)
    }
}

/// Returns the checksum of `bytes` behind what `seed` is the checksum of (CRC-32 of IEEE 802.3, bits reflected); the first
/// seed is all ones, and the last result is to be inverted. A table is not worth it: this is used once for each disk.
#[inline(never)]
fn crc32(seed: u32, bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    bytes.iter().fold(seed, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ ((crc & 1) * POLYNOMIAL)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// A sound header of a disk with 2048 sectors.
    fn header() -> Vec<u8> {
        let mut bytes = vec![0; SECTOR_BYTES];
        bytes[..8].copy_from_slice(SIGNATURE);
        put(&mut bytes, 8, u64::from(REVISION) | 92 << 32);
        for (at, value) in [(24, 1), (32, 2047), (40, 34), (48, 2014), (72, 2)] {
            put(&mut bytes, at, value);
        }
        put(&mut bytes, 80, 128 | 128 << 32);
        seal(&mut bytes, 92);
        bytes
    }

    fn put(bytes: &mut [u8], at: usize, value: u64) {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn seal(bytes: &mut [u8], length: usize) {
        bytes[16..20].fill(0);
        let crc = !crc32(!0, &bytes[..length]);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    }

    #[test]
    fn agrees_with_the_check_value_of_crc_32() {
        assert_eq!(!crc32(!0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(crc32(!0, b"1234"), b"56789"), crc32(!0, b"123456789"));
    }

    #[test]
    fn a_sound_header_is_believed() {
        let header = Header::parse(&header(), 1, 2048).unwrap();
        assert_eq!((header.entries, header.count, header.size), (2, 128, 128));
        assert_eq!(header.usable, (34, 2014));
    }

    #[test]
    fn every_byte_of_a_header_counts() {
        for at in 0..92 {
            let mut bytes = header();
            bytes[at] ^= 1;
            assert_eq!(Header::parse(&bytes, 1, 2048), None, "byte {at}");
        }
        assert_eq!(Header::parse(&header(), 2, 2048), None, "another place");
    }

    #[test]
    fn a_header_with_right_checksums_and_wrong_numbers_is_not_believed() {
        let wide = |low: u64, high: u64| low | high << 32;
        for (what, at, value) in [
            ("a length below", 8, wide(REVISION.into(), 91)),
            ("a length above", 8, wide(REVISION.into(), 513)),
            ("first usable behind last", 40, 2015),
            ("last usable behind the disk", 48, 2048),
            ("entries in the header", 72, 1),
            ("entries at 0", 72, 0),
            ("entries that end behind the disk", 72, 2048 - 31),
            ("entries that overflow", 72, u64::MAX),
            ("small entries", 80, wide(128, 64)),
            ("odd entries", 80, wide(128, 129)),
            ("large entries", 80, wide(1, 8192)),
            ("many entries", 80, wide(257, 128)),
            ("a product that overflows", 80, wide(1 << 31, 128)),
        ] {
            let mut bytes = header();
            put(&mut bytes, at, value);
            let length = (word(&bytes, 12) as usize).min(512);
            seal(&mut bytes, length);
            assert_eq!(Header::parse(&bytes, 1, 2048), None, "{what}");
        }
        let mut bytes = header();
        put(&mut bytes, 72, 2048 - 32);
        seal(&mut bytes, 92);
        assert!(
            Header::parse(&bytes, 1, 2048).is_some(),
            "just before the end"
        );
    }

    #[test]
    fn partitions_lie_where_they_may() {
        let header = Header::parse(&header(), 1, 2048).unwrap();
        for (first, last, expected) in [
            (34, 34, Some((34 * 512, 512))),
            (34, 2014, Some((34 * 512, 1981 * 512))),
            (33, 40, None),
            (40, 39, None),
            (34, 2015, None),
            (u64::MAX, u64::MAX, None),
        ] {
            let mut entry = [0; 128];
            entry[3] = 1;
            put(&mut entry, 32, first);
            put(&mut entry, 40, last);
            assert_eq!(header.partition(&entry), expected, "{first} to {last}");
            entry[3] = 0;
            assert_eq!(header.partition(&entry), None, "unused");
        }
    }
}
