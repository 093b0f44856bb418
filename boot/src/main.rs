//! How does a machine become ours?
//!
//! The kernel `mote-kernel`: the entry that the stub of the packed image jumps to, or a VMM, and `main`, which takes the
//! machine over piece by piece and then turns the loop that everything else is called from.
#![no_std]
#![no_main]

extern crate alloc;

mod entry;
mod host;
mod machine;
mod mem;
mod options;
mod rust;
mod self_test;
mod turn;

use hal::heap::Heap;
use hal::x86::tsc::Tsc;

#[global_allocator]
static HEAP: Heap = Heap;

/// Called by the entry code, on the main stack, once.
extern "sysv64" fn main_in_upper_half(start_info: u64) -> ! {
    let start = Tsc::read();
    // SAFETY: the entry code calls this once, on its page tables, with what the VMM passed.
    let machine = unsafe { machine::Machine::take_over(start, start_info) };
    let (turns, rest) = machine.dial();
    turns.run(rest)
}
