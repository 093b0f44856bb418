//! Listing directories: `.` and `..`, what was made here, then what each source has and nothing hides.
//!
//! A source's file that was changed or replaced is listed where the source has it: so whoever changes files while the
//! directory is read does not miss one.
//!
//! The place in a listing is one number, so that it survives in a program's hands: the part of the listing in its
//! upper byte, the place inside that part below.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Kind;
use crate::fs::base::{Found, Origin};
use crate::fs::context::Context;
use crate::fs::dentry::{DentryId, State};
use crate::fs::inode::{Node, Union};
use crate::fs::union::is_whiteout;
use crate::limits::{NAME_BYTES, WORK_ENTRIES};
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
    /// How many entries were looked at to find it.
    pub looks: usize,
}

impl<B: Block> Files<B> {
    /// Returns the first entry of a directory's listing at or behind `cookie`, which goes on past what does not show: so a
    /// call that is tried again does not look at that twice.
    pub(super) fn list(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        cookie: &mut u64,
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
        let (mut part, mut within) = split(*cookie);
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
                    looks: 1,
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
                    looks: 1,
                };
                self.union_mut(id)?.listed = Some(known);
                return Ok(Some(listed));
            }
            *cookie = SOURCES << PART_SHIFT;
        }
        self.list_sources(context, directory, cookie)
    }

    /// Returns the next entry that one of a directory's sources has and nothing hides.
    fn list_sources(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        cookie: &mut u64,
    ) -> Result<Option<Listed>, Stall> {
        let id = self.inode_at(directory)?;
        for looks in 1..=WORK_ENTRIES {
            let (part, within) = split(*cookie);
            let nth = part.saturating_sub(SOURCES) as usize;
            let Some(source) = self.source(id, nth) else {
                return Ok(None);
            };
            let Some(found) = self.base_entry(context, source, within)? else {
                *cookie = (part + 1) << PART_SHIFT;
                continue;
            };
            let next = part << PART_SHIFT | found.next;
            let listed = self.show(context, directory, nth, found)?;
            *cookie = next;
            if let Some(mut listed) = listed {
                (listed.next, listed.looks) = (next, looks);
                return Ok(Some(listed));
            }
        }
        Err(Stall::AGAIN)
    }

    /// Returns what a listing shows of an entry of source `nth`: nothing when that is a mark, or hidden by one, by what was
    /// written, or by a source above it; and what became of the file when it was changed or replaced.
    fn show(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        nth: usize,
        found: Found,
    ) -> Result<Option<Listed>, Stall> {
        if found.kind == Kind::Character.entry_type() && self.is_mark(context, found.origin)? {
            return Ok(None);
        }
        let (mut kind, mut number) = (found.kind, found.number());
        if let Some(known) = self.dentries.find(directory, &found.name) {
            let known = self.dentries.get(known)?;
            if known.state == State::Written {
                let Some(inode) = known.inode.filter(|_| known.shadows) else {
                    return Ok(None);
                };
                let attributes = self.inodes.get(inode).ok_or(Errno::EIO)?.attributes;
                (kind, number) = (attributes.kind.entry_type(), attributes.number);
            }
        }
        let id = self.inode_at(directory)?;
        for above in 0..nth {
            let Some(source) = self.source(id, above) else {
                break;
            };
            if let Some(base) = self.base_find(context, source, &found.name)? {
                self.release_inode(base);
                return Ok(None);
            }
        }
        Ok(Some(Listed {
            name: found.name,
            kind,
            number,
            next: 0,
            looks: 0,
        }))
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
    ///
    /// What was found not to show is not looked at again, also by a later call: the place is kept with the directory until a
    /// name of its sources shows again.
    pub(super) fn is_empty(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
    ) -> Result<bool, Stall> {
        let id = self.inode_at(directory)?;
        let union = self.union_mut(id)?;
        if union.entries.first.is_some() {
            return Ok(false);
        }
        let mut cookie = union.searched.max(SOURCES << PART_SHIFT);
        let found = self.list_sources(context, directory, &mut cookie);
        let is_empty = found.map(|found| found.is_none());
        if is_empty != Ok(false) {
            self.union_mut(id)?.searched = cookie;
        }
        is_empty
    }
}

/// Returns the part of a listing a place is in, and where in that part.
const fn split(cookie: u64) -> (u64, u64) {
    (cookie >> PART_SHIFT, cookie & ((1 << PART_SHIFT) - 1))
}
