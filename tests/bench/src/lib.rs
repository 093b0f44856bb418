//! Is the booted image fast, and how much room does it take?
//!
//! Every measurement boots the image in QEMU and asks through the same library that the `mote` command uses. Each stands
//! in a file of its own that says what exactly is measured; [`report`] puts them beside their goals.
//!
//! Numbers mean something on an otherwise idle machine only: QEMU's translator, the vsock back end and this program want
//! two cores for themselves.
#![forbid(unsafe_code)]

pub mod bed;
pub mod boot;
pub mod call;
pub mod container;
pub mod exec;
pub mod idle;
pub mod linux;
pub mod load;
pub mod memory;
pub mod parallel;
pub mod reconnect;
pub mod report;
pub mod run;
pub mod statistics;
pub mod stream;
pub mod whole;
