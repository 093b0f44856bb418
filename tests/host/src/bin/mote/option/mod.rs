//! Options several commands share.

pub(crate) mod limit;
pub(crate) mod process;
pub(crate) mod vm;
