//! Device registers in memory: windows with a length, accessed at their natural width.

use core::ptr::NonNull;

/// Makes device registers reachable; on the machine [`crate::x86::mmio::Windows`] does.
///
/// # Safety
///
/// What `map` returns is mapped uncached to exactly the physical range asked for, readable and writable for the rest of
/// the program, and not RAM that anything else uses.
pub unsafe trait MapRegisters {
    /// Maps `bytes` bytes of registers at `physical`; `None` when the range is unusable or tables have run out. The
    /// pointer keeps the offset into the page.
    fn map(&mut self, physical: u64, bytes: usize) -> Option<NonNull<u8>>;

    /// Maps a range and returns it as a window.
    fn window(&mut self, physical: u64, bytes: usize) -> Option<Registers> {
        physical.checked_add(bytes as u64)?;
        let start = self.map(physical, bytes)?;
        // SAFETY: the implementer promises that the range is mapped for good.
        Some(unsafe { Registers::new(start, bytes) })
    }
}

/// A window of device registers.
#[derive(Debug)]
pub struct Registers {
    /// Valid for volatile access to `bytes` bytes for the rest of the program.
    start: NonNull<u8>,
    bytes: usize,
}

/// The widths of a register.
pub trait Width: Copy + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
}

impl Width for u8 {}
impl Width for u16 {}
impl Width for u32 {}

impl Registers {
    /// Makes a window of `bytes` bytes at `start`.
    ///
    /// # Safety
    ///
    /// The range is mapped and may be read and written with volatile accesses for the rest of the program.
    #[must_use]
    pub const unsafe fn new(start: NonNull<u8>, bytes: usize) -> Self {
        Self { start, bytes }
    }

    /// Returns where the window begins.
    #[must_use]
    pub const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Returns the length of the window.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads the register at `offset`.
    ///
    /// # Panics
    ///
    /// When the register is misaligned or outside the window: offsets are ours, or were checked.
    #[must_use]
    pub fn read<W: Width>(&self, offset: usize) -> W {
        let register = self.register::<W>(offset);
        // SAFETY: `register` checked bounds and alignment; the window may be read.
        unsafe { register.read_volatile() }
    }

    /// Writes the register at `offset`.
    ///
    /// # Panics
    ///
    /// As for [`Registers::read`].
    pub fn write<W: Width>(&self, offset: usize, value: W) {
        let register = self.register::<W>(offset);
        // SAFETY: `register` checked bounds and alignment; the window may be written.
        unsafe { register.write_volatile(value) };
    }

    /// Whether a register of `bytes` bytes at `offset` lies in the window.
    #[must_use]
    pub const fn holds(&self, offset: usize, bytes: usize) -> bool {
        bytes <= self.bytes && offset <= self.bytes - bytes
    }

    fn register<W: Width>(&self, offset: usize) -> NonNull<W> {
        assert!(
            self.holds(offset, size_of::<W>()),
            "register outside its window"
        );
        // SAFETY: `offset` lies in the window, checked above.
        let register = unsafe { self.start.add(offset) }.cast::<W>();
        assert!(register.is_aligned(), "misaligned register");
        register
    }
}

// SAFETY: registers are not bound to a thread.
unsafe impl Send for Registers {}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Registers {
        let memory = std::vec![0_u64; 2].leak();
        let start = NonNull::from(memory).cast::<u8>();
        // SAFETY: the memory was leaked just now and has 16 bytes.
        unsafe { Registers::new(start, 16) }
    }

    #[test]
    fn reads_what_was_written_at_every_width() {
        let window = window();
        window.write(12, 0x0403_0201_u32);
        assert_eq!(window.read::<u8>(15), 4);
        assert_eq!(window.read::<u16>(12), 0x0201);
    }

    #[test]
    #[should_panic(expected = "outside its window")]
    fn refuses_a_register_behind_the_end() {
        window().write(16, 0_u8);
    }

    #[test]
    #[should_panic(expected = "misaligned")]
    fn refuses_a_misaligned_register() {
        let _ = window().read::<u32>(2);
    }
}
