//! Virtio devices of this machine: how they are found, reached and driven.
//!
//! * [`dma`] hands the memory to virtio-drivers that devices share with us.
//! * [`block`] implements [`crate::block::Block`] on a virtqueue.
//! * [`init`] is the handshake every device goes through before it is used.
//!
//! Everything a device writes is treated as hostile: it is copied out, checked, and the copy is used. A device that
//! breaks the rules is reset and never asked again; nothing here panics on what it says and nothing waits without a
//! bound.

pub mod block;
pub mod dma;
pub mod init;
