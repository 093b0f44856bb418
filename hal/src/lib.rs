//! What can this machine do?
//!
//! `hal` is the only room besides the entry of `boot` that touches hardware. It answers in two parts:
//!
//! * **Traits and plain types** that the rest of mote is written against and that the host's fakes implement too:
//!   [`console::Console`], [`clock::Clock`], [`block::Block`], [`vsock::Vsock`], [`user::User`], and the memory
//!   they speak of: [`frame::Frame`], [`frame::FramePool`], [`page_table::PageTable`].
//! * **Their x86-64 and virtio implementation**, which also compiles on the host so that the host can test what is
//!   decidable there.
//!
//! Nothing here knows of the GCS protocol or of Linux; nothing here waits without a bound.
#![no_std]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod block;
pub mod clock;
pub mod console;
pub mod frame;
pub mod heap;
pub mod limits;
pub mod logger;
pub mod page_table;
pub mod platform;
pub mod user;
pub mod virtio;
pub mod vsock;
pub mod words;
pub mod x86;
