//! The entropy connection: random bytes from the host, read to their end (gcs-protocol §2).

use crate::kernel::Kernel;
use crate::limits::{MAX_ENTROPY_BYTES, START_MS};
use crate::world::{Earliest, World};
use core::time::Duration;
use embedded_io::{BufRead, ReadReady};
use hal::clock::Instant;
use hal::vsock::{ConnectionId, Port, Purpose, Vsock};

/// Where the connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Not dialled yet.
    Idle,
    /// Being dialled.
    Dialling(ConnectionId),
    /// Being read.
    Reading(ConnectionId),
    /// Read, or never to come.
    Done,
}

/// The host's random bytes.
pub(crate) struct Entropy {
    link: Link,
    deadline: Instant,
    taken: usize,
}

impl Entropy {
    pub(crate) const fn new() -> Self {
        Self {
            link: Link::Idle,
            deadline: Instant::ZERO,
            taken: 0,
        }
    }

    /// Returns whether `id` is the entropy connection.
    pub(crate) fn is(&self, id: ConnectionId) -> bool {
        matches!(self.link, Link::Dialling(own) | Link::Reading(own) if own == id)
    }

    /// Dials, if entropy is wanted.
    pub(crate) fn begin<V: Vsock>(&mut self, port: Option<Port>, now: Instant, vsock: &mut V) {
        self.deadline = now + Duration::from_millis(START_MS);
        let dialled = port.map(|port| vsock.connect(port, Purpose::Control, now, self.deadline));
        self.link = match dialled {
            Some(Ok(id)) => Link::Dialling(id),
            Some(Err(hal::vsock::Full)) | None => Link::Done,
        };
    }

    pub(crate) const fn on_connected(&mut self) {
        if let Link::Dialling(id) = self.link {
            self.link = Link::Reading(id);
        }
    }

    pub(crate) fn on_connect_failed(&mut self) {
        log::warn!("the host offers no entropy");
        self.link = Link::Done;
    }

    /// Reads what is there. Returns whether anything happened.
    pub(crate) fn read<V: Vsock, K: Kernel>(
        &mut self,
        earliest: &mut Earliest,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let Link::Reading(id) = self.link else {
            return false;
        };
        let before = self.taken;
        while let Some(mut stream) = world.vsock.stream(id) {
            if let Ok(false) = stream.read_ready() {
                if world.now >= self.deadline {
                    break;
                }
                earliest.note(self.deadline);
                return self.taken > before;
            }
            // An error is the end, too: what came before has been read.
            let chunk = stream.fill_buf().unwrap_or_default();
            let count = chunk.len().min(MAX_ENTROPY_BYTES - self.taken);
            if count == 0 {
                break;
            }
            world.kernel.add_entropy(&chunk[..count]);
            stream.consume(count);
            self.taken += count;
        }
        log::debug!("took {} bytes of entropy", self.taken);
        world.vsock.abort(id);
        self.link = Link::Done;
        true
    }
}
