//! A disk made of bytes. A read is finished at the next look, never before, and fails where it is told to.

use hal::block::{
    Block, Buffer, Completion, DiskInfo, ReadError, RequestId, SECTOR_BYTES, SubmitError,
};
use hal::clock::Instant;
use hal::frame::FramePool;
use hal::limits::PAGE_BYTES;
use std::collections::VecDeque;

pub(crate) struct Disk {
    info: DiskInfo,
    bytes: Vec<u8>,
    pending: VecDeque<(RequestId, u64, Buffer)>,
    next: u32,
    /// One read in this many fails; 0 for none.
    failing: u32,
}

impl Disk {
    pub(crate) fn new(bytes: Vec<u8>, failing: u32) -> Self {
        let info = DiskInfo {
            sectors: (bytes.len() / SECTOR_BYTES) as u64,
            read_only: true,
            serial: heapless::String::new(),
        };
        Self {
            info,
            bytes,
            pending: VecDeque::new(),
            next: 0,
            failing,
        }
    }
}

impl Block for Disk {
    fn info(&self) -> &DiskInfo {
        &self.info
    }

    fn submit_read(
        &mut self,
        pool: &mut FramePool,
        sector: u64,
        buffer: Buffer,
        _now: Instant,
    ) -> Result<RequestId, (Buffer, SubmitError)> {
        if buffer.iter().any(|frame| pool.tokens(frame.by_ref()) != 1) {
            return Err((buffer, SubmitError::Shared));
        }
        let sectors_per_page = (PAGE_BYTES / SECTOR_BYTES) as u64;
        let last = buffer
            .len()
            .checked_sub(1)
            .and_then(|pages| sector.checked_add(pages as u64 * sectors_per_page));
        if last.is_none_or(|last| last >= self.info.sectors) {
            return Err((buffer, SubmitError::OutOfRange));
        }
        self.next += 1;
        self.pending
            .push_back((RequestId(self.next), sector, buffer));
        Ok(RequestId(self.next))
    }

    fn poll(&mut self, pool: &mut FramePool, _now: Instant) -> Option<Completion> {
        let (id, sector, buffer) = self.pending.pop_front()?;
        if self.failing > 0 && id.0.is_multiple_of(self.failing) {
            return Some(Completion {
                id,
                buffer,
                result: Err(ReadError::Io),
            });
        }
        for (nth, frame) in buffer.iter().enumerate() {
            let start = (sector as usize * SECTOR_BYTES + nth * PAGE_BYTES).min(self.bytes.len());
            let end = (start + PAGE_BYTES).min(self.bytes.len());
            let page = pool.bytes_mut(frame);
            page.fill(0);
            page[..end - start].copy_from_slice(&self.bytes[start..end]);
        }
        Some(Completion {
            id,
            buffer,
            result: Ok(()),
        })
    }

    fn next_deadline(&self) -> Instant {
        Instant::NEVER
    }
}
