//! The links of `/proc`: what they say, and where they lead.

use super::sink::SliceSink;
use super::{Jump, LinkKind, ProcNode};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Attributes, Kind};
use crate::fs::context::{Context, Sink};
use crate::fs::dentry::{DentryId, State};
use crate::fs::description::Target;
use crate::fs::inode::{InodeId, Node};
use crate::fs::place::PlaceRef;
use crate::tty::Side;
use crate::wait::Stall;
use core::fmt::Write;
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Returns where a link of `/proc` leads; `None` for a link that is a path.
    pub(in crate::fs) fn jump(
        &self,
        context: &Context<'_>,
        link: InodeId,
    ) -> Result<Option<Jump>, Errno> {
        let Node::Proc(node) = self.inodes.get(link).ok_or(Errno::EIO)?.node else {
            return Ok(None);
        };
        let Some(pid) = node.pid() else {
            return Ok(None);
        };
        let files = context.processes.files(pid).ok_or(Errno::ENOENT)?;
        // Its own a process may always follow, whatever it knows.
        let is_own = context.processes.current() == pid;
        if !is_own && !context.can(Capabilities::SYS_PTRACE) && context.credentials.uid != files.uid
        {
            return Err(Errno::EACCES);
        }
        match node {
            ProcNode::Link(_, kind) => {
                let directories = || self.directories(files.directories.ok_or(Errno::ENOENT)?);
                let place = match kind {
                    LinkKind::Executable => files.executable.ok_or(Errno::ENOENT)?.0,
                    LinkKind::Root => directories()?.root.0,
                    LinkKind::Working => directories()?.working.0,
                };
                Ok(Some(Jump::To(place)))
            }
            ProcNode::Descriptor(_, fd) => {
                let table = self.table(files.table.ok_or(Errno::ENOENT)?)?;
                let id = table.get(fd).map_err(|_| Errno::ENOENT)?.description;
                let description = self.descriptions.get(id).ok_or(Errno::ENOENT)?;
                Ok(Some(match &description.place {
                    Some(place) => Jump::To(place.0),
                    None => Jump::Open(id),
                }))
            }
            _ => Ok(None),
        }
    }

    /// Returns what stat(2) says of the file in a place that a path led to, links followed. A link of `/proc` to what is open
    /// and has no name, a pipe, is still one then: it stands for what is open.
    ///
    /// # Errors
    ///
    /// ENOENT when there is no such file any more, EACCES when it is another user's.
    pub fn attributes_behind(
        &self,
        context: &Context<'_>,
        place: PlaceRef<'_>,
    ) -> Result<Attributes, Errno> {
        let attributes = self.attributes(place)?;
        if attributes.kind == Kind::Symlink
            && let Some(Jump::Open(id)) = self.jump(context, self.inode_at(place.0)?)?
        {
            return self.attributes_of(context, id);
        }
        Ok(attributes)
    }

    /// Writes the text of a link of `/proc` into `out` and returns its length.
    pub(in crate::fs) fn proc_link(
        &self,
        context: &Context<'_>,
        node: ProcNode,
        out: &mut [u8],
    ) -> Result<usize, Stall> {
        let own = context.processes.current().0;
        let task = match node {
            ProcNode::Current => Some(None),
            ProcNode::CurrentTask => Some(Some(context.processes.current_task())),
            _ => None,
        };
        if let Some(task) = task {
            let mut sink = SliceSink { into: out, len: 0 };
            let text = &mut sink as &mut dyn Sink;
            match task {
                None => write!(text, "{own}"),
                Some(tid) => write!(text, "{own}/task/{tid}"),
            }
            .map_err(|_| Errno::EIO)?;
            return Ok(sink.finish()?);
        }
        let pid = node.pid().ok_or(Errno::EINVAL)?;
        let files = context.processes.files(pid).ok_or(Errno::ENOENT)?;
        let root = self.root_of(context.processes.current(), context.processes)?;
        let entry = match node {
            ProcNode::Link(_, LinkKind::Executable) => files.executable.ok_or(Errno::ENOENT)?.0,
            ProcNode::Link(_, kind) => {
                let state = self.directories(files.directories.ok_or(Errno::ENOENT)?)?;
                match kind {
                    LinkKind::Root => state.root.0,
                    _ => state.working.0,
                }
            }
            ProcNode::Descriptor(_, fd) => {
                let table = self.table(files.table.ok_or(Errno::ENOENT)?)?;
                let id = table.get(fd).map_err(|_| Errno::ENOENT)?.description;
                let description = self.descriptions.get(id).ok_or(Errno::ENOENT)?;
                match &description.place {
                    Some(place) => place.0,
                    None => {
                        let mut sink = SliceSink { into: out, len: 0 };
                        let target = description.target;
                        name_target(target, &mut sink).map_err(|_| Errno::EIO)?;
                        return Ok(sink.finish()?);
                    }
                }
            }
            _ => return Err(Errno::EINVAL.into()),
        };
        Ok(self.path_told(root, entry, out)?)
    }

    /// Writes the path of an entry below `root` into `out` and returns its length; of one that was removed, or never had a
    /// name, says so.
    pub(super) fn path_told(
        &self,
        root: DentryId,
        entry: DentryId,
        out: &mut [u8],
    ) -> Result<usize, Errno> {
        let known = self.dentries.get(entry)?;
        if known.state != State::Detached || self.is_proc(entry) {
            return self.path_between(root, entry, out);
        }
        let mut length = match known.parent {
            Some(parent) if parent != root => self.path_between(root, parent, out)?,
            _ => 0,
        };
        for part in [b"/", &known.name[..], b" (deleted)"] {
            let end = length + part.len();
            out.get_mut(length..end)
                .ok_or(Errno::ENAMETOOLONG)?
                .copy_from_slice(part);
            length = end;
        }
        Ok(length)
    }

    pub(in crate::fs) fn is_proc(&self, entry: DentryId) -> bool {
        self.inode_at(entry)
            .ok()
            .and_then(|inode| self.inodes.get(inode))
            .is_some_and(|inode| matches!(inode.node, Node::Proc(_)))
    }
}

fn name_target(target: Target, out: &mut dyn Sink) -> core::fmt::Result {
    match target {
        Target::Pipe(pipe, _) => write!(out, "pipe:[{}]", pipe.index()),
        Target::Socket(socket) => write!(out, "socket:[{}]", socket.index()),
        Target::Device(device) => write!(out, "{}", device.path()),
        Target::Terminal(end) if end.side == Side::Master => write!(out, "/dev/ptmx"),
        Target::Terminal(end) => write!(out, "/dev/pts/{}", end.id.index()),
        Target::Event(_) => write!(out, "anon_inode:[event]"),
        Target::Epoll(_) => write!(out, "anon_inode:[eventpoll]"),
        Target::Inode(_) | Target::Nothing => write!(out, "anon_inode:"),
    }
}
