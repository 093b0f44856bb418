//! Files as the process side loads and maps them: where a walk starts, cached pages, places of open files.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Kind};
use crate::fs::change::Make;
use crate::fs::context::Context;
use crate::fs::description::Target;
use crate::fs::directory::DirectoriesId;
use crate::fs::flags::Last;
use crate::fs::inode::Node;
use crate::fs::page_cache::Owner;
use crate::fs::place::{Place, PlaceRef};
use crate::fs::table::TableId;
use crate::fs::walk::Start;
use crate::wait::Stall;
use hal::block::Block;
use hal::frame::{Frame, FramePool};
use hal::limits::PAGE_BYTES;

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

    /// Finds the directory a path leads to, making what is missing of it with these permissions (`mkdir -p`).
    ///
    /// # Errors
    ///
    /// Those of path_resolution(7) and mkdir(2).
    pub fn make_directories(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
        permissions: u16,
    ) -> Result<Place, Stall> {
        for end in 1..=path.len() {
            // The path up to each name's end.
            let is_end = path.get(end).is_none_or(|&byte| byte == b'/');
            if !is_end || path[end - 1] == b'/' {
                continue;
            }
            let found = self.resolve(context, start, &path[..end], Last::Follow)?;
            let made = match self.dentries.get(found.entry.0).map(|entry| entry.inode) {
                Ok(None) => self
                    .make(context, &found, Make::Directory, permissions)
                    .map(|_inode| ()),
                Ok(Some(_)) => Ok(()),
                Err(errno) => Err(errno),
            };
            self.release_resolved(found);
            made?;
        }
        let place = self.walk(context, start, path, Last::Follow)?;
        if self.attributes_at(place.0)?.kind != Kind::Directory {
            self.release_place(place);
            return Err(Errno::ENOTDIR.into());
        }
        Ok(place)
    }

    /// Returns a token of the frame that holds page `index` of a regular file, if it is in memory; never waits and
    /// never reads, so that a page fault can map the neighbours of its page for little.
    pub fn cached_page(
        &mut self,
        pool: &mut FramePool,
        place: PlaceRef<'_>,
        index: u32,
    ) -> Option<Frame> {
        let id = self.inode_at(place.0).ok()?;
        let inode = self.inodes.get(id)?;
        if inode.remains.contains(&index) {
            return None;
        }
        if u64::from(index) * PAGE_BYTES as u64 >= inode.attributes.size {
            return None;
        }
        let Node::Union(union) = &inode.node else {
            return None;
        };
        let (lower, kept) = (union.lower, union.kept);
        let own = self.pages.find(Owner::Inode(id), index);
        let page = match (own, lower) {
            (Some(own), _) => own,
            (None, Some(base)) if u64::from(index) * (PAGE_BYTES as u64) < kept => {
                self.pages.find(Owner::Inode(base), index)?
            }
            _ => return None,
        };
        let frame = self.pages.frame(page)?;
        pool.share(frame.by_ref())
    }

    /// Makes a token of the place of an open regular file, for mapping it, and says what the file was opened for.
    ///
    /// # Errors
    ///
    /// EBADF; EACCES when it was not opened for reading; ENODEV for what cannot be mapped.
    pub fn mapped_place(&mut self, table: TableId, fd: i32) -> Result<(Place, Access), Errno> {
        let (id, file) = self.description(table, fd)?;
        let Target::Inode(inode) = file.target else {
            return Err(Errno::ENODEV);
        };
        let access = file.flags.access();
        if !access.contains(Access::READ) {
            return Err(Errno::EACCES);
        }
        let inode = self.inodes.get(inode).ok_or(Errno::EBADF)?;
        let is_regular = inode.attributes.kind == Kind::Regular;
        if !is_regular || !matches!(inode.node, Node::Union(_)) {
            return Err(Errno::ENODEV);
        }
        Ok((self.place_of(id)?, access))
    }
}
