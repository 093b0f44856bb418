//! Listing directories: `.` and `..`, what was written, then what each source has and nothing hides.
//!
//! The place in a listing is one number, so that it survives in a program's hands: the part of the listing in its
//! upper byte, the place inside that part below.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Kind;
use crate::fs::base::Origin;
use crate::fs::context::Context;
use crate::fs::dentry::{DentryId, State};
use crate::fs::inode::{Node, Union};
use crate::fs::union::is_whiteout;
use crate::limits::NAME_BYTES;
use crate::wait::Stall;
use hal::block::Block;

const PART_SHIFT: u32 = 56;
const DOTS: u64 = 0;
const WRITTEN: u64 = 1;
const SOURCES: u64 = 2;

/// An entry of a listing.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: heapless::Vec<u8, NAME_BYTES>,
    /// `d_type`, 0 when unknown.
    pub kind: u8,
    /// `d_ino`.
    pub number: u64,
    /// Where the listing goes on behind this entry.
    pub next: u64,
}

impl<B: Block> Files<B> {
    /// Returns the first entry of a directory's listing at or behind `cookie`.
    pub(super) fn list(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        cookie: u64,
    ) -> Result<Option<Listed>, Stall> {
        let attributes = self.attributes_at(directory)?;
        if attributes.kind != Kind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        let id = self.inode_at(directory)?;
        let is_process = matches!(self.inodes.get(id).ok_or(Errno::EIO)?.node, Node::Proc(_));
        // It was removed. What `/proc` has of processes is never attached.
        if !is_process && self.dentries.get(directory)?.state == State::Detached {
            return Err(Errno::ENOENT.into());
        }
        let mut part = cookie >> PART_SHIFT;
        let mut within = cookie & ((1 << PART_SHIFT) - 1);
        if part == DOTS {
            if within < 2 {
                let above = self.dentries.get(directory)?.parent;
                let (dots, number) = match (within, above) {
                    (1, Some(above)) => (&b".."[..], self.attributes_at(above)?.number),
                    (1, None) => (&b".."[..], attributes.number),
                    _ => (&b"."[..], attributes.number),
                };
                let name = heapless::Vec::from_slice(dots).map_err(|_| Errno::EIO)?;
                return Ok(Some(Listed {
                    name,
                    kind: Kind::Directory.entry_type(),
                    number,
                    next: within + 1,
                }));
            }
            (part, within) = (WRITTEN, 0);
        }
        let union = match &self.inodes.get(id).ok_or(Errno::EIO)?.node {
            Node::Union(union) => union,
            Node::Proc(node) => {
                let node = *node;
                return Ok(self.proc_entry(context, node, within).map(|mut listed| {
                    listed.next |= WRITTEN << PART_SHIFT;
                    listed
                }));
            }
            _ => return Err(Errno::EIO.into()),
        };
        if part == WRITTEN {
            let mut next = self.written_from(directory, union, within);
            while let Some(known) = next {
                let entry = self.dentries.get(known)?;
                next = entry.later;
                let Some(inode) = entry.inode.filter(|_| entry.order >= within) else {
                    continue;
                };
                let attributes = self.inodes.get(inode).ok_or(Errno::EIO)?.attributes;
                let listed = Listed {
                    name: heapless::Vec::from_slice(&entry.name).map_err(|_| Errno::EIO)?,
                    kind: attributes.kind.entry_type(),
                    number: attributes.number,
                    next: (WRITTEN << PART_SHIFT) | (entry.order + 1),
                };
                if let Some(Node::Union(union)) =
                    self.inodes.get_mut(id).map(|inode| &mut inode.node)
                {
                    union.listed = Some(known);
                }
                return Ok(Some(listed));
            }
            (part, within) = (SOURCES, 0);
        }
        while let Some(source) = self.source(id, (part - SOURCES) as usize) {
            while let Some(found) = self.base_entry(context, source, within)? {
                within = found.next;
                if found.kind == Kind::Character.entry_type()
                    && self.is_mark(context, found.origin)?
                {
                    continue;
                }
                if self.is_hidden(context, directory, (part - SOURCES) as usize, &found.name)? {
                    continue;
                }
                return Ok(Some(Listed {
                    kind: found.kind,
                    number: found.number(),
                    next: part << PART_SHIFT | found.next,
                    name: found.name,
                }));
            }
            (part, within) = (part + 1, 0);
        }
        Ok(None)
    }

    /// Returns the written entry to look for number `order` from: the one listed last if that is not behind it, else
    /// the first.
    fn written_from(&self, directory: DentryId, union: &Union, order: u64) -> Option<DentryId> {
        let is_on_the_way = |&last: &DentryId| {
            self.dentries.get(last).is_ok_and(|entry| {
                entry.parent == Some(directory)
                    && entry.state == State::Written
                    && entry.order < order
            })
        };
        union.listed.filter(is_on_the_way).or(union.entries.first)
    }

    /// Returns whether a name of source `nth` is hidden by what was written or by a source above it.
    fn is_hidden(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        nth: usize,
        name: &[u8],
    ) -> Result<bool, Stall> {
        if let Some(known) = self.dentries.find(directory, name)
            && self.dentries.get(known)?.state == State::Written
        {
            return Ok(true);
        }
        let id = self.inode_at(directory)?;
        for above in 0..nth {
            let Some(source) = self.source(id, above) else {
                break;
            };
            if let Some(base) = self.base_find(context, source, name)? {
                self.release_inode(base);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether a source's file is a mark for a removed name.
    fn is_mark(&mut self, context: &mut Context<'_>, origin: Origin) -> Result<bool, Stall> {
        let base = self.base(context, origin)?;
        let is_mark = self
            .inodes
            .get(base)
            .is_some_and(|inode| is_whiteout(&inode.attributes));
        self.release_inode(base);
        Ok(is_mark)
    }

    /// Returns whether a directory has no entry but `.` and `..`.
    pub(super) fn is_empty(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
    ) -> Result<bool, Stall> {
        Ok(self
            .list(context, directory, WRITTEN << PART_SHIFT)?
            .is_none())
    }
}
