//! Descriptor tables and directory states as the process side uses them: made, shared, copied, given back.

use crate::account::Resource;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::description::{Description, DescriptionId, Target};
use crate::fs::device::Device;
use crate::fs::directory::{Directories, DirectoriesId};
use crate::fs::flags::OpenFlags;
use crate::fs::lock::LockOwner;
use crate::fs::mount::Sort;
use crate::fs::pipe::{AgentStream, PipeEnd, PipeId};
use crate::fs::place::{Place, PlaceRef};
use crate::fs::table::{Descriptor, Table, TableId};
use crate::limits::{
    FRAMES_PER_NAME, MAX_OPEN_FILES, MOUNTS_PER_VIEW, NAMES_PER_VIEW, PIPES_PER_PROCESS,
    READY_DESCRIPTORS, TABLES_PER_PROCESS, TREES_PER_VIEW,
};
use crate::tty::TerminalId;
use agent::kernel::{End, OutputStream, Pid, Stdio};
use hal::block::Block;

/// The agent's ends of a process's standard streams: pipes for those that are [`End::Pipe`], or a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgentPipes {
    /// Standard input.
    pub stdin: Option<PipeId>,
    /// Standard output.
    pub stdout: Option<PipeId>,
    /// Standard error.
    pub stderr: Option<PipeId>,
    /// The terminal that is all three, also when the agent has closed it.
    pub(crate) terminal: Option<TerminalId>,
}

impl<B: Block> Files<B> {
    /// Makes room on a machine of `frames` frames for what `ready` processes and `views` containers have: clean names,
    /// trees, descriptor tables, directory states and standard streams.
    pub(crate) fn reserve(&mut self, frames: usize, ready: usize, views: usize) {
        let tables = TABLES_PER_PROCESS * ready;
        let names = (frames / FRAMES_PER_NAME).min(self.warm_names);
        let trees = TREES_PER_VIEW * views;
        let view_names = trees * NAMES_PER_VIEW;
        self.dentries.reserve(names + view_names);
        // A clean name has two inodes at most: what programs see, and its source.
        self.inodes.reserve(2 * names + view_names);
        // The machine's own tree is furnished as a view's is.
        self.mounts.reserve(MOUNTS_PER_VIEW * (1 + trees));
        self.tables.reserve(tables);
        self.directories.reserve(ready);
        self.terminals.reserve(ready);
        self.descriptions.reserve(READY_DESCRIPTORS * tables);
        self.pipes.reserve(PIPES_PER_PROCESS * tables);
        // One more, because the room is made before a table uses its memory.
        if self.spare_slots.try_reserve_exact(tables + 1).is_ok() {
            for _ in 0..tables {
                self.spare_slots.push(Table::ready_memory());
            }
        }
    }

    /// Makes an empty descriptor table.
    ///
    /// # Errors
    ///
    /// ENOMEM at the limit.
    pub fn new_table(&mut self) -> Result<TableId, Errno> {
        let table = self.ready_table();
        self.tables.insert(table).map_err(|_| Errno::ENOMEM)
    }

    /// Returns an empty table that uses the memory of one before it.
    fn ready_table(&mut self) -> Table {
        let spare = self.spare_slots.pop().unwrap_or_else(Table::ready_memory);
        // Every table's memory may come back at once. Without room for it, it is given to the heap instead.
        let _ = self.spare_slots.try_reserve(self.tables.len() + 1);
        Table::reusing(spare)
    }

    /// Returns a descriptor table.
    ///
    /// # Errors
    ///
    /// EBADF when it is gone.
    pub fn table(&self, id: TableId) -> Result<&Table, Errno> {
        self.tables.get(id).ok_or(Errno::EBADF)
    }

    /// Returns a descriptor table for changing its limit.
    ///
    /// # Errors
    ///
    /// EBADF when it is gone.
    pub fn table_mut(&mut self, id: TableId) -> Result<&mut Table, Errno> {
        self.tables.get_mut(id).ok_or(Errno::EBADF)
    }

    /// Sets or clears FD_CLOEXEC of a descriptor.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn set_close_on_exec(&mut self, id: TableId, fd: i32, on: bool) -> Result<(), Errno> {
        self.table_mut(id)?.set_close_on_exec(fd, on)
    }

    /// Counts one more task that uses a table (CLONE_FILES).
    pub fn share_table(&mut self, id: TableId) {
        if let Some(table) = self.tables.get_mut(id) {
            table.sharers += 1;
        }
    }

    /// Makes a copy of a table whose descriptors refer to the same open files (fork).
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn copy_table(&mut self, id: TableId) -> Result<TableId, Errno> {
        let mut copy = self.ready_table();
        copy.copy_from(self.table(id)?)?;
        let mut next = 0;
        while let Some((index, descriptor)) = copy.next_used(next) {
            self.hold_description(descriptor.description);
            next = index + 1;
        }
        self.tables.insert(copy).map_err(|(copy, _)| {
            let mut next = 0;
            while let Some((index, descriptor)) = copy.next_used(next) {
                if let Some(known) = self.descriptions.get_mut(descriptor.description) {
                    known.references -= 1;
                }
                next = index + 1;
            }
            Errno::ENOMEM
        })
    }

    /// Counts one task less; with the last one every descriptor is closed, a few of them at once.
    pub fn release_table(&mut self, context: &mut Context<'_>, id: TableId) {
        let Some(table) = self.tables.get_mut(id) else {
            return;
        };
        table.sharers = table.sharers.saturating_sub(1);
        if table.sharers > 0 {
            return;
        }
        self.abandon_table(context, id);
    }

    /// Takes an empty table out, keeping its memory for the next one.
    pub(super) fn remove_table(&mut self, id: TableId) {
        if let Some(spare) = self.tables.remove(id).and_then(Table::into_spare)
            && self.spare_slots.len() < self.spare_slots.capacity()
        {
            self.spare_slots.push(spare);
        }
    }

    /// Makes a directory state.
    ///
    /// # Errors
    ///
    /// The places come back with ENOMEM at the limit.
    pub fn new_directories(
        &mut self,
        root: Place,
        working: Place,
    ) -> Result<DirectoriesId, (Place, Place, Errno)> {
        let state = Directories {
            root,
            working,
            umask: 0o022,
            sharers: 1,
        };
        self.directories
            .insert(state)
            .map_err(|(state, _)| (state.root, state.working, Errno::ENOMEM))
    }

    /// Returns a directory state.
    ///
    /// # Errors
    ///
    /// ENOENT when it is gone.
    pub fn directories(&self, id: DirectoriesId) -> Result<&Directories, Errno> {
        self.directories.get(id).ok_or(Errno::ENOENT)
    }

    /// Returns a directory state for changing its umask.
    ///
    /// # Errors
    ///
    /// ENOENT when it is gone.
    pub fn directories_mut(&mut self, id: DirectoriesId) -> Result<&mut Directories, Errno> {
        self.directories.get_mut(id).ok_or(Errno::ENOENT)
    }

    /// Returns whether more than one process uses a directory state.
    #[must_use]
    pub fn is_shared(&self, id: DirectoriesId) -> bool {
        self.directories
            .get(id)
            .is_some_and(|state| state.sharers > 1)
    }

    /// Returns the user and the group that a program runs on behalf of, whoever executes it. Trees in memory are `nosuid`: in
    /// them nobody's programs do.
    #[must_use]
    pub fn acts_for(&self, place: PlaceRef<'_>) -> [Option<u32>; 2] {
        let mount = self.dentries.get(place.0).map(|entry| entry.mount);
        let mount = mount.and_then(|mount| self.mounts.get(mount).ok_or(Errno::ENOENT));
        match self.attributes(place) {
            Ok(attributes) if mount.is_ok_and(|mount| mount.sort == Sort::Overlay) => {
                attributes.acts_for()
            }
            _ => [None; 2],
        }
    }

    /// Counts one more task that uses a directory state (CLONE_FS).
    pub fn share_directories(&mut self, id: DirectoriesId) {
        if let Some(state) = self.directories.get_mut(id) {
            state.sharers += 1;
        }
    }

    /// Makes a copy of a directory state (fork).
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn copy_directories(&mut self, id: DirectoriesId) -> Result<DirectoriesId, Errno> {
        let state = self.directories.get(id).ok_or(Errno::ENOENT)?;
        let (root, working, umask) = (state.root.0, state.working.0, state.umask);
        self.dentries.hold(root);
        self.dentries.hold(working);
        match self.new_directories(Place(root), Place(working)) {
            Ok(copy) => {
                if let Some(state) = self.directories.get_mut(copy) {
                    state.umask = umask;
                }
                Ok(copy)
            }
            Err((root, working, errno)) => {
                self.release_place(root);
                self.release_place(working);
                Err(errno)
            }
        }
    }

    /// Counts one task less.
    pub fn release_directories(&mut self, id: DirectoriesId) {
        let Some(state) = self.directories.get_mut(id) else {
            return;
        };
        state.sharers = state.sharers.saturating_sub(1);
        if state.sharers > 0 {
            return;
        }
        if let Some(state) = self.directories.remove(id) {
            self.release_place(state.root);
            self.release_place(state.working);
        }
    }

    /// Connects descriptors 0, 1 and 2 of a table as `stdio` says. What was there is closed.
    ///
    /// # Errors
    ///
    /// ENOMEM, ENFILE or EMFILE; what was connected until then is the table's and goes with it.
    pub fn attach_stdio(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        pid: Pid,
        stdio: Stdio,
    ) -> Result<AgentPipes, Errno> {
        let mut ends = [None; 3];
        if let Err(errno) = self.attach_streams(context, table, pid, stdio, &mut ends) {
            for pipe in ends.into_iter().flatten() {
                self.pipes.close_agent(context, pipe);
            }
            return Err(errno);
        }
        let [stdin, stdout, stderr] = ends;
        Ok(AgentPipes {
            stdin,
            stdout,
            stderr,
            terminal: None,
        })
    }

    /// Connects the three descriptors one by one; `ends` has the agent's ends that were made, also when one fails.
    fn attach_streams(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        pid: Pid,
        stdio: Stdio,
        ends: &mut [Option<PipeId>; 3],
    ) -> Result<(), Errno> {
        let streams = [
            (stdio.stdin, AgentStream::Input),
            (stdio.stdout, AgentStream::Output(OutputStream::Stdout)),
            (stdio.stderr, AgentStream::Output(OutputStream::Stderr)),
        ];
        for (fd, (end, stream)) in streams.into_iter().enumerate() {
            let own = match stream {
                AgentStream::Input => PipeEnd::Read,
                AgentStream::Output(_) => PipeEnd::Write,
            };
            let target = match end {
                End::Null => Target::Device(Device::Null),
                End::Pipe => {
                    let pipe = self.pipes.create_for_agent(context, pid, stream)?;
                    ends[fd] = Some(pipe);
                    Target::Pipe(pipe, own)
                }
                End::Closed => {
                    let pipe = self.pipes.create(context)?;
                    let other = match own {
                        PipeEnd::Read => PipeEnd::Write,
                        _ => PipeEnd::Read,
                    };
                    self.pipes.close(context, pipe, other);
                    Target::Pipe(pipe, own)
                }
            };
            let flags = match own {
                PipeEnd::Read => OpenFlags::empty(),
                _ => OpenFlags::WRONLY,
            };
            let description = self.describe(context, target, None, flags)?;
            self.install_at(context, table, fd, description, false)?;
        }
        Ok(())
    }

    /// Refuses what [`Files::describe`] would.
    pub(super) fn permit_description(&self, context: &Context<'_>) -> Result<(), Errno> {
        let account = context.accounts.get(context.account);
        let has_share = account.is_some_and(|account| account.has_room(Resource::Files, 1));
        if !has_share || self.descriptions.len() >= MAX_OPEN_FILES {
            return Err(Errno::ENFILE);
        }
        Ok(())
    }

    /// Makes an open file description with one reference. When that fails, `target` and `place` are given back.
    pub(super) fn describe(
        &mut self,
        context: &mut Context<'_>,
        target: Target,
        place: Option<Place>,
        flags: OpenFlags,
    ) -> Result<DescriptionId, Errno> {
        self.count_writer(target, flags, 1);
        let made = match context.charge(Resource::Files, 1) {
            Ok(()) => self
                .descriptions
                .insert(Description {
                    target,
                    place,
                    flags: flags & OpenFlags::KEPT,
                    offset: 0,
                    references: 1,
                    account: context.account,
                })
                .map_err(|(description, _)| {
                    context.refund(context.account, Resource::Files, 1);
                    (description.place, Errno::ENFILE)
                }),
            Err(errno) => Err((place, errno)),
        };
        made.map_err(|(place, errno)| {
            self.count_writer(target, flags, -1);
            self.release_target(context, target);
            if let Some(place) = place {
                self.release_place(place);
            }
            errno
        })
    }

    /// Puts a description at exactly `fd`, closing what was there. When that fails the description is given back.
    pub(super) fn install_at(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        fd: usize,
        description: DescriptionId,
        close_on_exec: bool,
    ) -> Result<(), Errno> {
        let reserved = self
            .table_mut(table)
            .and_then(|table| table.reserve_exactly(fd));
        if let Err(errno) = reserved {
            self.release_description(context, description);
            return Err(errno);
        }
        let descriptor = Descriptor {
            description,
            close_on_exec,
        };
        if let Some(old) = self.table_mut(table)?.put(fd, descriptor) {
            self.close_description(context, table, old.description);
        }
        Ok(())
    }

    /// Puts a description at the lowest free descriptor from `minimum`. When that fails it is given back.
    pub(super) fn install(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        minimum: usize,
        description: DescriptionId,
        close_on_exec: bool,
    ) -> Result<i32, Errno> {
        let reserved = self
            .table_mut(table)
            .and_then(|table| table.reserve(minimum));
        match reserved {
            Ok(fd) => {
                self.install_at(context, table, fd, description, close_on_exec)?;
                Ok(fd as i32)
            }
            Err(errno) => {
                self.release_description(context, description);
                Err(errno)
            }
        }
    }

    /// Counts one more reference to a description.
    pub(super) fn hold_description(&mut self, id: DescriptionId) {
        if let Some(description) = self.descriptions.get_mut(id) {
            description.references += 1;
        }
    }

    /// Gives back the reference of a descriptor of `table`, which loses its locks of the file.
    pub(super) fn close_description(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        id: DescriptionId,
    ) {
        self.leave_locks(context, id, LockOwner::Table(table));
        self.release_description(context, id);
    }

    /// Counts one reference less; with the last one the file is closed.
    pub fn release_description(&mut self, context: &mut Context<'_>, id: DescriptionId) {
        let Some(description) = self.descriptions.get_mut(id) else {
            return;
        };
        description.references = description.references.saturating_sub(1);
        if description.references > 0 {
            return;
        }
        self.leave_locks(context, id, LockOwner::File(id));
        self.leave_locks(context, id, LockOwner::Whole(id));
        self.forget_owner(id);
        let Some(description) = self.descriptions.remove(id) else {
            return;
        };
        context.refund(description.account, Resource::Files, 1);
        self.count_writer(description.target, description.flags, -1);
        self.release_target(context, description.target);
        if let Some(place) = description.place {
            self.release_place(place);
        }
    }

    fn release_target(&mut self, context: &mut Context<'_>, target: Target) {
        match target {
            Target::Pipe(pipe, end) => self.pipes.close(context, pipe, end),
            Target::Socket(socket) => self.close_socket(context, socket),
            Target::Terminal(end) => self.terminals.close(context, end),
            Target::Event(event) => {
                self.events.remove(event);
            }
            Target::Epoll(epoll) => self.epolls.remove(context, epoll),
            Target::Inode(_) | Target::Device(_) | Target::Nothing => {}
        }
    }
}
