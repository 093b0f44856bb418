//! The event queue: the device's word that everything is gone (virtio 1.2 §5.10.6.7).

use super::arena::{Arena, Exhausted};
use super::buffer::Buffers;
use super::ring::{Access, Ring, RingFault};
use crate::limits::VSOCK_EVENT_BUFFERS;
use crate::virtio::init::InitError;
use virtio_drivers::Hal;
use virtio_drivers::transport::Transport;

/// Index of the event queue (virtio 1.2 §5.10.2).
const QUEUE: u16 = 2;

/// Bytes of an event.
const EVENT_BYTES: usize = 4;

/// `VIRTIO_VSOCK_EVENT_TRANSPORT_RESET`.
const TRANSPORT_RESET: u32 = 0;

/// The event queue and its buffers.
#[derive(Debug)]
pub(crate) struct EventQueue<H: Hal + 'static> {
    ring: Ring<H>,
    /// Packet buffers without data: an event is shorter than a header.
    buffers: Buffers,
    untold: bool,
}

/// What the device reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceEvent {
    TransportReset,
    /// Something this driver does not know; it is ignored, as the standard wants for new events.
    Unknown,
}

impl<H: Hal + 'static> EventQueue<H> {
    pub(crate) fn carve(arena: &mut Arena) -> Result<Buffers, Exhausted> {
        Buffers::new(arena, VSOCK_EVENT_BUFFERS, 0)
    }

    pub(crate) fn new<T: Transport>(
        transport: &mut T,
        arena: &mut Arena,
        event_idx: bool,
        buffers: Buffers,
    ) -> Result<Self, InitError> {
        let mut queue = Self {
            ring: Ring::new(transport, arena, QUEUE, event_idx)?,
            buffers,
            untold: false,
        };
        for buffer in 0..queue.buffers.count() {
            queue.post(buffer);
        }
        Ok(queue)
    }

    pub(crate) fn has_used(&self) -> bool {
        self.ring.has_used()
    }

    /// Takes the next event and posts its buffer again.
    pub(crate) fn take(&mut self) -> Result<Option<DeviceEvent>, RingFault> {
        let Some(used) = self.ring.take_used()? else {
            return Ok(None);
        };
        let buffer = usize::from(used.tag);
        let mut id = [0; EVENT_BYTES];
        id.copy_from_slice(&self.buffers.header(buffer)[..EVENT_BYTES]);
        self.post(buffer);
        let is_reset = used.written >= EVENT_BYTES && u32::from_le_bytes(id) == TRANSPORT_RESET;
        Ok(Some(if is_reset {
            DeviceEvent::TransportReset
        } else {
            DeviceEvent::Unknown
        }))
    }

    /// Tells the device of posted buffers, if there are new ones.
    pub(crate) fn kick<T: Transport>(&mut self, transport: &mut T) {
        if core::mem::take(&mut self.untold) {
            self.ring.kick(transport);
        }
    }

    fn post(&mut self, buffer: usize) {
        let region = self.buffers.region(buffer, 0);
        // SAFETY: the buffers live for ever; `Buffers` lends no references here; a buffer is posted only when it has
        // just been carved or taken back.
        unsafe { self.ring.lend(region, Access::Write, buffer as u16) };
        self.untold = true;
    }
}
