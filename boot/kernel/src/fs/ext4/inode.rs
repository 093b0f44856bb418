//! An inode on the disk.

use super::attribute::{Opacity, is_opaque_inode};
use super::checksum::crc32c;
use super::superblock::Geometry;
use crate::account::AccountId;
use crate::fs::attributes::{Attributes, Kind};
use crate::fs::device::device_number;
use crate::limits::{FILE_BYTES, PATH_BYTES};
use core::time::Duration;

/// The root directory's inode.
pub(crate) const ROOT: u32 = 2;

/// Inode flags (Linux fs/ext4/ext4.h).
const ENCRYPTED: u32 = 0x800;
const EXTENTS: u32 = 0x8_0000;
const INLINE_DATA: u32 = 0x1000_0000;

/// Longest symbolic link that is stored in the inode itself.
const INLINE_LINK_BYTES: u64 = 59;

/// What is needed to find a file's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::fs) struct Node {
    pub(in crate::fs) volume: u8,
    pub(in crate::fs) number: u32,
    /// `i_block`: the root of the extent tree, the block map, or a short link's target.
    pub(in crate::fs) block: [u8; 60],
    pub(in crate::fs) has_extents: bool,
    /// Seed of the checksums of everything that belongs to this inode.
    pub(in crate::fs) seed: Option<u32>,
    /// The run of blocks found last: first block of the file, first block on the disk, how many.
    pub(in crate::fs) last_run: (u32, u64, u32),
    /// Whether a directory hides those of the same name in lower layers.
    pub(in crate::fs) opacity: Opacity,
    /// The search for a name that goes on in another turn.
    pub(in crate::fs) search: Search,
}

/// Where the search for a name in a directory has come to. It begins where the last name was found: who asks for one after the
/// other in the directory's order finds each at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::fs) struct Search {
    /// For whom it is under way, if it is, and the name's hash: nobody can go on with another container's.
    pub(in crate::fs) of: Option<(AccountId, u64)>,
    /// The page it began with.
    pub(in crate::fs) first: u32,
    /// Pages from there on, around the end, that were looked at.
    pub(in crate::fs) done: u32,
}

/// Returns where an inode's attributes are: behind its fields, and in a block, or 0.
pub(super) fn attributes_of(bytes: &[u8]) -> (&[u8], u64) {
    let field = |at: usize, len: usize| {
        let mut word = [0; 8];
        word[..len].copy_from_slice(bytes.get(at..at + len).unwrap_or(&[0; 8][..len]));
        u64::from_le_bytes(word)
    };
    let extra = match bytes.len() {
        0..=128 => bytes.len(),
        _ => 128 + field(0x80, 2) as usize,
    };
    (
        bytes.get(extra..).unwrap_or_default(),
        field(0x76, 2) << 32 | field(0x68, 4),
    )
}

impl Node {
    /// Parses an inode; `None` when it is damaged or of a kind this reader does not know.
    pub(in crate::fs) fn parse(
        geometry: &Geometry,
        volume: u8,
        number: u32,
        bytes: &[u8],
    ) -> Option<(Self, Attributes)> {
        let bytes = bytes.get(..geometry.inode_bytes as usize)?;
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        // How far the part behind the first 128 bytes is in use; beyond it fields do not exist.
        let extra = if bytes.len() > 128 {
            128 + usize::from(half(0x80))
        } else {
            128
        };
        let has = |at: usize, len: usize| at + len <= extra.min(bytes.len());

        let seed = geometry.seed.map(|seed| {
            let seed = crc32c(seed, &number.to_le_bytes());
            crc32c(seed, &bytes[0x64..0x68])
        });
        if let Some(seed) = seed {
            let has_upper = has(0x82, 2);
            let mut crc = crc32c(seed, &bytes[..0x7c]);
            crc = crc32c(crc, &[0, 0]);
            crc = crc32c(crc, &bytes[0x7e..128]);
            if bytes.len() > 128 {
                crc = crc32c(crc, &bytes[128..0x82]);
                crc = if has_upper {
                    crc32c(crc, &[0, 0])
                } else {
                    crc32c(crc, &bytes[0x82..0x84])
                };
                crc = crc32c(crc, &bytes[0x84..]);
            }
            let upper = if has_upper { half(0x82) } else { 0 };
            let stored = u32::from(upper) << 16 | u32::from(half(0x7c));
            let crc = if has_upper { crc } else { crc & 0xffff };
            if stored != crc {
                return None;
            }
        }

        let mode = half(0);
        let kind = Kind::from_mode(mode)?;
        let flags = word(0x20);
        let links = half(0x1a);
        if links == 0 || flags & (ENCRYPTED | INLINE_DATA) != 0 {
            return None;
        }
        let size = u64::from(word(0x6c)) << 32 | u64::from(word(0x4));
        let is_fine = match kind {
            Kind::Regular => size <= FILE_BYTES,
            Kind::Directory => {
                size <= u64::from(u32::MAX) && size % u64::from(geometry.block_bytes) == 0
            }
            Kind::Symlink => size > 0 && size < PATH_BYTES as u64,
            _ => true,
        };
        if !is_fine {
            return None;
        }
        let time = |at: usize, extra_at: usize| {
            let seconds = word(at);
            let more = if has(extra_at, 4) { word(extra_at) } else { 0 };
            // Before 1970 is shown as 1970. The two low bits extend the seconds (Linux ext4 `ext4_decode_extra_time`).
            let seconds = i64::from(seconds as i32) + (i64::from(more & 3) << 32);
            let nanos = (more >> 2).min(999_999_999);
            Duration::new(u64::try_from(seconds).unwrap_or(0), nanos)
        };
        let special = match kind {
            Kind::Character | Kind::Block => {
                let (old, new) = (word(0x28), word(0x2c));
                if old != 0 {
                    device_number(old >> 8 & 0xff, old & 0xff)
                } else {
                    device_number((new & 0xf_ff00) >> 8, new & 0xff | new >> 12 & 0xf_ff00)
                }
            }
            _ => 0,
        };
        let attributes = Attributes {
            kind,
            permissions: mode & 0o7777,
            uid: u32::from(half(0x78)) << 16 | u32::from(half(0x2)),
            gid: u32::from(half(0x7a)) << 16 | u32::from(half(0x18)),
            size,
            links: u32::from(links),
            number: u64::from(number),
            device: 0,
            special,
            blocks: u64::from(half(0x74)) << 32 | u64::from(word(0x1c)),
            accessed: time(0x8, 0x8c),
            modified: time(0x10, 0x88),
            changed: time(0xc, 0x84),
        };
        let (behind, block) = attributes_of(bytes);
        let opacity = if kind != Kind::Directory {
            Opacity::Known(false)
        } else if is_opaque_inode(behind) {
            Opacity::Known(true)
        } else if block == 0 {
            Opacity::Known(false)
        } else {
            Opacity::Block(block)
        };
        let node = Self {
            volume,
            number,
            block: bytes[0x28..0x64].try_into().ok()?,
            has_extents: flags & EXTENTS != 0,
            seed,
            last_run: (0, 0, 0),
            opacity,
            search: Search::default(),
        };
        Some((node, attributes))
    }

    /// Returns the target of a symbolic link that is stored in the inode.
    pub(in crate::fs) fn inline_link(&self, size: u64) -> Option<&[u8]> {
        (size <= INLINE_LINK_BYTES && !self.has_extents).then(|| &self.block[..size as usize])
    }
}
