//! The handshake of virtio 1.2 §3.1.1 up to `FEATURES_OK`, the same for every device, and the reset of §2.4.

use virtio_drivers::transport::{DeviceStatus, Transport};

/// `VIRTIO_F_VERSION_1` (virtio 1.2 §6): the device follows the standard and not the drafts before it.
pub const FEATURE_VERSION_1: u64 = 1 << 32;

/// `VIRTIO_F_EVENT_IDX` (virtio 1.2 §6): both sides name the index at which they want to be notified.
pub const FEATURE_EVENT_IDX: u64 = 1 << 29;

/// How often the status is read until a reset must have happened. Each read leaves the virtual machine (1 µs and
/// more); all known devices answer at the first.
const RESET_POLLS: usize = 10_000;

/// How often a changing configuration space is read again before it is called broken.
const CONFIG_READS: usize = 8;

/// Page size that legacy devices count queue addresses in (virtio 1.2 §4.2.4).
const LEGACY_PAGE_BYTES: u32 = 4096;

/// Why a device was not brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError {
    /// The status did not become 0 after a reset.
    NoReset,
    /// The device of a modern transport does not offer `VIRTIO_F_VERSION_1`.
    NotModern,
    /// The device took back `FEATURES_OK`: it wants a feature this driver lacks.
    FeaturesRefused,
    /// The configuration space is too small or never holds still.
    BadConfiguration,
    /// A queue is missing, in use already, or smaller than the driver needs.
    BadQueue {
        /// Which queue.
        queue: u16,
    },
    /// No memory for rings and buffers is left.
    OutOfMemory,
}

impl core::fmt::Display for InitError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoReset => f.write_str("device does not reset"),
            Self::NotModern => f.write_str("device does not offer VERSION_1"),
            Self::FeaturesRefused => f.write_str("device refuses the features accepted"),
            Self::BadConfiguration => f.write_str("device configuration cannot be read"),
            Self::BadQueue { queue } => write!(f, "queue {queue} is missing or too small"),
            Self::OutOfMemory => f.write_str("out of DMA memory"),
        }
    }
}

impl core::error::Error for InitError {}

/// Resets the device and accepts those of the `wanted` features that it offers, `VERSION_1` always among the wanted.
/// Returns the features accepted. Queues come next, then `Transport::finish_init`.
///
/// The acknowledgement is written by itself before anything else: Cloud Hypervisor forgets whatever is written to the
/// common configuration while the status is 0.
///
/// # Errors
///
/// When the device does not play along; it is then left in status `FAILED`.
pub fn negotiate<T: Transport>(transport: &mut T, wanted: u64) -> Result<u64, InitError> {
    let result = try_negotiate(transport, wanted);
    if result.is_err() {
        transport.set_status(DeviceStatus::FAILED);
    }
    result
}

fn try_negotiate<T: Transport>(transport: &mut T, wanted: u64) -> Result<u64, InitError> {
    if !reset(transport) {
        return Err(InitError::NoReset);
    }
    let mut status = DeviceStatus::ACKNOWLEDGE;
    transport.set_status(status);
    status |= DeviceStatus::DRIVER;
    transport.set_status(status);

    let modern = !transport.requires_legacy_layout();
    let accepted = transport.read_device_features() & (wanted | FEATURE_VERSION_1);
    if modern && accepted & FEATURE_VERSION_1 == 0 {
        return Err(InitError::NotModern);
    }
    transport.write_driver_features(accepted);

    status |= DeviceStatus::FEATURES_OK;
    transport.set_status(status);
    if modern && !transport.get_status().contains(DeviceStatus::FEATURES_OK) {
        return Err(InitError::FeaturesRefused);
    }
    transport.set_guest_page_size(LEGACY_PAGE_BYTES);
    Ok(accepted)
}

/// What the status of a device reads as that was pulled.
const GONE: u32 = 0xff;

/// Resets the device; returns whether it confirmed in time, or is gone. Only then the memory that was lent to it comes
/// back.
pub fn reset<T: Transport>(transport: &mut T) -> bool {
    transport.set_status(DeviceStatus::empty());
    (0..RESET_POLLS).any(|_| {
        let status = transport.get_status();
        status.is_empty() || status.bits() == GONE
    })
}

/// Reads several fields of the configuration space that belong together (virtio 1.2 §2.5.1).
///
/// # Errors
///
/// [`InitError::BadConfiguration`] when the space is too small or changes every time.
pub fn read_configuration<T: Transport, R>(
    transport: &T,
    read: impl Fn(&T) -> virtio_drivers::Result<R>,
) -> Result<R, InitError> {
    for _ in 0..CONFIG_READS {
        let before = transport.read_config_generation();
        let value = read(transport).map_err(|_| InitError::BadConfiguration)?;
        if transport.read_config_generation() == before {
            return Ok(value);
        }
    }
    Err(InitError::BadConfiguration)
}
