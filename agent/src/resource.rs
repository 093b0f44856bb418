//! What a container may use, and what it has used.
//!
//! Units and meaning are those of Linux's control groups, because that is what hosts ask for (OCI `linux.resources`) and
//! what they are told (gcs-protocol §10.1).

use crate::kernel::{Pid, View};
use core::time::Duration;

/// No limit: of memory, of tasks, of processor time.
pub const UNLIMITED: u64 = u64::MAX;

/// A share of the processor beside other containers that want it, in the units of Linux's `cpu.shares`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuWeight(u32);

impl CpuWeight {
    /// What a container has that nobody gave another one (Linux `NICE_0_LOAD`).
    pub const DEFAULT: Self = Self(1024);

    /// The least (Linux `MIN_SHARES`).
    pub const MIN: Self = Self(2);

    /// The most (Linux `MAX_SHARES`).
    pub const MAX: Self = Self(1 << 18);

    /// Takes a number of shares; one outside the range becomes the nearest inside it, as in Linux
    /// (kernel/sched/core.c `sched_group_set_shares`).
    #[must_use]
    pub const fn from_shares(shares: u64) -> Self {
        if shares < Self::MIN.0 as u64 {
            Self::MIN
        } else if shares > Self::MAX.0 as u64 {
            Self::MAX
        } else {
            Self(shares as u32)
        }
    }

    /// Returns the number of shares.
    #[must_use]
    pub const fn shares(self) -> u32 {
        self.0
    }
}

/// What a container may use. `None` leaves a limit as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, or [`UNLIMITED`]. Less than what is in use is kept: the next page costs a process its life.
    pub memory_bytes: Option<u64>,
    /// Tasks at once, or [`UNLIMITED`]. Those there are stay.
    pub tasks: Option<u64>,
    /// Share of the processor while others want it, too.
    pub cpu_weight: Option<CpuWeight>,
    /// Microseconds of processor time in each period, or [`UNLIMITED`].
    pub cpu_quota_us: Option<u64>,
    /// Microseconds of that period; 100000 when it was never set.
    pub cpu_period_us: Option<u32>,
}

/// What a container has used, and what it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user mode.
    pub user_time: Duration,
    /// Processor time spent in the kernel on its behalf.
    pub kernel_time: Duration,
    /// Its periods, when it has a quota, and what became of them.
    pub throttling: Throttling,
    /// Tasks there are.
    pub tasks: u64,
    /// Tasks there may be.
    pub tasks_limit: u64,
    /// Bytes of memory in use: the sum of the next three.
    pub memory_bytes: u64,
    /// Bytes of pages of its programs, those of files they map included.
    pub program_bytes: u64,
    /// Bytes of files that were written here, which memory has to keep.
    pub file_bytes: u64,
    /// Bytes the kernel needs for it: page tables, names of files, what is in pipes.
    pub kernel_bytes: u64,
    /// The most bytes that were ever in use at once.
    pub memory_peak_bytes: u64,
    /// Bytes of memory there may be.
    pub memory_limit_bytes: u64,
    /// How often something was not given because of that limit.
    pub memory_failures: u64,
    /// Processes that were killed because memory ran out.
    pub memory_kills: u64,
    /// Pages that were brought in.
    pub faults: u64,
    /// Those among them that a disk was read for.
    pub major_faults: u64,
}

/// What a quota of processor time did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods in which something ran.
    pub periods: u64,
    /// Periods whose quota was used up.
    pub throttled_periods: u64,
    /// How long tasks that could have run were held back.
    pub throttled_time: Duration,
}

/// A process that was killed, so that others have memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryKill {
    /// Which one.
    pub pid: Pid,
    /// The view it belonged to.
    pub view: View,
    /// Bytes it had.
    pub bytes: u64,
    /// Bytes its view had, and might have: what it was over. `None` when the machine's memory ran out.
    pub over: Option<(u64, u64)>,
}

/// What was read from one disk on a container's behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUsage {
    /// The device's major number.
    pub major: u32,
    /// The device's minor number.
    pub minor: u32,
    /// Bytes.
    pub read_bytes: u64,
    /// Requests.
    pub reads: u64,
}
