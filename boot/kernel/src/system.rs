//! The system: every table of the kernel, apart from the processor itself.
//!
//! Fields are plain and visible inside the crate, because one call often needs several of them at once; each is the
//! property of the module that defines its type.

use crate::account::Accounts;
use crate::errno::Errno;
use crate::process::Process;
use crate::slab::Slab;
use crate::space::{AddressSpace, SpaceId};
use crate::task::Task;
use crate::wait::WakeQueue;
use hal::block::Block;
use hal::clock::Instant;
use hal::frame::FramePool;
use hal::limits::MAX_DISKS;

/// Everything the kernel knows.
#[derive(Debug)]
pub(crate) struct System<B> {
    /// Memory.
    pub(crate) pool: FramePool,
    /// Who pays for what.
    pub(crate) accounts: Accounts,
    /// Whom to wake.
    pub(crate) wakes: WakeQueue,
    /// When this entry into the kernel began.
    pub(crate) now: Instant,
    /// Flows of instructions.
    pub(crate) tasks: Slab<Task>,
    /// Programs in execution.
    pub(crate) processes: Slab<Process>,
    /// Their memory.
    pub(crate) spaces: Slab<AddressSpace>,
    /// Disks, by order of discovery.
    pub(crate) disks: heapless::Vec<B, MAX_DISKS>,
}

impl<B: Block> System<B> {
    /// Returns an address space.
    ///
    /// # Errors
    ///
    /// EFAULT when it is gone.
    pub(crate) fn space(&self, id: SpaceId) -> Result<&AddressSpace, Errno> {
        self.spaces.get(id).ok_or(Errno::EFAULT)
    }
}
