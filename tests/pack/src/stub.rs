//! The stub's code, and what is filled into it.

use crate::PackError;
use elf::ElfBytes;
use elf::abi::{PF_X, PT_LOAD};
use elf::endian::LittleEndian;

/// `mov ebp, imm32`, the first instruction: its operand is the code's own address.
const MOV_EBP: u8 = 0xbd;
/// Where that operand is.
const SELF: usize = 1;
/// Where the table is, as `boot/src/bin/unpack.rs` has it.
const TABLE: usize = 16;
/// Entries of the table, four bytes each.
const ENTRIES: usize = 5;

/// Code that unpacks a block, wherever it is put.
pub struct Stub {
    code: Vec<u8>,
}

/// What a stub is told: physical addresses, and the sum over what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) block_start: u32,
    pub(crate) block_end: u32,
    pub(crate) room_start: u32,
    pub(crate) entry: u32,
    pub(crate) sum: u32,
}

impl Stub {
    /// Takes the code out of the linked stub.
    ///
    /// # Errors
    ///
    /// What is not as the stub's source has it.
    pub fn read(file: &[u8]) -> Result<Self, PackError> {
        let wrong = |why: String| PackError::Elf {
            what: "the stub",
            why,
        };
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file)
            .map_err(|error| wrong(error.to_string()))?;
        let code = elf
            .segments()
            .into_iter()
            .flatten()
            .find(|segment| segment.p_type == PT_LOAD && segment.p_flags & PF_X != 0)
            .ok_or_else(|| wrong("no code".into()))?;
        if code.p_vaddr != elf.ehdr.e_entry {
            return Err(PackError::Stub("its entry is not its first instruction"));
        }
        let code = elf
            .segment_data(&code)
            .map_err(|error| wrong(error.to_string()))?;
        let Some(&[first, ..]) = code.first_chunk::<{ TABLE + 4 * ENTRIES }>() else {
            return Err(PackError::Stub("its table is missing"));
        };
        if first != MOV_EBP || code[SELF..SELF + 4] != [0; 4] {
            return Err(PackError::Stub("its first instruction takes no address"));
        }
        if code[TABLE..TABLE + 4 * ENTRIES] != [0; 4 * ENTRIES] {
            return Err(PackError::Stub("its table is not empty"));
        }
        Ok(Self {
            code: code.to_vec(),
        })
    }

    /// Returns how many bytes it has.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.code.len() as u32
    }

    /// Returns whether it has no code, which none has that was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }

    /// Returns the code that works at physical address `address` with `table`.
    pub(crate) fn placed(&self, address: u32, table: &Table) -> Vec<u8> {
        let mut code = self.code.clone();
        code[SELF..SELF + 4].copy_from_slice(&address.to_le_bytes());
        let entries: [u32; ENTRIES] = [
            table.block_start,
            table.block_end,
            table.room_start,
            table.entry,
            table.sum,
        ];
        for (place, entry) in code[TABLE..].chunks_exact_mut(4).zip(entries) {
            place.copy_from_slice(&entry.to_le_bytes());
        }
        code
    }
}
