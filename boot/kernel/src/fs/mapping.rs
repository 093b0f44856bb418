//! Files as the process side loads and maps them: where a walk starts, cached pages, places of open files.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::directory::DirectoriesId;
use crate::fs::place::{Place, PlaceRef};
use crate::fs::table::TableId;
use crate::fs::walk::Start;
use crate::wait::Stall;
use hal::block::Block;
use hal::frame::{Frame, FramePool};

impl<B: Block> Files<B> {
    /// Makes tokens of a directory state's root and working directory, for a walk to start from.
    ///
    /// # Errors
    ///
    /// ENOENT when it is gone.
    pub fn origin(&mut self, id: DirectoriesId) -> Result<(Place, Place), Errno> {
        let state = self.directories.get(id).ok_or(Errno::ENOENT)?;
        let (root, working) = (state.root.0, state.working.0);
        self.dentries.hold(root);
        self.dentries.hold(working);
        Ok((Place(root), Place(working)))
    }

    /// Finds the directory a path leads to, making what is missing of it with mode 755 (`mkdir -p`).
    ///
    /// # Errors
    ///
    /// Those of path_resolution(7) and mkdir(2).
    pub fn make_directories(
        &mut self,
        _context: &mut Context<'_>,
        _start: Start<'_>,
        _path: &[u8],
    ) -> Result<Place, Stall> {
        Err(Errno::ENOSYS.into())
    }

    /// Returns a token of the frame that holds page `index` of a regular file, if it is in memory; never waits and
    /// never reads, so that a page fault can map the neighbours of its page for little.
    pub fn cached_page(
        &mut self,
        _pool: &mut FramePool,
        _place: PlaceRef<'_>,
        _index: u32,
    ) -> Option<Frame> {
        None
    }

    /// Makes a token of the place of an open regular file, for mapping it.
    ///
    /// # Errors
    ///
    /// EBADF; EACCES when it was not opened for reading; ENODEV for what cannot be mapped.
    pub fn mapped_place(&mut self, _table: TableId, _fd: i32) -> Result<Place, Errno> {
        Err(Errno::ENODEV)
    }
}
