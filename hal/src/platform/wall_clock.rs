//! What day is it? Asked once, at start-up.

use super::{kvm_clock, rtc};
use crate::clock::Clock;
use core::time::Duration;

/// Returns the wall time at `Instant::ZERO`: by KVM's clock where there is one, else by the real-time clock, which
/// counts whole seconds; `None` when the platform has neither.
pub fn read_epoch(clock: &impl Clock) -> Option<Duration> {
    let wall = kvm_clock::read().or_else(rtc::read)?;
    wall.checked_sub(Duration::from_nanos(clock.now().as_nanos()))
}
