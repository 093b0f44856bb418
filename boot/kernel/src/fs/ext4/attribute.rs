//! Extended attributes. They lie behind the fields of an inode, and in a block of their own (Linux fs/ext4/xattr.h).
//!
//! One of them means something here: the mark of a directory that hides those of the same name in the layers below it
//! (`trusted.overlay.opaque`, Linux Documentation/filesystems/overlayfs.rst).

use super::checksum::crc32c;

const MAGIC: u32 = 0xea02_0000;

/// Bytes of a block's header, where its own checksum lies in it, and bytes of an entry before its name.
const HEADER_BYTES: usize = 32;
const CHECKSUM: core::ops::Range<usize> = 16..20;
const ENTRY_BYTES: usize = 16;

/// The mark: `trusted.` is a number, and the rest is the name.
const TRUSTED: u8 = 4;
const NAME: &[u8] = b"overlay.opaque";
const VALUE: &[u8] = b"y";

/// What the numbers stand for. Those that are not here are access lists, which have a form of their own on the disk.
const PREFIXES: [(u8, &[u8]); 3] = [(1, b"user."), (TRUSTED, b"trusted."), (6, b"security.")];

/// Takes an attribute: the number of its prefix, the rest of its name, and its value.
pub(super) type Take<'a> = &'a mut dyn FnMut(u8, &[u8], &[u8]);

/// Returns what the number of a prefix stands for.
pub(super) fn prefix(index: u8) -> Option<&'static [u8]> {
    let known = PREFIXES.iter().find(|(number, _)| *number == index);
    known.map(|(_, prefix)| *prefix)
}

/// Where the mark is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fs) enum Opacity {
    /// It was looked for.
    Known(bool),
    /// It may be in this block.
    Block(u64),
}

fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// Returns whether the attributes behind an inode's fields have the mark.
pub(super) fn is_opaque_inode(bytes: &[u8]) -> bool {
    let mut is_opaque = false;
    each_in_inode(bytes, &mut |index, name, value| {
        is_opaque |= is_mark(index, name, value)
    });
    is_opaque
}

fn is_mark(index: u8, name: &[u8], value: &[u8]) -> bool {
    (index, name, value) == (TRUSTED, NAME, VALUE)
}

/// Goes through the attributes behind an inode's fields.
pub(super) fn each_in_inode(bytes: &[u8], take: Take<'_>) {
    if word(bytes) == Some(MAGIC) {
        each(&bytes[4..], &bytes[4..], take);
    }
}

/// Returns whether the attributes in a block have the mark; `None` for a block that is damaged. `seed` is the file
/// system's, if its blocks have checksums.
pub(super) fn is_opaque_block(bytes: &[u8], number: u64, seed: Option<u32>) -> Option<bool> {
    let mut is_opaque = false;
    let mut take = |index, name: &[u8], value: &[u8]| is_opaque |= is_mark(index, name, value);
    each_in_block(bytes, number, seed, &mut take)?;
    Some(is_opaque)
}

/// Goes through the attributes in a block; `None` for a block that is damaged.
pub(super) fn each_in_block(
    bytes: &[u8],
    number: u64,
    seed: Option<u32>,
    take: Take<'_>,
) -> Option<()> {
    if word(bytes)? != MAGIC {
        return None;
    }
    if let Some(seed) = seed {
        let crc = crc32c(seed, &number.to_le_bytes());
        let crc = crc32c(crc, bytes.get(..CHECKSUM.start)?);
        let crc = crc32c(crc, &[0; 4]);
        if crc32c(crc, bytes.get(CHECKSUM.end..)?) != word(&bytes[CHECKSUM])? {
            return None;
        }
    }
    each(bytes.get(HEADER_BYTES..)?, bytes, take);
    Some(())
}

/// Goes through a list of entries, whose values lie at offsets in `values`. A value that lies elsewhere (in an inode of its
/// own) or nowhere is passed over.
fn each(mut entries: &[u8], values: &[u8], take: Take<'_>) {
    // The list ends with four zeroes; what is cut off ends it too.
    while word(entries).is_some_and(|start| start != 0) && entries.len() >= ENTRY_BYTES {
        let (length, index) = (usize::from(entries[0]), entries[1]);
        let Some(name) = entries.get(ENTRY_BYTES..ENTRY_BYTES + length) else {
            return;
        };
        let at = usize::from(u16::from_le_bytes([entries[2], entries[3]]));
        let is_here = word(&entries[4..]) == Some(0);
        let size = word(&entries[8..]).map_or(0, |size| size as usize);
        let value = at.checked_add(size).and_then(|end| values.get(at..end));
        if let Some(value) = value.filter(|_| is_here) {
            take(index, name, value);
        }
        let next = (ENTRY_BYTES + length).next_multiple_of(4);
        entries = entries.get(next..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn entry(index: u8, name: &[u8], at: u16, size: u32) -> Vec<u8> {
        let mut entry = vec![name.len() as u8, index];
        entry.extend(at.to_le_bytes());
        entry.extend([0; 4]);
        entry.extend(size.to_le_bytes());
        entry.extend([0; 4]);
        entry.extend(name);
        entry.resize(entry.len().next_multiple_of(4), 0);
        entry
    }

    /// Attributes behind an inode, whose values begin at byte 90 behind the magic.
    fn inode(entries: &[Vec<u8>], values: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend(entries.concat());
        bytes.resize(94, 0);
        bytes.extend(values);
        bytes
    }

    #[test]
    fn the_mark_is_found_among_others() {
        let other = entry(1, b"abc", 91, 1);
        let mark = entry(TRUSTED, NAME, 90, 1);
        assert!(is_opaque_inode(&inode(&[other.clone(), mark], b"y")));
        assert!(!is_opaque_inode(&inode(&[other], b"y")));
        assert!(!is_opaque_inode(&[]));
        assert!(!is_opaque_inode(&inode(&[], b"")));
    }

    #[test]
    fn another_value_or_namespace_is_no_mark() {
        for (index, name, at, size, value) in [
            (TRUSTED, NAME, 90, 1, &b"n"[..]),
            (TRUSTED, NAME, 90, 2, b"yy"),
            (TRUSTED, NAME, 90, 0, b"y"),
            (1, NAME, 90, 1, b"y"),
            (TRUSTED, b"overlay.opaquE", 90, 1, b"y"),
            (TRUSTED, NAME, 91, 1, b"y"),
            (TRUSTED, NAME, u16::MAX, u32::MAX, b"y"),
        ] {
            let bytes = inode(&[entry(index, name, at, size)], value);
            assert!(!is_opaque_inode(&bytes), "{index} {at} {size}");
        }
    }

    #[test]
    fn a_list_cut_anywhere_is_no_mark_and_no_harm() {
        let bytes = inode(&[entry(TRUSTED, NAME, 90, 1)], b"y");
        for length in 0..bytes.len() {
            assert!(!is_opaque_inode(&bytes[..length]), "{length}");
        }
        assert!(is_opaque_inode(&bytes));
    }

    #[test]
    fn a_block_is_believed_with_its_checksum_alone() {
        let mut block = vec![0; 1024];
        block[..4].copy_from_slice(&MAGIC.to_le_bytes());
        let mark = entry(TRUSTED, NAME, 1020, 1);
        block[HEADER_BYTES..HEADER_BYTES + mark.len()].copy_from_slice(&mark);
        block[1020] = b'y';
        assert_eq!(is_opaque_block(&block, 7, None), Some(true));
        assert_eq!(is_opaque_block(&block, 7, Some(5)), None);
        let crc = crc32c(crc32c(5, &7_u64.to_le_bytes()), &block);
        block[CHECKSUM].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(is_opaque_block(&block, 7, Some(5)), Some(true));
        assert_eq!(is_opaque_block(&block, 8, Some(5)), None);
        assert_eq!(is_opaque_block(&block[1..], 7, None), None);
        assert_eq!(is_opaque_block(&[], 7, None), None);
    }
}
