//! Looking at open files on behalf of whoever waits for one of several: what each is ready for, and what changes that.

use crate::fs::Files;
use crate::fs::description::DescriptionId;
use crate::fs::transfer::Readiness;
use crate::wait::{KeySet, WakeKey};
use hal::block::Block;
use hal::clock::Instant;

/// What whoever found nothing waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// What wakes it.
    keys: KeySet,
    /// When it has to look again even if nothing does.
    pub until: Instant,
}

impl Watch {
    /// Watches nothing, until `end`.
    #[must_use]
    pub fn until(end: Instant) -> Self {
        Self {
            keys: KeySet::default(),
            until: end,
        }
    }

    /// Returns the key to park on.
    #[must_use]
    pub const fn key(self) -> WakeKey {
        WakeKey::Several(self.keys)
    }
}

impl<B: Block> Files<B> {
    /// Returns what an open file is ready for, and adds what changes that to `watch`.
    pub fn look(&self, id: DescriptionId, watch: &mut Watch) -> Readiness {
        if let Some(key) = self.readiness_key(id) {
            watch.keys.insert(key);
        }
        self.readiness(id)
    }
}
