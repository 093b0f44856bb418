//! Block devices: reads are submitted and completed, never waited for.

use crate::clock::Instant;
use crate::frame::{Frame, FramePool};
use crate::limits::{BLOCK_SERIAL_BYTES, MAX_REQUEST_FRAMES};
use alloc::boxed::Box;
use core::fmt;

/// Bytes of a sector (virtio 1.2 §5.2.2: always 512, whatever the device's block size).
pub const SECTOR_BYTES: usize = 512;

/// The frames one request reads into, in order. They belong to the device until the request is completed.
pub type Buffer = heapless::Vec<Frame, MAX_REQUEST_FRAMES>;

/// What a disk says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskInfo {
    /// Size in sectors of 512 bytes.
    pub sectors: u64,
    /// Whether the device refuses writes.
    pub read_only: bool,
    /// Serial number; empty when the device gives none or has not told it yet (it is asked at start).
    pub serial: heapless::String<BLOCK_SERIAL_BYTES>,
}

/// Names one request of one disk until it is completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// Why a request was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// All request slots are in use; try again after a completion.
    Full,
    /// The request is empty or its last frame begins behind the disk's last sector.
    OutOfRange,
    /// A frame of the buffer has a second token, whose holder could read while the device writes.
    Shared,
    /// The device failed before and takes no more requests.
    Dead,
}

/// Why a request did not bring its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The device answered with status IOERR (virtio 1.2 §5.2.6).
    Io,
    /// The device answered with status UNSUPP or with a status that does not exist.
    Unsupported,
    /// The device broke the rules of the queue (bad id or length) and was shut off.
    Broken,
    /// The device did not answer within its deadline and was shut off.
    TimedOut,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "the device reports an I/O error",
            Self::Unsupported => "the device does not support the request",
            Self::Broken => "the device broke the rules and was shut off",
            Self::TimedOut => "the device did not answer and was shut off",
        })
    }
}

/// A finished request: its frames come back, with data when `result` is `Ok`.
#[derive(Debug)]
pub struct Completion {
    /// Which request.
    pub id: RequestId,
    /// Its frames, in order. Empty only after [`ReadError::TimedOut`] or [`ReadError::Broken`] of a device that did
    /// not even confirm its reset: frames it may still write to are lost for good.
    pub buffer: Buffer,
    /// Whether they hold what was asked for.
    pub result: Result<(), ReadError>,
}

/// A disk.
pub trait Block {
    /// Returns what the disk says of itself.
    fn info(&self) -> &DiskInfo;

    /// Returns whether the serial number is known or never will be.
    fn is_identified(&self) -> bool;

    /// Returns whether the device failed for good and takes no more requests.
    fn is_dead(&self) -> bool;

    /// Starts reading `buffer.len() * 4096` bytes from `sector` into the frames of `buffer`. The last frame may reach
    /// behind the disk's end; what lies there reads as zeroes.
    ///
    /// # Errors
    ///
    /// The buffer comes back with the reason.
    #[expect(
        clippy::result_large_err,
        reason = "frames are handed over by value, both ways"
    )]
    fn submit_read(
        &mut self,
        pool: &mut FramePool,
        sector: u64,
        buffer: Buffer,
        now: Instant,
    ) -> Result<RequestId, (Buffer, SubmitError)>;

    /// Returns a finished request, if there is one. Also repeats a lost notification and gives up on a dead device.
    fn poll(&mut self, pool: &mut FramePool, now: Instant) -> Option<Completion>;

    /// Returns when `poll` should be called even if no interrupt comes; [`Instant::NEVER`] while nothing is
    /// outstanding.
    fn next_deadline(&self) -> Instant;
}

/// A disk on the heap, which is cheaper to hand over: a driver is some kilobytes.
impl<T: Block> Block for Box<T> {
    fn info(&self) -> &DiskInfo {
        T::info(self)
    }

    fn is_identified(&self) -> bool {
        T::is_identified(self)
    }

    fn is_dead(&self) -> bool {
        T::is_dead(self)
    }

    fn submit_read(
        &mut self,
        pool: &mut FramePool,
        sector: u64,
        buffer: Buffer,
        now: Instant,
    ) -> Result<RequestId, (Buffer, SubmitError)> {
        T::submit_read(self, pool, sector, buffer, now)
    }

    fn poll(&mut self, pool: &mut FramePool, now: Instant) -> Option<Completion> {
        T::poll(self, pool, now)
    }

    fn next_deadline(&self) -> Instant {
        T::next_deadline(self)
    }
}
