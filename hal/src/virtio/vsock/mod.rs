//! Stream connections over virtio-vsock (virtio 1.2 §5.10), our own layer on virtio-drivers' queues.
//!
//! ## The protocol in short
//!
//! Packets have a header of 44 bytes (addresses, operation, credit) and up to 64 KiB of data. A connection is opened by
//! REQUEST and accepted by RESPONSE (or refused by RST); data travels in RW packets; SHUTDOWN ends one or both
//! directions; RST ends everything. Every header carries the sender's window and how much it has forwarded to its
//! reader, so neither side sends more than the other can hold; CREDIT_REQUEST asks for these counters and
//! CREDIT_UPDATE tells them without data.
//!
//! ## A packet's way
//!
//! ```text
//!  device ─► Ring ─► Receiver ─► incoming ─► Connection ─► Inbox ─► VirtioStream ─► reader
//!             │         ▲ post, header zeroed                  │ consume: window opens
//!             │         └──────────────────────────────────────┘
//!  device ◄─ Ring ◄─ Transmitter ◄─ outgoing ◄─ Connection (owes packets) ◄─ VirtioStream ◄─ writer
//! ```
//!
//! * [`VirtioVsock`] is the device and implements [`crate::vsock::Vsock`]; all its memory is handed in at construction
//!   and sized by [`Budget`]. Nothing is allocated later and nothing waits.
//! * `ring` guards the virtqueues against false ids and lengths; after a fault the device is reset and stays out of
//!   use ([`VirtioVsock::fault`]).
//! * `connection` is the state machine; `credit` its counters; `window` decides who may hold how much.
//!
//! ## What real back ends do wrong
//!
//! Each of these was seen with vhost-device-vsock 0.3.0 or read in its source, and is met here:
//!
//! * kicks are lost while it starts: kicks are repeated while something is outstanding (`device`);
//! * nobody listening is never reported: dials are repeated on new ports, the first answered one is taken;
//! * a receive buffer comes back without a header: headers are zeroed before a buffer is posted (`receiver`);
//! * operation 0 is sent where there is nothing to say, and only an explicit CREDIT_UPDATE makes it look at the host's
//!   socket again: it is answered like a question, never by data alone (`connection`);
//! * the same question is asked again and again while a window is full: old news are repeated less and less often;
//! * while the host has something to send, what waits for the host is not flushed: a guest that does not read until the host
//!   has read more waits for ever, and only the programs on both sides can avoid that;
//! * SHUTDOWN while it holds unflushed bytes is never answered: the end is announced when all bytes were forwarded.

mod arena;
mod budget;
mod buffer;
mod connection;
mod credit;
mod device;
mod endpoint;
mod event_queue;
mod header;
mod inbox;
mod incoming;
mod mark;
mod outgoing;
mod port;
mod receiver;
mod repeat;
mod ring;
mod stream;
mod transmitter;
mod window;

pub use budget::Budget;
pub use device::{Usage, VirtioVsock};
pub use ring::RingFault;
pub use stream::VirtioStream;
