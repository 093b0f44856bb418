//! The upper half, drawn once:
//!
//! ```text
//! 0xffff_8880_0000_0000  direct map: all RAM, never executable, read-only over the image's constant part
//! 0xffff_c000_0000_0000  MMIO: device windows, mapped on demand, uncached
//! 0xffff_ffff_8000_0000  the image, from + 1 MiB (linker.ld): rodata R, text RX, data and stacks RW
//! ```

use crate::limits::PAGE_BYTES;

/// Virtual minus physical address of the image (linker.ld `KERNEL_BASE`).
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// Virtual minus physical address of RAM.
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;

/// Index of the root entry where the direct map begins.
pub const DIRECT_MAP_SLOT: u64 = (DIRECT_MAP >> 39) & 511;

/// RAM from here on is left alone: 32 TiB, the 64 root entries that the direct map has room for.
pub const DIRECT_MAP_BYTES: u64 = 1 << 45;

/// First virtual address of the MMIO window.
pub const MMIO_WINDOW: u64 = 0xffff_c000_0000_0000;

/// Bytes the entry code maps at every one of its three places: what start-up may touch before the final tables.
pub const ENTRY_MAPPED_BYTES: u64 = 1 << 30;

const _: () = assert!(DIRECT_MAP + DIRECT_MAP_BYTES <= MMIO_WINDOW);
const _: () = assert!(MMIO_WINDOW >> 39 != KERNEL_BASE >> 39);

/// Returns the address at which `physical`, a byte of RAM, is seen in the direct map.
#[must_use]
pub const fn direct(physical: u64) -> u64 {
    DIRECT_MAP.wrapping_add(physical)
}

/// Where the image lies, as physical addresses of whole pages, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// First byte, where constants begin.
    pub start: u64,
    /// First byte of the code.
    pub text: u64,
    /// First byte of the writable data.
    pub data: u64,
    /// First byte behind the image.
    pub end: u64,
    /// Pages inside the data that are never mapped: under each stack.
    pub guards: heapless::Vec<u64, MAX_GUARDS>,
}

/// Stacks with a guard page: main, exceptions, interrupts, NMI, double fault.
pub const MAX_GUARDS: usize = 8;

impl Image {
    /// Returns whether the addresses are whole pages in their order.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let ordered = self.start <= self.text && self.text <= self.data && self.data <= self.end;
        let whole = [self.start, self.text, self.data, self.end]
            .iter()
            .chain(&self.guards)
            .all(|address| address % PAGE_BYTES as u64 == 0);
        ordered && whole
    }
}
