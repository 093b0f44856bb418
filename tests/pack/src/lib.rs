//! What does a VMM load?
//!
//! Not the kernel as the linker left it, but a smaller file, as Linux' `bzImage` is one: an ELF that a VMM enters by PVH
//! too, with a stub ([`Stub`], `boot/src/bin/unpack.rs`) and the kernel's bytes as one block of LZ4. The stub unpacks them
//! to the addresses the kernel is linked for and goes on at the kernel's own PVH entry.
//!
//! ```text
//!           the file loaded                     unpacked                        running
//!   1 MiB   headers, note                       rodata, text, data, as the      the kernel
//!     .                                         file of the kernel has them
//!     .     block ─┐                               ·  │ (written from the
//!     .            │                               ·  ▼  start on)
//!     .            │ (read from the start on)   bss, not cleared yet            bss
//!     .            ▼                               ·
//!     .     stub, on pages of its own           stub                            (bss)
//!   end of the kernel's bss
//! ```
//!
//! All of this lies where the running kernel lies anyway. The block stands as far back as the stub lets it and is read away
//! before it is written over, which [`Plan`] proves for each block when it is packed; the kernel clears its bss, and with it
//! what is left of block and stub, as it does in any case. So no machine needs more RAM to start the packed kernel than to
//! run it, nothing that a VMM may place beside the kernel is touched, and nothing has to be given back.
//!
//! Unpacking destroys the block: who enters the image again has to load it again. VMMs do so at every reset.
//!
//! [`pack`] is the whole way; its steps are public for tests that put a block of their own behind the stub.
#![forbid(unsafe_code)]

mod block;
mod kernel;
mod packed;
mod plan;
mod stub;

pub use block::{compress, sum};
pub use kernel::Kernel;
pub use packed::write;
pub use plan::Plan;
pub use stub::Stub;

use thiserror::Error;

/// Bytes of a page: kernel and stub begin and end with one.
pub(crate) const PAGE_BYTES: u32 = 4096;

/// The most that is packed. A length in a block cannot wrap the stub's 32 bits, and no VMM has less RAM below 16 MiB.
pub const KERNEL_BYTES: u32 = 8 << 20;

/// Why there is no packed image.
#[derive(Debug, Error)]
pub enum PackError {
    /// The file is no ELF, or not one of ours.
    #[error("{what}: not an ELF as `linker.ld` makes it: {why}")]
    Elf {
        /// Which file.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel has more bytes than [`KERNEL_BYTES`].
    #[error("the kernel takes {0} bytes of RAM; at most {KERNEL_BYTES} are packed")]
    TooLarge(u64),
    /// The stub's code does not begin as its packer knows it.
    #[error("the stub does not begin as it should: {0}")]
    Stub(&'static str),
    /// LZ4 refused.
    #[error("LZ4: {0}")]
    Compress(#[from] std::io::Error),
    /// A block that no decoder takes, so that nothing can be said of where it may lie.
    #[error("the block is damaged at byte {0}")]
    Block(usize),
}

/// Packs `kernel`, an ELF, behind `stub`, another one. The same files give the same bytes.
///
/// # Errors
///
/// Which of the two is not what it should be.
pub fn pack(kernel: &[u8], stub: &[u8]) -> Result<Vec<u8>, PackError> {
    let kernel = Kernel::read(kernel)?;
    let stub = Stub::read(stub)?;
    let block = compress(&kernel.bytes)?;
    let plan = Plan::make(&kernel, &block, &stub)?;
    Ok(write(&kernel, &block, &stub, &plan))
}
