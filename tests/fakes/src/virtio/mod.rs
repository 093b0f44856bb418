//! A virtio device without a machine: real virtqueues in host memory, walked by the test.
//!
//! ```text
//!  driver under test ──► MockTransport ──┐
//!        │                               ├── shared state ◄── Device ◄── the test (or a model such as `vsock`)
//!        └─ VirtQueue<MockHal, N> ──► rings and buffers in host memory ◄───┘
//! ```
//!
//! * [`MockHal`] gives out DMA memory whose device address is its host address, and knows which buffers are lent to
//!   the device at the moment.
//! * [`MockTransport`] implements `virtio_drivers::transport::Transport`.
//! * [`Device`] is the other side. Like a real device it is *asleep* until a queue is kicked: [`Device::take`] gives
//!   the chains that the driver offered and falls asleep again when it finds the ring empty. A kick that is lost on
//!   command ([`Device::lose_kicks`]) therefore has the effect that it has in a machine.
//!
//! The device is stricter than a real one. It panics when the driver breaks the rules of virtio 1.2 §2.7: a descriptor
//! out of range or in a loop, a chain offered twice, a readable part behind a writable one, an empty buffer, a buffer
//! that is not lent or lent twice, more chains than the queue is long, a kick before `DRIVER_OK`.
//!
//! And it misbehaves on command: [`Device::complete_lying`] writes any id and length, [`Device::jump_used`] moves the
//! used index without writing, [`Device::replay`] writes a completion again.
//!
//! A read-only disk, for example, is this:
//!
//! ```no_run
//! # use fakes::virtio::{Device, Setup};
//! # use virtio_drivers::transport::DeviceType;
//! let (device, transport) = Device::new(Setup {
//!     config: 2048_u64.to_le_bytes().to_vec(),
//!     ..Setup::new(DeviceType::Block, 1)
//! });
//! // … make the driver on `transport`, submit a read …
//! while let Some(mut chain) = device.take(0) {
//!     let sector = u64::from_le_bytes(chain.readable()[8..16].try_into().unwrap());
//!     chain.write(0, &[sector as u8; 4096]);
//!     let status = chain.writable_bytes() - 1;
//!     chain.write(status, &[0]);
//!     device.complete(chain, status as u32 + 1);
//! }
//! ```

mod chain;
mod device;
mod dma;
mod transport;
pub mod vsock;

pub use chain::Chain;
pub use device::{Device, Setup};
pub use dma::{MockHal, lent_buffers};
pub use transport::MockTransport;
