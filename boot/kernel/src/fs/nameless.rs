//! Files without a name: memory that processes share, O_TMPFILE, memfd_create.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Kind;
use crate::fs::change::Make;
use crate::fs::context::Context;
use crate::fs::dentry::{DentryId, State};
use crate::fs::description::{DescriptionId, Target};
use crate::fs::directory::DirectoriesId;
use crate::fs::flags::OpenFlags;
use crate::fs::place::Place;
use crate::fs::seal::Seals;
use crate::fs::table::TableId;
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Makes an empty regular file without a name, as if it were in `directory`. It goes with its place.
    pub(super) fn make_detached(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        name: &[u8],
        permissions: u16,
    ) -> Result<Place, Errno> {
        let mount = self.dentries.get(directory)?.mount;
        let id = self.new_inode(context, directory, Make::Regular, permissions)?;
        if let Some(inode) = self.inodes.get_mut(id) {
            inode.attributes.links = 0;
        }
        match self.enter(None, name, Some(id), mount, State::Detached) {
            Ok(entry) => {
                self.dentries.hold(entry);
                Ok(Place(entry))
            }
            Err(errno) => {
                self.release_inode(id);
                Err(errno)
            }
        }
    }

    /// Makes memory that processes share: a file of zeroes.
    ///
    /// # Errors
    ///
    /// ENOENT when the directory state is gone, ENOSPC at the limits.
    pub fn make_nameless(
        &mut self,
        context: &mut Context<'_>,
        directories: DirectoriesId,
        bytes: u64,
    ) -> Result<Place, Errno> {
        let root = self.directories(directories)?.root.0;
        let place = self.make_detached(context, root, b"", 0o600)?;
        let id = self.inode_at(place.0)?;
        if let Some(inode) = self.inodes.get_mut(id) {
            inode.attributes.size = bytes;
        }
        Ok(place)
    }

    /// Makes a file in memory and opens it at the lowest free descriptor (memfd_create(2)). `name` is what `/proc` shows.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOMEM, ENOSPC.
    pub fn open_memory(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        directories: DirectoriesId,
        name: &[u8],
        seals: Seals,
        flags: OpenFlags,
    ) -> Result<i32, Errno> {
        self.table_mut(table)?.reserve(0)?;
        let root = self.directories(directories)?.root.0;
        let place = self.make_detached(context, root, name, 0o777)?;
        let id = self.inode_at(place.0)?;
        self.union_mut(id)?.seals = Some(seals);
        let file = self.describe(context, Target::Inode(id), Some(place), flags)?;
        self.install(context, table, 0, file, flags.contains(OpenFlags::CLOEXEC))
    }

    /// Opens a file without a name that may get one (O_TMPFILE), as if it were in `directory`.
    pub(super) fn open_temporary(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        permissions: u16,
        flags: OpenFlags,
    ) -> Result<DescriptionId, Errno> {
        if self.attributes_at(directory)?.kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let is_top = self.dentries.get(directory)?.parent.is_none();
        match self.permit_change(context, directory) {
            // Where no file is ever made: of what the folders of processes have in them, Linux says another thing.
            Err(Errno::EPERM) if is_top => return Err(Errno::EOPNOTSUPP),
            permitted => permitted?,
        }
        let place = self.make_detached(context, directory, b"", permissions)?;
        let id = self.inode_at(place.0)?;
        self.union_mut(id)?.can_be_linked = !flags.contains(OpenFlags::EXCL);
        self.describe(context, Target::Inode(id), Some(place), flags)
    }
}
