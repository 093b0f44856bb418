//! Time: the time stamp counter, measured once against a clock whose rate is known.

use super::apic::{LocalApic, TIMER_HZ};
use super::port::Port;
use crate::clock::{Clock, Instant};
use core::arch::x86_64::{__cpuid, _rdtsc};
use core::fmt;
use core::time::Duration;

/// How long the measurement takes. A reading is uncertain by a few tenths of a microsecond, so this gives a rate that
/// is right to a few parts in ten thousand.
const MEASURED_NANOS: u64 = 1_000_000;

/// Readings after which a reference that does not move is given up; a reading takes at least 20 ns.
const MAX_READINGS: u32 = 1 << 20;

/// Rates we believe: from far below the slowest x86-64 processor to far above the fastest.
const PLAUSIBLE_HZ: core::ops::RangeInclusive<u64> = 100_000_000..=20_000_000_000;

/// Input clock of the programmable interval timer (Intel 8254; IBM PC AT).
const PIT_HZ: u64 = 1_193_182;

/// The reference clock did not move, or the rate measured with it is absurd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReference;

/// Where the rate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The hypervisor says it.
    Hypervisor,
    /// Measured against the local timer.
    LocalTimer,
    /// Measured against the programmable interval timer.
    IntervalTimer,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hypervisor => "as the hypervisor says",
            Self::LocalTimer => "by the local timer",
            Self::IntervalTimer => "by the interval timer",
        })
    }
}

/// Nanoseconds for each count, as a fraction over 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate(u64);

impl Rate {
    /// # Errors
    ///
    /// [`NoReference`] for a rate outside [`PLAUSIBLE_HZ`].
    const fn from_hz(hz: u64) -> Result<Self, NoReference> {
        if hz < *PLAUSIBLE_HZ.start() || hz > *PLAUSIBLE_HZ.end() {
            return Err(NoReference);
        }
        Ok(Self(((1_000_000_000_u128 << 32) / hz as u128) as u64))
    }

    const fn nanos(self, counts: u64) -> u64 {
        // 64 bits of counts times at most 36 bits of rate; the result fits 64 bits for 500 years.
        ((counts as u128 * self.0 as u128) >> 32) as u64
    }
}

/// The time stamp counter.
#[derive(Clone, Copy, Debug)]
pub struct Tsc {
    start: u64,
    rate: Rate,
    hz: u64,
    reference: Reference,
    epoch: Option<Duration>,
}

impl Tsc {
    /// Reads the counter. The first call's result is what [`Tsc::measure`] takes as time zero.
    #[must_use]
    pub fn read() -> u64 {
        // SAFETY: every x86-64 processor has the counter, and we leave it readable.
        unsafe { _rdtsc() }
    }

    /// Finds the counter's rate; `start` is its value at [`Instant::ZERO`].
    ///
    /// # Errors
    ///
    /// [`NoReference`] when neither hypervisor, local timer nor interval timer tells it.
    pub fn measure(start: u64, apic: &LocalApic) -> Result<Self, NoReference> {
        let with = |hz, reference| {
            Rate::from_hz(hz).map(|rate| Self {
                start,
                rate,
                hz,
                reference,
                epoch: None,
            })
        };
        if let Some(hz) = hypervisor_hz()
            && let Ok(clock) = with(hz, Reference::Hypervisor)
        {
            return Ok(clock);
        }
        apic.start_counting();
        let ticks = || u64::from(u32::MAX - apic.count());
        if let Ok(hz) = measured_hz(Self::read, ticks, TIMER_HZ)
            && let Ok(clock) = with(hz, Reference::LocalTimer)
        {
            return Ok(clock);
        }
        let hz = measured_hz(Self::read, pit_ticks(), PIT_HZ)?;
        with(hz, Reference::IntervalTimer)
    }

    /// Tells the wall time at [`Instant::ZERO`].
    pub const fn set_epoch(&mut self, epoch: Option<Duration>) {
        self.epoch = epoch;
    }

    /// Returns counts for each second.
    #[must_use]
    pub const fn hz(&self) -> u64 {
        self.hz
    }

    /// Returns where the rate comes from.
    #[must_use]
    pub const fn reference(&self) -> Reference {
        self.reference
    }
}

impl Clock for Tsc {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.rate.nanos(Self::read().saturating_sub(self.start)))
    }

    fn epoch(&self) -> Option<Duration> {
        self.epoch
    }
}

/// Measures a counter against one that ticks `reference_hz` times a second.
fn measured_hz(
    counter: impl Fn() -> u64,
    mut reference: impl FnMut() -> u64,
    reference_hz: u64,
) -> Result<u64, NoReference> {
    // The reference is read between two readings of the counter; of a few tries the closest pair is the least
    // disturbed by whatever else the host does.
    let mut pair = || {
        (0..3)
            .map(|_| {
                let before = counter();
                let ticks = reference();
                let after = counter();
                (after.wrapping_sub(before), before / 2 + after / 2, ticks)
            })
            .min()
            .expect("there were three tries")
    };
    let (_, first, first_ticks) = pair();
    for _ in 0..MAX_READINGS {
        let (_, last, last_ticks) = pair();
        let ticks = last_ticks.saturating_sub(first_ticks);
        if u128::from(ticks) * 1_000_000_000 < u128::from(MEASURED_NANOS) * u128::from(reference_hz)
        {
            continue;
        }
        let counts = last.saturating_sub(first);
        let hz = u128::from(counts) * u128::from(reference_hz) / u128::from(ticks);
        return u64::try_from(hz).map_err(|_| NoReference);
    }
    Err(NoReference)
}

/// Returns the rate from the hypervisor's timing leaf. Only KVM's signature vouches for it: under TCG the leaf reads as
/// something else.
fn hypervisor_hz() -> Option<u64> {
    const HYPERVISOR_PRESENT: u32 = 1 << 31;
    if __cpuid(1).ecx & HYPERVISOR_PRESENT == 0 {
        return None;
    }
    let signature = __cpuid(0x4000_0000);
    let kvm = [signature.ebx, signature.ecx, signature.edx]
        == [*b"KVMK", *b"VMKV", *b"M\0\0\0"].map(u32::from_le_bytes);
    if !kvm || signature.eax < 0x4000_0010 {
        return None;
    }
    let khz = __cpuid(0x4000_0010).eax;
    (khz != 0).then(|| u64::from(khz) * 1000)
}

/// Starts channel 0 of the interval timer and returns a reader of the ticks since. It wraps after 55 ms, far behind the
/// end of the measurement.
fn pit_ticks() -> impl FnMut() -> u64 {
    // SAFETY: the timer's registers have no effect on memory (command).
    let command = unsafe { Port::new(0x43) };
    // SAFETY: as above (channel 0).
    let channel = unsafe { Port::new(0x40) };
    command.write_u8(0x30); // channel 0, low byte then high byte, one-shot
    channel.write_u8(0xff);
    channel.write_u8(0xff);
    move || {
        command.write_u8(0); // latch channel 0
        let low = channel.read_u8();
        let high = channel.read_u8();
        u64::from(u16::MAX - u16::from_le_bytes([low, high]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    #[test]
    fn nanoseconds_do_not_overflow_within_centuries() {
        let rate = Rate::from_hz(3_000_000_000).unwrap();
        let century = 3_000_000_000_u64 * 60 * 60 * 24 * 365 * 90;
        let expected = 60 * 60 * 24 * 365 * 90 * 1_000_000_000_u64;
        assert!(rate.nanos(century).abs_diff(expected) < expected / 1_000_000_000);
    }

    #[test]
    fn a_count_of_one_second_is_one_second_at_every_plausible_rate() {
        for hz in [100_000_000, 2_400_000_000, 20_000_000_000] {
            let nanos = Rate::from_hz(hz).unwrap().nanos(hz);
            assert!(nanos.abs_diff(1_000_000_000) < 10, "{hz}: {nanos}");
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        for hz in [0, 99_999_999, 20_000_000_001, u64::MAX] {
            assert_eq!(Rate::from_hz(hz), Err(NoReference));
        }
    }

    #[test]
    fn measures_a_counter_against_a_reference() {
        let time = Cell::new(1_000_000_u64);
        let counter = || {
            time.set(time.get() + 40);
            time.get() * 3
        };
        let hz = measured_hz(counter, || time.get(), 1_000_000_000).unwrap();
        assert!(hz.abs_diff(3_000_000_000) < 3_000_000, "{hz}");
    }

    #[test]
    fn a_reference_that_stands_still_is_given_up() {
        let count = Cell::new(0);
        let counter = || {
            count.set(count.get() + 1);
            count.get()
        };
        assert_eq!(measured_hz(counter, || 5, 1_000_000_000), Err(NoReference));
    }
}
