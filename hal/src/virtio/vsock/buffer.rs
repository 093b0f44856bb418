//! Packet buffers that are shared with the device: equal pieces of one block of memory.
//!
//! While the device has a buffer no reference to it exists. Headers and small packets are copied out through raw
//! pointers and only the copy is looked at. The data of a buffer that came back may be lent as a slice; it is nothing
//! but bytes for a reader, and nothing here decides by it.

use super::arena::{Arena, Exhausted};
use super::budget::{BUFFER_ALIGN, stride};
use super::header::HEADER_BYTES;
use core::ptr::NonNull;

/// Buffers of the same size, each a header with `data_bytes` bytes of data behind it.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// Start of `count * stride` bytes that belong to this value for ever.
    start: NonNull<u8>,
    count: usize,
    data_bytes: usize,
}

impl Buffers {
    pub(crate) fn new(
        arena: &mut Arena,
        count: usize,
        data_bytes: usize,
    ) -> Result<Self, Exhausted> {
        let memory = arena.bytes(count * stride(data_bytes), BUFFER_ALIGN)?;
        Ok(Self {
            start: NonNull::from(memory).cast(),
            count,
            data_bytes,
        })
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    pub(crate) const fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Returns the first `HEADER_BYTES + data_bytes` bytes of a buffer, for lending it to the device.
    pub(crate) fn region(&self, index: usize, data_bytes: usize) -> NonNull<[u8]> {
        let start = self.at(index, 0, HEADER_BYTES + data_bytes);
        NonNull::slice_from_raw_parts(start, HEADER_BYTES + data_bytes)
    }

    /// Returns a copy of the header.
    pub(crate) fn header(&self, index: usize) -> [u8; HEADER_BYTES] {
        let mut copy = [0; HEADER_BYTES];
        self.copy_out(index, 0, &mut copy);
        copy
    }

    pub(crate) fn set_header(&mut self, index: usize, header: &[u8; HEADER_BYTES]) {
        self.copy_in(index, 0, header);
    }

    /// Copies data from `offset` behind the header on.
    pub(crate) fn read_data(&self, index: usize, offset: usize, to: &mut [u8]) {
        self.copy_out(index, HEADER_BYTES + offset, to);
    }

    /// Lends the data between two offsets behind the header.
    ///
    /// # Safety
    ///
    /// The device does not have the buffer and does not get it while the slice lives. (That it leaves alone what it
    /// gave back is the standard's promise; a host that breaks it can write to all memory anyway.)
    pub(crate) unsafe fn data(&self, index: usize, start: usize, end: usize) -> &[u8] {
        let count = end - start;
        let first = self.at(index, HEADER_BYTES + start, count);
        // SAFETY: `at` checked that the range lies in this value's memory, which was initialised bytes when it
        // was handed in; the caller promises that nobody writes to it.
        unsafe { core::slice::from_raw_parts(first.as_ptr(), count) }
    }

    /// Copies data to `offset` behind the header.
    pub(crate) fn write_data(&mut self, index: usize, offset: usize, from: &[u8]) {
        self.copy_in(index, HEADER_BYTES + offset, from);
    }

    fn copy_out(&self, index: usize, offset: usize, to: &mut [u8]) {
        let source = self.at(index, offset, to.len());
        // SAFETY: `at` checked that the range lies in this value's memory; `to` is a different object.
        unsafe { source.copy_to_nonoverlapping(NonNull::from(&mut *to).cast(), to.len()) };
    }

    fn copy_in(&mut self, index: usize, offset: usize, from: &[u8]) {
        let target = self.at(index, offset, from.len());
        // SAFETY: `at` checked that the range lies in this value's memory; `from` is a different object.
        unsafe { target.copy_from_nonoverlapping(NonNull::from(from).cast(), from.len()) };
    }

    /// Returns the address of `offset` in a buffer.
    ///
    /// # Panics
    ///
    /// When `count` bytes from there leave the buffer. Callers have compared lengths from the device with the size
    /// before.
    fn at(&self, index: usize, offset: usize, count: usize) -> NonNull<u8> {
        let room = HEADER_BYTES + self.data_bytes;
        assert!(index < self.count && offset <= room && count <= room - offset);
        let place = index * stride(self.data_bytes) + offset;
        // SAFETY: the memory is `count * stride` bytes long and `place` lies in it by the check above.
        unsafe { self.start.add(place) }
    }
}
