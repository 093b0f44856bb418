//! Programs that do what no program may, and that ask for more than there is. They run on Linux, too, which is the oracle.
//!
//! What they share: raw system calls ([`call`]), the end of a child ([`child`]), bytes that are executed ([`code`]) and
//! pieces of memory with known borders ([`memory`]).

pub mod call;
pub mod child;
pub mod code;
pub mod memory;
