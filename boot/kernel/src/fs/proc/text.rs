//! The texts of `/proc` that files alone can tell.

use super::sink::SpanSink;
use super::{Live, Owner, ProcNode, Written};
use crate::errno::Errno;
use crate::fs::context::{Context, Processes, Sink, Span};
use crate::fs::dentry::DentryId;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::inode::Node;
use crate::fs::{Files, PlaceRef};
use crate::wait::Stall;
use agent::kernel::{Pid, Writes};
use core::fmt::Write;
use hal::block::Block;

/// Added to a tree's place in the table. Linux's own root file system, under all that programs see, is 1.
const FIRST_MOUNT: u32 = 2;

impl<B: Block> Files<B> {
    /// Reads a text of `/proc` into one page of a program.
    pub(in crate::fs) fn read_proc(
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
            ProcNode::Mounts | ProcNode::MountTree => {
                let root = self.root_of(context.processes.current(), context.processes)?;
                let mut path = core::mem::take(&mut self.scratch);
                let written =
                    self.report_mounts(root, node == ProcNode::MountTree, &mut path, &mut sink);
                self.scratch = path;
                written?;
            }
            ProcNode::Knob(text) => sink.put(text.as_bytes()),
            ProcNode::DescriptorText(pid, fd) => {
                self.report_descriptor(context.processes, pid, fd, &mut sink)?;
            }
            // What needs more than files is read by `crate::live`.
            ProcNode::Live(..) => return Err(Errno::EINVAL.into()),
            ProcNode::Sorts => sink.put(b"nodev\toverlay\nnodev\ttmpfs\nnodev\tproc\n\text4\n"),
            _ => return Err(Errno::EISDIR.into()),
        }
        Ok(sink.at - span.offset)
    }

    /// Returns which live text an open file is, and of whom.
    pub(crate) fn live_of(&self, id: DescriptionId) -> Option<(Live, Owner)> {
        let Target::Inode(inode) = self.descriptions.get(id)?.target else {
            return None;
        };
        match self.inodes.get(inode)?.node {
            Node::Proc(ProcNode::Live(live, owner)) => Some((live, owner)),
            _ => None,
        }
    }

    /// Returns which text an open file is that is written to, and of whom.
    pub(crate) fn written_of(&self, id: DescriptionId) -> Option<(Written, Owner)> {
        let Target::Inode(inode) = self.descriptions.get(id)?.target else {
            return None;
        };
        match self.inodes.get(inode)?.node {
            Node::Proc(node) => node.written(),
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

    /// Returns how many files are open.
    pub(crate) fn open_count(&self) -> usize {
        self.descriptions.len()
    }

    /// Returns how many frames hold copies of what disks have.
    pub(crate) fn cached_frames(&self) -> usize {
        self.pages.len()
    }

    /// Returns the root directory of a process.
    pub(in crate::fs) fn root_of(
        &self,
        pid: Pid,
        processes: &dyn Processes,
    ) -> Result<DentryId, Errno> {
        let directories = processes.files(pid).and_then(|files| files.directories);
        Ok(self.directories(directories.ok_or(Errno::ENOENT)?)?.root.0)
    }

    /// Hands out the path of a place as a process sees it; an empty one when it is not to be seen.
    pub(crate) fn with_path<R>(
        &mut self,
        processes: &dyn Processes,
        place: PlaceRef<'_>,
        use_path: impl FnOnce(&[u8]) -> R,
    ) -> R {
        let mut path = core::mem::take(&mut self.scratch);
        let length = self
            .root_of(processes.current(), processes)
            .ok()
            .filter(|&root| self.is_reachable(root, place.0))
            .and_then(|root| self.path_told(root, place.0, &mut path).ok());
        let result = use_path(&path[..length.unwrap_or(0)]);
        self.scratch = path;
        result
    }

    /// Tells where a descriptor's file is read next, how it was opened, and what it is (proc(5), `fdinfo`).
    fn report_descriptor(
        &self,
        processes: &dyn Processes,
        pid: Pid,
        fd: i32,
        out: &mut dyn Sink,
    ) -> Result<(), Errno> {
        const CLOSE_ON_EXEC: u32 = 0o2_000_000;
        let table = processes.files(pid).and_then(|files| files.table);
        let known = self.table(table.ok_or(Errno::ENOENT)?)?.get(fd);
        let known = known.map_err(|_| Errno::ENOENT)?;
        let file = self
            .descriptions
            .get(known.description)
            .ok_or(Errno::ENOENT)?;
        let mut flags = file.flags.bits();
        if known.close_on_exec {
            flags |= CLOSE_ON_EXEC;
        }
        let (mut mount, mut number) = (0, 0);
        if let Some(place) = &file.place {
            mount = self.dentries.get(place.0)?.mount.index() + FIRST_MOUNT;
            number = self.attributes_at(place.0)?.number;
        }
        // A sink takes everything.
        let _ = writeln!(
            out,
            "pos:\t{}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\nino:\t{number}",
            file.offset
        );
        Ok(())
    }

    /// Names the trees mounted at or below `root`: the others are none of the asker's business. With what covers what, or
    /// without. `path` is room for a path.
    fn report_mounts(
        &self,
        root: DentryId,
        is_tree: bool,
        path: &mut [u8],
        out: &mut dyn Sink,
    ) -> Result<(), Errno> {
        for (id, mount) in self.mounts.iter() {
            let Some(top) = mount.root.filter(|_| !mount.is_abandoned) else {
                continue;
            };
            if !self.is_reachable(root, top) {
                continue;
            }
            let length = self.path_between(root, top, path)?;
            let name = mount.sort.name();
            let access = match mount.writes {
                Writes::Refused => "ro",
                Writes::Kept => "rw",
            };
            if is_tree {
                let over = mount.over.filter(|_| top != root);
                let parent = match over.map(|over| self.dentries.get(over)) {
                    Some(over) => over?.mount.index() + FIRST_MOUNT,
                    None => FIRST_MOUNT - 1,
                };
                let device = self.attributes_at(top)?.device;
                let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
                // A sink takes everything.
                let _ = write!(
                    out,
                    "{} {parent} {major}:{minor} / ",
                    id.index() + FIRST_MOUNT
                );
                escape(&path[..length], out);
                let _ = writeln!(out, " {access} - {name} {name} {access}");
            } else {
                let _ = write!(out, "{name} ");
                escape(&path[..length], out);
                let _ = writeln!(out, " {name} {access} 0 0");
            }
        }
        Ok(())
    }
}

/// Writes a path so that no byte of it ends a field or a line (Linux fs/seq_file.c `mangle_path`).
pub(crate) fn escape(path: &[u8], out: &mut dyn Sink) {
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => {
                // A sink takes everything.
                let _ = write!(out, "\\{byte:03o}");
            }
            _ => out.put(core::slice::from_ref(byte)),
        }
    }
}
