//! Arguments that name files: paths, directory descriptors, descriptors.

use super::Call;
use crate::errno::Errno;
use crate::fs::{
    Context, DescriptionId, Directories, Files, Last, Place, PlaceRef, Start, TableId,
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

/// What is done with a path.
type PathAction<'a, B> =
    dyn FnMut(&mut Files<B>, &mut Context<'_>, Start<'_>, &[u8]) -> Result<(), Stall> + 'a;

/// What is done with a place.
type PlaceAction<'a, B> =
    dyn FnMut(&mut Files<B>, &mut Context<'_>, PlaceRef<'_>) -> Result<(), Stall> + 'a;

/// What to do about a symbolic link at the end, and about an empty path.
pub(super) fn last_of(follows: bool) -> Last {
    if follows { Last::Follow } else { Last::Keep }
}

/// Refuses flags that a call does not know.
pub(super) fn check_flags(flags: u32, known: u32) -> Result<(), Errno> {
    if flags & !known == 0 {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

impl<B: Block> System<B> {
    /// Returns a process's descriptor table.
    pub(super) fn table_of(&self, call: &Call) -> Result<TableId, Errno> {
        self.process(call.process)?.files.ok_or(Errno::EBADF)
    }

    /// Returns the open file that the descriptor in argument `nth` refers to.
    pub(super) fn open_file(&self, call: &Call, nth: usize) -> Result<DescriptionId, Errno> {
        let table = self.table_of(call)?;
        Ok(self.files.description(table, call.int(nth))?.0)
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
    pub(super) fn with_path<T>(
        &mut self,
        call: &Call,
        argument: PathArgument,
        act: impl FnOnce(&mut Files<B>, &mut Context<'_>, Start<'_>, &[u8]) -> Result<T, Stall>,
    ) -> Result<T, Stall> {
        let (mut act, mut value) = (Some(act), None);
        self.on_path(call, argument, &mut |files, context, start, path| {
            if let Some(act) = act.take() {
                value = Some(act(files, context, start, path)?);
            }
            Ok(())
        })?;
        value.ok_or(Stall::Error(Errno::EIO))
    }

    /// Lets `act` walk a path that was read before.
    pub(super) fn with_start<T>(
        &mut self,
        call: &Call,
        from: i32,
        path: &[u8],
        act: impl FnOnce(&mut Files<B>, &mut Context<'_>, Start<'_>, &[u8]) -> Result<T, Stall>,
    ) -> Result<T, Stall> {
        let (mut act, mut value) = (Some(act), None);
        self.on_start(call, from, path, &mut |files, context, start, path| {
            if let Some(act) = act.take() {
                value = Some(act(files, context, start, path)?);
            }
            Ok(())
        })?;
        value.ok_or(Stall::Error(Errno::EIO))
    }

    /// Finds the file a path leads to and lets `act` do something with it. With AT_EMPTY_PATH in `flags` an empty path
    /// means the descriptor itself.
    pub(super) fn with_place<T>(
        &mut self,
        call: &Call,
        argument: PathArgument,
        last: Last,
        flags: u32,
        act: impl FnOnce(&mut Files<B>, &mut Context<'_>, PlaceRef<'_>) -> Result<T, Stall>,
    ) -> Result<T, Stall> {
        let (mut act, mut value) = (Some(act), None);
        self.on_place(call, argument, last, flags, &mut |files, context, place| {
            if let Some(act) = act.take() {
                value = Some(act(files, context, place)?);
            }
            Ok(())
        })?;
        value.ok_or(Stall::Error(Errno::EIO))
    }

    // The functions above are made anew for each caller and do nothing; those below do the work and exist once.

    #[inline(never)]
    fn on_path(
        &mut self,
        call: &Call,
        argument: PathArgument,
        act: &mut PathAction<'_, B>,
    ) -> Result<(), Stall> {
        let mut bytes = [0; PATH_BYTES];
        let path = self.read_cstring(
            call.space,
            argument.address,
            &mut bytes,
            Errno::ENAMETOOLONG,
        )?;
        self.on_start(call, argument.from, path, act)
    }

    #[inline(never)]
    fn on_start(
        &mut self,
        call: &Call,
        from: i32,
        path: &[u8],
        act: &mut PathAction<'_, B>,
    ) -> Result<(), Stall> {
        let table = self.table_of(call)?;
        let directories = self
            .process(call.process)?
            .directories
            .ok_or(Errno::ENOENT)?;
        let FileParts {
            files, mut context, ..
        } = self.file_parts(call.process)?;
        let base = if from == AT_FDCWD || path.first() == Some(&b'/') {
            None
        } else {
            let (id, _) = files.description(table, from)?;
            Some(files.place_of(id).map_err(|_| Errno::ENOTDIR)?)
        };
        let (root, working) = match files.origin(directories) {
            Ok(origin) => origin,
            Err(errno) => {
                if let Some(base) = base {
                    files.release_place(&mut context, base);
                }
                return Err(errno.into());
            }
        };
        let start = Start {
            root: root.by_ref(),
            base: base.as_ref().map_or(working.by_ref(), Place::by_ref),
        };
        let result = act(files, &mut context, start, path);
        for place in [root, working].into_iter().chain(base) {
            files.release_place(&mut context, place);
        }
        result
    }

    #[inline(never)]
    fn on_place(
        &mut self,
        call: &Call,
        argument: PathArgument,
        last: Last,
        flags: u32,
        act: &mut PlaceAction<'_, B>,
    ) -> Result<(), Stall> {
        let mut walk =
            |files: &mut Files<B>, context: &mut Context<'_>, start: Start<'_>, path: &[u8]| {
                let place = files.walk(context, start, path, last)?;
                let result = act(files, context, place.by_ref());
                files.release_place(context, place);
                result
            };
        if flags & AT_EMPTY_PATH == 0 || !self.is_empty_path(call, argument)? {
            return self.on_path(call, argument, &mut walk);
        }
        if argument.from == AT_FDCWD {
            return self.on_start(call, AT_FDCWD, b".", &mut walk);
        }
        let table = self.table_of(call)?;
        let (id, _) = self.files.description(table, argument.from)?;
        let FileParts {
            files, mut context, ..
        } = self.file_parts(call.process)?;
        let place = files.place_of(id)?;
        let result = act(files, &mut context, place.by_ref());
        files.release_place(&mut context, place);
        result
    }

    /// Lets `act` do something with the place of an open file.
    pub(super) fn with_open_place<T>(
        &mut self,
        call: &Call,
        nth: usize,
        act: impl FnOnce(&mut Files<B>, &mut Context<'_>, PlaceRef<'_>) -> Result<T, Stall>,
    ) -> Result<T, Stall> {
        let id = self.open_file(call, nth)?;
        let FileParts {
            files, mut context, ..
        } = self.file_parts(call.process)?;
        let place = files.place_of(id)?;
        let result = act(files, &mut context, place.by_ref());
        files.release_place(&mut context, place);
        result
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
