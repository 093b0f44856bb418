//! One standard stream of one process: a connection to the host and what is carried over it.
//!
//! ```text
//!            Planned ──connect──► Dialling ──Connected──► Open ──end of data──► Ended ──► Absent
//!                                     └────Failed: the request fails                        ▲
//!                                                         └──all forwarded, or given up──────┘
//! ```
//!
//! Standard input carries bytes from the host. What the program's pipe does not take stays in the connection, whose
//! window then holds back the host. Output goes the other way; at its end the sending direction is shut down and the host
//! is given time to take everything, at most [`DRAIN_MS`] since the last byte it took. Only then is the stream gone and
//! can the process's exit be told (gcs-protocol §8.3). Here is a stream's life; the two directions are in [`input`] and
//! [`output`].

mod input;
mod output;

use crate::kernel::{Kernel, OutputStream, Pid};
use crate::limits::{DRAIN_MS, FAREWELL_MS};
use crate::world::World;
use core::fmt;
use core::time::Duration;
use hal::clock::Instant;
use hal::vsock::{ConnectionId, Port, Vsock};

/// Which of the three it is. From 1 on, so that "none" is all zeros and a table of them takes no room in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stdin = 1,
    Stdout,
    Stderr,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Stdin, Self::Stdout, Self::Stderr];

    /// Returns its place among the three: the file descriptor.
    pub(crate) const fn index(self) -> usize {
        self as usize - 1
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    const fn output(self) -> Option<OutputStream> {
        match self {
            Self::Stdin => None,
            Self::Stdout => Some(OutputStream::Stdout),
            Self::Stderr => Some(OutputStream::Stderr),
        }
    }
}

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is no connection: it was not asked for, or it is over.
    Absent,
    /// To be dialled at this port.
    Planned(Port),
    /// Being dialled.
    Dialling(Port, ConnectionId),
    /// Carrying bytes.
    Open(ConnectionId),
    /// Everything was carried; an output waits until the host has taken it, an input for the process's end.
    Ended(ConnectionId),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Planned(port) => write!(f, "planned port={}", port.0),
            Self::Dialling(port, id) => write!(f, "dialling port={} connection={id}", port.0),
            Self::Open(id) => write!(f, "open connection={id}"),
            Self::Ended(id) => write!(f, "ended connection={id}"),
        }
    }
}

/// One standard stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    phase: Phase,
    /// Whether something happened since the last attempt to carry bytes.
    ready: bool,
    /// What the host's reader had not been given when the last byte moved.
    unforwarded: usize,
    moved_at: Instant,
}

impl Stream {
    pub(crate) const fn new(phase: Phase) -> Self {
        Self {
            phase,
            ready: false,
            unforwarded: 0,
            moved_at: Instant::ZERO,
        }
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self.phase, Phase::Absent)
    }

    /// Returns whether the connection stands or is not wanted.
    pub(crate) const fn is_settled(&self) -> bool {
        !matches!(self.phase, Phase::Planned(_) | Phase::Dialling(..))
    }

    /// Returns the stream's connection.
    pub(crate) const fn connection(&self) -> Option<ConnectionId> {
        match self.phase {
            Phase::Dialling(_, id) | Phase::Open(id) | Phase::Ended(id) => Some(id),
            Phase::Absent | Phase::Planned(_) => None,
        }
    }

    pub(crate) const fn on_dialled(&mut self, port: Port, id: ConnectionId) {
        self.phase = Phase::Dialling(port, id);
    }

    pub(crate) const fn on_connected(&mut self, now: Instant) {
        if let Phase::Dialling(_, id) = self.phase {
            self.phase = Phase::Open(id);
            self.ready = true;
            self.moved_at = now;
        }
    }

    /// Takes back what was dialled or planned.
    pub(crate) fn abandon<V: Vsock>(&mut self, vsock: &mut V) {
        if let Some(id) = self.connection() {
            vsock.abort(id);
        }
        self.phase = Phase::Absent;
    }

    /// Something can be carried again: the connection or the process's pipe says so.
    pub(crate) const fn on_ready(&mut self) {
        self.ready = true;
    }

    /// Carries what can be carried now, a bounded amount. Returns whether anything moved.
    pub(crate) fn carry<V: Vsock, K: Kernel>(
        &mut self,
        kind: Kind,
        pid: Pid,
        world: &mut World<'_, V, K>,
    ) -> bool {
        if !self.ready {
            return false;
        }
        match (self.phase, kind.output()) {
            (Phase::Open(id), None) => self.carry_input(id, pid, world),
            (Phase::Open(id), Some(output)) => {
                Self::discard_input(id, world.vsock);
                self.carry_output(id, pid, output, world)
            }
            (Phase::Ended(id), Some(_)) => {
                self.ready = false;
                Self::discard_input(id, world.vsock);
                self.settle(id, world)
            }
            _ => {
                self.ready = false;
                false
            }
        }
    }

    /// The host has closed its receiving direction, or the whole connection is gone.
    pub(crate) fn on_host_closed<V: Vsock, K: Kernel>(
        &mut self,
        kind: Kind,
        pid: Pid,
        world: &mut World<'_, V, K>,
    ) {
        match (self.phase, kind.output()) {
            // What arrived before can still be read; its end is found there.
            (Phase::Open(_), None) => self.ready = true,
            (Phase::Open(id) | Phase::Ended(id), Some(output)) => {
                self.lose_output(id, pid, output, world);
            }
            _ => {}
        }
    }

    /// The process is gone: its input has no reader, and the time of its output begins to count.
    pub(crate) fn on_exited<V: Vsock, K: Kernel>(
        &mut self,
        kind: Kind,
        world: &mut World<'_, V, K>,
    ) {
        match (self.phase, kind.output()) {
            (Phase::Open(id) | Phase::Ended(id), None) => {
                let deadline = world.now + Duration::from_millis(FAREWELL_MS);
                world.vsock.close(id, deadline);
                self.phase = Phase::Absent;
            }
            (Phase::Open(id) | Phase::Ended(id), Some(_)) => {
                self.note_move(world.now, world.vsock.unforwarded(id));
                self.ready = true;
            }
            _ => self.abandon(world.vsock),
        }
    }

    /// Looks after an exited process's output. Returns when to look again; `None` when the stream is over.
    pub(crate) fn drain<V: Vsock, K: Kernel>(
        &mut self,
        kind: Kind,
        pid: Pid,
        world: &mut World<'_, V, K>,
    ) -> Option<Instant> {
        let id = self.connection()?;
        let unforwarded = world.vsock.unforwarded(id);
        if unforwarded < self.unforwarded {
            self.note_move(world.now, unforwarded);
            self.ready = true;
        }
        let deadline = self.moved_at + Duration::from_millis(DRAIN_MS);
        if world.now < deadline {
            return Some(deadline);
        }
        log::warn!(
            "pid={} {}: nothing moved for {DRAIN_MS} ms since the exit, the rest is dropped",
            pid.0,
            kind.name()
        );
        match kind.output() {
            Some(output) => {
                self.lose_output(id, pid, output, world);
            }
            None => self.abandon(world.vsock),
        }
        None
    }

    const fn note_move(&mut self, now: Instant, unforwarded: usize) {
        self.moved_at = now;
        self.unforwarded = unforwarded;
    }
}
