//! Files that areas show. An area names its file by a number that can be copied; here it is counted how many do.

use super::{Backing, SpaceId};
use crate::errno::Errno;
use crate::fs::{
    Access, Attributes, Context, Credentials, Files, InodeId, Kind, Last, Place, PlaceRef, Start,
};
use crate::limits::{WORK_LOOKS, WORK_PAGES};
use crate::process::ProcessId;
use crate::program::ProgramFile;
use crate::slab::Id;
use crate::system::{FileParts, System};
use crate::wait::Stall;
use hal::block::Block;
use hal::frame::Frame;

/// Names a file that is shown by areas.
pub(crate) type FileId = Id<ShownFile>;

/// A file that areas show, or that is being loaded.
#[derive(Debug)]
pub(crate) struct ShownFile {
    /// Where it stands.
    pub(crate) place: Place,
    /// Areas and loads that name it.
    users: u32,
    /// What areas do with it.
    shows: Shows,
}

/// What areas do with a file that they show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    /// They copy what they change.
    Copies,
    /// What is written to the file is seen in them.
    Seen,
    /// It may be written to through them.
    Written,
}

impl<B: Block> System<B> {
    /// Takes a file to be shown in, with one user.
    ///
    /// # Errors
    ///
    /// ENOMEM; the place was given back.
    pub(crate) fn show_file(&mut self, place: Place) -> Result<FileId, Errno> {
        let file = ShownFile {
            place,
            users: 1,
            shows: Shows::Copies,
        };
        match self.shown.insert(file) {
            Ok(id) => Ok(id),
            Err((file, _)) => {
                self.files.release_place(file.place);
                Err(Errno::ENOMEM)
            }
        }
    }

    /// Takes a file in to be written to by areas, with one user.
    ///
    /// # Errors
    ///
    /// ENOMEM, those of [`Files::map_writable`]; the place was given back.
    pub(crate) fn show_writable(&mut self, place: Place) -> Result<FileId, Errno> {
        if let Err(errno) = self.files.map_writable(place.by_ref()) {
            self.files.release_place(place);
            return Err(errno);
        }
        let counted = self.files.share_place(place.by_ref());
        let shown = self.show_file(place);
        match shown.ok().and_then(|id| self.shown.get_mut(id)) {
            Some(file) => file.shows = Shows::Written,
            None => self.files.unmap_writable(counted.by_ref()),
        }
        self.files.release_place(counted);
        shown
    }

    /// Takes a file in whose changes areas are to see, with one user.
    ///
    /// # Errors
    ///
    /// ENOMEM; the place was given back.
    pub(crate) fn show_seen(&mut self, place: Place) -> Result<FileId, Errno> {
        let id = self.show_file(place)?;
        if let Some(file) = self.shown.get_mut(id) {
            file.shows = Shows::Seen;
            self.files.count_seen(file.place.by_ref(), 1);
        }
        Ok(id)
    }

    /// Returns whether a file that is shown may be written to by anybody.
    pub(crate) fn is_written(&self, id: FileId) -> bool {
        let file = self.shown.get(id);
        file.is_some_and(|file| self.files.is_written(file.place.by_ref()))
    }

    /// Returns a token of the frame that holds a page of a file, for seeing what is written to it: where nobody can write,
    /// it may be the source's.
    ///
    /// # Errors
    ///
    /// Those of [`Files::shared_page`].
    pub(crate) fn seen_page(&mut self, id: FileId, page: u64) -> Result<Frame, Stall> {
        if self.is_written(id) {
            self.shared_page(id, page)
        } else {
            self.file_page(id, page)
        }
    }

    /// Takes the pages of a file away from those who see what becomes of it, now that somebody opened it for writing or cut
    /// it: they find those that there are when they look again.
    ///
    /// # Errors
    ///
    /// [`Stall::AGAIN`] when some are left.
    pub(crate) fn refresh_seen(&mut self, file: InodeId) -> Result<(), Stall> {
        let mut looks = 0;
        while let Some(slot) = self.files.next_viewer(file) {
            if looks >= WORK_LOOKS {
                return Err(Stall::AGAIN);
            }
            if slot >= self.spaces.slots() as u32 {
                self.files.set_next_viewer(file, None);
                return Ok(());
            }
            if let Some((id, _)) = self.spaces.at_mut(slot) {
                looks += self.take_seen(id, file)?;
            }
            self.files.set_next_viewer(file, Some(slot + 1));
        }
        Ok(())
    }

    /// Does that for one address space; returns how many areas were looked at.
    fn take_seen(&mut self, id: SpaceId, file: InodeId) -> Result<usize, Stall> {
        let (mut at, mut looks) = (0, 0);
        while let Some(area) = self.space(id)?.areas.next(at).copied() {
            at = area.end;
            looks += 1;
            let (Backing::Seen { file: shown, .. } | Backing::Shared { file: shown, .. }) =
                area.backing
            else {
                continue;
            };
            let shown = self.shown.get(shown).map(|shown| shown.place.by_ref());
            if shown.is_some_and(|place| self.files.is_same_file(place, file))
                && self.unmap_pages(id, area.first..area.end, WORK_PAGES) == WORK_PAGES
            {
                return Err(Stall::AGAIN);
            }
        }
        Ok(looks)
    }

    /// Counts one more user.
    pub(crate) fn hold_file(&mut self, id: FileId) {
        if let Some(file) = self.shown.get_mut(id) {
            file.users += 1;
        }
    }

    /// Counts one user less; with the last one the place is given back. Returns whether it was.
    pub(crate) fn release_file(&mut self, id: FileId) -> bool {
        let Some(file) = self.shown.get_mut(id) else {
            return false;
        };
        file.users -= 1;
        if file.users > 0 {
            return false;
        }
        if let Some(file) = self.shown.remove(id) {
            match file.shows {
                Shows::Copies => {}
                Shows::Seen => self.files.count_seen(file.place.by_ref(), -1),
                Shows::Written => self.files.unmap_writable(file.place.by_ref()),
            }
            self.files.release_place(file.place);
        }
        true
    }

    /// Returns a token of the frame that holds a page of a file.
    ///
    /// # Errors
    ///
    /// Those of [`crate::fs::Files::page`].
    pub(crate) fn file_page(&mut self, id: FileId, page: u64) -> Result<Frame, Stall> {
        self.with_shown(id, page, Files::page)
    }

    /// Returns a token of the frame that holds a page of a file, for writing to the file through it.
    ///
    /// # Errors
    ///
    /// Those of [`Files::shared_page`].
    pub(crate) fn shared_page(&mut self, id: FileId, page: u64) -> Result<Frame, Stall> {
        self.with_shown(id, page, Files::shared_page)
    }

    fn with_shown(
        &mut self,
        id: FileId,
        page: u64,
        find: fn(&mut Files<B>, &mut Context<'_>, PlaceRef<'_>, u32) -> Result<Frame, Stall>,
    ) -> Result<Frame, Stall> {
        let page = u32::try_from(page).map_err(|_| Errno::ENXIO)?;
        let FileParts {
            files,
            mut context,
            shown,
            ..
        } = self.own_file_parts();
        let file = shown.get(id).ok_or(Errno::EIO)?;
        find(files, &mut context, file.place.by_ref(), page)
    }

    /// Returns a token of the frame that holds a page of a file, if the page cache has it.
    pub(crate) fn cached_page(&mut self, id: FileId, page: u64) -> Option<Frame> {
        let page = u32::try_from(page).ok()?;
        let place = self.shown.get(id)?.place.by_ref();
        self.files.cached_page(&mut self.pool, place, page)
    }

    /// Finds a program file that a process may execute.
    ///
    /// # Errors
    ///
    /// Those of path_resolution(7); EACCES for what is not a regular file or may not be executed.
    pub(crate) fn open_program(
        &mut self,
        process: ProcessId,
        path: &[u8],
    ) -> Result<ProgramFile, Stall> {
        let directories = self.process(process)?.directories.ok_or(Errno::ENOENT)?;
        let mut parts = self.file_parts(process)?;
        let FileParts { files, context, .. } = &mut parts;
        let (root, base) = files.origin(directories)?;
        let start = Start {
            root: root.by_ref(),
            base: base.by_ref(),
        };
        let found = files.walk(context, start, path, Last::Follow);
        files.release_place(root);
        files.release_place(base);
        Ok(self.show_program(process, found?)?)
    }

    /// Takes a file that a process may execute to be loaded.
    ///
    /// # Errors
    ///
    /// EACCES for what is not a regular file or may not be executed, ETXTBSY, ENOMEM; the place was given back.
    pub(crate) fn show_program(
        &mut self,
        process: ProcessId,
        place: Place,
    ) -> Result<ProgramFile, Errno> {
        let size = self.identity(process).and_then(|identity| {
            executable_size(self.files.attributes(place.by_ref()), &identity.files)
        });
        let size = size.and_then(|bytes| self.files.permit_program(place.by_ref()).map(|()| bytes));
        match size {
            Ok(bytes) => {
                let id = self.show_file(place)?;
                Ok(ProgramFile { id, bytes })
            }
            Err(errno) => {
                self.files.release_place(place);
                Err(errno)
            }
        }
    }
}

/// Returns a program's size if somebody may execute it.
fn executable_size(
    attributes: Result<Attributes, Errno>,
    credentials: &Credentials,
) -> Result<u64, Errno> {
    let attributes = attributes?;
    if attributes.kind != Kind::Regular {
        return Err(Errno::EACCES);
    }
    attributes.permit(credentials, Access::EXECUTE)?;
    Ok(attributes.size)
}
