//! Takers of texts: the part that was asked for goes where it was asked for, the rest is counted.

use crate::errno::Errno;
use crate::fs::context::Sink;
use hal::frame::{FramePool, FrameRef};

/// Copies the part of a text that was asked for to a program's page and counts the rest.
pub(super) struct SpanSink<'a> {
    pub(super) pool: &'a mut FramePool,
    pub(super) frame: FrameRef<'a>,
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) skip: u64,
}

impl Sink for SpanSink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len() as u64) as usize;
        self.skip -= skipped as u64;
        let bytes = &bytes[skipped..];
        let count = bytes.len().min(self.end - self.at);
        self.pool.bytes_mut(self.frame)[self.at..self.at + count].copy_from_slice(&bytes[..count]);
        self.at += count;
    }
}

/// Takes text into a buffer; what does not fit is counted.
pub(super) struct SliceSink<'a> {
    pub(super) into: &'a mut [u8],
    pub(super) len: usize,
}

impl Sink for SliceSink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.into.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.len += bytes.len();
    }
}

impl SliceSink<'_> {
    /// Returns how long the text is, all of which must have found room.
    pub(super) fn finish(self) -> Result<usize, Errno> {
        if self.len > self.into.len() {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(self.len)
    }
}
