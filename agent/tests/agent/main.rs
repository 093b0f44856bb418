//! Conversations: a scripted host, the agent, a scripted kernel.

mod bad_input;
mod conversation;
mod ends;
mod frames;
mod json;
mod log_stream;
mod meaning;
mod modify_frames;
mod no_allocation;
mod recorded;
mod resume;
mod specification;
mod splits;
mod stage;
mod start;
mod streams;

#[global_allocator]
static HEAP: fakes::alloc::Counting = fakes::alloc::Counting::new();
