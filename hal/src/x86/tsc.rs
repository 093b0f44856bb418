//! Time: the time stamp counter, measured once against a clock whose rate is known.

use super::apic::{LocalApic, TIMER_HZ};
use super::port::Port;
use super::vdso::UserClock;
use crate::clock::{Clock, Instant};
use core::arch::x86_64::{__cpuid, _rdtsc};
use core::fmt;
use core::time::Duration;

/// How long the measurement takes at least. A reading is uncertain by a few tenths of a microsecond, so this gives a rate that
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
    /// Reads the counter. The first call's result is what [`Tsc::begin`] takes as time zero.
    #[must_use]
    pub fn read() -> u64 {
        // SAFETY: every x86-64 processor has the counter, and we leave it readable.
        unsafe { _rdtsc() }
    }

    /// Begins to find the counter's rate; `start` is its value at [`Instant::ZERO`]. The measurement runs while whoever
    /// called does something else, and ends with [`Measurement::finish`].
    #[must_use]
    pub fn begin(start: u64, apic: &LocalApic) -> Measurement {
        let known =
            hypervisor_hz().and_then(|hz| Self::with(start, hz, Reference::Hypervisor).ok());
        Measurement {
            start,
            known,
            first: match known {
                Some(_) => Pair::default(),
                None => start_counting(apic),
            },
        }
    }

    fn with(start: u64, hz: u64, reference: Reference) -> Result<Self, NoReference> {
        Rate::from_hz(hz).map(|rate| Self {
            start,
            rate,
            hz,
            reference,
            epoch: None,
        })
    }

    /// Tells the wall time at [`Instant::ZERO`].
    pub const fn set_epoch(&mut self, epoch: Option<Duration>) {
        self.epoch = epoch;
    }

    /// Returns code with which programs read this clock.
    #[must_use]
    pub fn user_clock(&self) -> UserClock {
        UserClock::new(self.start, self.rate.0)
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

/// A measurement of the counter's rate that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    start: u64,
    /// The hypervisor said it: nothing is measured.
    known: Option<Tsc>,
    first: Pair,
}

impl Measurement {
    /// Waits for what is missing of the measurement's time, and returns the clock. `apic` is the controller it was begun
    /// with.
    ///
    /// # Errors
    ///
    /// [`NoReference`] when neither hypervisor, local timer nor interval timer tells the rate.
    pub fn finish(&self, apic: &LocalApic) -> Result<Tsc, NoReference> {
        if let Some(clock) = self.known {
            return Ok(clock);
        }
        let first = match apic.count() {
            // Run out, after 4 s: the host let us stand for a while.
            0 => start_counting(apic),
            _ => self.first,
        };
        let ticks = || local_ticks(apic);
        if let Ok(hz) = measured_hz(first, Tsc::read, ticks, TIMER_HZ)
            && let Ok(clock) = Tsc::with(self.start, hz, Reference::LocalTimer)
        {
            return Ok(clock);
        }
        let mut ticks = pit_ticks();
        let first = Pair::read(Tsc::read, &mut ticks);
        let hz = measured_hz(first, Tsc::read, ticks, PIT_HZ)?;
        Tsc::with(self.start, hz, Reference::IntervalTimer)
    }
}

fn start_counting(apic: &LocalApic) -> Pair {
    apic.start_counting();
    Pair::read(Tsc::read, || local_ticks(apic))
}

fn local_ticks(apic: &LocalApic) -> u64 {
    u64::from(u32::MAX - apic.count())
}

/// A counter and its reference, read at about the same time. The order is by how close together that was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    apart: u64,
    counter: u64,
    ticks: u64,
}

impl Pair {
    /// Reads both. The reference is read between two readings of the counter; of a few tries the closest pair is the
    /// least disturbed by whatever else the host does.
    fn read(counter: impl Fn() -> u64, mut reference: impl FnMut() -> u64) -> Self {
        (0..3)
            .map(|_| {
                let before = counter();
                let ticks = reference();
                let after = counter();
                Self {
                    apart: after.wrapping_sub(before),
                    counter: before / 2 + after / 2,
                    ticks,
                }
            })
            .min()
            .expect("there were three tries")
    }
}

/// Measures a counter, from its `first` reading on, against one that ticks `reference_hz` times a second.
fn measured_hz(
    first: Pair,
    counter: impl Fn() -> u64,
    mut reference: impl FnMut() -> u64,
    reference_hz: u64,
) -> Result<u64, NoReference> {
    for _ in 0..MAX_READINGS {
        let last = Pair::read(&counter, &mut reference);
        let ticks = last.ticks.saturating_sub(first.ticks);
        if u128::from(ticks) * 1_000_000_000 < u128::from(MEASURED_NANOS) * u128::from(reference_hz)
        {
            continue;
        }
        let counts = last.counter.saturating_sub(first.counter);
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
        let first = Pair::read(counter, || time.get());
        let hz = measured_hz(first, counter, || time.get(), 1_000_000_000).unwrap();
        assert!(hz.abs_diff(3_000_000_000) < 3_000_000, "{hz}");
        // Whatever is done in between only makes it longer.
        time.set(time.get() + 50_000_000);
        let before = time.get();
        let hz = measured_hz(first, counter, || time.get(), 1_000_000_000).unwrap();
        assert!(hz.abs_diff(3_000_000_000) < 100_000, "{hz}");
        assert!(time.get() - before < 1000, "the time was over already");
    }

    #[test]
    fn a_reference_that_stands_still_is_given_up() {
        let count = Cell::new(0);
        let counter = || {
            count.set(count.get() + 1);
            count.get()
        };
        let first = Pair::read(counter, || 5);
        let hz = measured_hz(first, counter, || 5, 1_000_000_000);
        assert_eq!(hz, Err(NoReference));
    }
}
