//! Conversations of the vsock layer with a mock device: one line per side.

mod allocation;
mod bench;
mod close;
mod connect;
mod data;
mod fuzz;
mod hostile;
mod incoming;
mod kick;

#[global_allocator]
static HEAP: fakes::alloc::Counting = fakes::alloc::Counting::new();
