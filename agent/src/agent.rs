//! The agent: everything the session knows, and the one function that moves it.

use crate::config::Config;
use crate::kernel::Kernel;
use crate::limits::{MAX_FRAME_BYTES, MIN_BODY_BYTES};
use core::fmt;
use core::time::Duration;
use hal::clock::Instant;
use hal::vsock::Vsock;

/// The memory the agent works in besides itself, sized by the owner from the machine's RAM.
pub struct Buffers {
    /// One request's body: [`MIN_BODY_BYTES`] to [`crate::limits::MAX_BODY_BYTES`].
    pub body: &'static mut [u8],
    /// Frames on their way out: at least [`MAX_FRAME_BYTES`]. Twice that lets a request be decoded while the answer to
    /// the one before is still leaving.
    pub outgoing: &'static mut [u8],
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Whether anything happened; if so there may be more to do at once.
    pub moved: bool,
    /// When the next step is due even if nothing happens.
    pub next_deadline: Instant,
}

/// The agent. It is large and lives in a static: [`Agent::new`] is constant (and all zeros, so it takes no room in the
/// image), [`Agent::begin`] fills in what is known at run time.
pub struct Agent {
    config: Option<Config>,
    buffers: Option<Buffers>,
    epoch: Option<Duration>,
}

impl Agent {
    /// Returns an agent that does nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            config: None,
            buffers: None,
            epoch: None,
        }
    }

    /// Gives the agent its configuration, its memory and the wall time at [`Instant::ZERO`] for log lines. From the next
    /// step on it dials.
    ///
    /// # Panics
    ///
    /// If a buffer is smaller than its minimum: a mistake of the caller, not of a peer.
    pub fn begin(&mut self, config: Config, buffers: Buffers, epoch: Option<Duration>) {
        assert!(buffers.body.len() >= MIN_BODY_BYTES);
        assert!(buffers.outgoing.len() >= MAX_FRAME_BYTES);
        self.config = Some(config);
        self.buffers = Some(buffers);
        self.epoch = epoch;
    }

    /// Takes what happened in `vsock` and `kernel` and does what follows from it; a bounded amount of work.
    pub fn step<V: Vsock, K: Kernel>(
        &mut self,
        now: Instant,
        vsock: &mut V,
        kernel: &mut K,
    ) -> Activity {
        let _ = (now, vsock, kernel);
        Activity {
            moved: false,
            next_deadline: Instant::NEVER,
        }
    }

    /// Returns whether [`Agent::log`] would keep a line: the host takes a log, or may still turn out to.
    #[must_use]
    pub const fn can_log(&self) -> bool {
        false
    }

    /// Queues one line for the host's log and sends what the connection takes. Never waits; a line that does not fit is
    /// counted, and the count is reported when there is room again.
    pub fn log<V: Vsock>(
        &mut self,
        now: Instant,
        vsock: &mut V,
        level: log::Level,
        message: fmt::Arguments<'_>,
    ) {
        let _ = (now, vsock, level, message);
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}
