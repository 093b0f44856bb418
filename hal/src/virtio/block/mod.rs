//! Disks: [`crate::block::Block`] on a virtqueue (virtio 1.2 §5.2), read-only.
//!
//! A request is cut into *chains*, one per device request: header, pieces of memory, status byte. Most are one
//! chain; a device that takes a single piece of data gets one chain for every run of adjoining frames. While
//! a chain is in flight its frames belong to the device.
//!
//! ```text
//!  submit_read ─► Requests ─► send_waiting ─► Ring::send ─► device
//!  poll        ◄─ Requests ◄─ on_used ◄────── Ring::pop ◄──┘
//! ```
//!
//! Nothing the device writes is believed. The used id must be the head of a chain in flight, which also catches
//! repeated ids and jumps of the used index; length and status must fit. Otherwise, or when a request passes its
//! deadline, the disk is reset, and only then frames are handed back. A disk does not come back from that.

mod answer;
mod config;
mod mailbox;
mod request;
mod ring;
mod scatter;

use crate::block::{Block, Buffer, Completion, DiskInfo, ReadError, RequestId, SubmitError};
use crate::clock::Instant;
use crate::frame::FramePool;
use crate::limits::{BLOCK_DEADLINE_MS, BLOCK_RENOTIFY_MS, MAX_BLOCK_RENOTIFY_MS, PAGE_BYTES};
use crate::virtio::init::{InitError, negotiate, reset};
use answer::{Counting, Violation, judge, serial};
use config::{FRAME_SECTORS, WANTED_FEATURES, readable_bytes};
use core::time::Duration;
use mailbox::Command;
use request::{Frames, Requests};
use ring::{Popped, QUEUE, Ring, Used};
use scatter::{Pieces, Shape, gather, is_exclusive};
use virtio_drivers::Hal;
use virtio_drivers::transport::{DeviceStatus, Transport};

const DEADLINE: Duration = Duration::from_millis(BLOCK_DEADLINE_MS);
const FIRST_RENOTIFY: Duration = Duration::from_millis(BLOCK_RENOTIFY_MS);
const MAX_RENOTIFY: Duration = Duration::from_millis(MAX_BLOCK_RENOTIFY_MS);

/// A virtio disk.
pub struct VirtioBlock<H: Hal, T: Transport> {
    /// First, so that it is dropped, and the device reset, before the memory it was lent.
    transport: T,
    ring: Ring<H, Work>,
    info: DiskInfo,
    shape: Shape,
    counting: Counting,
    requests: Requests,
    identity: Identity,
    condition: Condition,
    /// Something was taken from the ring since the last acknowledgement.
    unacknowledged: bool,
    /// When to notify again, and the gap after that.
    renotify_at: Instant,
    renotify_gap: Duration,
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
    /// It was shut off.
    Dead,
}

impl<H: Hal, T: Transport> VirtioBlock<H, T> {
    /// Brings the device up and asks for its serial number, which arrives by a later [`Block::poll`].
    ///
    /// # Errors
    ///
    /// When the device does not play along; it is left in status `FAILED`.
    pub fn start(mut transport: T, now: Instant) -> Result<Self, InitError> {
        let features = negotiate(&mut transport, WANTED_FEATURES)?;
        let prepared = config::read(&transport, features)
            .and_then(|read| Ok((read, Ring::new(&mut transport)?)));
        let ((info, shape), ring) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                transport.set_status(DeviceStatus::FAILED);
                return Err(error);
            }
        };
        transport.finish_init();
        let counting = match transport.requires_legacy_layout() {
            true => Counting::Loose,
            false => Counting::Exact,
        };
        let mut disk = Self {
            transport,
            ring,
            info,
            shape,
            counting,
            requests: Requests::default(),
            identity: Identity::Asked(now + DEADLINE),
            condition: Condition::Working,
            unacknowledged: false,
            renotify_at: now + FIRST_RENOTIFY,
            renotify_gap: FIRST_RENOTIFY,
        };
        disk.send_identify();
        Ok(disk)
    }

    /// Lends the transport.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// Acknowledges the device's interrupt, so that an edge-triggered line can rise again. `poll` does so by itself after
    /// it took something from the ring.
    fn acknowledge(&mut self) {
        self.transport.ack_interrupt();
    }

    fn send_identify(&mut self) {
        let pieces = self.ring.identity_pieces();
        // SAFETY: the piece lies in the ring's own mailbox and is read only after the chain was popped.
        let sent = unsafe {
            self.ring
                .send(Command::Identify, 0, &pieces, Work::Identify)
        };
        if sent {
            self.notify();
        }
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
        if sent && self.ring.should_notify() {
            self.notify();
        }
    }

    /// Gives the next part of a request to the device; `false` when the queue is full.
    fn send_part(&mut self, pool: &FramePool, slot: usize) -> bool {
        let Some(request) = self.requests.get_mut(slot) else {
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
        // SAFETY: the request's frames have no other token (checked on submission) and leave `requests` only when all
        // its chains were popped or the device was reset.
        let sent = unsafe { self.ring.send(Command::Read, sector, &scatter.pieces, work) };
        if sent {
            request.sent += scatter.frames;
            request.chains += 1;
        }
        sent
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
            if self.condition == Condition::Dead {
                return None;
            }
            match self.ring.peek() {
                Ok(Some(used)) => {
                    self.unacknowledged = true;
                    self.renotify_gap = FIRST_RENOTIFY;
                    self.renotify_at = now + FIRST_RENOTIFY;
                    match self.on_used(pool, used) {
                        Ok(()) => self.send_waiting(pool),
                        Err(violation) => self.shut_off(ReadError::Broken, violation.0),
                    }
                }
                // An edge-triggered line stays high until it is acknowledged, and rises no more. What is used between
                // the last look and the acknowledgement is found by looking once more.
                Ok(None) if self.unacknowledged => {
                    self.acknowledge();
                    self.unacknowledged = false;
                }
                Ok(None) => return None,
                Err(violation) => self.shut_off(ReadError::Broken, violation.0),
            }
        }
    }

    /// Takes a used chain out of the ring and notes what it means for its request.
    fn on_used(&mut self, pool: &FramePool, used: Used<Work>) -> Result<(), Violation> {
        let pieces = self.pieces_of(pool, used.work)?;
        // SAFETY: `pieces_of` gathers the same frames by the same rule as `send_part`, or names the same mailbox.
        let popped = unsafe { self.ring.pop(used, &pieces) }?;
        match used.work {
            Work::Identify => self.on_identity(popped),
            Work::Read { slot, bytes, .. } => {
                let result = judge(popped.status, popped.written, bytes, self.counting)?;
                if let Some(request) = self.requests.get_mut(slot) {
                    request.chains -= 1;
                    request.result = request.result.and(result);
                }
                Ok(())
            }
        }
    }

    /// Returns the pieces a chain was sent with.
    fn pieces_of(&self, pool: &FramePool, work: Work) -> Result<Pieces, Violation> {
        match work {
            Work::Identify => Ok(self.ring.identity_pieces()),
            Work::Read {
                slot,
                first,
                frames,
                bytes,
            } => {
                let request = self.requests.get(slot);
                let frames = request.and_then(|request| request.buffer.get(first..first + frames));
                let frames = frames.ok_or(Violation("used chain of no request"))?;
                Ok(gather(pool, frames, bytes, self.shape).pieces)
            }
        }
    }

    fn on_identity(&mut self, popped: Popped) -> Result<(), Violation> {
        self.identity = Identity::Settled;
        let identity = self.ring.mailbox().read_identity();
        if judge(
            popped.status,
            popped.written,
            identity.len(),
            Counting::Loose,
        )?
        .is_ok()
        {
            self.info.serial = serial(&identity);
        }
        Ok(())
    }

    /// Repeats a notification that may be lost, and gives up on a device that does not answer.
    fn watch(&mut self, now: Instant) {
        let deadline = self.deadline();
        if self.condition == Condition::Dead || deadline == Instant::NEVER {
            return;
        }
        if now >= deadline {
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
        // Should a line be stuck high because of a change of configuration, this lets it rise again.
        self.acknowledge();
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
        let serial = self.info.serial.as_bytes().escape_ascii();
        log::error!("disk serial={serial} shut off: {why}; frames in flight {frames}");
        self.condition = Condition::Dead;
        self.identity = Identity::Settled;
        self.requests.fail_all(reason, frames);
        self.ring.forget();
    }
}

impl<H: Hal, T: Transport> Block for VirtioBlock<H, T> {
    fn info(&self) -> &DiskInfo {
        &self.info
    }

    fn is_identified(&self) -> bool {
        self.identity == Identity::Settled
    }

    fn is_dead(&self) -> bool {
        self.condition == Condition::Dead
    }

    fn submit_read(
        &mut self,
        pool: &mut FramePool,
        sector: u64,
        buffer: Buffer,
        now: Instant,
    ) -> Result<RequestId, (Buffer, SubmitError)> {
        if self.condition == Condition::Dead {
            return Err((buffer, SubmitError::Dead));
        }
        let Some(bytes) = readable_bytes(self.info.sectors, sector, buffer.len()) else {
            return Err((buffer, SubmitError::OutOfRange));
        };
        if !is_exclusive(pool, &buffer) {
            return Err((buffer, SubmitError::Shared));
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
        match self.deadline() {
            Instant::NEVER => Instant::NEVER,
            deadline => deadline.min(self.renotify_at),
        }
    }
}
