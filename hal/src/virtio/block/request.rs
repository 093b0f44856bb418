//! The requests of one disk, from submission to completion, and the device chains each is cut into.

use crate::block::{Buffer, Completion, ReadError, RequestId};
use crate::clock::Instant;
use crate::limits::MAX_BLOCK_REQUESTS;

/// A request that was accepted.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: RequestId,
    /// First sector.
    pub(super) sector: u64,
    /// Its frames; lent to the device while `chains` is not 0.
    pub(super) buffer: Buffer,
    /// Bytes to read, less than the frames hold at the end of the disk.
    pub(super) bytes: usize,
    /// Frames that were given to the device so far, from the front.
    pub(super) sent: usize,
    /// Device chains in flight.
    pub(super) chains: usize,
    /// The first failure.
    pub(super) result: Result<(), ReadError>,
    /// When the device is given up.
    pub(super) deadline: Instant,
}

impl Request {
    /// Whether frames wait to be given to the device.
    fn is_waiting(&self) -> bool {
        self.result.is_ok() && self.sent < self.buffer.len()
    }

    /// Whether neither the device nor the driver has anything left to do.
    fn is_finished(&self) -> bool {
        self.chains == 0 && !self.is_waiting()
    }
}

/// All requests that were accepted and not yet completed.
#[derive(Debug, Default)]
pub(super) struct Requests {
    slots: [Option<Request>; MAX_BLOCK_REQUESTS],
    /// The next request's id; ids count up and wrap.
    next: u32,
}

impl Requests {
    /// Accepts a request; gives the buffer back when there is no room.
    #[expect(clippy::result_large_err, reason = "frames are handed over by value")]
    pub(super) fn accept(
        &mut self,
        sector: u64,
        buffer: Buffer,
        bytes: usize,
        deadline: Instant,
    ) -> Result<RequestId, Buffer> {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()) else {
            return Err(buffer);
        };
        let id = RequestId(self.next);
        self.next = self.next.wrapping_add(1);
        *slot = Some(Request {
            id,
            sector,
            buffer,
            bytes,
            sent: 0,
            chains: 0,
            result: Ok(()),
            deadline,
        });
        Ok(id)
    }

    /// Returns the slot of the oldest request with frames to send.
    pub(super) fn oldest_waiting(&self) -> Option<usize> {
        let age = |request: &Request| self.next.wrapping_sub(request.id.0);
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
            .filter(|(_, request)| request.is_waiting())
            .max_by_key(|(_, request)| age(request))
            .map(|(index, _)| index)
    }

    pub(super) fn get(&self, slot: usize) -> Option<&Request> {
        self.slots.get(slot)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Request> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Returns the earliest deadline of an unfinished request.
    pub(super) fn deadline(&self) -> Instant {
        self.slots
            .iter()
            .flatten()
            .filter(|request| !request.is_finished())
            .map(|request| request.deadline)
            .min()
            .unwrap_or(Instant::NEVER)
    }

    /// Gives up every unfinished request. With [`Frames::Lost`] their frames are not handed back.
    pub(super) fn fail_all(&mut self, reason: ReadError, frames: Frames) {
        let open = |request: &&mut Request| !request.is_finished();
        for request in self.slots.iter_mut().flatten().filter(open) {
            if frames == Frames::Lost && request.chains > 0 {
                request.buffer = Buffer::new();
            }
            request.result = Err(reason);
            request.chains = 0;
        }
    }

    /// Takes out a finished request.
    pub(super) fn take_finished(&mut self) -> Option<Completion> {
        let is_finished =
            |slot: &&mut Option<Request>| slot.as_ref().is_some_and(Request::is_finished);
        let request = self.slots.iter_mut().find(is_finished)?.take()?;
        Some(Completion {
            id: request.id,
            buffer: request.buffer,
            result: request.result,
        })
    }
}

/// What becomes of the frames of a request that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// The device was reset: they are ours again.
    Returned,
    /// The device may still write to them.
    Lost,
}

impl core::fmt::Display for Frames {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Returned => "returned",
            Self::Lost => "lost",
        })
    }
}
