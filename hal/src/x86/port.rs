//! I/O ports.

use core::arch::asm;

/// An I/O port.
#[derive(Clone, Copy, Debug)]
pub struct Port(u16);

impl Port {
    /// Names a port.
    ///
    /// # Safety
    ///
    /// Nothing that is read from or written to the port through this value changes memory that Rust knows of.
    #[must_use]
    pub const unsafe fn new(number: u16) -> Self {
        Self(number)
    }

    /// Reads a byte. An absent device gives all ones on most machines and zero on some.
    #[must_use]
    pub fn read_u8(self) -> u8 {
        let value;
        // SAFETY: the port was promised not to change memory.
        unsafe {
            asm!("in al, dx", in("dx") self.0, out("al") value, options(nomem, nostack, preserves_flags));
        }
        value
    }

    /// Reads four bytes.
    #[must_use]
    pub fn read_u32(self) -> u32 {
        let value;
        // SAFETY: the port was promised not to change memory.
        unsafe {
            asm!("in eax, dx", in("dx") self.0, out("eax") value, options(nomem, nostack, preserves_flags));
        }
        value
    }

    /// Writes a byte.
    pub fn write_u8(self, value: u8) {
        // SAFETY: the port was promised not to change memory.
        unsafe {
            asm!("out dx, al", in("dx") self.0, in("al") value, options(nomem, nostack, preserves_flags));
        }
    }

    /// Writes two bytes.
    pub fn write_u16(self, value: u16) {
        // SAFETY: the port was promised not to change memory.
        unsafe {
            asm!("out dx, ax", in("dx") self.0, in("ax") value, options(nomem, nostack, preserves_flags));
        }
    }

    /// Writes four bytes.
    pub fn write_u32(self, value: u32) {
        // SAFETY: the port was promised not to change memory.
        unsafe {
            asm!("out dx, eax", in("dx") self.0, in("eax") value, options(nomem, nostack, preserves_flags));
        }
    }
}
