//! How does a Linux program run?
//!
//! [`Kernel`] is what the agent speaks to (`agent::kernel::Kernel`) and what the machine's loop gives its turns
//! ([`Kernel::run_slice`]). One processor, one kernel stack, no threads, no locks, no `unsafe`: everything that waits is
//! a value in a table, and user mode is a call that returns a reason.
//!
//! # The life of a spawn
//!
//! `spawn` makes a process with an address space and copies the strings to the top of its stack (`program::stack`).
//! What follows may have to wait for disks, so it is a line of steps that are tried again when they are woken
//! (`program`): find or make the working directory, look for the file, map its segments, clear what lies behind their
//! ends, finish the stack. No page of the program is read for that but its headers and the last page of its data;
//! the rest comes on demand (`space::fault`), shared with the page cache until it is written. Then
//! [`agent::kernel::Event::Loaded`] is told, `attach` and `start` follow, and the task stands in the run queue.
//!
//! # The life of a system call
//!
//! ```text
//! user.run ─► Trap::Syscall ─► schedule: carry_out ──► syscall::dispatch ─► handler(system, call)
//!                                                                            ├─ Ok, Err(errno) ─► rax, back
//!                                 wake key, deadline ◄─ parked ◄─────────────┼─ Wait
//!                                 end of the run queue ◄─────────────────────┴─ Again: its share of work is done
//! ```
//!
//! A parked call is a value: the same handler is called again with what it kept. On the way back to user mode, and
//! nowhere else, signals take effect (`signal::deliver`). A program's memory is reached by spans (`user_memory`), so
//! that a bad pointer is EFAULT and no fault can happen in the kernel.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod account;
#[cfg(test)]
mod account_tests;
mod accounting;
mod alarm;
mod backtrace;
#[cfg(test)]
mod backtrace_tests;
#[cfg(test)]
mod bench;
pub mod capability;
mod change;
mod dump;
#[cfg(test)]
mod epoll_tests;
pub mod errno;
#[cfg(test)]
mod exec_tests;
mod exit;
mod family;
#[cfg(test)]
mod family_tests;
mod fork;
pub mod fs;
mod futex;
mod holder;
mod identity;
mod interface;
#[cfg(test)]
mod interruption_tests;
#[cfg(test)]
mod job_tests;
mod kernel;
#[cfg(test)]
mod limit_tests;
pub mod limits;
mod live;
#[cfg(test)]
mod loading_tests;
#[cfg(test)]
mod memory_tests;
mod meter;
#[cfg(test)]
mod name_tests;
mod out_of_memory;
#[cfg(test)]
mod owner_tests;
#[cfg(test)]
mod poll_tests;
mod priority;
mod process;
mod program;
mod quota;
mod random;
mod report;
mod rlimit;
mod run_queue;
mod schedule;
mod signal;
#[cfg(test)]
mod signal_tests;
pub mod slab;
mod space;
mod spawn;
mod syscall;
mod system;
mod task;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod thread_tests;
mod timer;
#[cfg(test)]
mod timer_tests;
mod tty;
mod user_memory;
#[cfg(test)]
mod user_tests;
mod view;
#[cfg(test)]
mod vsock_port_tests;
#[cfg(test)]
mod vsock_tests;
pub mod wait;
#[cfg(test)]
mod warm_tests;

pub use kernel::{Kernel, Parts};

/// Returns the name of a system call that has a handler.
#[must_use]
pub fn call_name(number: u32) -> Option<&'static str> {
    syscall::name(number)
}
