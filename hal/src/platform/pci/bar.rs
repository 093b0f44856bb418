//! Base addresses (PCI Local Bus 3.0, 6.2.5.1): read as the firmware assigned them, or placed where it did not.
//!
//! A base address is never sized unless it must be placed: every write to one makes QEMU rebuild its memory map,
//! which costs 0.6 ms.

use super::{COMMAND_MEMORY, ConfigurationSpace, Function};

/// Offset of the first of six base addresses.
const OFFSET_BAR: u8 = 0x10;
/// How many there are.
const BARS: u8 = 6;

/// Bits of a base address.
const BAR_IO: u32 = 1;
const BAR_TYPE: u32 = 0b110;
const BAR_TYPE_32: u32 = 0b000;
const BAR_TYPE_64: u32 = 0b100;
const BAR_ADDRESS: u32 = !0xf;

/// Why a base address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarError {
    /// There is no such base address, or its type does not exist.
    Invalid(u8),
    /// It is in I/O space.
    Io(u8),
    /// The firmware left it unassigned and there is no window to place it in, or the window is full.
    Unassigned(u8),
}

impl core::fmt::Display for BarError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Invalid(bar) => write!(f, "BAR {bar} is invalid"),
            Self::Io(bar) => write!(f, "BAR {bar} is in I/O space"),
            Self::Unassigned(bar) => {
                write!(f, "BAR {bar} is unassigned and there is no room for it")
            }
        }
    }
}

/// Where base addresses may be placed that the firmware left at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The next free address.
    next: u64,
    /// The first address behind the window.
    end: u64,
}

impl Window {
    /// A window with no room, where the firmware assigns all base addresses.
    #[must_use]
    pub const fn none() -> Self {
        Self::new(0, 0)
    }

    /// Makes a window of the addresses from `start` up to `end`.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self { next: start, end }
    }

    /// Takes `bytes` bytes, a power of two, at a multiple of their number.
    fn take(&mut self, bytes: u64) -> Option<u64> {
        let start = self.next.checked_next_multiple_of(bytes)?;
        let end = start.checked_add(bytes).filter(|&end| end <= self.end)?;
        self.next = end;
        Some(start)
    }
}

/// Returns the address in base address `bar`, placing it in `window` when it is 0.
///
/// # Errors
///
/// When it is no memory address or cannot be placed.
pub fn address(
    space: &mut impl ConfigurationSpace,
    function: Function,
    bar: u8,
    window: &mut Window,
) -> Result<u64, BarError> {
    let (value, is_wide) = read(space, function, bar)?;
    if value != 0 {
        return Ok(value);
    }
    place(space, function, bar, is_wide, window).ok_or(BarError::Unassigned(bar))
}

/// Reads an address and whether it takes two registers.
fn read(
    space: &mut impl ConfigurationSpace,
    function: Function,
    bar: u8,
) -> Result<(u64, bool), BarError> {
    if bar >= BARS {
        return Err(BarError::Invalid(bar));
    }
    let low = space.read(function, offset(bar));
    if low & BAR_IO != 0 {
        return Err(BarError::Io(bar));
    }
    let address = u64::from(low & BAR_ADDRESS);
    match low & BAR_TYPE {
        BAR_TYPE_32 => Ok((address, false)),
        BAR_TYPE_64 if bar + 1 < BARS => {
            let high = space.read(function, offset(bar + 1));
            Ok((address | u64::from(high) << 32, true))
        }
        _ => Err(BarError::Invalid(bar)),
    }
}

/// Sizes a base address and puts it into the window. Decoding is off meanwhile, so that the sizing pattern is never
/// an address anybody sees.
fn place(
    space: &mut impl ConfigurationSpace,
    function: Function,
    bar: u8,
    is_wide: bool,
    window: &mut Window,
) -> Option<u64> {
    space.update_command(function, 0, COMMAND_MEMORY);
    space.write(function, offset(bar), u32::MAX);
    let mut mask = u64::from(space.read(function, offset(bar)) & BAR_ADDRESS);
    if is_wide {
        space.write(function, offset(bar + 1), u32::MAX);
        mask |= u64::from(space.read(function, offset(bar + 1))) << 32;
    } else {
        mask |= 0xffff_ffff_0000_0000;
    }
    let bytes = (!mask)
        .checked_add(1)
        .filter(|&bytes| bytes.is_power_of_two() && (is_wide || bytes < 1 << 32));
    let address = bytes.and_then(|bytes| window.take(bytes));
    space.write(function, offset(bar), address.unwrap_or(0) as u32);
    if is_wide {
        let high = (address.unwrap_or(0) >> 32) as u32;
        space.write(function, offset(bar + 1), high);
    }
    address
}

const fn offset(bar: u8) -> u8 {
    OFFSET_BAR + 4 * bar
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeSpace;
    use super::*;

    const AT: (u8, u8, u8) = (0, 1, 0);
    const FUNCTION: Function = Function {
        bus: 0,
        device: 1,
        function: 0,
    };

    fn space(bars: [u32; 6]) -> FakeSpace {
        let mut space = FakeSpace::default();
        space.put(AT, 0, 0x1042_1af4);
        for (bar, value) in (0..).zip(bars) {
            space.put(AT, offset(bar), value);
        }
        space
    }

    fn assigned(space: &mut FakeSpace, bar: u8) -> Result<u64, BarError> {
        address(space, FUNCTION, bar, &mut Window::none())
    }

    #[test]
    fn reads_addresses_as_assigned_and_writes_nothing() {
        let mut space = space([0xfebf_e000, 0xff80_000c, 0x3fff, 0, 0, 0]);
        assert_eq!(assigned(&mut space, 0), Ok(0xfebf_e000));
        assert_eq!(assigned(&mut space, 1), Ok(0x3fff_ff80_0000));
        assert!(space.writes.is_empty());
    }

    #[test]
    fn refuses_what_is_no_memory_address() {
        let mut space = space([0xc001, 0xfebf_e002, 0, 0, 0, 0xff80_0004]);
        assert_eq!(assigned(&mut space, 0), Err(BarError::Io(0)));
        assert_eq!(assigned(&mut space, 1), Err(BarError::Invalid(1)));
        assert_eq!(assigned(&mut space, 5), Err(BarError::Invalid(5)));
        assert_eq!(assigned(&mut space, 6), Err(BarError::Invalid(6)));
        assert_eq!(assigned(&mut space, 2), Err(BarError::Unassigned(2)));
    }

    #[test]
    fn places_an_unassigned_address_at_a_multiple_of_its_size() {
        let mut space = space([0x0000_000c, 0, 0, 0, 0, 0]);
        space.fix(AT, offset(0), 0x3fff);
        let mut window = Window::new(0xc000_1000, 0xe000_0000);
        let placed = address(&mut space, FUNCTION, 0, &mut window);
        assert_eq!(placed, Ok(0xc000_4000));
        assert_eq!(assigned(&mut space, 0), Ok(0xc000_4000));
    }

    #[test]
    fn leaves_an_address_at_zero_when_the_window_is_full() {
        let mut space = space([0, 0, 0, 0, 0, 0]);
        space.fix(AT, offset(0), 0xfff);
        let mut window = Window::new(0xc000_0000, 0xc000_0fff);
        let placed = address(&mut space, FUNCTION, 0, &mut window);
        assert_eq!(placed, Err(BarError::Unassigned(0)));
        assert_eq!(space.read(FUNCTION, offset(0)), 0);
    }

    #[test]
    fn refuses_a_register_without_an_address() {
        let mut space = space([0; 6]);
        space.fix(AT, offset(0), u32::MAX);
        let mut window = Window::new(0, u64::MAX);
        let placed = address(&mut space, FUNCTION, 0, &mut window);
        assert_eq!(placed, Err(BarError::Unassigned(0)));
    }
}
