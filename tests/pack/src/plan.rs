//! Where block and stub lie in RAM, so that unpacking writes over nothing that is still to be read.

use crate::block::{ended, sequences};
use crate::packed::HEADER_BYTES;
use crate::{Kernel, PAGE_BYTES, PackError, Stub};

/// How far what is written has to stay behind what is read, after each sequence: the stub writes up to 16 bytes past what
/// it means to, and this is twice that.
const DISTANCE_BYTES: u32 = 32;
/// Block and stub begin at a multiple of this in RAM and in the file.
pub(crate) const ALIGN_BYTES: u32 = 16;

/// The places of a block and its stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Physical address of the block, which with its end reaches to where the stub's page begins.
    pub block: u32,
    /// Physical address of the stub, which begins a page: a translator drops its code when other bytes of its page change.
    pub stub: u32,
    /// Physical address behind the last page of kernel and stub.
    pub end: u32,
}

impl Plan {
    /// Places `block` and `stub` at the end of the kernel's RAM, or behind it where the block would be overtaken or would
    /// meet the headers at the kernel's start.
    ///
    /// # Errors
    ///
    /// Where the block is damaged, or that it is another kernel's.
    pub fn make(kernel: &Kernel, block: &[u8], stub: &Stub) -> Result<Self, PackError> {
        let stub_bytes = stub.len().next_multiple_of(PAGE_BYTES);
        let block_bytes = ended(block).len() as u32;
        let sequences = sequences(block)?;
        if sequences.last().map(|at| at.written) != Some(kernel.bytes.len()) {
            return Err(PackError::Block(block.len()));
        }
        // The least address of the block with which nothing is overtaken.
        let lead = sequences
            .iter()
            .map(|at| (at.written as u32).saturating_sub(at.read as u32))
            .max()
            .unwrap_or(0);
        let least = kernel.start + (lead + DISTANCE_BYTES).max(HEADER_BYTES);
        let stub = (kernel.end.saturating_sub(stub_bytes))
            .max((least + block_bytes).next_multiple_of(PAGE_BYTES));
        Ok(Self {
            block: stub - block_bytes,
            stub,
            end: stub + stub_bytes,
        })
    }
}
