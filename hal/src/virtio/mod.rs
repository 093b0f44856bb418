//! Virtio devices of this machine: how they are found, reached and driven.
//!
//! * [`discovery`] finds them: named on the [`command_line`], on PCI, or in a microvm's slots.
//! * [`start`] makes a [`transport`] of each, MMIO or [`pci`], and routes its [`interrupt`].
//! * [`vsock`] implements [`crate::vsock::Vsock`] on three virtqueues.
//! * [`init`] is the handshake every device goes through before it is used.
//! * [`dma`] hands the memory to virtio-drivers that devices share with us.
//! * [`block`] implements [`crate::block::Block`] on a virtqueue.
//! * [`bay`] is where disks come and go while the machine runs.
//!
//! Everything a device writes is treated as hostile: it is copied out, checked, and the copy is used. A device that
//! breaks the rules is reset and never asked again; nothing here panics on what it says and nothing waits without a
//! bound.

pub mod bay;
pub mod block;
pub mod command_line;
pub mod discovery;
pub mod dma;
pub mod init;
pub mod interrupt;
pub mod pci;
pub mod start;
pub mod transport;
pub mod vsock;

pub use virtio_drivers::transport::DeviceType;
