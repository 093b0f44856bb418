//! Limits of a process (getrlimit(2)), each enforced where the resource is given. Those of core files, resident and locked
//! pages, locks of files, message queues and real time are remembered: there is nothing here that they could bound.

use crate::limits::{ACCOUNT_SHARE, MAX_DESCRIPTORS, MAX_SIGNALS, MAX_THREADS, STACK_BYTES};
use agent::kernel::{PROCESS_LIMITS, ProcessLimits};
use hal::limits::PAGE_BYTES;

/// How many there are.
const RESOURCES: usize = PROCESS_LIMITS;

/// A resource, by its number (asm-generic/resource.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource(u8);

impl Resource {
    /// Seconds on the processor.
    pub(crate) const CPU: Self = Self(0);
    /// Bytes of a file that is written to.
    pub(crate) const FILE_SIZE: Self = Self(1);
    /// Bytes of memory of its own that it can write to.
    pub(crate) const DATA: Self = Self(2);
    /// Bytes of the stack.
    pub(crate) const STACK: Self = Self(3);
    /// Tasks of its user.
    pub(crate) const TASKS: Self = Self(6);
    /// Descriptors.
    pub(crate) const DESCRIPTORS: Self = Self(7);
    /// Bytes of memory.
    pub(crate) const MEMORY: Self = Self(9);
    /// Signals that wait.
    pub(crate) const SIGNALS: Self = Self(11);
    /// 20 less the least niceness.
    pub(crate) const NICE: Self = Self(13);

    /// Returns the resource with this number.
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < RESOURCES).then_some(Self(number))
    }

    /// Returns the most anybody can be allowed: of descriptors a table has an end (Linux `fs.nr_open`).
    pub(crate) const fn most(self) -> u64 {
        match self {
            Self::DESCRIPTORS => MAX_DESCRIPTORS as u64,
            _ => u64::MAX,
        }
    }

    /// Returns the soft and the hard limit a program of the agent starts with.
    const fn initial(self) -> (u64, u64) {
        let both = match self.0 {
            3 => return (STACK_BYTES, u64::MAX),
            // CORE: what asks for a file gets none.
            4 => return (0, u64::MAX),
            6 => MAX_THREADS as u64,
            7 => MAX_DESCRIPTORS as u64,
            11 => (MAX_SIGNALS / ACCOUNT_SHARE) as u64,
            // NICE, RTPRIO.
            13 | 14 => 0,
            // CPU, FSIZE, DATA, RSS, MEMLOCK, AS, LOCKS, MSGQUEUE, RTTIME.
            _ => u64::MAX,
        };
        (both, both)
    }
}

/// Soft and hard limits of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits([(u64, u64); RESOURCES]);

impl Limits {
    /// Makes those a program of the agent starts with.
    pub(crate) const fn new() -> Self {
        let mut limits = [(0, 0); RESOURCES];
        let mut nth = 0;
        while nth < RESOURCES {
            limits[nth] = Resource(nth as u8).initial();
            nth += 1;
        }
        Self(limits)
    }

    /// Makes those of a program of the agent that asks for some. What nobody can have is cut to what there is.
    pub(crate) fn of_agent(asked: &ProcessLimits) -> Self {
        let mut limits = Self::new();
        for (number, wanted) in (0..).zip(asked.asked) {
            let resource = Resource(number);
            if let Some((soft, hard)) = wanted {
                let most = resource.most();
                if hard > most {
                    log::info!("resource {number} is limited to {most}, not {hard}");
                }
                limits.set(resource, (soft.min(most), hard.min(most)));
            }
        }
        limits
    }

    /// Returns soft and hard limit.
    pub(crate) const fn get(&self, resource: Resource) -> (u64, u64) {
        self.0[resource.0 as usize]
    }

    /// Sets soft and hard limit.
    pub(crate) const fn set(&mut self, resource: Resource, limits: (u64, u64)) {
        self.0[resource.0 as usize] = limits;
    }
}

/// How many pages an address space may have, by the limits of whom it was made for. Processes that share one share its bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// All of them.
    pub(crate) all: u64,
    /// Those that are the program's own and can be written to, but for the stack.
    pub(crate) data: u64,
    /// Those of the stack.
    pub(crate) stack: u64,
}

impl Bounds {
    /// Returns what soft limits allow; parts of pages do not count.
    pub(crate) fn new(limits: &Limits) -> Self {
        let pages = |limits: (u64, u64)| limits.0 / PAGE_BYTES as u64;
        Self {
            all: pages(limits.get(Resource::MEMORY)),
            data: pages(limits.get(Resource::DATA)),
            stack: pages(limits.get(Resource::STACK)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_a_number_and_no_other_number_is_one() {
        for (number, is_one) in [
            (-1, false),
            (0, true),
            (15, true),
            (16, false),
            (256, false),
        ] {
            assert_eq!(Resource::from_number(number).is_some(), is_one, "{number}");
        }
    }

    #[test]
    fn a_program_starts_with_no_more_than_can_be_and_no_right_to_be_less_nice() {
        let limits = Limits::new();
        for number in 0..16 {
            let resource = Resource::from_number(number).expect("it is one");
            let (soft, hard) = limits.get(resource);
            assert!(soft <= hard && hard <= resource.most(), "{number}");
        }
        assert_eq!(limits.get(Resource::NICE), (0, 0));
        assert_eq!(limits.get(Resource::STACK), (STACK_BYTES, u64::MAX));
    }
}
