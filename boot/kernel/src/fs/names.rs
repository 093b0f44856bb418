//! Changes of names by path, as system calls ask for them, and what else starts from a path or a descriptor.

use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Kind};
use crate::fs::change::Make;
use crate::fs::context::Context;
use crate::fs::description::DescriptionId;
use crate::fs::directory::DirectoriesId;
use crate::fs::flags::Last;
use crate::fs::listing::Listed;
use crate::fs::mount::Sort;
use crate::fs::place::{Place, PlaceRef};
use crate::fs::rename::Existing;
use crate::fs::table::TableId;
use crate::fs::walk::{Resolved, Start};
use crate::wait::Stall;
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Resolves a path whose last name is to be made or removed, does that, and gives the places back.
    fn with_resolved<T>(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
        act: impl FnOnce(&mut Self, &mut Context<'_>, &Resolved) -> Result<T, Stall>,
    ) -> Result<T, Stall> {
        let found = self.resolve(context, start, path, Last::Name)?;
        let result = act(self, context, &found);
        self.release_resolved(found);
        result
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// Those of mkdir(2).
    pub fn make_directory(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
        permissions: u16,
    ) -> Result<(), Stall> {
        self.with_resolved(context, start, path, |files, context, found| {
            files.make(context, found, Make::Directory, permissions)?;
            Ok(())
        })
    }

    /// Makes a regular file, a fifo, a socket or a device file. Fifos, sockets and devices can be made and looked at;
    /// of devices only those this kernel has can be opened.
    ///
    /// # Errors
    ///
    /// Those of mknod(2).
    pub fn make_node(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
        mode: u16,
        special: u64,
    ) -> Result<(), Stall> {
        let make = match Kind::from_mode(mode) {
            None if mode & 0o170_000 == 0 => Make::Regular,
            Some(Kind::Regular) => Make::Regular,
            Some(kind @ (Kind::Fifo | Kind::Socket)) => Make::Special(kind, 0),
            Some(kind @ (Kind::Character | Kind::Block)) if context.can(Capabilities::MKNOD) => {
                Make::Special(kind, special)
            }
            Some(Kind::Character | Kind::Block | Kind::Directory) => {
                return Err(Errno::EPERM.into());
            }
            Some(Kind::Symlink) | None => return Err(Errno::EINVAL.into()),
        };
        self.with_resolved(context, start, path, |files, context, found| {
            files.make(context, found, make, mode & 0o7777)?;
            Ok(())
        })
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    ///
    /// Those of symlink(2).
    pub fn make_symlink(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
        target: &[u8],
    ) -> Result<(), Stall> {
        self.with_resolved(context, start, path, |files, context, found| {
            files.make(context, found, Make::Symlink(target), 0o777)?;
            Ok(())
        })
    }

    /// Removes a name that is not a directory's.
    ///
    /// # Errors
    ///
    /// Those of unlink(2).
    pub fn unlink(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
    ) -> Result<(), Stall> {
        self.with_resolved(context, start, path, |files, context, found| {
            files.remove(context, found, Kind::Regular)?;
            files.give_pages_back(context.pool, context.accounts);
            Ok(())
        })
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// Those of rmdir(2).
    pub fn remove_directory(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
    ) -> Result<(), Stall> {
        self.with_resolved(context, start, path, |files, context, found| {
            files.remove(context, found, Kind::Directory)
        })
    }

    /// Gives the file in a place a further name.
    ///
    /// # Errors
    ///
    /// Those of link(2).
    pub fn make_link(
        &mut self,
        context: &mut Context<'_>,
        from: PlaceRef<'_>,
        start: Start<'_>,
        path: &[u8],
    ) -> Result<(), Stall> {
        self.with_resolved(context, start, path, |files, context, found| {
            Ok(files.link(context, from, found)?)
        })
    }

    /// Gives a file another name, which may be taken if `existing` says so.
    ///
    /// # Errors
    ///
    /// Those of rename(2).
    pub fn move_name(
        &mut self,
        context: &mut Context<'_>,
        from: (Start<'_>, &[u8]),
        to: (Start<'_>, &[u8]),
        existing: Existing,
    ) -> Result<(), Stall> {
        self.with_resolved(context, from.0, from.1, |files, context, source| {
            files.with_resolved(context, to.0, to.1, |files, context, target| {
                files.rename(context, source, target, existing)
            })
        })
    }

    /// Writes the target of the symbolic link in a place into `out`, cut to its length, and returns how many bytes.
    ///
    /// # Errors
    ///
    /// EINVAL when it is no link, EIO.
    pub fn link_target(
        &mut self,
        context: &mut Context<'_>,
        place: PlaceRef<'_>,
        out: &mut [u8],
    ) -> Result<usize, Stall> {
        let link = self.inode_at(place.0)?;
        self.read_link(context, link, out)
    }

    /// Checks that the asker may do `wanted` with the file in a place.
    ///
    /// # Errors
    ///
    /// EACCES.
    pub fn permit(
        &self,
        context: &Context<'_>,
        place: PlaceRef<'_>,
        wanted: Access,
    ) -> Result<(), Errno> {
        self.attributes(place)?.permit(context.credentials, wanted)
    }

    /// Makes a place the working directory.
    ///
    /// # Errors
    ///
    /// ENOTDIR, EACCES.
    pub fn set_working(
        &mut self,
        context: &mut Context<'_>,
        directories: DirectoriesId,
        place: PlaceRef<'_>,
    ) -> Result<(), Errno> {
        if self.attributes(place)?.kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.permit(context, place, Access::EXECUTE)?;
        self.directories(directories)?;
        let place = self.share_place(place);
        let state = self.directories_mut(directories)?;
        let before = core::mem::replace(&mut state.working, place);
        self.release_place(before);
        Ok(())
    }

    /// Makes a place the root directory (chroot(2)); whoever may do that is the caller's to check.
    ///
    /// # Errors
    ///
    /// ENOENT when the directory state is gone.
    pub fn set_root(
        &mut self,
        directories: DirectoriesId,
        place: PlaceRef<'_>,
    ) -> Result<(), Errno> {
        self.directories(directories)?;
        let place = self.share_place(place);
        let state = self.directories_mut(directories)?;
        let before = core::mem::replace(&mut state.root, place);
        self.release_place(before);
        Ok(())
    }

    /// Returns the next entry of an open directory without moving on to the one behind it; [`Files::skip_entry`] does that.
    ///
    /// # Errors
    ///
    /// ENOTDIR, EBADF, EIO, or what to wait for.
    pub fn next_entry(
        &mut self,
        context: &mut Context<'_>,
        id: DescriptionId,
    ) -> Result<Option<Listed>, Stall> {
        let file = self.descriptions.get(id).ok_or(Errno::EBADF)?;
        let entry = file.place.as_ref().ok_or(Errno::ENOTDIR)?.0;
        let mut cookie = file.offset;
        let listed = self.list(context, entry, &mut cookie);
        if listed.is_err() {
            // What does not show is behind it.
            self.skip_entry(id, cookie);
        }
        listed
    }

    /// Moves an open directory on.
    pub fn skip_entry(&mut self, id: DescriptionId, next: u64) {
        if let Some(file) = self.descriptions.get_mut(id) {
            file.offset = next;
        }
    }

    /// Returns a second token of the place an open file was found at.
    ///
    /// # Errors
    ///
    /// EBADF, or EINVAL for what has no name.
    pub fn place_of(&mut self, id: DescriptionId) -> Result<Place, Errno> {
        let file = self.descriptions.get(id).ok_or(Errno::EBADF)?;
        let entry = file.place.as_ref().ok_or(Errno::EINVAL)?.0;
        self.dentries.hold(entry);
        Ok(Place(entry))
    }

    /// Returns a token of the place a descriptor was opened at, for a path to start from.
    ///
    /// # Errors
    ///
    /// EBADF, or ENOTDIR for what has no name.
    pub fn place_at(&mut self, table: TableId, fd: i32) -> Result<Place, Errno> {
        let (id, _) = self.description(table, fd)?;
        self.place_of(id).map_err(|_| Errno::ENOTDIR)
    }

    /// Returns what sort of tree a place lies in.
    #[must_use]
    pub fn sort_of(&self, place: PlaceRef<'_>) -> Option<Sort> {
        let mount = self.dentries.get(place.0).ok()?.mount;
        self.mounts.get(mount).map(|mount| mount.sort)
    }
}
