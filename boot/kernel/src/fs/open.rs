//! Opening: from a path to a descriptor.

use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Kind};
use crate::fs::change::Make;
use crate::fs::context::Context;
use crate::fs::description::{Description, DescriptionId, Target};
use crate::fs::flags::{Last, OpenFlags};
use crate::fs::inode::Node;
use crate::fs::pipe::PipeEnd;
use crate::fs::proc::Jump;
use crate::fs::table::TableId;
use crate::fs::walk::{LastName, Resolved, Rules, Start};
use crate::limits::WORK_FILES;
use crate::tty::Side;
use crate::wait::Stall;
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Opens a file, making it first if the flags ask for that; [`Files::finish_open`] gives it a descriptor of `table`.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    pub fn open(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        start: Start<'_>,
        path: &[u8],
        (flags, permissions): (OpenFlags, u16),
        rules: Rules,
    ) -> Result<DescriptionId, Stall> {
        // A full table must be noticed before a file is made.
        self.table_mut(table)?.reserve(0)?;
        let is_exclusive = flags.contains(OpenFlags::CREAT | OpenFlags::EXCL);
        let last = if flags.contains(OpenFlags::TMPFILE) {
            Last::Follow
        } else if is_exclusive || flags.contains(OpenFlags::NOFOLLOW) {
            Last::Keep
        } else {
            Last::Follow
        };
        self.rules = rules;
        let found = self.resolve(context, start, path, last)?;
        let opened = self.open_resolved(context, &found, flags, permissions);
        self.release_resolved(found);
        opened
    }

    fn open_resolved(
        &mut self,
        context: &mut Context<'_>,
        found: &Resolved,
        flags: OpenFlags,
        permissions: u16,
    ) -> Result<DescriptionId, Stall> {
        let entry = found.entry.0;
        let is_new = self.dentries.get(entry)?.inode.is_none();
        if found.is_slashed && flags.contains(OpenFlags::CREAT) {
            // Only directories are called like that, and open makes none.
            return Err(Errno::EISDIR.into());
        }
        if flags.contains(OpenFlags::TMPFILE) {
            return Ok(self.open_temporary(context, entry, permissions, flags)?);
        }
        if is_new {
            if !flags.contains(OpenFlags::CREAT) {
                return Err(Errno::ENOENT.into());
            }
            self.make(context, found, Make::Regular, permissions)?;
        } else if flags.contains(OpenFlags::CREAT | OpenFlags::EXCL) {
            return Err(Errno::EEXIST.into());
        }
        if found.last == LastName::Jumped
            && let Some(Jump::Open(id)) = self.jump(context, self.inode_at(entry)?)?
        {
            return self.reopen(context, id, flags);
        }
        let attributes = self.attributes_at(entry)?;
        let is_directory = attributes.kind == Kind::Directory;
        if !is_directory && (found.is_slashed || flags.contains(OpenFlags::DIRECTORY)) {
            return Err(Errno::ENOTDIR.into());
        }
        let is_path = flags.contains(OpenFlags::PATH);
        if attributes.kind == Kind::Symlink && !is_path {
            return Err(Errno::ELOOP.into());
        }
        let mut wanted = flags.access();
        if flags.contains(OpenFlags::TRUNC) {
            wanted |= Access::WRITE;
        }
        if is_directory && (wanted.contains(Access::WRITE) || flags.contains(OpenFlags::CREAT)) {
            return Err(Errno::EISDIR.into());
        }
        if !is_new && !is_path {
            let who = context.credentials;
            attributes.permit(who, wanted)?;
            if flags.contains(OpenFlags::NOATIME) {
                attributes.permit_owner(who)?;
            }
            match attributes.kind {
                Kind::Regular if wanted.contains(Access::WRITE) => {
                    self.permit_write(context, entry)?;
                    self.permit_writer(self.inode_at(entry)?)?;
                }
                // A disk is only ever read.
                Kind::Block if wanted.contains(Access::WRITE) => return Err(Errno::EROFS.into()),
                _ => {}
            }
        }
        let inode = self.inode_at(entry)?;
        let mut since = 0;
        let target = match attributes.kind {
            _ if is_path => Target::Nothing,
            Kind::Regular | Kind::Directory => Target::Inode(inode),
            // A node that a program made leads to no disk.
            Kind::Block if self.source(inode, 0).is_some() => Target::Inode(inode),
            Kind::Character => self.open_device(context, attributes.special, flags)?,
            Kind::Fifo => {
                let target;
                (target, since) = self.open_fifo(context, inode, flags)?;
                target
            }
            Kind::Block | Kind::Socket | Kind::Symlink => {
                return Err(Errno::ENXIO.into());
            }
        };
        let is_kept = matches!(
            self.inodes.get(inode).map(|it| &it.node),
            Some(Node::Union(_))
        );
        let is_cut = attributes.kind == Kind::Regular
            && flags.contains(OpenFlags::TRUNC)
            && !is_new
            && is_kept;
        if is_cut {
            self.own(found.entry.by_ref())?;
            self.set_length(context, inode, 0)?;
        }
        let place = self.share_place(found.entry.by_ref());
        let id = self.describe(context, target, Some(place), flags)?;
        if let Some(file) = self.descriptions.get_mut(id) {
            file.offset = since;
        }
        Ok(id)
    }

    /// Opens once more what is open and has no name: a pipe through `/proc/self/fd`.
    fn reopen(
        &mut self,
        context: &mut Context<'_>,
        id: DescriptionId,
        flags: OpenFlags,
    ) -> Result<DescriptionId, Stall> {
        let known = self.descriptions.get(id).ok_or(Errno::ENOENT)?;
        let target = match known.target {
            Target::Pipe(pipe, end) => {
                let end = match flags.access() {
                    Access::READ => PipeEnd::Read,
                    Access::WRITE => PipeEnd::Write,
                    _ => end,
                };
                self.pipes.open(context, pipe, end);
                Target::Pipe(pipe, end)
            }
            Target::Device(device) => Target::Device(device),
            Target::Terminal(end) if end.side == Side::Slave => Target::Terminal(
                self.terminals
                    .open_slave(end.id, context.can(Capabilities::SYS_ADMIN))?,
            ),
            Target::Terminal(_) => return Err(Errno::ENXIO.into()),
            Target::Inode(_)
            | Target::Socket(_)
            | Target::Event(_)
            | Target::Epoll(_)
            | Target::Nothing => return Err(Errno::ENXIO.into()),
        };
        Ok(self.describe(context, target, None, flags)?)
    }

    /// Makes a pipe and puts its ends at the two lowest free descriptors: reading end, writing end.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOMEM.
    pub fn open_pipe(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        flags: OpenFlags,
    ) -> Result<(i32, i32), Errno> {
        let pipe = self.pipes.create(context)?;
        let close_on_exec = flags.contains(OpenFlags::CLOEXEC);
        let reader = self
            .describe(context, Target::Pipe(pipe, PipeEnd::Read), None, flags)
            .and_then(|id| self.install(context, table, 0, id, close_on_exec));
        let reader = match reader {
            Ok(fd) => fd,
            Err(errno) => {
                self.pipes.close(context, pipe, PipeEnd::Write);
                return Err(errno);
            }
        };
        let flags = flags | OpenFlags::WRONLY;
        let writer = self
            .describe(context, Target::Pipe(pipe, PipeEnd::Write), None, flags)
            .and_then(|id| self.install(context, table, 0, id, close_on_exec));
        match writer {
            Ok(fd) => Ok((reader, fd)),
            Err(errno) => {
                self.close(context, table, reader)?;
                Err(errno)
            }
        }
    }

    /// Closes a descriptor.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn close(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        fd: i32,
    ) -> Result<(), Errno> {
        let descriptor = self.table_mut(table)?.take(fd)?;
        self.close_description(context, table, descriptor.description);
        // Whoever makes work does some of it.
        self.give_pages_back(context.pool, context.accounts);
        Ok(())
    }

    /// Closes the descriptors from `first` to `last`.
    ///
    /// # Errors
    ///
    /// [`Stall::AGAIN`] when some are left, EBADF when the table is gone.
    pub fn close_range(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        first: usize,
        last: usize,
    ) -> Result<(), Stall> {
        for _ in 0..WORK_FILES {
            match self.table(table)?.next_used(first) {
                Some((fd, _)) if fd <= last => self.close(context, table, fd as i32)?,
                _ => return Ok(()),
            }
        }
        Err(Stall::AGAIN)
    }

    /// Closes the descriptors that execve closes.
    ///
    /// # Errors
    ///
    /// [`Stall::AGAIN`] when some are left, EBADF when the table is gone.
    pub fn close_on_exec(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
    ) -> Result<(), Stall> {
        for _ in 0..WORK_FILES {
            match self.table(table)?.next_closing() {
                Some(fd) => self.close(context, table, fd as i32)?,
                None => return Ok(()),
            }
        }
        Err(Stall::AGAIN)
    }

    /// Returns the open file a descriptor refers to.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn description(
        &self,
        table: TableId,
        fd: i32,
    ) -> Result<(DescriptionId, &Description), Errno> {
        let id = self.table(table)?.get(fd)?.description;
        let description = self.descriptions.get(id).ok_or(Errno::EBADF)?;
        Ok((id, description))
    }

    /// Gives a descriptor a second number: the lowest free one from `minimum` on.
    ///
    /// # Errors
    ///
    /// EBADF, EMFILE.
    pub fn duplicate(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        fd: i32,
        minimum: usize,
        close_on_exec: bool,
    ) -> Result<i32, Errno> {
        let (id, _) = self.description(table, fd)?;
        self.hold_description(id);
        self.install(context, table, minimum, id, close_on_exec)
    }

    /// Gives a descriptor exactly the number `to`, closing what that was.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn duplicate_to(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        fd: i32,
        to: i32,
        close_on_exec: bool,
    ) -> Result<i32, Errno> {
        let (id, _) = self.description(table, fd)?;
        let index = usize::try_from(to).map_err(|_| Errno::EBADF)?;
        self.hold_description(id);
        self.install_at(context, table, index, id, close_on_exec)?;
        Ok(to)
    }
}
