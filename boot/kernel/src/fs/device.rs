//! Character devices: null, zero, full, random, vsock.

use crate::errno::Errno;
use crate::fs::context::{Context, Span};
use crate::wait::Stall;

/// A device this kernel has, by its Linux number (Documentation/admin-guide/devices.txt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// 1:3, `/dev/null`.
    Null,
    /// 1:5, `/dev/zero`.
    Zero,
    /// 1:7, `/dev/full`.
    Full,
    /// 1:8, `/dev/random`.
    Random,
    /// 1:9, `/dev/urandom`.
    Urandom,
    /// 10:121, `/dev/vsock`, which only tells this machine's context id.
    Vsock,
}

/// The major number of disks: that of virtio block devices on most Linux machines.
pub const DISK_MAJOR: u32 = 254;

/// Minor numbers between two disks (Linux virtio_blk.c `PART_BITS`).
pub const DISK_MINORS: u32 = 16;

/// Returns a `dev_t` as stat(2) shows it (glibc sys/sysmacros.h `makedev`).
#[must_use]
pub(super) const fn device_number(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
}

impl Device {
    /// Returns the device with this number, if it exists here.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        const NULL: u64 = device_number(1, 3);
        const ZERO: u64 = device_number(1, 5);
        const FULL: u64 = device_number(1, 7);
        const RANDOM: u64 = device_number(1, 8);
        const URANDOM: u64 = device_number(1, 9);
        const VSOCK: u64 = device_number(10, 121);
        Some(match number {
            NULL => Self::Null,
            ZERO => Self::Zero,
            FULL => Self::Full,
            RANDOM => Self::Random,
            URANDOM => Self::Urandom,
            VSOCK => Self::Vsock,
            _ => return None,
        })
    }

    /// Returns its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        let (major, minor) = match self {
            Self::Null => (1, 3),
            Self::Zero => (1, 5),
            Self::Full => (1, 7),
            Self::Random => (1, 8),
            Self::Urandom => (1, 9),
            Self::Vsock => (10, 121),
        };
        device_number(major, minor)
    }

    /// Returns the path it usually has.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Null => "/dev/null",
            Self::Zero => "/dev/zero",
            Self::Full => "/dev/full",
            Self::Random => "/dev/random",
            Self::Urandom => "/dev/urandom",
            Self::Vsock => "/dev/vsock",
        }
    }

    /// Reads into one page of a program.
    pub(super) fn read(self, context: &mut Context<'_>, span: Span<'_>) -> Result<usize, Stall> {
        let range = span.offset..span.offset + span.len;
        match self {
            Self::Null => return Ok(0),
            Self::Zero | Self::Full => context.pool.bytes_mut(span.frame)[range].fill(0),
            Self::Random | Self::Urandom => context
                .random
                .fill(&mut context.pool.bytes_mut(span.frame)[range])?,
            Self::Vsock => return Err(Errno::EINVAL.into()),
        }
        Ok(span.len)
    }

    /// Writes from one page of a program. What is written to a random device is not mixed in: it is a program's.
    pub(super) fn write(self, len: usize) -> Result<usize, Errno> {
        match self {
            Self::Full => Err(Errno::ENOSPC),
            Self::Vsock => Err(Errno::EINVAL),
            _ => Ok(len),
        }
    }
}
