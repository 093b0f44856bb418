//! The wall clock that KVM gives its guests (Linux `Documentation/virt/kvm/x86/msr.rst`), Firecracker's only one.
//!
//! Two structures in guest memory are filled in when their address is written to a model-specific register: the wall
//! time at which the host's count of guest time was 0, and that count now. Their sum is the wall time.

use crate::virtio::dma::MachineDma;
use crate::x86::processor::write_msr;
use crate::x86::tsc::Tsc;
use core::arch::x86_64::__cpuid;
use core::ptr::NonNull;
use core::time::Duration;
use virtio_drivers::{BufferDirection, Hal};

/// CPUID leaves: hypervisor's highest leaf and signature, KVM's features.
const LEAF_SIGNATURE: u32 = 0x4000_0000;
const LEAF_FEATURES: u32 = 0x4000_0001;
const SIGNATURE: [u32; 3] = [
    u32::from_le_bytes(*b"KVMK"),
    u32::from_le_bytes(*b"VMKV"),
    u32::from_le_bytes(*b"M\0\0\0"),
];
/// CPUID leaf 1: a hypervisor is there, so that its leaves mean something.
const LEAF_BASIC: u32 = 1;
const HYPERVISOR: u32 = 1 << 31;
/// `KVM_FEATURE_CLOCKSOURCE2`: the two registers below exist.
const FEATURE_CLOCK: u32 = 1 << 3;

/// `MSR_KVM_WALL_CLOCK_NEW` and `MSR_KVM_SYSTEM_TIME_NEW`; the latter's lowest bit turns the updates on.
const WALL_CLOCK: u32 = 0x4b56_4d00;
const SYSTEM_TIME: u32 = 0x4b56_4d01;
const ENABLE: u64 = 1;

/// `struct pvclock_wall_clock`, and where `struct pvclock_vcpu_time_info` is put behind it.
const WALL_BYTES: usize = 12;
const SYSTEM_OFFSET: usize = 64;
const SYSTEM_BYTES: usize = 32;

/// Reads the clock; `None` when there is none or it does not make sense.
#[must_use]
pub fn read() -> Option<Duration> {
    if !is_present() {
        return None;
    }
    let (physical, page) = MachineDma::dma_alloc(1, BufferDirection::DeviceToDriver);
    if physical == 0 {
        return None;
    }
    // SAFETY: the register exists, and the structure it fills in lies in a page that is ours.
    unsafe { write_msr(WALL_CLOCK, physical) };
    // SAFETY: as above; the updates end below, before the page is given back.
    unsafe { write_msr(SYSTEM_TIME, (physical + SYSTEM_OFFSET as u64) | ENABLE) };
    let wall = copy::<WALL_BYTES>(page, 0);
    let system = copy::<SYSTEM_BYTES>(page, SYSTEM_OFFSET);
    let now = Tsc::read();
    // SAFETY: the register exists; 0 turns the updates off.
    unsafe { write_msr(SYSTEM_TIME, 0) };
    // SAFETY: the page came from `dma_alloc` just now, and the host writes to it no more.
    let _ = unsafe { MachineDma::dma_dealloc(physical, page, 1) }; // It cannot refuse.
    wall_time(&wall)?.checked_add(system_time(&system, now)?)
}

fn is_present() -> bool {
    if __cpuid(LEAF_BASIC).ecx & HYPERVISOR == 0 {
        return false;
    }
    let leaf = __cpuid(LEAF_SIGNATURE);
    // KVM of old says 0 for its highest leaf and means the features.
    let has_features = leaf.eax == 0 || leaf.eax >= LEAF_FEATURES;
    [leaf.ebx, leaf.ecx, leaf.edx] == SIGNATURE
        && has_features
        && __cpuid(LEAF_FEATURES).eax & FEATURE_CLOCK != 0
}

/// Copies out what the host wrote.
fn copy<const N: usize>(page: NonNull<u8>, offset: usize) -> [u8; N] {
    // SAFETY: `offset` is one of the two above, inside the page.
    let start = unsafe { page.add(offset) };
    // SAFETY: the page is ours and has `N` bytes behind `offset`; the host writes it while no guest code runs.
    unsafe { start.cast::<[u8; N]>().read_volatile() }
}

/// Reads version, seconds, nanoseconds. An odd version means that it is being written.
fn wall_time(bytes: &[u8; WALL_BYTES]) -> Option<Duration> {
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (version, seconds, nanos) = (word(0), word(4), word(8));
    let is_written = version != 0 && version.is_multiple_of(2);
    (is_written && seconds != 0 && nanos < 1_000_000_000)
        .then(|| Duration::new(seconds.into(), nanos))
}

/// Reads the count of guest time at the counter's value `now`.
fn system_time(bytes: &[u8; SYSTEM_BYTES], now: u64) -> Option<Duration> {
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let long = |at: usize| u64::from(word(at)) | (u64::from(word(at + 4)) << 32);
    let (version, counter, nanos) = (word(0), long(8), long(16));
    let (multiplier, shift) = (word(24), bytes[28] as i8);
    if version == 0 || !version.is_multiple_of(2) || !(-31..=31).contains(&shift) {
        return None;
    }
    let passed = u128::from(now.saturating_sub(counter));
    let shifted = match shift {
        0.. => passed << shift,
        _ => passed >> -shift,
    };
    let passed = shifted.checked_mul(multiplier.into())? >> 32;
    let nanos = nanos.checked_add(u64::try_from(passed).ok()?)?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(version: u32, seconds: u32, nanos: u32) -> [u8; WALL_BYTES] {
        let mut bytes = [0; WALL_BYTES];
        bytes[..4].copy_from_slice(&version.to_le_bytes());
        bytes[4..8].copy_from_slice(&seconds.to_le_bytes());
        bytes[8..].copy_from_slice(&nanos.to_le_bytes());
        bytes
    }

    fn system(
        version: u32,
        counter: u64,
        nanos: u64,
        multiplier: u32,
        shift: i8,
    ) -> [u8; SYSTEM_BYTES] {
        let mut bytes = [0; SYSTEM_BYTES];
        bytes[..4].copy_from_slice(&version.to_le_bytes());
        bytes[8..16].copy_from_slice(&counter.to_le_bytes());
        bytes[16..24].copy_from_slice(&nanos.to_le_bytes());
        bytes[24..28].copy_from_slice(&multiplier.to_le_bytes());
        bytes[28] = shift as u8;
        bytes
    }

    #[test]
    fn reads_wall_time_that_was_written() {
        let expected = Duration::new(1_795_311_219, 5);
        assert_eq!(wall_time(&wall(2, 1_795_311_219, 5)), Some(expected));
        assert_eq!(wall_time(&wall(0, 1_795_311_219, 5)), None);
        assert_eq!(wall_time(&wall(3, 1_795_311_219, 5)), None);
        assert_eq!(wall_time(&wall(2, 0, 5)), None);
        assert_eq!(wall_time(&wall(2, 1, 1_000_000_000)), None);
    }

    #[test]
    fn scales_the_counter_up_and_down() {
        // Half a nanosecond for each count, at 2 GHz.
        let half = system(2, 1000, 7, 1 << 31, 0);
        assert_eq!(system_time(&half, 3000), Some(Duration::from_nanos(1007)));
        let up = system(2, 1000, 7, 1 << 31, 1);
        assert_eq!(system_time(&up, 3000), Some(Duration::from_nanos(2007)));
        let down = system(2, 1000, 7, 1 << 31, -1);
        assert_eq!(system_time(&down, 3000), Some(Duration::from_nanos(507)));
        assert_eq!(system_time(&half, 0), Some(Duration::from_nanos(7)));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        assert_eq!(system_time(&system(1, 0, 0, 1, 0), 5), None);
        assert_eq!(system_time(&system(2, 0, 0, 1, 32), 5), None);
        assert_eq!(system_time(&system(2, 0, 0, 1, -32), 5), None);
        let most = system(2, 0, u64::MAX, u32::MAX, 31);
        assert_eq!(system_time(&most, u64::MAX), None);
    }
}
