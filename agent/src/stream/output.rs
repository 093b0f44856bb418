//! Standard output and error: from the program's pipe to the connection, and its end.

use super::{Phase, Stream};
use crate::kernel::{Kernel, OutputStream, Pid};
use crate::limits::{FAREWELL_MS, STEP_STREAM_BYTES};
use crate::world::{World, write_some};
use core::time::Duration;
use embedded_io::{Read, ReadReady};
use hal::vsock::{ConnectionId, Direction, Vsock};

impl Stream {
    /// Writes to the connection what the pipe holds, and its end.
    pub(super) fn carry_output<V: Vsock, K: Kernel>(
        &mut self,
        id: ConnectionId,
        pid: Pid,
        output: OutputStream,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let mut moved = 0;
        while moved < STEP_STREAM_BYTES {
            let lent = world.kernel.output(pid, output);
            if lent.bytes.is_empty() {
                self.ready = false;
                if lent.ended {
                    world.vsock.shutdown(id, Direction::Send);
                    self.phase = Phase::Ended(id);
                    self.note_move(world.now, world.vsock.unforwarded(id));
                    self.settle(id, world);
                    return true;
                }
                break;
            }
            let Ok(count) = write_some(world.vsock, id, lent.bytes) else {
                return self.lose_output(id, pid, output, world);
            };
            let all = count == lent.bytes.len();
            if count > 0 {
                world.kernel.consume(pid, output, count);
                moved += count;
            }
            if !all {
                // The window is full; the connection tells when it is not.
                self.ready = false;
                break;
            }
        }
        if moved > 0 {
            self.note_move(world.now, world.vsock.unforwarded(id));
        }
        moved > 0
    }

    /// The host reads no more: writers get EPIPE and the stream is over.
    pub(super) fn lose_output<V: Vsock, K: Kernel>(
        &mut self,
        id: ConnectionId,
        pid: Pid,
        output: OutputStream,
        world: &mut World<'_, V, K>,
    ) -> bool {
        world.kernel.close_output(pid, output);
        world.vsock.abort(id);
        self.phase = Phase::Absent;
        self.ready = false;
        true
    }

    /// Reads away what a host sends on an output, where it means nothing.
    pub(super) fn discard_input<V: Vsock>(id: ConnectionId, vsock: &mut V) {
        let mut scrap = [0; 64];
        let Some(mut stream) = vsock.stream(id) else {
            return;
        };
        while let Ok(true) = stream.read_ready() {
            if !matches!(stream.read(&mut scrap), Ok(1..)) {
                return;
            }
        }
    }

    /// Ends an output whose last byte the host's reader was given.
    ///
    /// The Linux guest also waits for the host to close its end. But vhost-device-vsock and its relatives do not pass our
    /// half-close on, so that a host reading to the end would never see it; and once everything was forwarded, a full
    /// close loses nothing: what the host has yet to read lies in its own socket, with the end behind it.
    pub(super) fn settle<V: Vsock, K: Kernel>(
        &mut self,
        id: ConnectionId,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let done = world.vsock.unforwarded(id) == 0;
        if done {
            let deadline = world.now + Duration::from_millis(FAREWELL_MS);
            world.vsock.close(id, deadline);
            self.phase = Phase::Absent;
        }
        done
    }
}
