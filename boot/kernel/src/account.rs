//! Who pays: every frame, descriptor, task and pipe byte is charged to an account, the utility VM's or a container's.

use crate::errno::Errno;
use crate::slab::{Id, Slab};

/// Names an account.
pub type AccountId = Id<Account>;

/// Something an account pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Frames of memory: program pages, page tables, in-memory files, pipe buffers.
    Frames,
    /// Open files.
    Files,
    /// Tasks.
    Tasks,
}

const RESOURCES: usize = 3;

/// What one container (or the utility VM) uses and may use.
#[derive(Clone, Debug)]
pub struct Account {
    used: [u64; RESOURCES],
    peak: [u64; RESOURCES],
    limit: [u64; RESOURCES],
    /// Nanoseconds its programs ran in user mode.
    pub user_nanos: u64,
    /// Nanoseconds the kernel worked on their behalf.
    pub kernel_nanos: u64,
}

impl Account {
    /// Makes an account that has used nothing and may use everything.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self {
            used: [0; RESOURCES],
            peak: [0; RESOURCES],
            limit: [u64::MAX; RESOURCES],
            user_nanos: 0,
            kernel_nanos: 0,
        }
    }

    /// Returns how much of `resource` is in use.
    #[must_use]
    pub const fn used(&self, resource: Resource) -> u64 {
        self.used[resource as usize]
    }

    /// Returns the most of `resource` that was ever in use at once.
    #[must_use]
    pub const fn peak(&self, resource: Resource) -> u64 {
        self.peak[resource as usize]
    }

    /// Sets how much of `resource` may be in use. What is in use already stays.
    pub const fn set_limit(&mut self, resource: Resource, limit: u64) {
        self.limit[resource as usize] = limit;
    }

    /// Charges `count` of `resource`.
    ///
    /// # Errors
    ///
    /// ENOMEM, EMFILE or EAGAIN by resource, when the limit would be passed; nothing is charged then.
    pub fn charge(&mut self, resource: Resource, count: u64) -> Result<(), Errno> {
        let index = resource as usize;
        let used = self.used[index].saturating_add(count);
        if used > self.limit[index] {
            return Err(match resource {
                Resource::Frames => Errno::ENOMEM,
                Resource::Files => Errno::EMFILE,
                Resource::Tasks => Errno::EAGAIN,
            });
        }
        self.used[index] = used;
        self.peak[index] = self.peak[index].max(used);
        Ok(())
    }

    /// Gives back what was charged.
    pub fn refund(&mut self, resource: Resource, count: u64) {
        let index = resource as usize;
        debug_assert!(self.used[index] >= count, "refunded more than was charged");
        self.used[index] = self.used[index].saturating_sub(count);
    }
}

/// All accounts.
pub type Accounts = Slab<Account>;
