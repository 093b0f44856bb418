//! The x86-64 implementation: what the processor and its board do for us.
//!
//! One processor, one owner. The pieces, in the order in which start-up uses them:
//!
//! | piece | answers |
//! |---|---|
//! | [`pvh`], [`memory_map`] | what did the VMM hand us? |
//! | [`paging`], [`memory`] | who owns which frame, and where is it seen? |
//! | [`descriptor`], [`trap`] | what happens on an exception or interrupt? |
//! | [`console`], [`last_words`], [`power`] | how do we speak before there is a host, and how do we end? |
//! | [`tsc`], [`apic`], [`ioapic`], [`idle`] | what time is it, and who wakes us? |
//! | [`processor`] | user mode: [`crate::user::User`] |
//!
//! Everything decidable is plain data over slices or small traits, and is tested on the host.

pub mod apic;
pub mod console;
pub mod descriptor;
pub mod exclusive;
pub(crate) mod extended;
mod fault;
pub mod idle;
pub mod ioapic;
pub mod last_words;
pub mod layout;
pub mod memory;
pub mod memory_map;
pub mod mmio;
pub mod paging;
pub mod port;
pub mod power;
pub mod processor;
pub mod pvh;
pub mod trap;
pub mod tsc;
pub mod vdso;
