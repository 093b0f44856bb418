//! What stands in the directories of `/proc`.

use super::{Owner, PROCESS_FILES, ProcNode, ROOT_FILES, SYSTEM};
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::dentry::{DentryId, State};
use crate::fs::inode::{Inode, Node};
use crate::fs::listing::Listed;
use crate::wait::Stall;
use agent::kernel::Pid;
use core::fmt::Write;
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Returns the entry `name` of a directory of `/proc`, detached.
    pub(in crate::fs) fn proc_child(
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
                let (_, of) = PROCESS_FILES
                    .iter()
                    .find(|file| file.0.as_bytes() == name)?;
                Some(of(Owner { pid, tid: 0 }))
            }
            ProcNode::Tasks(pid) => {
                let tid = u32::try_from(number()?).ok()?;
                let found = context.processes.task_after(pid, tid.checked_sub(1)?)?;
                (found == tid).then_some(ProcNode::Task(pid, tid))
            }
            ProcNode::Task(pid, tid) => {
                let (_, of) = PROCESS_FILES[..PROCESS_FILES.len() - 1]
                    .iter()
                    .find(|file| file.0.as_bytes() == name)?;
                Some(of(Owner { pid, tid }))
            }
            ProcNode::Descriptors(pid) | ProcNode::DescriptorTexts(pid) => {
                let fd = number()?;
                let table = context.processes.files(pid)?.table?;
                self.table(table).ok()?.get(fd).ok()?;
                Some(descriptor(node, pid, fd))
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
    pub(in crate::fs) fn proc_entry(
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
                looks: 1,
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
                let (name, of) = PROCESS_FILES.get(at)?;
                listed(name.as_bytes(), of(Owner { pid, tid: 0 }), cookie + 1)
            }
            ProcNode::Tasks(pid) => {
                let tid = context.processes.task_after(pid, cookie as u32)?;
                numbered(tid, ProcNode::Task(pid, tid), tid.into())
            }
            ProcNode::Task(pid, tid) => {
                let (name, of) = PROCESS_FILES[..PROCESS_FILES.len() - 1].get(at)?;
                listed(name.as_bytes(), of(Owner { pid, tid }), cookie + 1)
            }
            ProcNode::Descriptors(pid) | ProcNode::DescriptorTexts(pid) => {
                let table = context.processes.files(pid)?.table?;
                let (fd, _) = self.table(table).ok()?.next_used(at)?;
                let node = descriptor(node, pid, fd as i32);
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
}

/// Returns what a directory of descriptors has for one of them.
fn descriptor(directory: ProcNode, pid: Pid, fd: i32) -> ProcNode {
    match directory {
        ProcNode::DescriptorTexts(_) => ProcNode::DescriptorText(pid, fd),
        _ => ProcNode::Descriptor(pid, fd),
    }
}
