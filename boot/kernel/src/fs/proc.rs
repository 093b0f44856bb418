//! `/proc`: processes and the machine as files, made up at each look.
//!
//! Nothing of it is kept: entries are detached from the name cache, texts are produced for each read, and the part that
//! was asked for is copied straight to the program.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Attributes, Kind};
use crate::fs::context::{Context, Processes, Report, Sink, Span};
use crate::fs::dentry::{DentryId, State};
use crate::fs::description::{DescriptionId, Target};
use crate::fs::inode::{Inode, InodeId, Node};
use crate::fs::listing::Listed;
use crate::fs::terminal;
use crate::tty::Side;
use crate::wait::Stall;
use agent::kernel::{Pid, Writes};
use core::fmt::Write;
use hal::block::Block;
use hal::frame::{FramePool, FrameRef};

/// `st_dev` of `/proc`.
pub(super) const DEVICE: u64 = 0x15;

/// A file or directory of `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcNode {
    Root,
    /// `/proc/self`, a link.
    Current,
    Process(Pid),
    Text(Report),
    /// `/proc/mounts` and `/proc/PID/mounts`.
    Mounts,
    /// `/proc/filesystems`.
    Sorts,
    /// A text that tells what is so at the moment; of the machine, or of a process.
    Live(Live, Pid),
    /// A directory of `/proc/sys`, by its number in [`SYSTEM`].
    Folder(u8),
    /// A file there, and what it says.
    Knob(&'static str),
    /// A link of a process to a place.
    Link(Pid, LinkKind),
    /// `/proc/PID/fd`.
    Descriptors(Pid),
    /// `/proc/PID/fd/N`.
    Descriptor(Pid, i32),
    /// `/dev/pts`.
    Terminals,
    /// `/dev/pts/N`, and its owner.
    Terminal(u32, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    Executable,
    Root,
    Working,
}

/// Where a link of `/proc` leads when it is followed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Jump {
    /// To a place.
    To(DentryId),
    /// To something open that has no name.
    Open(DescriptionId),
}

/// A text that the process side writes, because it takes more than one table to do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Live {
    /// `/proc/meminfo` (proc(5) has all of them).
    Memory,
    /// `/proc/cpuinfo`.
    Processors,
    /// `/proc/uptime`.
    Uptime,
    /// `/proc/stat`.
    Times,
    /// `/proc/loadavg`.
    Load,
    /// `/proc/sys/kernel/random/boot_id`.
    BootId,
    /// `/proc/sys/kernel/random/uuid`.
    NewId,
    /// `/proc/PID/maps`.
    Maps,
    /// `/proc/PID/statm`.
    Pages,
    /// `/proc/PID/cmdline`.
    Arguments,
    /// `/proc/PID/environ`.
    Environment,
}

/// Nobody: what a text of the machine is about.
const NOBODY: Pid = Pid(0);

/// The files of `/proc/sys`: number of the directory, name, node. What they say is so for good.
const SYSTEM: [(u8, &str, ProcNode); 25] = [
    (0, "kernel", ProcNode::Folder(1)),
    (0, "vm", ProcNode::Folder(2)),
    (0, "fs", ProcNode::Folder(3)),
    (1, "random", ProcNode::Folder(4)),
    (1, "ostype", ProcNode::Knob("Linux\n")),
    (1, "osrelease", ProcNode::Knob("6.6.0-mote\n")),
    (1, "hostname", ProcNode::Knob("mote\n")),
    (1, "domainname", ProcNode::Knob("(none)\n")),
    (1, "pid_max", ProcNode::Knob("4194304\n")),
    (1, "threads-max", ProcNode::Knob("512\n")),
    (1, "ngroups_max", ProcNode::Knob("32\n")),
    (1, "cap_last_cap", ProcNode::Knob("40\n")),
    (1, "randomize_va_space", ProcNode::Knob("2\n")),
    (2, "overcommit_memory", ProcNode::Knob("1\n")),
    (2, "overcommit_ratio", ProcNode::Knob("50\n")),
    (2, "max_map_count", ProcNode::Knob("4096\n")),
    (2, "mmap_min_addr", ProcNode::Knob("65536\n")),
    (2, "swappiness", ProcNode::Knob("0\n")),
    (3, "file-max", ProcNode::Knob("16384\n")),
    (3, "nr_open", ProcNode::Knob("1024\n")),
    (3, "pipe-max-size", ProcNode::Knob("65536\n")),
    (4, "boot_id", ProcNode::Live(Live::BootId, NOBODY)),
    (4, "uuid", ProcNode::Live(Live::NewId, NOBODY)),
    (4, "entropy_avail", ProcNode::Knob("256\n")),
    (4, "poolsize", ProcNode::Knob("256\n")),
];

const _: () = {
    assert!(crate::limits::MAX_THREADS == 512 && crate::limits::MAX_OPEN_FILES == 16384);
    assert!(crate::limits::MAX_DESCRIPTORS == 1024 && crate::limits::MAX_AREAS == 4096);
    assert!(crate::fs::PIPE_BYTES == 65536);
};

type Named<T> = (&'static str, T);

/// Makes the node of one process's file.
type OfProcess = fn(Pid) -> ProcNode;

const ROOT_FILES: [Named<ProcNode>; 11] = [
    ("self", ProcNode::Current),
    ("version", ProcNode::Text(Report::Version)),
    ("mounts", ProcNode::Mounts),
    ("filesystems", ProcNode::Sorts),
    ("thread-self", ProcNode::Current),
    ("meminfo", ProcNode::Live(Live::Memory, NOBODY)),
    ("cpuinfo", ProcNode::Live(Live::Processors, NOBODY)),
    ("uptime", ProcNode::Live(Live::Uptime, NOBODY)),
    ("stat", ProcNode::Live(Live::Times, NOBODY)),
    ("loadavg", ProcNode::Live(Live::Load, NOBODY)),
    ("sys", ProcNode::Folder(0)),
];

const PROCESS_FILES: [Named<OfProcess>; 12] = [
    ("stat", |pid| ProcNode::Text(Report::Stat(pid))),
    ("status", |pid| ProcNode::Text(Report::Status(pid))),
    ("comm", |pid| ProcNode::Text(Report::Name(pid))),
    ("mounts", |_| ProcNode::Mounts),
    ("exe", |pid| ProcNode::Link(pid, LinkKind::Executable)),
    ("root", |pid| ProcNode::Link(pid, LinkKind::Root)),
    ("cwd", |pid| ProcNode::Link(pid, LinkKind::Working)),
    ("fd", ProcNode::Descriptors),
    ("maps", |pid| ProcNode::Live(Live::Maps, pid)),
    ("statm", |pid| ProcNode::Live(Live::Pages, pid)),
    ("cmdline", |pid| ProcNode::Live(Live::Arguments, pid)),
    ("environ", |pid| ProcNode::Live(Live::Environment, pid)),
];

impl ProcNode {
    const fn kind(self) -> Kind {
        match self {
            Self::Root
            | Self::Process(_)
            | Self::Descriptors(_)
            | Self::Terminals
            | Self::Folder(_) => Kind::Directory,
            Self::Terminal(..) => Kind::Character,
            Self::Current | Self::Link(..) | Self::Descriptor(..) => Kind::Symlink,
            Self::Text(_) | Self::Mounts | Self::Sorts | Self::Live(..) | Self::Knob(_) => {
                Kind::Regular
            }
        }
    }

    const fn pid(self) -> Option<Pid> {
        match self {
            Self::Process(pid)
            | Self::Link(pid, _)
            | Self::Descriptors(pid)
            | Self::Descriptor(pid, _)
            | Self::Live(Live::Maps | Live::Pages | Live::Arguments | Live::Environment, pid)
            | Self::Text(Report::Stat(pid) | Report::Status(pid) | Report::Name(pid)) => Some(pid),
            _ => None,
        }
    }

    /// Returns a number that is unique in `/proc`: pid, then descriptor, then which file.
    fn number(self) -> u64 {
        let pid = u64::from(self.pid().map_or(0, |pid| pid.0));
        let which = match self {
            Self::Descriptor(_, fd) => 0x1_0000 + u64::from(fd as u32),
            Self::Text(report) => 0x100 + u64::from(report.ordinal()),
            Self::Root => 1,
            Self::Current => 2,
            Self::Process(_) => 3,
            Self::Mounts => 4,
            Self::Sorts => 5,
            Self::Link(_, kind) => 6 + kind as u64,
            Self::Descriptors(_) => 9,
            Self::Terminals => 10,
            Self::Folder(number) => 0x300 + u64::from(number),
            Self::Live(live, _) => 0x200 + live as u64,
            // The same text has the same number.
            Self::Knob(text) => 0x1000 + (text.as_ptr().addr() as u64 & 0x7fff),
            Self::Terminal(number, _) => 0x8000_0000 + u64::from(number),
        };
        pid << 32 | which
    }

    pub(super) fn attributes(self, context: &Context<'_>) -> Attributes {
        let files = self.pid().and_then(|pid| context.processes.files(pid));
        let (mut uid, mut gid) = files.map_or((0, 0), |files| (files.uid, files.gid));
        let mut special = 0;
        if let Self::Terminal(number, owner) = self {
            (uid, gid) = (owner, terminal::GROUP);
            special = terminal::slave_number(number);
        }
        let kind = self.kind();
        let is_private = matches!(
            self,
            Self::Descriptors(_) | Self::Live(Live::Environment, _)
        );
        Attributes {
            kind,
            permissions: match (kind, is_private) {
                (Kind::Symlink, _) => 0o777,
                (Kind::Character, _) => 0o620,
                (Kind::Directory, false) => 0o555,
                (Kind::Directory, true) => 0o500,
                (_, false) => 0o444,
                (_, true) => 0o400,
            },
            uid,
            gid,
            size: 0,
            links: 1,
            number: self.number(),
            device: DEVICE,
            special,
            blocks: 0,
            accessed: context.wall,
            modified: context.wall,
            changed: context.wall,
        }
    }
}

impl Report {
    const fn ordinal(self) -> u8 {
        match self {
            Self::Stat(_) => 0,
            Self::Status(_) => 1,
            Self::Name(_) => 2,
            Self::Version => 3,
        }
    }
}

/// Copies the part of a text that was asked for to a program's page and counts the rest.
struct SpanSink<'a> {
    pool: &'a mut FramePool,
    frame: FrameRef<'a>,
    at: usize,
    end: usize,
    skip: u64,
}

impl Sink for SpanSink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len() as u64) as usize;
        self.skip -= skipped as u64;
        let bytes = &bytes[skipped..];
        let count = bytes.len().min(self.end - self.at);
        self.pool.bytes_mut(self.frame)[self.at..self.at + count].copy_from_slice(&bytes[..count]);
        self.at += count;
    }
}

/// Takes text into a buffer; what does not fit is counted.
struct SliceSink<'a> {
    into: &'a mut [u8],
    len: usize,
}

impl Sink for SliceSink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.into.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.len += bytes.len();
    }
}

impl SliceSink<'_> {
    /// Returns how long the text is, all of which must have found room.
    fn finish(self) -> Result<usize, Errno> {
        if self.len > self.into.len() {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(self.len)
    }
}

impl<B: Block> Files<B> {
    /// Returns the entry `name` of a directory of `/proc`, detached.
    pub(super) fn proc_child(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        node: ProcNode,
        name: &[u8],
    ) -> Result<DentryId, Stall> {
        let mount = self.dentries.get(directory)?.mount;
        let inode = match self.proc_find(context, node, name) {
            Some(found) => {
                let inode = Inode::new(found.attributes(context), Node::Proc(found));
                Some(self.inodes.insert(inode).map_err(|_| Errno::ENOMEM)?)
            }
            None => None,
        };
        match self.enter(Some(directory), name, inode, mount, State::Cached) {
            Ok(id) => {
                self.dentries.unlink(id);
                self.dentries.get_mut(id)?.state = State::Detached;
                Ok(id)
            }
            Err(errno) => {
                if let Some(inode) = inode {
                    self.release_inode(inode);
                }
                Err(errno.into())
            }
        }
    }

    fn proc_find(&self, context: &Context<'_>, node: ProcNode, name: &[u8]) -> Option<ProcNode> {
        let number = || {
            let text = core::str::from_utf8(name).ok()?;
            let is_plain = text.bytes().all(|digit| digit.is_ascii_digit())
                && (text == "0" || !text.starts_with('0'));
            is_plain.then(|| text.parse::<i32>().ok())?
        };
        match node {
            ProcNode::Root => {
                let known = ROOT_FILES.iter().find(|file| file.0.as_bytes() == name);
                if let Some(&(_, node)) = known {
                    return Some(node);
                }
                let pid = Pid(u32::try_from(number()?).ok()?);
                context.processes.files(pid)?;
                Some(ProcNode::Process(pid))
            }
            ProcNode::Process(pid) => {
                context.processes.files(pid)?;
                let known = PROCESS_FILES
                    .iter()
                    .find(|file| file.0.as_bytes() == name)?;
                Some((known.1)(pid))
            }
            ProcNode::Descriptors(pid) => {
                let fd = number()?;
                let table = context.processes.files(pid)?.table?;
                self.table(table).ok()?.get(fd).ok()?;
                Some(ProcNode::Descriptor(pid, fd))
            }
            ProcNode::Folder(folder) => SYSTEM
                .iter()
                .find(|file| file.0 == folder && file.1.as_bytes() == name)
                .map(|file| file.2),
            ProcNode::Terminals => {
                let wanted = u32::try_from(number()?).ok()?;
                let (number, _, uid) = self.terminals.owned(wanted, context.account)?;
                (number == wanted).then_some(ProcNode::Terminal(number, uid))
            }
            _ => None,
        }
    }

    /// Returns the entry of a directory of `/proc` at or behind `cookie`.
    pub(super) fn proc_entry(
        &self,
        context: &Context<'_>,
        node: ProcNode,
        cookie: u64,
    ) -> Option<Listed> {
        let listed = |name: &[u8], node: ProcNode, next: u64| {
            Some(Listed {
                name: heapless::Vec::from_slice(name).ok()?,
                kind: node.kind().entry_type(),
                number: node.number(),
                next,
            })
        };
        let numbered = |number: u32, node: ProcNode, next: u64| {
            let mut name = heapless::String::<10>::new();
            write!(name, "{number}").ok()?;
            listed(name.as_bytes(), node, next)
        };
        let at = usize::try_from(cookie).ok()?;
        match node {
            ProcNode::Root => {
                if let Some(&(name, node)) = ROOT_FILES.get(at) {
                    return listed(name.as_bytes(), node, cookie + 1);
                }
                // Behind the files: the process with the next pid.
                let files = ROOT_FILES.len() as u64;
                let pid = context.processes.after((cookie - files) as u32)?;
                numbered(pid.0, ProcNode::Process(pid), files + u64::from(pid.0))
            }
            ProcNode::Process(pid) => {
                let (name, node) = PROCESS_FILES.get(at)?;
                listed(name.as_bytes(), node(pid), cookie + 1)
            }
            ProcNode::Descriptors(pid) => {
                let table = context.processes.files(pid)?.table?;
                let (fd, _) = self.table(table).ok()?.next_used(at)?;
                let node = ProcNode::Descriptor(pid, fd as i32);
                numbered(fd as u32, node, fd as u64 + 1)
            }
            ProcNode::Folder(folder) => {
                let (_, name, node) = SYSTEM.iter().filter(|file| file.0 == folder).nth(at)?;
                listed(name.as_bytes(), *node, cookie + 1)
            }
            ProcNode::Terminals => {
                let from = u32::try_from(cookie).ok()?;
                let (number, _, uid) = self.terminals.owned(from, context.account)?;
                let node = ProcNode::Terminal(number, uid);
                numbered(number, node, u64::from(number) + 1)
            }
            _ => None,
        }
    }

    /// Returns where a link of `/proc` leads; `None` for a link that is a path.
    pub(super) fn jump(&self, context: &Context<'_>, link: InodeId) -> Result<Option<Jump>, Errno> {
        let Node::Proc(node) = self.inodes.get(link).ok_or(Errno::EIO)?.node else {
            return Ok(None);
        };
        let Some(pid) = node.pid() else {
            return Ok(None);
        };
        let files = context.processes.files(pid).ok_or(Errno::ENOENT)?;
        if !context.is_root() && context.credentials.uid != files.uid {
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

    /// Writes the text of a link of `/proc` into `out` and returns its length.
    pub(super) fn proc_link(
        &self,
        context: &Context<'_>,
        node: ProcNode,
        out: &mut [u8],
    ) -> Result<usize, Stall> {
        if node == ProcNode::Current {
            let mut sink = SliceSink { into: out, len: 0 };
            let pid = context.processes.current().0;
            write!(&mut sink as &mut dyn Sink, "{pid}").map_err(|_| Errno::EIO)?;
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
        let known = self.dentries.get(entry)?;
        if known.state != State::Detached || self.is_proc(entry) {
            return Ok(self.path_between(root, entry, out)?);
        }
        // It was removed, or never had a name.
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

    pub(super) fn is_proc(&self, entry: DentryId) -> bool {
        self.inode_at(entry)
            .ok()
            .and_then(|inode| self.inodes.get(inode))
            .is_some_and(|inode| matches!(inode.node, Node::Proc(_)))
    }

    /// Reads a text of `/proc` into one page of a program.
    pub(super) fn read_proc(
        &mut self,
        context: &mut Context<'_>,
        node: ProcNode,
        position: u64,
        span: Span<'_>,
    ) -> Result<usize, Stall> {
        let mut sink = SpanSink {
            pool: context.pool,
            frame: span.frame,
            at: span.offset,
            end: span.offset + span.len,
            skip: position,
        };
        match node {
            ProcNode::Text(report) => context.processes.report(report, &mut sink),
            ProcNode::Mounts => {
                let root = self.root_of(context.processes.current(), context.processes)?;
                let mut path = core::mem::take(&mut self.scratch);
                let written = self.report_mounts(root, &mut path, &mut sink);
                self.scratch = path;
                written?;
            }
            ProcNode::Knob(text) => sink.put(text.as_bytes()),
            // What needs more than files is read by `crate::live`.
            ProcNode::Live(..) => return Err(Errno::EINVAL.into()),
            ProcNode::Sorts => sink.put(b"nodev\toverlay\nnodev\ttmpfs\nnodev\tproc\n\text4\n"),
            _ => return Err(Errno::EISDIR.into()),
        }
        Ok(sink.at - span.offset)
    }

    /// Returns which live text an open file is, and of whom.
    pub(crate) fn live_of(&self, id: DescriptionId) -> Option<(Live, Pid)> {
        let Target::Inode(inode) = self.descriptions.get(id)?.target else {
            return None;
        };
        match self.inodes.get(inode)?.node {
            Node::Proc(ProcNode::Live(live, pid)) => Some((live, pid)),
            _ => None,
        }
    }

    /// Returns where an open file is read next, and moves that on.
    pub(crate) fn pass(&mut self, id: DescriptionId, count: u64) -> u64 {
        self.descriptions.get_mut(id).map_or(0, |file| {
            let at = file.offset;
            file.offset += count;
            at
        })
    }

    /// Returns how many frames hold copies of what disks have.
    pub(crate) fn cached_frames(&self) -> usize {
        self.pages.len()
    }

    /// Returns the root directory of a process.
    pub(super) fn root_of(&self, pid: Pid, processes: &dyn Processes) -> Result<DentryId, Errno> {
        let directories = processes.files(pid).and_then(|files| files.directories);
        Ok(self.directories(directories.ok_or(Errno::ENOENT)?)?.root.0)
    }

    /// Names the trees mounted at or below `root`: the others are none of the asker's business. `path` is room for a
    /// path.
    fn report_mounts(
        &self,
        root: DentryId,
        path: &mut [u8],
        out: &mut dyn Sink,
    ) -> Result<(), Errno> {
        for (_, mount) in self.mounts.iter() {
            let Some(top) = mount.root.filter(|_| !mount.is_abandoned) else {
                continue;
            };
            if !self.is_reachable(root, top) {
                continue;
            }
            let length = self.path_between(root, top, path)?;
            let name = mount.sort.name().as_bytes();
            let access: &[u8] = match mount.writes {
                Writes::Refused => b" ro",
                Writes::Kept => b" rw",
            };
            for part in [name, b" ", &path[..length], b" ", name, access, b" 0 0\n"] {
                out.put(part);
            }
        }
        Ok(())
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
