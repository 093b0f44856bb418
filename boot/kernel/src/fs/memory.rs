//! Frames for files: taken, and made room for when memory is short.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::page_cache::{Content, Owner, PageId};
use crate::fs::pipe::PipeId;
use crate::limits::PIPE_FRAMES;
use agent::kernel::Input;
use hal::block::Block;
use hal::frame::{Frame, FramePool};

/// Frames that reading ahead leaves alone, as a part of all: 1/32.
const RESERVE: usize = 32;

/// Clean pages forgotten at once when memory is short.
const RECLAIM_BATCH: usize = 32;

impl<B: Block> Files<B> {
    /// Takes a frame, forgetting clean pages when none is left.
    pub(crate) fn take_frame(&mut self, context: &mut Context<'_>) -> Result<Frame, Errno> {
        if let Ok(frame) = context.pool.take() {
            return Ok(frame);
        }
        self.pages.reclaim(context.pool, RECLAIM_BATCH);
        context.pool.take().map_err(|_| Errno::ENOMEM)
    }

    /// Makes sure that a pipe can be filled, if forgetting clean pages can do that.
    pub(super) fn room_for_pipe(&mut self, pool: &mut FramePool) {
        if pool.available() < PIPE_FRAMES {
            self.pages.reclaim(pool, RECLAIM_BATCH);
        }
    }

    /// Takes bytes from the agent into a program's standard input, as many as there is room for.
    pub fn offer(&mut self, context: &mut Context<'_>, pipe: PipeId, bytes: &[u8]) -> Input {
        self.room_for_pipe(context.pool);
        self.pipes.offer(context, pipe, bytes)
    }

    /// Returns how many pages may be read at once, at most `wanted` and at least one, after room was made.
    pub(super) fn room_for_reading(&mut self, pool: &mut FramePool, wanted: usize) -> usize {
        let reserve = pool.total() / RESERVE;
        if pool.available() < reserve + wanted {
            let missing = reserve + wanted - pool.available();
            self.pages.reclaim(pool, missing.max(RECLAIM_BATCH));
        }
        pool.available().saturating_sub(reserve).min(wanted).max(1)
    }

    /// Puts a frame into the cache as a copy of what its source has; it is given back when that fails.
    pub(super) fn insert_clean(
        &mut self,
        context: &mut Context<'_>,
        owner: Owner,
        index: u32,
        frame: Frame,
    ) -> Result<PageId, Errno> {
        self.pages
            .insert(owner, index, Content::Clean(frame))
            .map_err(|(content, errno)| {
                if let Content::Clean(frame) = content {
                    context.pool.release(frame);
                }
                errno
            })
    }
}
