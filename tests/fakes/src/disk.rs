//! A disk made of bytes. A read is completed at the next poll, never before, and fails where it is told to.

use hal::block::{
    Block, Buffer, Completion, DiskInfo, ReadError, RequestId, SECTOR_BYTES, SubmitError,
};
use hal::clock::Instant;
use hal::frame::FramePool;
use hal::limits::PAGE_BYTES;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

const SECTORS_PER_PAGE: u64 = (PAGE_BYTES / SECTOR_BYTES) as u64;

/// The disk.
#[derive(Debug)]
pub struct Disk {
    info: DiskInfo,
    bytes: Vec<u8>,
    pending: VecDeque<(RequestId, u64, Buffer)>,
    next: u32,
    /// One read in this many fails; 0 for none.
    failing: u32,
    /// Sectors from here to there give errors.
    pub bad: Rc<Cell<(u64, u64)>>,
    /// How many reads there were.
    pub reads: Rc<Cell<u64>>,
    /// Whether it was pulled: every read fails.
    pub dead: Rc<Cell<bool>>,
}

impl Disk {
    /// Makes a healthy read-only disk of whole sectors of `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
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
            failing: 0,
            bad: Rc::default(),
            reads: Rc::default(),
            dead: Rc::default(),
        }
    }

    /// Gives the disk a serial.
    ///
    /// # Panics
    ///
    /// When that is longer than serials are.
    #[must_use]
    pub fn called(mut self, serial: &str) -> Self {
        self.info.serial = serial.try_into().expect("a short serial");
        self
    }

    /// Makes one read in `nth` fail; 0 for none.
    #[must_use]
    pub const fn failing_every(mut self, nth: u32) -> Self {
        self.failing = nth;
        self
    }
}

impl Block for Disk {
    fn info(&self) -> &DiskInfo {
        &self.info
    }

    fn is_identified(&self) -> bool {
        true
    }

    fn is_dead(&self) -> bool {
        self.dead.get()
    }

    fn submit_read(
        &mut self,
        pool: &mut FramePool,
        sector: u64,
        buffer: Buffer,
        _now: Instant,
    ) -> Result<RequestId, (Buffer, SubmitError)> {
        if self.dead.get() {
            return Err((buffer, SubmitError::Dead));
        }
        if buffer.iter().any(|frame| pool.tokens(frame.by_ref()) != 1) {
            return Err((buffer, SubmitError::Shared));
        }
        let last = buffer
            .len()
            .checked_sub(1)
            .and_then(|pages| sector.checked_add(pages as u64 * SECTORS_PER_PAGE));
        if last.is_none_or(|last| last >= self.info.sectors) {
            return Err((buffer, SubmitError::OutOfRange));
        }
        self.next += 1;
        self.reads.set(self.reads.get() + 1);
        crate::alloc::uncounted(|| {
            self.pending
                .push_back((RequestId(self.next), sector, buffer));
        });
        Ok(RequestId(self.next))
    }

    fn poll(&mut self, pool: &mut FramePool, _now: Instant) -> Option<Completion> {
        let (id, sector, buffer) = self.pending.pop_front()?;
        let (first, last) = self.bad.get();
        let end = sector + buffer.len() as u64 * SECTORS_PER_PAGE;
        let is_bad = sector < last && end > first;
        if is_bad || (self.failing > 0 && id.0.is_multiple_of(self.failing)) {
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
