//! `/proc`: processes and the machine as files, made up at each look.
//!
//! Nothing of it is kept: entries are detached from the name cache, texts are produced for each read, and the part that
//! was asked for is copied straight to the program.

mod entry;
mod link;
mod sink;
mod text;

pub(crate) use text::escape;

use crate::fs::attributes::{Attributes, Kind};
use crate::fs::context::{Context, Report};
use crate::fs::dentry::DentryId;
use crate::fs::description::DescriptionId;
use crate::fs::terminal;
use agent::kernel::Pid;

/// `st_dev` of `/proc`.
pub(super) const DEVICE: u64 = 0x15;

/// A file or directory of `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcNode {
    Root,
    /// `/proc/self`, a link.
    Current,
    /// `/proc/thread-self`, another.
    CurrentTask,
    Process(Pid),
    /// `/proc/PID/task`.
    Tasks(Pid),
    /// A directory there.
    Task(Pid, u32),
    Text(Report),
    /// `/proc/mounts` and `/proc/PID/mounts`.
    Mounts,
    /// `/proc/PID/mountinfo`.
    MountTree,
    /// `/proc/filesystems`.
    Sorts,
    /// A text that tells what is so at the moment.
    Live(Live, Owner),
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
    /// `/proc/PID/fdinfo`.
    DescriptorTexts(Pid),
    /// `/proc/PID/fdinfo/N`.
    DescriptorText(Pid, i32),
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

/// Whom a file tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The process; 0 for the machine.
    pub(crate) pid: Pid,
    /// The task of it; 0 for all.
    pub(crate) tid: u32,
}

impl Owner {
    /// Nobody: what a text of the machine is about.
    const MACHINE: Self = Self {
        pid: Pid(0),
        tid: 0,
    };
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
    /// `/proc/vmstat`.
    Paging,
    /// `/proc/sys/kernel/hostname`.
    HostName,
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
    /// `/proc/PID/stat`.
    Stat,
    /// `/proc/PID/status`.
    Status,
    /// `/proc/PID/limits`.
    Limits,
    /// `/proc/PID/oom_score_adj`.
    Blame,
    /// `/proc/sys/fs/file-nr`.
    OpenFiles,
}

/// A text that programs may write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// `/proc/PID/comm`.
    Name,
    /// `/proc/PID/oom_score_adj`.
    Blame,
}

/// The files of `/proc/sys`: number of the directory, name, node. What they say is so for good.
const SYSTEM: [(u8, &str, ProcNode); 31] = [
    (0, "kernel", ProcNode::Folder(1)),
    (0, "vm", ProcNode::Folder(2)),
    (0, "fs", ProcNode::Folder(3)),
    (0, "net", ProcNode::Folder(5)),
    (1, "random", ProcNode::Folder(4)),
    (
        1,
        "version",
        ProcNode::Knob(concat!("#1 mote ", env!("CARGO_PKG_VERSION"), "\n")),
    ),
    (1, "core_pattern", ProcNode::Knob("core\n")),
    (1, "ostype", ProcNode::Knob("Linux\n")),
    (1, "osrelease", ProcNode::Knob("6.6.0-mote\n")),
    (
        1,
        "hostname",
        ProcNode::Live(Live::HostName, Owner::MACHINE),
    ),
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
    (
        3,
        "file-nr",
        ProcNode::Live(Live::OpenFiles, Owner::MACHINE),
    ),
    (3, "nr_open", ProcNode::Knob("1024\n")),
    (3, "pipe-max-size", ProcNode::Knob("65536\n")),
    (4, "boot_id", ProcNode::Live(Live::BootId, Owner::MACHINE)),
    (4, "uuid", ProcNode::Live(Live::NewId, Owner::MACHINE)),
    (4, "entropy_avail", ProcNode::Knob("256\n")),
    (4, "poolsize", ProcNode::Knob("256\n")),
    (5, "core", ProcNode::Folder(6)),
    (6, "somaxconn", ProcNode::Knob("128\n")),
];

const _: () = {
    assert!(crate::limits::MAX_THREADS == 512 && crate::limits::MAX_OPEN_FILES == 16384);
    assert!(crate::limits::MAX_DESCRIPTORS == 1024 && crate::limits::MAX_AREAS == 4096);
    assert!(crate::fs::PIPE_BYTES == 65536 && crate::limits::MAX_BACKLOG == 128);
};

type Named<T> = (&'static str, T);

/// Makes the node of a file of one process, or of one task.
type OfProcess = fn(Owner) -> ProcNode;

/// There is nothing to swap to.
const SWAPS: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

const ROOT_FILES: [Named<ProcNode>; 13] = [
    ("self", ProcNode::Current),
    ("thread-self", ProcNode::CurrentTask),
    ("version", ProcNode::Text(Report::Version)),
    ("mounts", ProcNode::Mounts),
    ("filesystems", ProcNode::Sorts),
    ("meminfo", ProcNode::Live(Live::Memory, Owner::MACHINE)),
    ("cpuinfo", ProcNode::Live(Live::Processors, Owner::MACHINE)),
    ("uptime", ProcNode::Live(Live::Uptime, Owner::MACHINE)),
    ("stat", ProcNode::Live(Live::Times, Owner::MACHINE)),
    ("loadavg", ProcNode::Live(Live::Load, Owner::MACHINE)),
    ("vmstat", ProcNode::Live(Live::Paging, Owner::MACHINE)),
    ("swaps", ProcNode::Knob(SWAPS)),
    ("sys", ProcNode::Folder(0)),
];

/// The last is for processes only.
const PROCESS_FILES: [Named<OfProcess>; 19] = [
    ("stat", |of| ProcNode::Live(Live::Stat, of)),
    ("status", |of| ProcNode::Live(Live::Status, of)),
    ("comm", |of| ProcNode::Text(Report::Name(of.pid, of.tid))),
    ("mounts", |_| ProcNode::Mounts),
    ("mountinfo", |_| ProcNode::MountTree),
    ("exe", |of| ProcNode::Link(of.pid, LinkKind::Executable)),
    ("root", |of| ProcNode::Link(of.pid, LinkKind::Root)),
    ("cwd", |of| ProcNode::Link(of.pid, LinkKind::Working)),
    ("fd", |of| ProcNode::Descriptors(of.pid)),
    ("maps", |of| ProcNode::Live(Live::Maps, of)),
    ("statm", |of| ProcNode::Live(Live::Pages, of)),
    ("cmdline", |of| ProcNode::Live(Live::Arguments, of)),
    ("environ", |of| ProcNode::Live(Live::Environment, of)),
    ("limits", |of| ProcNode::Live(Live::Limits, of)),
    ("oom_score_adj", |of| ProcNode::Live(Live::Blame, of)),
    ("fdinfo", |of| ProcNode::DescriptorTexts(of.pid)),
    // A container is all there is of a tree of groups; where a task waits inside the kernel is not told.
    ("cgroup", |_| ProcNode::Knob("0::/\n")),
    ("wchan", |_| ProcNode::Knob("0")),
    ("task", |of| ProcNode::Tasks(of.pid)),
];

impl ProcNode {
    const fn kind(self) -> Kind {
        match self {
            Self::Root
            | Self::Process(_)
            | Self::Tasks(_)
            | Self::Task(..)
            | Self::Descriptors(_)
            | Self::DescriptorTexts(_)
            | Self::Terminals
            | Self::Folder(_) => Kind::Directory,
            Self::Terminal(..) => Kind::Character,
            Self::Current | Self::CurrentTask | Self::Link(..) | Self::Descriptor(..) => {
                Kind::Symlink
            }
            Self::Text(_)
            | Self::Mounts
            | Self::MountTree
            | Self::Sorts
            | Self::Live(..)
            | Self::DescriptorText(..)
            | Self::Knob(_) => Kind::Regular,
        }
    }

    /// Returns what is written to it, and whose; `None` for what is only read.
    const fn written(self) -> Option<(Written, Owner)> {
        match self {
            Self::Text(Report::Name(pid, tid)) => Some((Written::Name, Owner { pid, tid })),
            Self::Live(Live::Blame, owner) => Some((Written::Blame, owner)),
            _ => None,
        }
    }

    const fn pid(self) -> Option<Pid> {
        match self {
            Self::Process(pid)
            | Self::Tasks(pid)
            | Self::Task(pid, _)
            | Self::Link(pid, _)
            | Self::Descriptors(pid)
            | Self::Descriptor(pid, _)
            | Self::DescriptorTexts(pid)
            | Self::DescriptorText(pid, _)
            | Self::Text(Report::Name(pid, _)) => Some(pid),
            Self::Live(_, owner) if owner.pid.0 != 0 => Some(owner.pid),
            _ => None,
        }
    }

    /// Returns a number that is unique in `/proc`: whose, then descriptor, then which file.
    fn number(self) -> u64 {
        /// The number before it is a task's.
        const OF_TASK: u64 = 1 << 63;
        let pid = u64::from(self.pid().map_or(0, |pid| pid.0)) << 32;
        match self {
            Self::Descriptor(_, fd) => pid + 0x1_0000 + u64::from(fd as u32),
            Self::Root => 1,
            Self::Current => 2,
            Self::CurrentTask => 3,
            Self::Mounts => 4,
            Self::MountTree => 5,
            Self::Sorts => 6,
            Self::Terminals => 7,
            Self::Text(Report::Version) => 8,
            Self::Text(Report::Name(_, 0)) => pid | 9,
            Self::Text(Report::Name(_, tid)) => OF_TASK | u64::from(tid) << 32 | 9,
            Self::Process(_) => pid | 10,
            Self::Tasks(_) => pid | 11,
            Self::Descriptors(_) => pid | 12,
            Self::DescriptorTexts(_) => pid | 16,
            Self::DescriptorText(_, fd) => pid + 0x2_0000 + u64::from(fd as u32),
            Self::Link(_, kind) => pid + 13 + kind as u64,
            Self::Task(_, tid) => OF_TASK | u64::from(tid) << 32,
            Self::Live(live, Owner { tid: 0, .. }) => pid + 0x100 + live as u64,
            Self::Live(live, Owner { tid, .. }) => {
                (OF_TASK | u64::from(tid) << 32) + 0x100 + live as u64
            }
            Self::Folder(number) => 0x300 + u64::from(number),
            // The same text has the same number.
            Self::Knob(text) => 0x1000 + (text.as_ptr().addr() as u64 & 0x7fff),
            Self::Terminal(number, _) => 0x8000_0000 + u64::from(number),
        }
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
            Self::Descriptors(_) | Self::DescriptorTexts(_) | Self::Live(Live::Environment, _)
        );
        Attributes {
            kind,
            permissions: match (kind, is_private) {
                (Kind::Symlink, _) => 0o777,
                (Kind::Character, _) => 0o620,
                (Kind::Directory, false) => 0o555,
                (Kind::Directory, true) => 0o500,
                _ if self.written().is_some() => 0o644,
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
