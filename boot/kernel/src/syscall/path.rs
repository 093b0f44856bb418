//! Arguments that name files: paths, directory descriptors, descriptors.

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::{
    Access, Context, DescriptionId, Directories, Files, Last, Place, PlaceRef, Start, TableId,
    Target,
};
use crate::limits::PATH_BYTES;
use crate::system::{FileParts, System};
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use hal::block::Block;

/// The descriptor that means "the working directory" (asm-generic/fcntl.h).
pub(super) const AT_FDCWD: i32 = -100;

/// Flags of the `*at` calls.
pub(super) const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
pub(super) const AT_REMOVEDIR: u32 = 0x200;
pub(super) const AT_EACCESS: u32 = 0x200;
pub(super) const AT_SYMLINK_FOLLOW: u32 = 0x400;
pub(super) const AT_NO_AUTOMOUNT: u32 = 0x800;
pub(super) const AT_EMPTY_PATH: u32 = 0x1000;
pub(super) const AT_STATX_SYNC_TYPE: u32 = 0x6000;

/// A path argument: where relative ones start, and where the string is.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathArgument {
    pub(super) from: i32,
    pub(super) address: UserAddr,
}

impl PathArgument {
    /// The path in argument `nth`, relative to the working directory.
    pub(super) const fn plain(call: &Call, nth: usize) -> Self {
        Self {
            from: AT_FDCWD,
            address: call.address(nth),
        }
    }

    /// The directory descriptor in argument `nth` and the path in the next one.
    pub(super) const fn at(call: &Call, nth: usize) -> Self {
        Self {
            from: call.int(nth),
            address: call.address(nth + 1),
        }
    }
}

/// What to do about a symbolic link at the end, by the flags of a call that follows it unless AT_SYMLINK_NOFOLLOW is among
/// them.
pub(super) const fn last_of(flags: u32) -> Last {
    if flags & AT_SYMLINK_NOFOLLOW == 0 {
        Last::Follow
    } else {
        Last::Keep
    }
}

/// Refuses flags that a call does not know.
pub(super) fn check_flags(flags: u32, known: u32) -> Result<(), Errno> {
    if flags & !known == 0 {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// What is done with a path, from where it starts.
type Walk<'a, B> = &'a mut dyn FnMut(&mut Files<B>, &mut Context<'_>, Start<'_>, &[u8]) -> Outcome;

/// What is done with a place.
type Act<'a, B> = &'a mut dyn FnMut(&mut Files<B>, &mut Context<'_>, PlaceRef<'_>) -> Outcome;

impl<B: Block> System<B> {
    /// Returns a process's descriptor table.
    pub(super) fn table_of(&self, call: &Call) -> Result<TableId, Errno> {
        self.process(call.process)?.files.ok_or(Errno::EBADF)
    }

    /// Returns what the descriptor in argument `nth` refers to, an open file or a path only (O_PATH).
    pub(super) fn open_file_or_path(
        &self,
        call: &Call,
        nth: usize,
    ) -> Result<(DescriptionId, Target), Errno> {
        let table = self.table_of(call)?;
        let (id, file) = self.files.description(table, call.int(nth))?;
        Ok((id, file.target))
    }

    /// Returns the open file that the descriptor in argument `nth` refers to.
    ///
    /// # Errors
    ///
    /// EBADF, also for a path only (O_PATH).
    pub(super) fn open_file(&self, call: &Call, nth: usize) -> Result<DescriptionId, Errno> {
        match self.open_file_or_path(call, nth)? {
            (_, Target::Nothing) => Err(Errno::EBADF),
            (id, _) => Ok(id),
        }
    }

    /// Returns the open file that the descriptor in argument `nth` refers to, and what may be done with it.
    ///
    /// # Errors
    ///
    /// As [`System::open_file`].
    pub(super) fn open_content(
        &self,
        call: &Call,
        nth: usize,
    ) -> Result<(DescriptionId, Access), Errno> {
        let id = self.open_file(call, nth)?;
        Ok((id, self.files.description_access(id)?))
    }

    /// Returns a process's root and working directory.
    pub(super) fn directories_of(&mut self, call: &Call) -> Result<&mut Directories, Errno> {
        let id = self
            .process(call.process)?
            .directories
            .ok_or(Errno::ENOENT)?;
        self.files.directories_mut(id)
    }

    /// Reads a path and lets `act` walk from where it starts.
    ///
    /// This and the functions for places call `act` through a pointer: there are many callers, and one of each is enough.
    pub(super) fn with_path(
        &mut self,
        call: &Call,
        argument: PathArgument,
        act: Walk<'_, B>,
    ) -> Outcome {
        let mut bytes = [0; PATH_BYTES];
        let path = self.read_path(call, argument.address, &mut bytes)?;
        self.with_start(call, argument.from, path, act)
    }

    /// Lets `act` walk a path that was read before.
    pub(super) fn with_start<T>(
        &mut self,
        call: &Call,
        from: i32,
        path: &[u8],
        act: impl FnOnce(&mut Files<B>, &mut Context<'_>, Start<'_>, &[u8]) -> Result<T, Stall>,
    ) -> Result<T, Stall> {
        let (mut parts, origin) = self.hold_origin(call, from, path)?;
        let result = act(parts.files, &mut parts.context, origin.start(), path);
        parts.release_origin(origin);
        result
    }

    /// Finds the file a path leads to and lets `act` do something with it. With AT_EMPTY_PATH in `flags` an empty path
    /// means the descriptor itself.
    pub(super) fn with_place(
        &mut self,
        call: &Call,
        argument: PathArgument,
        last: Last,
        flags: u32,
        act: Act<'_, B>,
    ) -> Outcome {
        let (parts, place) = self.hold_place(call, argument, last, flags)?;
        parts.with_held(place, act)
    }

    /// Lets `act` do something with the place of an open file.
    pub(super) fn with_open_place(&mut self, call: &Call, nth: usize, act: Act<'_, B>) -> Outcome {
        let (parts, place) = self.hold_open_place(call, call.int(nth))?;
        parts.with_held(place, act)
    }

    /// Reads a path into `bytes`.
    pub(super) fn read_path<'a>(
        &mut self,
        call: &Call,
        address: UserAddr,
        bytes: &'a mut [u8; PATH_BYTES],
    ) -> Result<&'a [u8], Stall> {
        self.read_cstring(call.space, address, bytes, Errno::ENAMETOOLONG)
    }

    /// Holds the places a walk of `path` starts from.
    fn hold_origin(
        &mut self,
        call: &Call,
        from: i32,
        path: &[u8],
    ) -> Result<(FileParts<'_, B>, Origin), Stall> {
        let table = self.table_of(call)?;
        let directories = self
            .process(call.process)?
            .directories
            .ok_or(Errno::ENOENT)?;
        let tid = self.table.tasks.get(call.task).map_or(0, |task| task.tid);
        self.table.current_task.set(tid);
        let parts = self.file_parts(call.process)?;
        // For an absolute path it only matters where that is to be the root (openat2).
        let base = match parts.files.place_at(table, from) {
            _ if from == AT_FDCWD => None,
            Err(_) if path.first() == Some(&b'/') => None,
            place => Some(place?),
        };
        match parts.files.origin(directories) {
            Ok((root, working)) => {
                let origin = Origin {
                    root,
                    working,
                    base,
                };
                Ok((parts, origin))
            }
            Err(errno) => {
                if let Some(base) = base {
                    parts.files.release_place(base);
                }
                Err(errno.into())
            }
        }
    }

    /// Holds the place a path leads to.
    pub(super) fn hold_place(
        &mut self,
        call: &Call,
        argument: PathArgument,
        last: Last,
        flags: u32,
    ) -> Result<(FileParts<'_, B>, Place), Stall> {
        let mut bytes = [0; PATH_BYTES];
        let path = if flags & AT_EMPTY_PATH == 0 || !self.is_empty_path(call, argument)? {
            self.read_path(call, argument.address, &mut bytes)?
        } else if argument.from == AT_FDCWD {
            b"."
        } else {
            return self.hold_open_place(call, argument.from);
        };
        let (mut parts, origin) = self.hold_origin(call, argument.from, path)?;
        let place = parts
            .files
            .walk(&mut parts.context, origin.start(), path, last);
        parts.release_origin(origin);
        Ok((parts, place?))
    }

    /// Holds the place of an open file.
    fn hold_open_place(
        &mut self,
        call: &Call,
        fd: i32,
    ) -> Result<(FileParts<'_, B>, Place), Stall> {
        let table = self.table_of(call)?;
        let parts = self.file_parts(call.process)?;
        let (id, _) = parts.files.description(table, fd)?;
        let place = parts.files.place_of(id)?;
        Ok((parts, place))
    }

    /// Returns whether a path argument is the empty string.
    pub(super) fn is_empty_path(
        &mut self,
        call: &Call,
        argument: PathArgument,
    ) -> Result<bool, Stall> {
        let mut first = [0; 1];
        self.read_user(call.space, argument.address, &mut first)?;
        Ok(first == [0])
    }
}

/// Where a walk starts; held until it is over.
struct Origin {
    root: Place,
    working: Place,
    /// Where the path is relative to, when that is not the working directory.
    base: Option<Place>,
}

impl Origin {
    fn start(&self) -> Start<'_> {
        Start {
            root: self.root.by_ref(),
            base: self.base.as_ref().unwrap_or(&self.working).by_ref(),
        }
    }
}

impl<B: Block> FileParts<'_, B> {
    fn release_origin(&mut self, origin: Origin) {
        let places = [origin.root, origin.working];
        for place in places.into_iter().chain(origin.base) {
            self.files.release_place(place);
        }
    }

    /// Lets `act` do something with a place, then gives it back.
    pub(super) fn with_held<T>(
        mut self,
        place: Place,
        act: impl FnOnce(&mut Files<B>, &mut Context<'_>, PlaceRef<'_>) -> Result<T, Stall>,
    ) -> Result<T, Stall> {
        let result = act(self.files, &mut self.context, place.by_ref());
        self.files.release_place(place);
        result
    }
}
