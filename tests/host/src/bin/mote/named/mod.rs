//! VMs with names: a supervisor owns each, and commands ask it over a socket only its user can open.
//!
//! ```text
//! mote up web ──starts──► supervisor of web ──owns──► Vm, its connection, its processes
//! mote exec web ──control socket──► one thread each: a request, its replies
//!      ▲                                  │
//!      └── the program's streams, as descriptors: the bytes do not pass the supervisor
//! ```
//!
//! Everything a named VM has lies in one directory, `<runtime directory>/mote/<name>`, which is the VM's run directory: the
//! watchdog makes it and removes it, also when the supervisor is killed.

pub(crate) mod channel;
pub(crate) mod client;
pub(crate) mod message;
pub(crate) mod place;
mod processes;
pub(crate) mod remote;
mod server;
mod session;
pub(crate) mod supervisor;
