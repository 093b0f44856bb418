//! How much of its container's processor time a task wants beside the others: niceness and policy (sched(7)).
//!
//! Tasks that only compute take turns; a nicer one's are shorter, by a fifth for each step, as Linux's weights are
//! (kernel/sched/core.c, `sched_prio_to_weight`). There are no real-time policies.

use crate::limits::{LEAST_SLICE, MOST_SLICE, SLICE};
use core::time::Duration;

/// The nicest, and the least nice.
pub(crate) const NICEST: i32 = 19;
pub(crate) const LEAST_NICE: i32 = -20;

/// When a task runs (linux/sched.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// `SCHED_OTHER`.
    #[default]
    Other,
    /// `SCHED_BATCH`: as the one before.
    Batch,
    /// `SCHED_IDLE`: as little as can be.
    Idle,
}

impl Policy {
    /// Returns its number.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Other => 0,
            Self::Batch => 3,
            Self::Idle => 5,
        }
    }
}

/// How much of the processor a task wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Priority {
    /// From [`LEAST_NICE`] to [`NICEST`].
    pub(crate) nice: i8,
    /// When it runs.
    pub(crate) policy: Policy,
    /// Whether its children are not less nice than usual (`SCHED_RESET_ON_FORK`).
    pub(crate) resets: bool,
    /// What it wants of disks (ioprio_set(2)), which take requests as they come: class and level, 0 where it never said.
    pub(crate) io: u16,
}

impl Priority {
    /// Returns that of a child.
    pub(crate) fn of_child(self) -> Self {
        if !self.resets {
            return self;
        }
        Self {
            nice: self.nice.max(0),
            ..Self::default()
        }
    }

    /// Returns how long its turns are while others want to run.
    pub(crate) fn slice(self) -> Duration {
        if self.policy == Policy::Idle {
            return LEAST_SLICE;
        }
        let steps = u32::from(self.nice.unsigned_abs());
        let slice = (0..steps).fold(SLICE, |slice, _| {
            if self.nice > 0 {
                slice * 4 / 5
            } else {
                slice * 5 / 4
            }
        });
        slice.clamp(LEAST_SLICE, MOST_SLICE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice(nice: i8) -> Priority {
        Priority {
            nice,
            ..Priority::default()
        }
    }

    #[test]
    fn turns_get_shorter_with_each_step_and_keep_their_bounds() {
        assert_eq!(nice(0).slice(), SLICE);
        for step in -20..19 {
            let (less, more) = (nice(step).slice(), nice(step + 1).slice());
            assert!(less > more || less == MOST_SLICE && more == MOST_SLICE || more == LEAST_SLICE);
        }
        assert_eq!(nice(-20).slice(), MOST_SLICE);
        assert_eq!(nice(19).slice(), LEAST_SLICE);
        assert_eq!(nice(5).slice(), SLICE * 1024 / 3125);
    }

    #[test]
    fn an_idle_task_has_the_shortest_turns_however_little_nice_it_is() {
        let idle = Priority {
            policy: Policy::Idle,
            ..nice(-20)
        };
        assert_eq!(idle.slice(), LEAST_SLICE);
    }

    #[test]
    fn a_child_that_starts_anew_is_as_nice_as_its_parent_but_not_less_than_usual() {
        for (own, child) in [(-5, 0), (0, 0), (7, 7)] {
            let parent = Priority {
                policy: Policy::Idle,
                resets: true,
                ..nice(own)
            };
            assert_eq!(parent.of_child(), nice(child));
        }
        assert_eq!(nice(-5).of_child(), nice(-5));
    }
}
