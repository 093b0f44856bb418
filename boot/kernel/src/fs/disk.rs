//! Disks: reads under way, and where their frames go when they are done.

use crate::errno::Errno;
use crate::fs::page_cache::{Content, Owner, PageCache};
use crate::limits::MAX_READS;
use crate::wait::{Stall, WakeKey, WakeQueue};
use alloc::vec::Vec;
use hal::block::{Block, Buffer, RequestId, SubmitError};
use hal::clock::Instant;
use hal::frame::FramePool;
use hal::limits::{MAX_DISKS, PAGE_BYTES};

/// A read under way.
#[derive(Debug)]
struct Read {
    id: RequestId,
    owner: Owner,
    first: u32,
    serial: u32,
    /// Bytes that count; what the disk has behind them is zeroed.
    bytes: usize,
}

/// One disk.
#[derive(Debug)]
struct Disk<B> {
    /// Nothing once it was pulled; the place waits for another one.
    device: Option<B>,
    reads: heapless::Vec<Read, MAX_READS>,
}

/// What to read, and for which pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) disk: u8,
    /// First byte on the disk; a multiple of 512.
    pub(super) start: u64,
    pub(super) owner: Owner,
    /// First page of `owner`.
    pub(super) first: u32,
    /// How many pages; at most [`hal::limits::MAX_REQUEST_FRAMES`].
    pub(super) count: usize,
    /// Bytes that count, at most `count` pages.
    pub(super) bytes: usize,
}

/// All disks, in the order they were found.
#[derive(Debug)]
pub(super) struct Disks<B> {
    /// On the heap, because a driver is some kilobytes; at most [`MAX_DISKS`], which the index fits.
    table: Vec<Disk<B>>,
    serial: u32,
}

impl<B: Block> Disks<B> {
    pub(super) const fn new() -> Self {
        Self {
            table: Vec::new(),
            serial: 0,
        }
    }

    /// Takes a disk in; it comes back when the table is full, or memory is short.
    pub(super) fn add(&mut self, device: B) -> Result<u8, B> {
        let free = self.table.iter().position(|disk| disk.device.is_none());
        if let Some(free) = free {
            self.table[free].device = Some(device);
            return Ok(free as u8);
        }
        if self.table.len() == MAX_DISKS || self.table.try_reserve(1).is_err() {
            return Err(device);
        }
        let disk = Disk {
            device: Some(device),
            reads: heapless::Vec::new(),
        };
        let index = self.table.len() as u8;
        self.table.push(disk);
        Ok(index)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn device(&self, disk: u8) -> Option<&B> {
        self.table.get(usize::from(disk))?.device.as_ref()
    }

    /// Takes a disk out that has no read under way.
    ///
    /// # Errors
    ///
    /// What to wait for while it has.
    pub(super) fn remove(&mut self, index: u8) -> Result<Option<B>, Stall> {
        match self.table.get_mut(usize::from(index)) {
            Some(disk) if disk.reads.is_empty() => Ok(disk.device.take()),
            Some(_) => Err(Stall::wait(WakeKey::Disk(index))),
            None => Ok(None),
        }
    }

    /// Returns how many bytes a disk has.
    pub(super) fn bytes(&self, disk: u8) -> u64 {
        self.device(disk)
            .map_or(0, |device| device.info().sectors.saturating_mul(512))
    }

    /// Starts a read into new pages of `cache`. On success they are there, being read; as many pages as were asked
    /// for or, when memory is short, fewer but at least one.
    ///
    /// # Errors
    ///
    /// EIO behind the disk's end or when it is dead, ENOMEM, or a wait for a free request.
    pub(super) fn read(
        &mut self,
        pool: &mut FramePool,
        cache: &mut PageCache,
        wanted: Wanted,
        now: Instant,
    ) -> Result<usize, Stall> {
        if wanted.start >= self.bytes(wanted.disk) {
            return Err(Errno::EIO.into());
        }
        let disk = self
            .table
            .get_mut(usize::from(wanted.disk))
            .ok_or(Errno::EIO)?;
        if disk.reads.is_full() {
            return Err(Stall::wait(WakeKey::Disk(wanted.disk)));
        }
        let count = wanted.count.min(cache.room());
        let mut buffer = Buffer::new();
        while buffer.len() < count {
            let Ok(frame) = pool.take() else {
                break;
            };
            if let Err(frame) = buffer.push(frame) {
                pool.release(frame);
                break;
            }
        }
        if buffer.is_empty() {
            return Err(Errno::ENOMEM.into());
        }
        let count = buffer.len();
        self.serial = self.serial.wrapping_add(1);
        let sector = wanted.start / 512;
        let Some(device) = disk.device.as_mut() else {
            release(pool, buffer);
            return Err(Errno::EIO.into());
        };
        let id = match device.submit_read(pool, sector, buffer, now) {
            Ok(id) => id,
            Err((buffer, error)) => {
                release(pool, buffer);
                return Err(match error {
                    SubmitError::Full => Stall::wait(WakeKey::Disk(wanted.disk)),
                    SubmitError::OutOfRange | SubmitError::Shared | SubmitError::Dead => {
                        Errno::EIO.into()
                    }
                });
            }
        };
        let read = Read {
            id,
            owner: wanted.owner,
            first: wanted.first,
            serial: self.serial,
            bytes: wanted.bytes.min(count * PAGE_BYTES),
        };
        if disk.reads.push(read).is_err() {
            unreachable!("a full list was refused above");
        }
        for page in 0..count as u32 {
            let page = wanted.first + page;
            let content = Content::Reading(self.serial);
            if cache.insert(wanted.owner, page, content).is_err() {
                unreachable!("no more pages are read than there is room for");
            }
        }
        Ok(count)
    }

    /// Takes what the disks have finished and wakes whoever waits for it.
    pub(super) fn poll(
        &mut self,
        pool: &mut FramePool,
        cache: &mut PageCache,
        wakes: &mut WakeQueue,
        now: Instant,
    ) {
        for (index, disk) in self.table.iter_mut().enumerate() {
            let Some(device) = &mut disk.device else {
                continue;
            };
            while let Some(completion) = device.poll(pool, now) {
                wakes.wake(WakeKey::Disk(index as u8));
                let position = disk.reads.iter().position(|read| read.id == completion.id);
                let Some(read) = position.map(|position| disk.reads.swap_remove(position)) else {
                    release(pool, completion.buffer);
                    continue;
                };
                if let Err(error) = completion.result {
                    log::warn!(
                        "disk={index} read of {} pages failed: {error}",
                        completion.buffer.len()
                    );
                }
                let outcome = if completion.result.is_ok() {
                    Outcome::Read
                } else {
                    Outcome::Failed
                };
                place(pool, cache, &read, completion.buffer, outcome);
            }
        }
    }

    /// Returns when [`Disks::poll`] should be called even if no interrupt comes.
    pub(super) fn next_deadline(&self) -> Instant {
        self.table
            .iter()
            .filter_map(|disk| Some(disk.device.as_ref()?.next_deadline()))
            .min()
            .unwrap_or(Instant::NEVER)
    }
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Read,
    Failed,
}

/// Puts the frames of a finished read where they are waited for.
fn place(
    pool: &mut FramePool,
    cache: &mut PageCache,
    read: &Read,
    buffer: Buffer,
    outcome: Outcome,
) {
    let alone = buffer.len() == 1;
    for (page, frame) in buffer.into_iter().enumerate() {
        let id = cache.find(read.owner, read.first + page as u32);
        let Some(entry) = id.and_then(|id| cache.get_mut(id)) else {
            pool.release(frame);
            continue;
        };
        if !matches!(entry.content, Content::Reading(serial) if serial == read.serial) {
            pool.release(frame);
            continue;
        }
        if outcome == Outcome::Read {
            let counts = read.bytes.saturating_sub(page * PAGE_BYTES);
            if counts < PAGE_BYTES {
                pool.bytes_mut(&frame)[counts..].fill(0);
            }
            entry.content = Content::Clean(frame);
            continue;
        }
        entry.content = if alone {
            Content::Failed
        } else {
            Content::Suspect
        };
        pool.release(frame);
    }
}

fn release(pool: &mut FramePool, buffer: Buffer) {
    for frame in buffer {
        pool.release(frame);
    }
}
