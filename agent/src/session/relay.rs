//! Standard streams: what connections and pipes report, and the bytes that follow.

use super::Session;
use crate::kernel::{Kernel, Pid};
use crate::process::State;
use crate::stream::Kind;
use crate::world::World;
use hal::vsock::{ConnectionId, Vsock};

impl Session {
    /// A connection has something to read or room to write.
    pub(crate) fn on_stream_ready(&mut self, id: ConnectionId) {
        if let Some((key, kind)) = self.stream_owner(id)
            && let Some(process) = self.processes.get_mut(key)
        {
            process.stream(kind).on_ready();
        }
    }

    /// The host reads a stream no more, or its connection is gone.
    pub(crate) fn on_stream_closed<V: Vsock, K: Kernel>(
        &mut self,
        id: ConnectionId,
        world: &mut World<'_, V, K>,
    ) {
        if let Some((key, kind)) = self.stream_owner(id)
            && let Some(process) = self.processes.get_mut(key)
        {
            let pid = process.pid;
            process.stream(kind).on_host_closed(kind, pid, world);
        }
    }

    /// A process has written something, or its output has ended.
    pub(crate) fn on_output_ready(&mut self, pid: Pid) {
        if let Some(key) = self.process_by_pid(pid)
            && let Some(process) = self.processes.get_mut(key)
        {
            process.stream(Kind::Stdout).on_ready();
            process.stream(Kind::Stderr).on_ready();
        }
    }

    /// A process's standard input has room again, or no reader.
    pub(crate) fn on_input_ready(&mut self, pid: Pid) {
        if let Some(key) = self.process_by_pid(pid)
            && let Some(process) = self.processes.get_mut(key)
        {
            process.stream(Kind::Stdin).on_ready();
        }
    }

    /// Carries what can be carried, a bounded amount for each stream. Returns whether anything moved.
    pub(crate) fn carry<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) -> bool {
        let mut moved = false;
        for index in 0..self.processes.high() {
            let Some(key) = self.processes.key_at(index) else {
                continue;
            };
            let Some(process) = self.processes.get_mut(key) else {
                continue;
            };
            if !matches!(process.state, State::Running | State::Draining(_)) {
                continue;
            }
            let pid = process.pid;
            for kind in Kind::ALL {
                moved |= process.stream(kind).carry(kind, pid, world);
            }
        }
        moved
    }
}
