//! Frames for files: taken, and made room for when memory is short.

use crate::account::Accounts;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::page_cache::{Content, Owner, PageId};
use crate::fs::pipe::PipeId;
use crate::limits::{PIPE_FRAMES, READ_RESERVE, RECLAIM_PAGES, WRITE_RESERVE};
use crate::wait::Stall;
use agent::kernel::Input;
use hal::block::Block;
use hal::frame::{Frame, FramePool};

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
    /// [`Stall::AGAIN`] when there may be more than this turn could look at, ENOMEM when there is nothing.
    pub(crate) fn make_room(
        &mut self,
        pool: &mut FramePool,
        accounts: &mut Accounts,
    ) -> Result<(), Stall> {
        self.make_room_beside(pool, accounts, 0)
    }

    /// Makes sure that a file can keep a frame for itself and still leaves some to programs: what is written stays until
    /// the file goes, and whoever needs a page then must not die for it.
    ///
    /// # Errors
    ///
    /// Those of [`Files::make_room`].
    pub(super) fn room_for_writing(&mut self, context: &mut Context<'_>) -> Result<(), Stall> {
        let reserve = context.pool.total() / WRITE_RESERVE;
        if context.pool.available() <= reserve {
            self.make_room_beside(context.pool, context.accounts, reserve)?;
        }
        self.room_in_cache(context.pool, 1)?;
        Ok(())
    }

    fn make_room_beside(
        &mut self,
        pool: &mut FramePool,
        accounts: &mut Accounts,
        reserve: usize,
    ) -> Result<(), Stall> {
        let has_remains = self.has_remains();
        self.give_pages_back(pool, accounts);
        if pool.available() <= reserve {
            let missing = reserve - pool.available();
            self.pages.reclaim(pool, missing + RECLAIM_PAGES);
        }
        if pool.available() > reserve {
            Ok(())
        } else if self.pages.is_exhausted() && !has_remains {
            Err(Errno::ENOMEM.into())
        } else {
            Err(Stall::AGAIN)
        }
    }

    /// Makes sure that a pipe can be filled, if forgetting clean pages can do that.
    ///
    /// # Errors
    ///
    /// [`Stall::AGAIN`] when it may be able to do that later.
    pub(super) fn room_for_pipe(&mut self, context: &mut Context<'_>) -> Result<(), Stall> {
        if context.pool.available() < PIPE_FRAMES {
            match self.make_room(context.pool, context.accounts) {
                Err(stall) if !stall.is_error() => return Err(stall),
                // The pipe may still have room in the frames it has.
                _ => {}
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
        let reserve = pool.total() / READ_RESERVE;
        if pool.available() < reserve + wanted {
            let missing = reserve + wanted - pool.available();
            self.pages.reclaim(pool, missing.max(RECLAIM_PAGES));
        }
        if pool.available() == 0 {
            self.make_room(pool, context.accounts)?;
        }
        let places = self.room_in_cache(context.pool, wanted)?;
        let frames = context.pool.available().saturating_sub(reserve);
        Ok(frames.min(places).max(1))
    }

    /// Returns how many pages the cache can take, at most `wanted` and at least one, after room was made in its table.
    fn room_in_cache(&mut self, pool: &mut FramePool, wanted: usize) -> Result<usize, Stall> {
        if self.pages.room() < wanted {
            self.pages.reclaim(pool, wanted.max(RECLAIM_PAGES));
        }
        match self.pages.room() {
            0 if self.pages.is_exhausted() => Err(Errno::ENOMEM.into()),
            0 => Err(Stall::AGAIN),
            room => Ok(room.min(wanted)),
        }
    }

    /// Puts a frame into the cache as a copy of what its source has; it is given back when that fails.
    pub(super) fn insert_clean(
        &mut self,
        context: &mut Context<'_>,
        owner: Owner,
        index: u32,
        frame: Frame,
    ) -> Result<PageId, Stall> {
        if let Err(stall) = self.room_in_cache(context.pool, 1) {
            context.pool.release(frame);
            return Err(stall);
        }
        self.pages
            .insert(owner, index, Content::Clean(frame))
            .map_err(|(content, errno)| {
                if let Content::Clean(frame) = content {
                    context.pool.release(frame);
                }
                errno.into()
            })
    }
}
