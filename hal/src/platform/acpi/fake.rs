//! Firmware tables in a vector, for tests.

use super::{Firmware, HEADER_BYTES, ROOT_BYTES, ROOT_FIRST_BYTES};
use std::collections::BTreeMap;
use std::vec::Vec;

/// Pieces of memory by their address.
pub(crate) struct FakeFirmware {
    pieces: BTreeMap<u64, Vec<u8>>,
    next: u64,
}

impl FakeFirmware {
    pub(crate) fn new() -> Self {
        Self {
            pieces: BTreeMap::new(),
            next: 0x7fe0_0000,
        }
    }

    pub(crate) fn put(&mut self, content: Vec<u8>) -> u64 {
        let at = self.next;
        self.next += (content.len() as u64).next_multiple_of(0x100);
        self.pieces.insert(at, content);
        at
    }

    /// Puts a list of tables and, right behind it, the root pointer, whose address is returned.
    pub(crate) fn put_root(&mut self, revision: u8, tables: &[u64]) -> u64 {
        let entry = if revision < 2 { 4 } else { 8 };
        let addresses = tables.iter().map(|table| table.to_le_bytes());
        let body: Vec<u8> = addresses
            .flat_map(|address| address[..entry].to_vec())
            .collect();
        let signature = if revision < 2 { b"RSDT" } else { b"XSDT" };
        let list = self.put(table(signature, &body));
        let mut root = b"RSD PTR \0test! ".to_vec();
        root.push(revision);
        root.extend((list as u32).to_le_bytes());
        fix_checksum(&mut root, 8);
        assert_eq!(root.len(), ROOT_FIRST_BYTES);
        root.extend((ROOT_BYTES as u32).to_le_bytes());
        root.extend(list.to_le_bytes());
        root.extend([0; 4]);
        fix_checksum(&mut root, 32);
        self.put(root)
    }

    pub(crate) fn move_to(&mut self, from: u64, to: u64) {
        let piece = self.pieces.remove(&from).expect("put before");
        self.pieces.insert(to, piece);
    }

    /// Spoils the byte at `at`.
    pub(crate) fn flip(&mut self, at: u64) {
        let (start, piece) = self.pieces.range_mut(..=at).next_back().expect("put");
        piece[(at - start) as usize] ^= 1;
    }
}

impl Firmware for FakeFirmware {
    fn read(&mut self, physical: u64, into: &mut [u8]) -> Option<()> {
        let (start, piece) = self.pieces.range(..=physical).next_back()?;
        let offset = (physical - start) as usize;
        let bytes = piece.get(offset..offset.checked_add(into.len())?)?;
        into.copy_from_slice(bytes);
        Some(())
    }
}

/// Makes a table with a right header.
pub(crate) fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut content = signature.to_vec();
    content.resize(HEADER_BYTES as usize, 0);
    content.extend(body);
    let bytes = content.len() as u32;
    content[4..8].copy_from_slice(&bytes.to_le_bytes());
    fix_checksum(&mut content, 9);
    content
}

/// Makes all bytes sum up to 0 by the byte at `at`.
pub(crate) fn fix_checksum(content: &mut [u8], at: usize) {
    content[at] = 0;
    let total = content.iter().copied().fold(0, u8::wrapping_add);
    content[at] = total.wrapping_neg();
}
