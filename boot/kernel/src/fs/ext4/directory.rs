//! Directory blocks: a chain of entries that covers the block exactly.

use super::checksum::crc32c;

/// An entry that names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The file's inode.
    pub(crate) inode: u32,
    /// Its name: not empty, no NUL, no slash.
    pub(crate) name: &'a [u8],
    /// Its kind as getdents64 shows it, 0 when unknown.
    pub(crate) kind: u8,
    /// Offset of the entry behind it.
    pub(crate) next: usize,
}

/// The block's entries do not make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Type byte of the pseudo-entry that holds a block's checksum.
const CHECKSUM_TYPE: u8 = 0xde;

/// Returns the first entry at or behind `offset` that names a file, `None` at the end of the block.
///
/// The blocks of a hash index look like one unused entry and are passed over.
pub(crate) fn next_entry(block: &[u8], mut offset: usize) -> Result<Option<Entry<'_>>, Damaged> {
    while offset < block.len() {
        let header = block.get(offset..offset + 8).ok_or(Damaged)?;
        let inode = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        let name_length = usize::from(header[6]);
        if length < 8 + name_length
            || length < 12
            || length % 4 != 0
            || length > block.len() - offset
        {
            return Err(Damaged);
        }
        let next = offset + length;
        if inode == 0 || name_length == 0 {
            offset = next;
            continue;
        }
        let name = &block[offset + 8..offset + 8 + name_length];
        if name.iter().any(|&byte| byte == 0 || byte == b'/') {
            return Err(Damaged);
        }
        // ext4's types to those of getdents64: regular, directory, character, block, fifo, socket, symlink.
        let kind = [0, 8, 4, 2, 6, 1, 12, 10]
            .get(usize::from(header[7]))
            .copied()
            .unwrap_or(0);
        return Ok(Some(Entry {
            inode,
            name,
            kind,
            next,
        }));
    }
    Ok(None)
}

/// Returns whether the block's checksum is right. Blocks of a hash index have theirs elsewhere and pass.
pub(crate) fn is_intact(block: &[u8], seed: u32) -> bool {
    let Some(tail) = block.len().checked_sub(12).map(|start| &block[start..]) else {
        return false;
    };
    let is_tail = tail[..4] == [0; 4] && tail[4..8] == [12, 0, 0, CHECKSUM_TYPE];
    !is_tail || crc32c(seed, &block[..block.len() - 12]).to_le_bytes() == tail[8..12]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn block(entries: &[(u32, u16, &[u8], u8)]) -> Vec<u8> {
        let mut block = vec![];
        for &(inode, length, name, kind) in entries {
            let start = block.len();
            block.extend_from_slice(&inode.to_le_bytes());
            block.extend_from_slice(&length.to_le_bytes());
            block.extend_from_slice(&[name.len() as u8, kind]);
            block.extend_from_slice(name);
            block.resize(start + usize::from(length), 0);
        }
        block
    }

    #[test]
    fn passes_over_unused_entries() {
        let block = block(&[(0, 12, b"", 0), (7, 12, b"a", 1), (0, 16, b"old", 1)]);
        let entry = next_entry(&block, 0).unwrap().unwrap();
        assert_eq!((entry.inode, entry.name, entry.kind), (7, &b"a"[..], 8));
        assert_eq!(next_entry(&block, entry.next), Ok(None));
    }

    #[test]
    fn refuses_entries_that_do_not_cover_the_block() {
        for length in [0_u16, 4, 8, 11, 13, 40, 0xffff] {
            let mut bytes = block(&[(7, 12, b"a", 1), (8, 20, b"b", 1)]);
            bytes[4..6].copy_from_slice(&length.to_le_bytes());
            let first = next_entry(&bytes, 0);
            let end =
                first.and_then(|entry| next_entry(&bytes, entry.map_or(0, |entry| entry.next)));
            assert!(end.is_err(), "a record of {length} bytes was believed");
        }
    }

    #[test]
    fn refuses_names_with_a_slash_or_a_nul() {
        for name in [&b"a/b"[..], b"a\0b", b"/", b"\0"] {
            assert_eq!(next_entry(&block(&[(7, 12, name, 1)]), 0), Err(Damaged));
        }
    }

    #[test]
    fn no_block_of_random_bytes_makes_it_panic_or_loop() {
        let mut state = 1_u32;
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..1024)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Mostly small numbers, so that some chains go on for a while.
                    if state >> 30 == 0 {
                        (state >> 20) as u8
                    } else {
                        (state >> 24) as u8 & 28
                    }
                })
                .collect();
            let mut offset = 0;
            while let Ok(Some(entry)) = next_entry(&bytes, offset) {
                assert!(entry.next > offset);
                offset = entry.next;
            }
        }
    }
}
