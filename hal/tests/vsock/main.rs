//! Conversations of the vsock layer with a mock device: one line per side.

mod bench;
mod connect;

#[global_allocator]
static HEAP: fakes::alloc::Counting = fakes::alloc::Counting::new();
