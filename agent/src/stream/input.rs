//! Standard input: from the connection's receive buffer to the program's pipe.

use super::{Phase, Stream};
use crate::kernel::{Input, Kernel, Pid};
use crate::limits::STEP_STREAM_BYTES;
use crate::world::World;
use embedded_io::{BufRead, ReadReady};
use hal::vsock::{ConnectionId, Direction, Vsock};

impl Stream {
    /// Offers the pipe what has come from the host.
    pub(super) fn carry_input<V: Vsock, K: Kernel>(
        &mut self,
        id: ConnectionId,
        pid: Pid,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let mut moved = 0;
        while moved < STEP_STREAM_BYTES {
            match offer_chunk(id, pid, world) {
                Offer::Nothing => {
                    self.ready = false;
                    break;
                }
                Offer::Took { count, all } => {
                    moved += count;
                    if !all {
                        // The pipe is full; the kernel tells when it is not.
                        self.ready = false;
                        break;
                    }
                }
                Offer::End => return self.end_input(id, pid, world),
                Offer::Broken => {
                    world.vsock.shutdown(id, Direction::Receive);
                    self.phase = Phase::Ended(id);
                    self.ready = false;
                    return true;
                }
            }
        }
        moved > 0
    }

    fn end_input<V: Vsock, K: Kernel>(
        &mut self,
        id: ConnectionId,
        pid: Pid,
        world: &mut World<'_, V, K>,
    ) -> bool {
        world.kernel.close_input(pid);
        self.phase = Phase::Ended(id);
        self.ready = false;
        true
    }
}

/// What became of the bytes at the front of a standard input's connection.
enum Offer {
    /// There are none now.
    Nothing,
    /// The pipe took this many of them.
    Took { count: usize, all: bool },
    /// There will be none any more.
    End,
    /// Nobody will read them.
    Broken,
}

fn offer_chunk<V: Vsock, K: Kernel>(
    id: ConnectionId,
    pid: Pid,
    world: &mut World<'_, V, K>,
) -> Offer {
    let Some(mut stream) = world.vsock.stream(id) else {
        return Offer::End;
    };
    if let Ok(false) = stream.read_ready() {
        return Offer::Nothing;
    }
    // An error is the end of a connection that was reset: what came before has been read.
    let chunk = stream.fill_buf().unwrap_or_default();
    if chunk.is_empty() {
        return Offer::End;
    }
    let offered = chunk.len();
    match world.kernel.offer_input(pid, chunk) {
        Input::Took(count) => {
            stream.consume(count);
            Offer::Took {
                count,
                all: count == offered,
            }
        }
        Input::Broken => Offer::Broken,
    }
}
