//! Is the booted image fast, and how much room does it take?
#![forbid(unsafe_code)]

pub mod report;
pub mod statistics;
