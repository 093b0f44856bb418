//! Who asks for a file.

use crate::capability::{Capabilities, Sets};
use agent::limits::MAX_GROUPS;

/// On whose behalf a file is asked for, and what the asker may do besides.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: heapless::Vec<u32, MAX_GROUPS>,
    /// What the ids do not allow by themselves.
    pub capabilities: Sets,
}

impl Credentials {
    /// Makes those of a user without capabilities.
    #[must_use]
    pub const fn of_user(uid: u32, gid: u32) -> Self {
        Self {
            uid,
            gid,
            groups: heapless::Vec::new(),
            capabilities: Sets::USER,
        }
    }

    /// Returns whether the asker has all of these capabilities.
    #[must_use]
    pub const fn can(&self, capabilities: Capabilities) -> bool {
        self.capabilities.effective.contains(capabilities)
    }

    /// Returns whether the asker belongs to a group.
    #[must_use]
    pub fn is_in(&self, group: u32) -> bool {
        self.gid == group || self.groups.contains(&group)
    }
}
