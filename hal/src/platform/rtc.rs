//! The real-time clock of a PC (Motorola MC146818A data sheet), where there is one: Firecracker has none.

use crate::x86::port::Port;
use core::time::Duration;

/// Ports: the register's number, and its content.
const INDEX_PORT: u16 = 0x70;
const DATA_PORT: u16 = 0x71;

/// Registers.
const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
/// Where PC firmware keeps the century.
const CENTURY: u8 = 0x32;

/// Bits of the status registers.
const A_UPDATE_IN_PROGRESS: u8 = 0x80;
const B_BINARY: u8 = 0x04;
const B_24_HOURS: u8 = 0x02;
/// Bit of the hours that means afternoon in 12-hour mode.
const HOURS_PM: u8 = 0x80;

/// How often the clock is read until no update comes between. An update takes 2 ms at most and comes once a second.
const MAX_READINGS: usize = 8;
/// How often the status is read until an update is over; each reading takes 1 µs and more.
const MAX_UPDATE_POLLS: usize = 10_000;

/// Reads the clock; `None` when there is none or it does not make sense. The time is taken as UTC.
#[must_use]
pub fn read() -> Option<Duration> {
    // SAFETY: the clock's ports change no memory.
    let index = unsafe { Port::new(INDEX_PORT) };
    // SAFETY: as above.
    let data = unsafe { Port::new(DATA_PORT) };
    read_by(|register| {
        index.write_u8(register);
        data.read_u8()
    })
}

/// Reads the clock through `register`. When the seconds are the same behind the last register as before the first,
/// nothing was updated in between.
fn read_by(mut register: impl FnMut(u8) -> u8) -> Option<Duration> {
    for _ in 0..MAX_READINGS {
        let is_quiet =
            (0..MAX_UPDATE_POLLS).any(|_| register(STATUS_A) & A_UPDATE_IN_PROGRESS == 0);
        if !is_quiet {
            return None;
        }
        let reading = Reading {
            time: [SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY].map(&mut register),
            mode: register(STATUS_B),
        };
        if register(SECONDS) == reading.time[0] {
            return reading.to_epoch();
        }
    }
    None
}

/// The registers as they were read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Seconds, minutes, hours, day, month, year, century.
    time: [u8; 7],
    mode: u8,
}

impl Reading {
    fn to_epoch(self) -> Option<Duration> {
        let [second, minute, hour, day, month, year, century] = self.time;
        let is_afternoon = self.mode & B_24_HOURS == 0 && hour & HOURS_PM != 0;
        let second = self.number(second).filter(|&n| n < 60)?;
        let minute = self.number(minute).filter(|&n| n < 60)?;
        let hour = match self.mode & B_24_HOURS {
            0 => self
                .number(hour & !HOURS_PM)
                .filter(|n| (1..=12).contains(n))
                .map(|hour| hour % 12 + if is_afternoon { 12 } else { 0 })?,
            _ => self.number(hour).filter(|&n| n < 24)?,
        };
        let month = self.number(month).filter(|n| (1..=12).contains(n))?;
        let year = self.number(year).filter(|&n| n < 100)?;
        // A machine without the century register gives anything there.
        let century = self.number(century).filter(|n| (20..=21).contains(n));
        let year = century.unwrap_or(20) * 100 + year;
        let day = self.number(day)?;
        if day == 0 || day > days_of_month(year, month) {
            return None;
        }
        let days = days_since_1970(year, month, day);
        Some(Duration::from_secs(
            ((days * 24 + hour) * 60 + minute) * 60 + second,
        ))
    }

    /// Decodes a register: binary, or two decimal digits.
    fn number(self, value: u8) -> Option<u64> {
        if self.mode & B_BINARY != 0 {
            return Some(value.into());
        }
        let (tens, ones) = (value >> 4, value & 0xf);
        (tens < 10 && ones < 10).then(|| u64::from(tens) * 10 + u64::from(ones))
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts days up to a date of 1970 or later.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|y| 365 + u64::from(is_leap(y))).sum();
    let months: u64 = (1..month).map(|m| days_of_month(year, m)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that shows `time` (second to century) in `mode`.
    fn show(time: [u8; 7], mode: u8) -> Option<u64> {
        read_by(|register| match register {
            STATUS_A => 0x26,
            STATUS_B => mode,
            CENTURY => time[6],
            SECONDS => time[0],
            MINUTES => time[1],
            HOURS => time[2],
            DAY => time[3],
            MONTH => time[4],
            YEAR => time[5],
            other => panic!("register {other:#x}"),
        })
        .map(|epoch| epoch.as_secs())
    }

    #[test]
    fn reads_decimal_and_binary_24_and_12_hours() {
        // 2026-11-22 01:33:39 UTC.
        let expected = Some(1_795_311_219);
        let decimal = [0x39, 0x33, 0x01, 0x22, 0x11, 0x26, 0x20];
        assert_eq!(show(decimal, B_24_HOURS), expected);
        assert_eq!(show(decimal, 0), expected);
        let binary = [39, 33, 1, 22, 11, 26, 20];
        assert_eq!(show(binary, B_24_HOURS | B_BINARY), expected);
    }

    #[test]
    fn noon_and_midnight_are_right_in_12_hours() {
        let at = |hour| show([0, 0, hour, 0x01, 0x01, 0x00, 0x20], 0);
        let midnight = 946_684_800;
        assert_eq!(at(0x12), Some(midnight));
        assert_eq!(at(0x92), Some(midnight + 12 * 3600));
        assert_eq!(at(0x81), Some(midnight + 13 * 3600));
        assert_eq!(at(0x91), Some(midnight + 23 * 3600));
        assert_eq!(at(0x13), None);
        assert_eq!(at(0x00), None);
    }

    #[test]
    fn knows_leap_days() {
        let at = |day, year| show([0, 0, 0, day, 0x02, year, 0x20], B_24_HOURS);
        assert_eq!(at(0x29, 0x24), Some(1_709_164_800));
        assert_eq!(at(0x29, 0x26), None);
        assert_eq!(show([0, 0, 0, 0x29, 0x02, 0x00, 0x21], B_24_HOURS), None);
    }

    #[test]
    fn an_absent_clock_is_none() {
        assert_eq!(read_by(|_| 0xff), None);
        assert_eq!(read_by(|_| 0), None);
    }

    #[test]
    fn refuses_what_is_no_time() {
        let fine = [0x59, 0x59, 0x23, 0x31, 0x12, 0x99, 0x20];
        assert!(show(fine, B_24_HOURS).is_some());
        for (index, value) in [
            (0, 0x60),
            (0, 0x0a),
            (1, 0x60),
            (2, 0x24),
            (3, 0x32),
            (3, 0x00),
            (4, 0x13),
            (4, 0x00),
            (5, 0xa0),
        ] {
            let mut time = fine;
            time[index] = value;
            assert_eq!(show(time, B_24_HOURS), None, "{index} {value:#x}");
        }
    }

    #[test]
    fn reads_again_when_the_time_moved_meanwhile() {
        let mut readings = 0;
        let epoch = read_by(|register| match register {
            STATUS_A => 0,
            STATUS_B => B_24_HOURS | B_BINARY,
            SECONDS => {
                readings += 1;
                if readings == 1 { 59 } else { 0 }
            }
            DAY | MONTH => 1,
            CENTURY => 20,
            _ => 0,
        });
        assert_eq!(epoch, Some(Duration::from_secs(946_684_800)));
        assert_eq!(readings, 4);
    }

    #[test]
    fn gives_up_on_a_clock_that_never_stands_still() {
        let mut count = 0_u8;
        let moving = read_by(|register| match register {
            STATUS_A => 0,
            _ => {
                count = count.wrapping_add(1);
                count
            }
        });
        assert_eq!(moving, None);
    }
}
