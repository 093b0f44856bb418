//! The three connections a booting guest makes (gcs-protocol §2): entropy, log, bridge.

use super::log::Log;
use crate::error::{Error, Result};
use crate::listener::{PortListener, PortSpace, wait_readable};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Random bytes the guest is given (hcsshim `internal/vm/vmutils`).
const ENTROPY_BYTES: usize = 512;

/// How often it is checked that the VM still runs.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The listeners that are still waiting; each takes one connection.
#[derive(Debug, Default)]
pub(super) struct Dials {
    entropy: Option<PortListener>,
    log: Option<PortListener>,
    bridge: Option<PortListener>,
    pub(super) dialled_at: Option<Instant>,
    pub(super) negotiated_at: Option<Instant>,
}

impl Dials {
    /// Binds the three ports.
    pub(super) fn listen(ports: &PortSpace) -> Result<Self> {
        Ok(Self {
            entropy: Some(ports.listen(ports.entropy_port())?),
            log: Some(ports.listen(ports.log_port())?),
            bridge: Some(ports.listen(ports.bridge_port())?),
            dialled_at: None,
            negotiated_at: None,
        })
    }

    /// Returns the bridge connection, or the name of the connection that did not come in time. The bridge is taken
    /// only when entropy and log have come, as the real host does it.
    pub(super) fn accept(
        &mut self,
        ports: &PortSpace,
        log: &Arc<Log>,
        limit: Duration,
        has_ended: impl Fn() -> bool,
    ) -> Result<Result<UnixStream, &'static str>> {
        let deadline = Instant::now() + limit;
        if self.bridge.is_none() {
            self.bridge = Some(ports.listen(ports.bridge_port())?);
        }
        loop {
            let ended = has_ended();
            if let Some(stream) = take(&mut self.entropy)? {
                give_entropy(stream)?;
            }
            if let Some(stream) = take(&mut self.log)? {
                log.follow(stream)
                    .map_err(|error| Error::io("cannot start the log's reader thread", error))?;
            }
            if self.entropy.is_none()
                && self.log.is_none()
                && let Some(stream) = take(&mut self.bridge)?
            {
                self.dialled_at = Some(Instant::now());
                return Ok(Ok(stream));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if ended || left.is_zero() {
                return Ok(Err(self.missing()));
            }
            // The bridge's listener would stay readable while the others are waited for.
            let waiting: Vec<&PortListener> = match (&self.entropy, &self.log, &self.bridge) {
                (None, None, Some(bridge)) => vec![bridge],
                (entropy, log, _) => entropy.iter().chain(log).collect(),
            };
            wait_readable(&waiting, left.min(LOOK_AGAIN))
                .map_err(|error| Error::io("cannot wait for the guest's connections", error))?;
        }
    }

    fn missing(&self) -> &'static str {
        match (&self.entropy, &self.log) {
            (Some(_), Some(_)) => "entropy (port 1) or log (port 109)",
            (Some(_), None) => "entropy (port 1)",
            (None, Some(_)) => "log (port 109)",
            (None, None) => "bridge (port 0x40000000)",
        }
    }
}

/// Takes a listener's one connection if it is there; the listener is gone then.
fn take(slot: &mut Option<PortListener>) -> Result<Option<UnixStream>> {
    let Some(listener) = slot else {
        return Ok(None);
    };
    let stream = listener
        .try_accept()
        .map_err(|error| Error::io("cannot accept the guest's connection", error))?;
    if stream.is_some() {
        *slot = None;
    }
    Ok(stream)
}

/// Writes random bytes and closes.
fn give_entropy(mut stream: UnixStream) -> Result<()> {
    let mut bytes = [0; ENTROPY_BYTES];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| Error::io("cannot read /dev/urandom", error))?;
    // A guest that hangs up here does without; the real host does not mind either.
    let _ = stream.write_all(&bytes);
    Ok(())
}
