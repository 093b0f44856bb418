//! The superblock: geometry, checked against the device before anything is believed.

use super::checksum::crc32c;
use core::fmt;

/// Where the superblock starts on the disk.
pub(crate) const START: u64 = 1024;

/// Its length.
pub(crate) const BYTES: usize = 1024;

const MAGIC: u16 = 0xef53;

/// Incompatible features this reader understands or that do not concern a reader (Linux fs/ext4/ext4.h).
const FILETYPE: u32 = 0x2;
const RECOVER: u32 = 0x4;
const EXTENTS: u32 = 0x40;
const WIDE: u32 = 0x80;
const FLEX_GROUPS: u32 = 0x200;
const XATTR_INODES: u32 = 0x400;
const CHECKSUM_SEED: u32 = 0x2000;
const LARGE_DIRECTORIES: u32 = 0x4000;
const KNOWN: u32 = FILETYPE
    | RECOVER
    | EXTENTS
    | WIDE
    | FLEX_GROUPS
    | XATTR_INODES
    | CHECKSUM_SEED
    | LARGE_DIRECTORIES;

/// Metadata carries checksums (a read-only compatible feature).
const METADATA_CHECKSUMS: u32 = 0x400;

/// What is needed to find things on the disk. Valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Bytes of a block: 1024, 2048 or 4096.
    pub(crate) block_bytes: u32,
    /// Blocks, all of them on the device.
    pub(crate) blocks: u64,
    /// Inodes; their numbers start at 1.
    pub(crate) inodes: u32,
    pub(crate) inodes_per_group: u32,
    /// Bytes of an inode: a power of two from 128 to a block.
    pub(crate) inode_bytes: u32,
    /// Bytes of a group descriptor: a power of two from 32 to 1024.
    pub(crate) descriptor_bytes: u32,
    /// Block that holds the first group descriptor.
    pub(crate) descriptors: u64,
    /// Whether group descriptors have upper halves.
    pub(crate) wide: bool,
    /// Seed of metadata checksums, if there are any.
    pub(crate) seed: Option<u32>,
}

/// Why a disk is not mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No ext4 (or ext2/3) here: the magic number is this.
    Magic(u16),
    /// The superblock's checksum is wrong.
    Checksum,
    /// Block size, as a power of two above 1024, is more than a page.
    BlockSize(u32),
    /// It says it has this many blocks, which end behind the device.
    Truncated(u64),
    /// A field that locates inodes makes no sense; its name and value.
    Field(&'static str, u64),
    /// It has incompatible features this reader does not know: these bits.
    Features(u32),
    /// It was not unmounted and its journal holds changes.
    Journal,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic(magic) => write!(f, "no ext4 superblock (magic {magic:#06x})"),
            Self::Checksum => f.write_str("superblock checksum is wrong"),
            Self::BlockSize(log) => write!(f, "block size 1024 << {log} is above 4096"),
            Self::Truncated(blocks) => write!(f, "{blocks} blocks end behind the device"),
            Self::Field(name, value) => write!(f, "superblock field {name} is {value}"),
            Self::Features(bits) => write!(f, "incompatible features {bits:#x} are not supported"),
            Self::Journal => f.write_str("journal holds changes; run e2fsck on the host"),
        }
    }
}

impl Geometry {
    /// Parses a superblock and checks it against a device of `device_bytes`.
    pub(crate) fn parse(bytes: &[u8; BYTES], device_bytes: u64) -> Result<Self, Refused> {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;

        if half(0x38) != MAGIC {
            return Err(Refused::Magic(half(0x38)));
        }
        let checksums = word(0x64) & METADATA_CHECKSUMS != 0;
        if checksums && word(0x3fc) != crc32c(!0, &bytes[..0x3fc]) {
            return Err(Refused::Checksum);
        }
        let features = word(0x60);
        if features & !KNOWN != 0 {
            return Err(Refused::Features(features & !KNOWN));
        }
        if features & RECOVER != 0 {
            return Err(Refused::Journal);
        }
        if features & FILETYPE == 0 {
            return Err(Refused::Field("s_feature_incompat", u64::from(features)));
        }
        let log = word(0x18);
        if log > 2 {
            return Err(Refused::BlockSize(log));
        }
        let block_bytes = 1024 << log;

        let wide = features & WIDE != 0;
        let upper = if wide { u64::from(word(0x150)) } else { 0 };
        let blocks = upper << 32 | u64::from(word(0x4));
        if blocks > device_bytes / u64::from(block_bytes) {
            return Err(Refused::Truncated(blocks));
        }
        let first = word(0x14);
        if first != u32::from(block_bytes == 1024) {
            return Err(Refused::Field("s_first_data_block", u64::from(first)));
        }
        let per_group = word(0x20);
        if per_group == 0 || per_group > block_bytes * 8 {
            return Err(Refused::Field("s_blocks_per_group", u64::from(per_group)));
        }
        let inodes_per_group = word(0x28);
        if inodes_per_group == 0 || inodes_per_group > block_bytes * 8 {
            let value = u64::from(inodes_per_group);
            return Err(Refused::Field("s_inodes_per_group", value));
        }
        let groups = blocks
            .saturating_sub(u64::from(first))
            .div_ceil(u64::from(per_group));
        let inodes = word(0);
        if inodes < 2 || u64::from(inodes) > groups * u64::from(inodes_per_group) {
            return Err(Refused::Field("s_inodes_count", u64::from(inodes)));
        }
        // Revision 0 has inodes of 128 bytes and no field to say so.
        let inode_bytes = if word(0x4c) == 0 {
            128
        } else {
            u32::from(half(0x58))
        };
        if !inode_bytes.is_power_of_two() || inode_bytes < 128 || inode_bytes > block_bytes {
            return Err(Refused::Field("s_inode_size", u64::from(inode_bytes)));
        }
        let descriptor_bytes = if wide { u32::from(half(0xfe)) } else { 32 };
        if !descriptor_bytes.is_power_of_two()
            || descriptor_bytes > 1024
            || descriptor_bytes < if wide { 64 } else { 32 }
        {
            let value = u64::from(descriptor_bytes);
            return Err(Refused::Field("s_desc_size", value));
        }
        let seed = if features & CHECKSUM_SEED != 0 {
            word(0x270)
        } else {
            crc32c(!0, &bytes[0x68..0x78])
        };
        Ok(Self {
            block_bytes,
            blocks,
            inodes,
            inodes_per_group,
            inode_bytes,
            descriptor_bytes,
            descriptors: u64::from(first) + 1,
            wide,
            seed: checksums.then_some(seed),
        })
    }

    /// Returns where on the disk the descriptor of an inode's group starts, and the inode's place in its group.
    pub(crate) fn descriptor_of(&self, inode: u32) -> Option<(u32, u64, u32)> {
        if inode == 0 || inode > self.inodes {
            return None;
        }
        let group = (inode - 1) / self.inodes_per_group;
        let within = (inode - 1) % self.inodes_per_group;
        let start = self.descriptors * u64::from(self.block_bytes)
            + u64::from(group) * u64::from(self.descriptor_bytes);
        Some((group, start, within))
    }

    /// Reads a group descriptor; returns the first block of the group's inode table.
    pub(crate) fn inode_table(&self, group: u32, bytes: &[u8]) -> Option<u64> {
        let bytes = bytes.get(..self.descriptor_bytes as usize)?;
        let word = |at: usize| {
            let field = bytes.get(at..at + 4)?;
            Some(u64::from(u32::from_le_bytes(field.try_into().ok()?)))
        };
        if let Some(seed) = self.seed {
            let crc = crc32c(seed, &group.to_le_bytes());
            let crc = crc32c(crc, &bytes[..0x1e]);
            let crc = crc32c(crc, &[0, 0]);
            let crc = crc32c(crc, &bytes[0x20..]);
            if u64::from(crc & 0xffff) != word(0x1c)? >> 16 {
                return None;
            }
        }
        let upper = if self.wide { word(0x28)? } else { 0 };
        let block = upper << 32 | word(0x8)?;
        (block > 0 && block < self.blocks).then_some(block)
    }
}
