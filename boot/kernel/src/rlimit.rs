//! Limits of a process (getrlimit(2)). It is told those of the kernel, and may lower what it is told. Those of descriptors,
//! of processor time, of waiting signals and of niceness are enforced; the others are remembered.

use crate::limits::{ACCOUNT_SHARE, MAX_CHILDREN, MAX_DESCRIPTORS, MAX_SIGNALS, STACK_BYTES};

/// How many there are.
const RESOURCES: usize = 16;

/// A resource, by its number (asm-generic/resource.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource(u8);

impl Resource {
    /// Seconds on the processor.
    pub(crate) const CPU: Self = Self(0);
    /// Descriptors.
    pub(crate) const DESCRIPTORS: Self = Self(7);
    /// Signals that wait.
    pub(crate) const SIGNALS: Self = Self(11);
    /// 20 less the least niceness.
    pub(crate) const NICE: Self = Self(13);

    /// Returns the resource with this number.
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < RESOURCES).then_some(Self(number))
    }

    /// Returns the most anybody can be allowed.
    pub(crate) const fn most(self) -> u64 {
        match self.0 {
            // STACK, NPROC, NOFILE, SIGPENDING.
            3 => STACK_BYTES,
            6 => MAX_CHILDREN as u64,
            7 => MAX_DESCRIPTORS as u64,
            11 => (MAX_SIGNALS / ACCOUNT_SHARE) as u64,
            // CORE: nothing dumps its memory. RTPRIO: there is no real time.
            4 | 14 => 0,
            // NICE: from 20 less 19 on.
            13 => 40,
            // CPU, FSIZE, DATA, RSS, MEMLOCK, AS, LOCKS, MSGQUEUE, RTTIME.
            _ => u64::MAX,
        }
    }
}

/// Soft and hard limits of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits([(u64, u64); RESOURCES]);

impl Limits {
    /// Makes those a program of the agent starts with: all there is, but for being less nice.
    pub(crate) const fn new() -> Self {
        let mut limits = [(0, 0); RESOURCES];
        let mut nth = 0;
        while nth < RESOURCES {
            let most = Resource(nth as u8).most();
            limits[nth] = (most, most);
            nth += 1;
        }
        limits[Resource::NICE.0 as usize] = (0, 0);
        Self(limits)
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
    fn a_program_starts_with_all_it_can_have_but_no_right_to_be_less_nice() {
        let limits = Limits::new();
        for number in 0..16 {
            let resource = Resource::from_number(number).expect("it is one");
            let (soft, hard) = limits.get(resource);
            let is_niceness = resource == Resource::NICE;
            let most = if is_niceness { 0 } else { resource.most() };
            assert_eq!((soft, hard), (most, most));
        }
    }
}
