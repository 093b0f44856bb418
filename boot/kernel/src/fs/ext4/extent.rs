//! Where a file's blocks lie: one step down an extent tree or a block map.

use super::checksum::crc32c;

const MAGIC: u16 = 0xf30a;

/// Bytes of the header and of each entry.
const ENTRY: usize = 12;

/// Deepest extent tree (Linux `EXT4_MAX_EXTENT_DEPTH`).
pub(crate) const MAX_DEPTH: u16 = 5;

/// Blocks of an extent that is written; more means allocated but never written, which reads as zeroes.
const MAX_WRITTEN: u16 = 32768;

/// What a node of the tree says about a block of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It lies here on the disk, and so do the `count - 1` blocks behind it.
    Run {
        /// Block on the disk.
        start: u64,
        /// How many.
        count: u32,
    },
    /// It and the `count - 1` blocks behind it read as zeroes.
    Hole {
        /// How many, at least 1.
        count: u32,
    },
    /// The node in this block knows more.
    Child(u64),
}

/// Looks up `block` in a node `depth` levels above the leaves; `None` when the node is damaged. `depth` is `None` for
/// the root, which may have any depth up to the limit. `until` is the first block the node's neighbour knows of.
/// Returns the depth of the node too.
pub(crate) fn search(
    node: &[u8],
    depth: Option<u16>,
    block: u32,
    until: &mut u32,
) -> Option<(u16, Step)> {
    let half = |at: usize| Some(u16::from_le_bytes([*node.get(at)?, *node.get(at + 1)?]));
    let word = |at: usize| Some(u32::from(half(at)?) | u32::from(half(at + 2)?) << 16);
    let (entries, own_depth) = (half(2)?, half(6)?);
    if half(0)? != MAGIC
        || own_depth > MAX_DEPTH
        || depth.is_some_and(|depth| depth != own_depth)
        || (usize::from(entries) + 1) * ENTRY > node.len()
    {
        return None;
    }
    // The last entry that starts at or before `block`; entries are sorted, or the file is damaged and reads oddly.
    let mut found = None;
    for entry in 1..=usize::from(entries) {
        let start = word(entry * ENTRY)?;
        if start > block {
            *until = (*until).min(start);
            break;
        }
        found = Some(entry * ENTRY);
    }
    let hole = Step::Hole {
        count: until.saturating_sub(block).max(1),
    };
    let Some(at) = found else {
        return Some((own_depth, hole));
    };
    if own_depth > 0 {
        let child = u64::from(half(at + 8)?) << 32 | u64::from(word(at + 4)?);
        return Some((own_depth, Step::Child(child)));
    }
    let within = block - word(at)?;
    let length = half(at + 4)?;
    let (length, is_written) = if length > MAX_WRITTEN {
        (length - MAX_WRITTEN, false)
    } else {
        (length, true)
    };
    if within >= u32::from(length) {
        return Some((own_depth, hole));
    }
    let count = u32::from(length) - within;
    if !is_written {
        return Some((own_depth, Step::Hole { count }));
    }
    let start = u64::from(half(at + 6)?) << 32 | u64::from(word(at + 8)?);
    let start = start + u64::from(within);
    Some((own_depth, Step::Run { start, count }))
}

/// Returns whether the checksum behind a node's entries is right.
pub(crate) fn is_intact(node: &[u8], seed: u32) -> bool {
    let Some(&[low, high]) = node.get(4..6) else {
        return false;
    };
    let end = (usize::from(u16::from_le_bytes([low, high])) + 1) * ENTRY;
    let Some(stored) = node.get(end..end + 4) else {
        return false;
    };
    crc32c(seed, &node[..end]).to_le_bytes() == *stored
}

/// The way to a block through a classic block map (ext2): where to start in the inode, and which pointer to take in
/// each further block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MapPath {
    /// Index of the pointer in the inode.
    pub(crate) first: usize,
    /// Indices in the blocks below, outermost first; `depth` of them count.
    pub(crate) below: [u32; 3],
    /// How many blocks are passed.
    pub(crate) depth: usize,
}

/// Finds the way to `block`; `None` behind the largest file.
pub(crate) fn map_path(block: u32, block_bytes: u32) -> Option<MapPath> {
    let fan = u64::from(block_bytes / 4);
    let mut rest = u64::from(block);
    if rest < 12 {
        return Some(MapPath {
            first: block as usize,
            below: [0; 3],
            depth: 0,
        });
    }
    rest -= 12;
    for depth in 1..=3_u32 {
        let covered = fan.pow(depth);
        if rest < covered {
            let mut below = [0; 3];
            for (level, index) in below.iter_mut().take(depth as usize).enumerate() {
                let step = fan.pow(depth - 1 - level as u32);
                *index = (rest / step % fan) as u32;
            }
            return Some(MapPath {
                first: 11 + depth as usize,
                below,
                depth: depth as usize,
            });
        }
        rest -= covered;
    }
    None
}
