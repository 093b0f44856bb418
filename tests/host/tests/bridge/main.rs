//! The bridge against a scripted guest.

mod conversation;
mod guest;
mod resume;
mod verdicts;
