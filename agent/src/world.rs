//! What surrounds the agent in one step: the time, the connections, the programs.

use embedded_io::{Write, WriteReady};
use hal::clock::Instant;
use hal::vsock::{ConnectionId, Vsock};

/// The two interfaces and the moment, handed down together.
pub(crate) struct World<'w, V, K> {
    pub(crate) now: Instant,
    pub(crate) vsock: &'w mut V,
    pub(crate) kernel: &'w mut K,
}

/// The earliest of several deadlines.
#[derive(Debug)]
pub(crate) struct Earliest(pub(crate) Instant);

impl Earliest {
    /// Takes one more into account.
    pub(crate) fn note(&mut self, deadline: Instant) {
        self.0 = self.0.min(deadline);
    }
}

/// A connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// Writes what a connection takes now. Less than everything means that [`hal::vsock::Event::Writable`] will follow.
///
/// Transmission does not start here but with [`Vsock::flush`] at the end of the step: a pipe is relayed page by page, and
/// a packet and a notification for each page would cost more than the copying.
pub(crate) fn write_some<V: Vsock>(
    vsock: &mut V,
    id: ConnectionId,
    bytes: &[u8],
) -> Result<usize, Gone> {
    let mut stream = vsock.stream(id).ok_or(Gone)?;
    if !stream.write_ready().or(Err(Gone))? {
        return Ok(0);
    }
    stream.write(bytes).or(Err(Gone))
}
