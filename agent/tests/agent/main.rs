//! Conversations: a scripted host, the agent, a scripted kernel.

mod bad_input;
mod channels;
mod claims;
mod conversation;
mod defect;
mod ends;
mod frames;
mod json;
mod lifecycle;
mod log_stream;
mod meaning;
mod modify;
mod modify_frames;
mod no_allocation;
mod order;
mod properties;
mod recorded;
mod resume;
mod specification;
mod splits;
mod stacks;
mod stage;
mod start;
mod streams;
mod terminal;
mod trap;

#[global_allocator]
static HEAP: fakes::alloc::Counting = fakes::alloc::Counting::new();
