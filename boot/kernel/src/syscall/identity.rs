//! Who am I? Process, thread, group, session, user and group ids.

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::system::System;
use hal::block::Block;

/// getpid(2).
pub(super) fn getpid<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let process = system.processes.get(call.process).ok_or(Errno::ESRCH)?;
    Ok(u64::from(process.pid.0))
}
