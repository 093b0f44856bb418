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

/// Writes what a connection takes now, and starts transmission. Less than everything means that
/// [`hal::vsock::Event::Writable`] will follow.
pub(crate) fn write_some<V: Vsock>(
    vsock: &mut V,
    id: ConnectionId,
    bytes: &[u8],
) -> Result<usize, Gone> {
    let mut stream = vsock.stream(id).ok_or(Gone)?;
    if !stream.write_ready().or(Err(Gone))? {
        return Ok(0);
    }
    let count = stream.write(bytes).or(Err(Gone))?;
    stream.flush().or(Err(Gone))?;
    Ok(count)
}
