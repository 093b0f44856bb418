//! How long the host waits for what.

use std::time::Duration;

/// Time limits of a connection. The defaults are hcsshim's (gcs-protocol §13) where it has one.
///
/// # Example
///
/// ```
/// use mote_host::{Timeouts, VmConfig};
/// use std::time::Duration;
/// let hasty = Timeouts { dial: Duration::from_secs(2), ..Timeouts::default() };
/// let config = VmConfig::new().timeouts(hasty);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a response to a call that cannot be abandoned. When it passes, the bridge is ended: the guest is taken to
    /// be broken.
    pub call: Duration,
    /// For a response to a call that can be abandoned: Properties, ResizeConsole, Shutdown, Terminate. When it
    /// passes, that call fails and a late response is swallowed.
    pub abandonable_call: Duration,
    /// From launching the VM to the last of its three dials (entropy, log, bridge).
    pub dial: Duration,
    /// For the VM to end after it was asked to power off.
    pub power_off: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(5 * 60),
            abandonable_call: Duration::from_secs(30),
            dial: Duration::from_secs(2 * 60),
            power_off: Duration::from_secs(30),
        }
    }
}
