//! Frames for files: taken, and made room for when memory is short.

use crate::account::Accounts;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::page_cache::{Content, Owner, PageId};
use crate::fs::pipe::PipeId;
use crate::limits::PIPE_FRAMES;
use crate::wait::Stall;
use agent::kernel::Input;
use hal::block::Block;
use hal::frame::{Frame, FramePool};

/// Frames that reading ahead leaves alone, as a part of all: 1/32.
const RESERVE: usize = 32;

/// Clean pages forgotten at once when memory is short.
const RECLAIM_BATCH: usize = 32;

impl<B: Block> Files<B> {
    /// Takes a frame, making room when none is left.
    pub(crate) fn take_frame(&mut self, context: &mut Context<'_>) -> Result<Frame, Stall> {
        if let Ok(frame) = context.pool.take() {
            return Ok(frame);
        }
        self.make_room(context.pool, context.accounts)?;
        Ok(context.pool.take().map_err(|_| Errno::ENOMEM)?)
    }

    /// Makes some frames free: those of files that are gone, else clean pages.
    ///
    /// # Errors
    ///
    /// [`Stall::Again`] when there may be more than this turn could look at, ENOMEM when there is nothing.
    pub(crate) fn make_room(
        &mut self,
        pool: &mut FramePool,
        accounts: &mut Accounts,
    ) -> Result<(), Stall> {
        let has_remains = self.has_remains();
        self.give_pages_back(pool, accounts);
        if pool.available() == 0 {
            self.pages.reclaim(pool, RECLAIM_BATCH);
        }
        if pool.available() > 0 {
            Ok(())
        } else if self.pages.is_exhausted() && !has_remains {
            Err(Errno::ENOMEM.into())
        } else {
            Err(Stall::Again)
        }
    }

    /// Makes sure that a pipe can be filled, if forgetting clean pages can do that.
    ///
    /// # Errors
    ///
    /// [`Stall::Again`] when it may be able to do that later.
    pub(super) fn room_for_pipe(&mut self, context: &mut Context<'_>) -> Result<(), Stall> {
        if context.pool.available() < PIPE_FRAMES {
            match self.make_room(context.pool, context.accounts) {
                // The pipe may still have room in the frames it has.
                Ok(()) | Err(Stall::Error(_)) => {}
                Err(stall) => return Err(stall),
            }
        }
        Ok(())
    }

    /// Takes bytes from the agent into a program's standard input, as many as there is room for.
    pub fn offer(&mut self, context: &mut Context<'_>, pipe: PipeId, bytes: &[u8]) -> Input {
        // The agent asks again by itself.
        let _ = self.room_for_pipe(context);
        self.pipes.offer(context, pipe, bytes)
    }

    /// Returns how many pages may be read at once, at most `wanted` and at least one, after room was made.
    ///
    /// # Errors
    ///
    /// Those of [`Files::make_room`].
    pub(super) fn room_for_reading(
        &mut self,
        context: &mut Context<'_>,
        wanted: usize,
    ) -> Result<usize, Stall> {
        let pool = &mut *context.pool;
        let reserve = pool.total() / RESERVE;
        if pool.available() < reserve + wanted {
            let missing = reserve + wanted - pool.available();
            self.pages.reclaim(pool, missing.max(RECLAIM_BATCH));
        }
        if pool.available() == 0 {
            self.make_room(pool, context.accounts)?;
        }
        Ok(context
            .pool
            .available()
            .saturating_sub(reserve)
            .min(wanted)
            .max(1))
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
