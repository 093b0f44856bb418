//! Named pipes: opened by name, which waits for the other end (fifo(7)).
//!
//! An open counts as an end of the pipe at once, also while it waits: else two who wait for each other would wait for
//! ever. What it waits for is that the other side was opened *since*, be it closed again by then. So a pipe counts how often
//! each side was opened, and an open end keeps the other side's number in place of the offset that a pipe has not.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Access;
use crate::fs::context::Context;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::flags::OpenFlags;
use crate::fs::inode::{InodeId, Node};
use crate::fs::pipe::PipeEnd;
use crate::fs::table::TableId;
use crate::wait::{Stall, WakeKey};
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Opens an end of a named pipe, which is made with its first end and goes with its last one. Returns it, and what
    /// [`Files::finish_open`] is to compare.
    pub(super) fn open_fifo(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        flags: OpenFlags,
    ) -> Result<(Target, u64), Errno> {
        let access = flags.access();
        let end = match (
            access.contains(Access::READ),
            access.contains(Access::WRITE),
        ) {
            (true, true) => PipeEnd::Both,
            (true, false) => PipeEnd::Read,
            (false, true) => PipeEnd::Write,
            (false, false) => return Err(Errno::EINVAL),
        };
        let inode = self.inodes.get_mut(id).ok_or(Errno::EIO)?;
        let Node::Union(union) = &mut inode.node else {
            return Err(Errno::ENXIO);
        };
        let known = union.pipe.filter(|&pipe| self.pipes.is_open(pipe));
        if end == PipeEnd::Write
            && flags.contains(OpenFlags::NONBLOCK)
            && known.is_none_or(|pipe| self.pipes.is_broken(pipe, end))
        {
            return Err(Errno::ENXIO);
        }
        let pipe = match known {
            Some(pipe) => pipe,
            None => self.pipes.create_closed(context)?,
        };
        union.pipe = Some(pipe);
        let others = self.pipes.openings(pipe, end);
        // Where the other side is open, it counts as opened since.
        let since = if self.pipes.is_broken(pipe, end) {
            others
        } else {
            others.wrapping_sub(1)
        };
        self.pipes.open(context, pipe, end);
        Ok((Target::Pipe(pipe, end), since))
    }

    /// Returns what a file that is being opened waits for.
    fn awaited_end(&self, id: DescriptionId) -> Option<WakeKey> {
        let file = self.descriptions.get(id)?;
        let Target::Pipe(pipe, end) = file.target else {
            return None;
        };
        let waits = file.place.is_some()
            && !file.flags.contains(OpenFlags::NONBLOCK)
            && self.pipes.openings(pipe, end) == file.offset;
        match end {
            PipeEnd::Read if waits => Some(WakeKey::PipeReadable(pipe.index())),
            PipeEnd::Write if waits => Some(WakeKey::PipeWritable(pipe.index())),
            _ => None,
        }
    }

    /// Puts an open file at the lowest free descriptor of `table`, once the other end of a named pipe was opened.
    ///
    /// # Errors
    ///
    /// EMFILE, ENOMEM; the file was given back. What to wait for; it was not.
    pub fn finish_open(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        id: DescriptionId,
        flags: OpenFlags,
    ) -> Result<i32, Stall> {
        if let Some(key) = self.awaited_end(id) {
            return Err(Stall::wait(key));
        }
        let close_on_exec = flags.contains(OpenFlags::CLOEXEC);
        Ok(self.install(context, table, 0, id, close_on_exec)?)
    }
}
