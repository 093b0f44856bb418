//! Disks: [`crate::block::Block`] on a virtqueue (virtio 1.2 §5.2), read-only.
//!
//! A request is cut into *chains*, one per device request: header, pieces of memory, status byte. Most are one
//! chain; a device that takes a single piece of data gets one chain for every run of adjoining frames. While
//! a chain is in flight its frames belong to the device.
//!
//! ```text
//!  submit_read ─► Requests ─► send_waiting ─► VirtQueue::add ─► device
//!  poll        ◄─ Requests ◄─ on_used ◄─ VirtQueue::pop_used ◄──┘
//! ```
//!
//! Nothing the device writes is believed. The used id must be the head of a chain in flight, which also catches
//! repeated ids and jumps of the used index; length and status must fit. Otherwise, or when a request passes its
//! deadline, the disk is reset, and only then frames are handed back. A disk does not come back from that.

mod answer;
mod mailbox;
mod request;
mod scatter;

use crate::block::{
    Block, Buffer, Completion, DiskInfo, ReadError, RequestId, SECTOR_BYTES, SubmitError,
};
use crate::clock::Instant;
use crate::frame::FramePool;
use crate::limits::{
    BLOCK_DEADLINE_MS, BLOCK_QUEUE_DESCRIPTORS, BLOCK_RENOTIFY_MS, MAX_BLOCK_CHAINS,
    MAX_BLOCK_RENOTIFY_MS, MAX_REQUEST_FRAMES, PAGE_BYTES,
};
use crate::virtio::init::{InitError, negotiate, read_configuration, reset};
use answer::{Counting, Violation, judge, serial};
use core::time::Duration;
use mailbox::{Command, Mailbox};
use request::{Frames, Requests};
use scatter::{Lent, Pieces, Scatter, Shape, gather, is_exclusive};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, Transport};
use virtio_drivers::{Error as QueueError, Hal};

/// The only queue.
const QUEUE: u16 = 0;

/// `VIRTIO_BLK_F_SIZE_MAX`: the configuration limits the bytes of a piece (virtio 1.2 §5.2.3).
const FEATURE_SIZE_MAX: u64 = 1 << 1;
/// `VIRTIO_BLK_F_SEG_MAX`: the configuration says how many pieces a request may have (virtio 1.2 §5.2.3).
const FEATURE_SEG_MAX: u64 = 1 << 2;
/// `VIRTIO_BLK_F_RO`: the disk refuses writes (virtio 1.2 §5.2.3).
const FEATURE_RO: u64 = 1 << 5;

/// Offsets in `virtio_blk_config` (virtio 1.2 §5.2.4).
const CONFIG_CAPACITY_LOW: usize = 0;
const CONFIG_CAPACITY_HIGH: usize = 4;
const CONFIG_SIZE_MAX: usize = 8;
const CONFIG_SEG_MAX: usize = 12;

/// Sectors of a frame.
const FRAME_SECTORS: u64 = (PAGE_BYTES / SECTOR_BYTES) as u64;

const DEADLINE: Duration = Duration::from_millis(BLOCK_DEADLINE_MS);
const FIRST_RENOTIFY: Duration = Duration::from_millis(BLOCK_RENOTIFY_MS);
const MAX_RENOTIFY: Duration = Duration::from_millis(MAX_BLOCK_RENOTIFY_MS);

/// Pieces of data and one status byte.
const MAX_WRITABLE: usize = MAX_REQUEST_FRAMES + 1;

/// A virtio disk.
pub struct VirtioBlock<H: Hal, T: Transport> {
    /// First, so that it is dropped, and the device reset, before the memory it was lent.
    transport: T,
    queue: VirtQueue<H, BLOCK_QUEUE_DESCRIPTORS>,
    mailbox: Mailbox<H>,
    info: DiskInfo,
    shape: Shape,
    counting: Counting,
    requests: Requests,
    chains: [Option<Chain>; MAX_BLOCK_CHAINS],
    identity: Identity,
    condition: Condition,
    /// Something was taken from the ring since the last acknowledgement.
    unacknowledged: bool,
    /// When to notify again, and the gap after that.
    renotify_at: Instant,
    renotify_gap: Duration,
}

/// One device request in flight; its index is its mailbox slot.
#[derive(Clone, Copy, Debug)]
struct Chain {
    /// Its first descriptor, by which the device names it.
    head: u16,
    work: Work,
}

/// What a chain does.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Asks for the serial number.
    Identify,
    /// Reads `bytes` into `frames` frames of a request from `first` on.
    Read {
        slot: usize,
        first: usize,
        frames: usize,
        bytes: usize,
    },
}

/// What is known of the serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    /// It was asked for; the device is given up at this time.
    Asked(Instant),
    /// The device answered, or never will.
    Settled,
}

/// Whether the device works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Working,
    /// It was shut off for this reason.
    Dead(ReadError),
}

impl<H: Hal, T: Transport> VirtioBlock<H, T> {
    /// Brings the device up and asks for its serial number, which arrives by a later [`Block::poll`].
    ///
    /// # Errors
    ///
    /// When the device does not play along; it is left in status `FAILED`.
    pub fn start(mut transport: T, now: Instant) -> Result<Self, InitError> {
        let features = negotiate(
            &mut transport,
            FEATURE_SIZE_MAX | FEATURE_SEG_MAX | FEATURE_RO,
        )?;
        Self::prepare(transport, features, now)
    }

    fn prepare(mut transport: T, features: u64, now: Instant) -> Result<Self, InitError> {
        let (info, shape) = read_info(&transport, features)?;
        let mailbox = Mailbox::take().ok_or(InitError::OutOfMemory)?;
        let queue =
            VirtQueue::new(&mut transport, QUEUE, false, false).map_err(|error| match error {
                QueueError::DmaError => InitError::OutOfMemory,
                _ => InitError::BadQueue { queue: QUEUE },
            })?;
        transport.finish_init();
        let counting = match transport.requires_legacy_layout() {
            true => Counting::Loose,
            false => Counting::Exact,
        };
        let mut disk = Self {
            transport,
            queue,
            mailbox,
            info,
            shape,
            counting,
            requests: Requests::default(),
            chains: [None; MAX_BLOCK_CHAINS],
            identity: Identity::Asked(now + DEADLINE),
            condition: Condition::Working,
            unacknowledged: false,
            renotify_at: now + FIRST_RENOTIFY,
            renotify_gap: FIRST_RENOTIFY,
        };
        if disk.send_identify() {
            disk.notify();
        }
        Ok(disk)
    }

    /// Returns whether the serial number is known or never will be.
    #[must_use]
    pub fn is_identified(&self) -> bool {
        self.identity == Identity::Settled
    }

    /// Acknowledges the device's interrupt. To be called when an interrupt came and before the `poll` that follows, so
    /// that an edge-triggered line can rise again.
    pub fn acknowledge(&mut self) {
        self.transport.ack_interrupt();
    }

    fn send_identify(&mut self) -> bool {
        let identity = Scatter {
            pieces: Pieces::from_iter([self.mailbox.identity()]),
            frames: 0,
            bytes: 0,
        };
        self.send(Command::Identify, 0, &identity, Work::Identify)
    }

    /// Gives as much as fits to the device, oldest request first, and notifies it once.
    fn send_waiting(&mut self, pool: &FramePool) {
        let mut sent = false;
        while let Some(slot) = self.requests.oldest_waiting() {
            if !self.send_part(pool, slot) {
                break;
            }
            sent = true;
        }
        if sent && self.queue.should_notify() {
            self.notify();
        }
    }

    /// Gives the next part of a request to the device; `false` when the queue is full.
    fn send_part(&mut self, pool: &FramePool, slot: usize) -> bool {
        let Some(request) = self.requests.get(slot) else {
            return false;
        };
        let first = request.sent;
        let sector = request.sector + first as u64 * FRAME_SECTORS;
        let rest = request.bytes - first * PAGE_BYTES;
        let scatter = gather(pool, &request.buffer[first..], rest, self.shape);
        let work = Work::Read {
            slot,
            first,
            frames: scatter.frames,
            bytes: scatter.bytes,
        };
        if !self.send(Command::Read, sector, &scatter, work) {
            return false;
        }
        if let Some(request) = self.requests.get_mut(slot) {
            request.sent += scatter.frames;
            request.chains += 1;
        }
        true
    }

    /// Puts one chain into the ring; `false` when there is no room for it.
    fn send(&mut self, command: Command, sector: u64, scatter: &Scatter, work: Work) -> bool {
        let Some(index) = self.chains.iter().position(Option::is_none) else {
            return false;
        };
        self.mailbox.write_request(index, command, sector);
        let header = self.mailbox.header(index);
        // SAFETY: the header lies in the mailbox, which lives as long as the queue; the slot is free, so nothing
        // writes it before the chain is popped.
        let header = unsafe { header.as_ref() };
        let writable = self.writable(index, &scatter.pieces);
        // SAFETY: the frames of a request have no other token (checked on submission) and stay in `requests` until
        // the chain is popped or the device was reset; mailbox slots are used by one chain at a time.
        let mut outputs = unsafe { Lent::<MAX_WRITABLE>::new(writable) };
        // SAFETY: as above, header, pieces and status stay valid and untouched until `pop_used` of this chain.
        let added = unsafe { self.queue.add(&[header], outputs.as_mut_slices()) };
        let Ok(head) = added else {
            return false;
        };
        self.chains[index] = Some(Chain { head, work });
        true
    }

    /// Returns the parts of a chain that the device writes.
    fn writable(
        &self,
        index: usize,
        pieces: &Pieces,
    ) -> impl Iterator<Item = core::ptr::NonNull<[u8]>> {
        let status = self.mailbox.status_byte(index);
        pieces.clone().into_iter().chain([status])
    }

    fn notify(&mut self) {
        self.transport.notify(QUEUE);
    }

    /// Takes used chains from the ring until a request is finished or the ring is empty, and stays empty after the
    /// interrupt was acknowledged.
    fn drain(&mut self, pool: &FramePool, now: Instant) -> Option<Completion> {
        loop {
            if let Some(completion) = self.requests.take_finished() {
                return Some(completion);
            }
            if self.condition != Condition::Working {
                return None;
            }
            match self.queue.peek_used() {
                Some(head) => {
                    self.unacknowledged = true;
                    self.renotify_gap = FIRST_RENOTIFY;
                    self.renotify_at = now + FIRST_RENOTIFY;
                    if let Err(violation) = self.on_used(pool, head) {
                        self.shut_off(ReadError::Broken, violation.0);
                    } else {
                        self.send_waiting(pool);
                    }
                }
                // An edge-triggered line stays high until it is acknowledged, and rises no more. What is used between
                // the last look and the acknowledgement is found by looking once more.
                None if self.unacknowledged => {
                    self.acknowledge();
                    self.unacknowledged = false;
                }
                None => return None,
            }
        }
    }

    /// Takes the chain that begins at `head` out of the ring.
    fn on_used(&mut self, pool: &FramePool, head: u16) -> Result<(), Violation> {
        let is_head = |chain: &Option<Chain>| chain.is_some_and(|chain| chain.head == head);
        let Some(index) = self.chains.iter().position(is_head) else {
            return Err(Violation("used id is no chain in flight"));
        };
        let Some(Chain { work, .. }) = self.chains[index] else {
            return Err(Violation("used id is no chain in flight"));
        };
        let written = self.pop(pool, index, head, work)?;
        self.chains[index] = None;
        let status = self.mailbox.read_status(index);
        match work {
            Work::Identify => self.on_identity(status, written),
            Work::Read { slot, bytes, .. } => {
                let result = judge(status, written, bytes, self.counting)?;
                if let Some(request) = self.requests.get_mut(slot) {
                    request.chains -= 1;
                    request.result = request.result.and(result);
                }
                Ok(())
            }
        }
    }

    /// Pops one chain and returns how many bytes the device claims to have written.
    fn pop(
        &mut self,
        pool: &FramePool,
        index: usize,
        head: u16,
        work: Work,
    ) -> Result<u32, Violation> {
        let pieces = match work {
            Work::Identify => Pieces::from_iter([self.mailbox.identity()]),
            Work::Read {
                slot,
                first,
                frames,
                bytes,
            } => {
                let request = self
                    .requests
                    .get(slot)
                    .ok_or(Violation("used id of no request"))?;
                gather(
                    pool,
                    &request.buffer[first..first + frames],
                    bytes,
                    self.shape,
                )
                .pieces
            }
        };
        let header = self.mailbox.header(index);
        // SAFETY: the header lies in the mailbox; the device only reads it.
        let header = unsafe { header.as_ref() };
        let writable = self.writable(index, &pieces);
        // SAFETY: the device says it is done with the chain; from here on its memory is reached through these alone.
        let mut outputs = unsafe { Lent::<MAX_WRITABLE>::new(writable) };
        let inputs = [header];
        let outputs = outputs.as_mut_slices();
        // SAFETY: `gather` with the arguments of `send` gives the buffers of `send`, and `head` is what it returned.
        let popped = unsafe { self.queue.pop_used(head, &inputs, outputs) };
        popped.map_err(|_| Violation("used ring changed while it was read"))
    }

    fn on_identity(&mut self, status: u8, written: u32) -> Result<(), Violation> {
        self.identity = Identity::Settled;
        let identity = self.mailbox.read_identity();
        if judge(status, written, identity.len(), Counting::Loose)?.is_ok() {
            self.info.serial = serial(&identity);
        }
        Ok(())
    }

    /// Repeats a notification that may be lost, and gives up on a device that does not answer.
    fn watch(&mut self, now: Instant) {
        if self.condition != Condition::Working || self.deadline() == Instant::NEVER {
            return;
        }
        if now >= self.deadline() {
            self.shut_off(ReadError::TimedOut, "no answer within the deadline");
            return;
        }
        if now < self.renotify_at {
            return;
        }
        let status = self.transport.get_status();
        if status.contains(DeviceStatus::DEVICE_NEEDS_RESET)
            || !status.contains(DeviceStatus::DRIVER_OK)
        {
            self.shut_off(ReadError::Broken, "device fell out of operation");
            return;
        }
        self.notify();
        self.renotify_gap = (self.renotify_gap * 2).min(MAX_RENOTIFY);
        self.renotify_at = now + self.renotify_gap;
    }

    /// Returns when the device is given up if it says nothing; [`Instant::NEVER`] while nothing is asked of it.
    fn deadline(&self) -> Instant {
        match self.identity {
            Identity::Asked(deadline) => deadline.min(self.requests.deadline()),
            Identity::Settled => self.requests.deadline(),
        }
    }

    /// Resets the device for good and fails what it was asked.
    fn shut_off(&mut self, reason: ReadError, why: &'static str) {
        let frames = match reset(&mut self.transport) {
            true => Frames::Returned,
            false => Frames::Lost,
        };
        log::error!(
            "disk serial={:?} shut off: {why}; frames {frames:?}",
            self.info.serial
        );
        self.condition = Condition::Dead(reason);
        self.identity = Identity::Settled;
        self.requests.fail_all(reason, frames);
        self.chains = [None; MAX_BLOCK_CHAINS];
    }
}

impl<H: Hal, T: Transport> Block for VirtioBlock<H, T> {
    fn info(&self) -> &DiskInfo {
        &self.info
    }

    fn submit_read(
        &mut self,
        pool: &mut FramePool,
        sector: u64,
        buffer: Buffer,
        now: Instant,
    ) -> Result<RequestId, (Buffer, SubmitError)> {
        if self.condition != Condition::Working {
            return Err((buffer, SubmitError::Dead));
        }
        let Some(bytes) = readable_bytes(self.info.sectors, sector, buffer.len()) else {
            return Err((buffer, SubmitError::OutOfRange));
        };
        if !is_exclusive(pool, &buffer) {
            return Err((buffer, SubmitError::Shared));
        }
        if !self.requests.has_room() {
            return Err((buffer, SubmitError::Full));
        }
        if let Some(last) = buffer.last() {
            let used = bytes - (buffer.len() - 1) * PAGE_BYTES;
            pool.bytes_mut(last)[used..].fill(0);
        }
        if self.deadline() == Instant::NEVER {
            self.renotify_gap = FIRST_RENOTIFY;
            self.renotify_at = now + FIRST_RENOTIFY;
        }
        let id = self
            .requests
            .accept(sector, buffer, bytes, now + DEADLINE)
            .map_err(|buffer| (buffer, SubmitError::Full))?;
        self.send_waiting(pool);
        Ok(id)
    }

    fn poll(&mut self, pool: &mut FramePool, now: Instant) -> Option<Completion> {
        if let Some(completion) = self.drain(pool, now) {
            return Some(completion);
        }
        self.watch(now);
        self.requests.take_finished()
    }

    fn next_deadline(&self) -> Instant {
        match (self.condition, self.deadline()) {
            (Condition::Dead(_), _) if self.requests.is_idle() => Instant::NEVER,
            (_, Instant::NEVER) => Instant::NEVER,
            (_, deadline) => deadline.min(self.renotify_at),
        }
    }
}

/// Reads capacity and limits from the configuration space.
fn read_info<T: Transport>(transport: &T, features: u64) -> Result<(DiskInfo, Shape), InitError> {
    let read = |offset: usize| {
        read_configuration(transport, |transport| {
            transport.read_config_space::<u32>(offset)
        })
    };
    let sectors = read_configuration(transport, |transport| {
        let low = transport.read_config_space::<u32>(CONFIG_CAPACITY_LOW)?;
        let high = transport.read_config_space::<u32>(CONFIG_CAPACITY_HIGH)?;
        Ok((u64::from(high) << 32) | u64::from(low))
    })?;
    let pieces = match features & FEATURE_SEG_MAX {
        0 => 1,
        _ => read(CONFIG_SEG_MAX)?.clamp(1, MAX_REQUEST_FRAMES as u32) as usize,
    };
    let piece_bytes = match features & FEATURE_SIZE_MAX {
        0 => MAX_REQUEST_FRAMES * PAGE_BYTES,
        _ => (read(CONFIG_SIZE_MAX)? as usize).min(MAX_REQUEST_FRAMES * PAGE_BYTES),
    };
    if piece_bytes < PAGE_BYTES {
        return Err(InitError::BadConfiguration);
    }
    let info = DiskInfo {
        sectors,
        read_only: features & FEATURE_RO != 0,
        serial: heapless::String::new(),
    };
    Ok((
        info,
        Shape {
            pieces,
            piece_bytes,
        },
    ))
}

/// Returns how many bytes of `frames` frames from `sector` on a disk of `sectors` holds; `None` unless it holds some
/// of the last frame.
fn readable_bytes(sectors: u64, sector: u64, frames: usize) -> Option<usize> {
    let last = sector.checked_add(frames.checked_sub(1)? as u64 * FRAME_SECTORS)?;
    let rest = sectors.checked_sub(last).filter(|&rest| rest > 0)?;
    let in_last = rest.min(FRAME_SECTORS) as usize * SECTOR_BYTES;
    Some((frames - 1) * PAGE_BYTES + in_last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_end_in_the_last_frame_but_not_begin_behind_it() {
        assert_eq!(readable_bytes(16, 0, 2), Some(8192));
        assert_eq!(readable_bytes(9, 0, 2), Some(4096 + 512));
        assert_eq!(readable_bytes(8, 0, 2), None);
        assert_eq!(readable_bytes(8, 7, 1), Some(512));
        assert_eq!(readable_bytes(8, 8, 1), None);
    }

    #[test]
    fn refuses_empty_requests_and_sectors_that_overflow() {
        assert_eq!(readable_bytes(8, 0, 0), None);
        assert_eq!(readable_bytes(u64::MAX, u64::MAX, 1), None);
        assert_eq!(readable_bytes(u64::MAX, u64::MAX - 1, 1), Some(512));
        assert_eq!(readable_bytes(u64::MAX, u64::MAX - 1, 2), None);
        assert_eq!(readable_bytes(0, 0, 1), None);
    }
}
