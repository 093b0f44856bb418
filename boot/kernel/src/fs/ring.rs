//! A queue of bytes in frames that are taken on demand and charged: what pipes and sockets hold.
//!
//! Byte `n`, counted since the ring was last empty, lies in frame `n / 4096 % PIPE_FRAMES`.

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::fs::context::{Context, Span};
use crate::limits::PIPE_FRAMES;
use hal::frame::{Frame, FramePool};
use hal::limits::PAGE_BYTES;

/// Bytes a ring holds.
pub(super) const RING_BYTES: usize = PIPE_FRAMES * PAGE_BYTES;

/// Bytes in order. Whoever drops one has taken all of them before ([`Ring::clear`]).
#[derive(Debug)]
pub(super) struct Ring {
    frames: [Option<Frame>; PIPE_FRAMES],
    taken: u64,
    put: u64,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self {
            frames: [const { None }; PIPE_FRAMES],
            taken: 0,
            put: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        (self.put - self.taken) as usize
    }

    fn slot(position: u64) -> usize {
        (position / PAGE_BYTES as u64) as usize % PIPE_FRAMES
    }

    /// Returns how many bytes can be put. When the oldest byte shares its frame with the room left, that frame's
    /// part before it is not used, so that a frame never holds both ends of the ring.
    pub(super) const fn room(&self) -> usize {
        let start = self.taken - self.taken % PAGE_BYTES as u64;
        RING_BYTES - (self.put - start) as usize
    }

    /// Makes sure that the frame for the next byte is there and returns how many bytes fit into it; 0 when the ring
    /// is full.
    fn make_room(&mut self, context: &mut Context<'_>, account: AccountId) -> Result<usize, Errno> {
        let room = self.room();
        if room == 0 {
            return Ok(0);
        }
        let slot = Self::slot(self.put);
        if self.frames[slot].is_none() {
            let payer = context.accounts.get_mut(account).ok_or(Errno::ENOMEM)?;
            payer.charge(Resource::KernelFrames, 1)?;
            let Ok(frame) = context.pool.take() else {
                payer.refund(Resource::KernelFrames, 1);
                return Err(Errno::ENOMEM);
            };
            self.frames[slot] = Some(frame);
        }
        let in_frame = PAGE_BYTES - (self.put % PAGE_BYTES as u64) as usize;
        Ok(in_frame.min(room))
    }

    /// Puts up to `len` bytes in, a frame's part at a time: `copy` gets the pool, the frame, the place in it, how many
    /// bytes are done and how many to copy. Returns how many there was room for.
    ///
    /// # Errors
    ///
    /// ENOMEM when not even one byte found room.
    fn put_with(
        &mut self,
        context: &mut Context<'_>,
        account: AccountId,
        len: usize,
        copy: &mut dyn FnMut(&mut FramePool, &Frame, usize, usize, usize),
    ) -> Result<usize, Errno> {
        let mut done = 0;
        while done < len {
            let count = match self.make_room(context, account) {
                Ok(0) => break,
                Ok(fits) => fits.min(len - done),
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            };
            let Some(frame) = &self.frames[Self::slot(self.put)] else {
                break;
            };
            let offset = (self.put % PAGE_BYTES as u64) as usize;
            copy(context.pool, frame, offset, done, count);
            self.put += count as u64;
            done += count;
        }
        Ok(done)
    }

    /// Puts bytes of a program in; returns how many there was room for.
    ///
    /// # Errors
    ///
    /// ENOMEM when not even one byte found room.
    pub(super) fn put(
        &mut self,
        context: &mut Context<'_>,
        account: AccountId,
        span: Span<'_>,
    ) -> Result<usize, Errno> {
        self.put_with(
            context,
            account,
            span.len,
            &mut |pool, frame, offset, done, count| {
                pool.copy(
                    span.frame,
                    span.offset + done,
                    frame.by_ref(),
                    offset,
                    count,
                );
            },
        )
    }

    /// Puts bytes of the kernel's in; returns how many there was room and memory for.
    pub(super) fn put_bytes(
        &mut self,
        context: &mut Context<'_>,
        account: AccountId,
        bytes: &[u8],
    ) -> usize {
        self.put_with(
            context,
            account,
            bytes.len(),
            &mut |pool, frame, offset, done, count| {
                pool.bytes_mut(frame)[offset..offset + count]
                    .copy_from_slice(&bytes[done..done + count]);
            },
        )
        .unwrap_or(0)
    }

    /// Copies bytes from `skip` on into a page of a program, as many as there are; they stay.
    pub(super) fn copy_out(&self, pool: &mut FramePool, skip: usize, span: Span<'_>) -> usize {
        let end = self.len().saturating_sub(skip).min(span.len);
        let mut done = 0;
        while done < end {
            let position = self.taken + (skip + done) as u64;
            let offset = (position % PAGE_BYTES as u64) as usize;
            let count = (PAGE_BYTES - offset).min(end - done);
            let Some(frame) = &self.frames[Self::slot(position)] else {
                break;
            };
            pool.copy(
                frame.by_ref(),
                offset,
                span.frame,
                span.offset + done,
                count,
            );
            done += count;
        }
        done
    }

    /// Lends the oldest bytes that lie together.
    pub(super) fn peek<'a>(&'a self, pool: &'a FramePool) -> &'a [u8] {
        let offset = (self.taken % PAGE_BYTES as u64) as usize;
        let count = (PAGE_BYTES - offset).min(self.len());
        match &self.frames[Self::slot(self.taken)] {
            Some(frame) => &pool.bytes(frame)[offset..offset + count],
            None => &[],
        }
    }

    /// Takes `count` bytes out, never more than there are, and gives the frames back that hold none any more.
    pub(super) fn take(&mut self, context: &mut Context<'_>, account: AccountId, count: usize) {
        let page = PAGE_BYTES as u64;
        let mut number = self.taken / page;
        self.taken += count.min(self.len()) as u64;
        let end = if self.taken == self.put {
            // Empty: a frame that is partly used starts anew, so that a trickle of bytes needs one frame only.
            self.put.div_ceil(page)
        } else {
            self.taken / page
        };
        let mut freed = 0;
        while number < end {
            if let Some(frame) = self.frames[number as usize % PIPE_FRAMES].take() {
                context.pool.release(frame);
                freed += 1;
            }
            number += 1;
        }
        if self.taken == self.put {
            self.taken = 0;
            self.put = 0;
        }
        context.refund(account, Resource::KernelFrames, freed);
    }

    /// Takes back the `count` bytes that were put last.
    pub(super) fn take_back(
        &mut self,
        context: &mut Context<'_>,
        account: AccountId,
        count: usize,
    ) {
        let page = PAGE_BYTES as u64;
        let end = self.put.div_ceil(page);
        self.put -= count.min(self.len()) as u64;
        if self.taken == self.put {
            self.put += count as u64;
            self.take(context, account, count);
            return;
        }
        let mut freed = 0;
        for number in self.put.div_ceil(page)..end {
            if let Some(frame) = self.frames[number as usize % PIPE_FRAMES].take() {
                context.pool.release(frame);
                freed += 1;
            }
        }
        context.refund(account, Resource::KernelFrames, freed);
    }

    /// Takes everything out.
    pub(super) fn clear(&mut self, context: &mut Context<'_>, account: AccountId) {
        self.take(context, account, self.len());
    }
}
