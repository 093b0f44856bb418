//! The bridge against a scripted guest.

mod conversation;
mod guest;
mod interface;
mod resume;
mod verdicts;
