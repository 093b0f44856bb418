//! Base inodes: files of read-only sources, shared by every tree that stands on them.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Attributes, Kind};
use crate::fs::context::Context;
use crate::fs::device::{DISK_MAJOR, DISK_MINORS, device_number};
use crate::fs::ext4;
use crate::fs::initrd;
use crate::fs::inode::{Inode, InodeId, NO_SLOT, Node};
use crate::fs::page_cache::{Owner, PageId};
use crate::limits::{BASE_BUCKETS, NAME_BYTES};
use crate::wait::Stall;
use alloc::vec::Vec;
use hal::block::Block;

/// Which file of which source a base inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An inode of a disk.
    Ext4(u8, u32),
    /// An entry of the initrd.
    Initrd(u32),
}

/// A directory entry of a source.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) name: heapless::Vec<u8, NAME_BYTES>,
    /// `d_type` of getdents64(2), 0 when unknown.
    pub(super) kind: u8,
    pub(super) origin: Origin,
    /// Where to look for the next entry.
    pub(super) next: u64,
}

impl Found {
    /// Returns the file's number, as stat(2) shows it.
    pub(super) const fn number(&self) -> u64 {
        match self.origin {
            Origin::Ext4(_, number) => number as u64,
            Origin::Initrd(entry) => entry as u64 + 1,
        }
    }
}

/// Base inodes by origin.
#[derive(Debug)]
pub(super) struct Bases {
    buckets: Vec<u32>,
}

impl Bases {
    pub(super) const fn new() -> Self {
        Self {
            buckets: Vec::new(),
        }
    }
}

fn bucket(origin: Origin) -> usize {
    (match origin {
        Origin::Ext4(disk, number) => number as usize ^ usize::from(disk) << 5,
        Origin::Initrd(entry) => entry as usize,
    }) % BASE_BUCKETS
}

impl Inode {
    fn origin(&self) -> Option<Origin> {
        match &self.node {
            Node::Ext4(node) => Some(Origin::Ext4(node.disk, node.number)),
            Node::Initrd(entry) => Some(Origin::Initrd(*entry)),
            _ => None,
        }
    }
}

impl<B: Block> Files<B> {
    /// Returns the base inode of a source's file, with a reference.
    pub(super) fn base(
        &mut self,
        context: &mut Context<'_>,
        origin: Origin,
    ) -> Result<InodeId, Stall> {
        let mut slot = self
            .bases
            .buckets
            .get(bucket(origin))
            .copied()
            .unwrap_or(NO_SLOT);
        while let Some((id, inode)) = self.inodes.at_mut(slot) {
            if inode.origin() == Some(origin) {
                inode.references += 1;
                return Ok(id);
            }
            slot = inode.chain;
        }
        let (node, attributes) = match origin {
            Origin::Ext4(disk, number) => {
                let (node, mut attributes) = self.ext4_inode(context, disk, number)?;
                attributes.device = device_of(disk);
                (Node::Ext4(node), attributes)
            }
            Origin::Initrd(entry) => {
                let attributes = self.initrd.attributes(entry).ok_or(Errno::EIO)?;
                (Node::Initrd(entry), attributes)
            }
        };
        Ok(self.insert_base(node, attributes, origin)?)
    }

    fn insert_base(
        &mut self,
        node: Node,
        attributes: Attributes,
        origin: Origin,
    ) -> Result<InodeId, Errno> {
        if self.bases.buckets.is_empty() {
            self.bases
                .buckets
                .try_reserve_exact(BASE_BUCKETS)
                .map_err(|_| Errno::ENOMEM)?;
            self.bases.buckets.resize(BASE_BUCKETS, NO_SLOT);
        }
        let mut inode = Inode::new(attributes, node);
        inode.chain = self.bases.buckets[bucket(origin)];
        let id = self.inodes.insert(inode).map_err(|_| Errno::ENOMEM)?;
        self.bases.buckets[bucket(origin)] = id.index();
        Ok(id)
    }

    /// Takes a base inode out of its chain, before it goes.
    pub(super) fn forget_base(&mut self, id: InodeId) {
        let Some(inode) = self.inodes.get(id) else {
            return;
        };
        let Some(origin) = inode.origin() else {
            return;
        };
        let next = inode.chain;
        let head = &mut self.bases.buckets[bucket(origin)];
        if *head == id.index() {
            *head = next;
            return;
        }
        let mut slot = *head;
        while let Some((_, inode)) = self.inodes.at_mut(slot) {
            if inode.chain == id.index() {
                inode.chain = next;
                return;
            }
            slot = inode.chain;
        }
    }

    /// Finds a name in a base directory and returns its inode with a reference.
    pub(super) fn base_find(
        &mut self,
        context: &mut Context<'_>,
        directory: InodeId,
        name: &[u8],
    ) -> Result<Option<InodeId>, Stall> {
        let inode = self.inodes.get(directory).ok_or(Errno::EIO)?;
        let origin = match &inode.node {
            Node::Ext4(node) => {
                let disk = node.disk;
                self.ext4_find(context, directory, name)?
                    .map(|number| Origin::Ext4(disk, number))
            }
            Node::Initrd(entry) => self.initrd.find(*entry, name).map(Origin::Initrd),
            _ => None,
        };
        origin.map(|origin| self.base(context, origin)).transpose()
    }

    /// Returns the first entry of a base directory at or behind `cookie`, `.` and `..` left out.
    pub(super) fn base_entry(
        &mut self,
        context: &mut Context<'_>,
        directory: InodeId,
        cookie: u64,
    ) -> Result<Option<Found>, Stall> {
        let inode = self.inodes.get(directory).ok_or(Errno::EIO)?;
        match &inode.node {
            Node::Ext4(_) => self.ext4_entry(context, directory, cookie),
            Node::Initrd(entry) => Ok(self.initrd.entry(*entry, cookie)),
            _ => Ok(None),
        }
    }

    /// Returns the page of a base file's or directory's data, in memory.
    pub(super) fn base_page(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        index: u32,
    ) -> Result<PageId, Stall> {
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        match &inode.node {
            Node::Ext4(_) => self.ext4_page(context, id, index),
            Node::Initrd(entry) => {
                let entry = *entry;
                if let Some(page) = self.pages.find(Owner::Inode(id), index) {
                    return Ok(page);
                }
                let frame = self.take_frame(context)?;
                let bytes = self.initrd.page(entry, index);
                let into = context.pool.bytes_mut(&frame);
                into[..bytes.len()].copy_from_slice(bytes);
                into[bytes.len()..].fill(0);
                self.insert_clean(context, Owner::Inode(id), index, frame)
            }
            _ => Err(Errno::EIO.into()),
        }
    }

    /// Writes the target of a base's symbolic link into `out` and returns its length.
    pub(super) fn base_link(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        out: &mut [u8],
    ) -> Result<usize, Stall> {
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        if inode.attributes.kind != Kind::Symlink {
            return Err(Errno::EINVAL.into());
        }
        let size = inode.attributes.size as usize;
        if size > out.len() {
            return Err(Errno::ENAMETOOLONG.into());
        }
        match &inode.node {
            Node::Ext4(node) => {
                if let Some(target) = node.inline_link(size as u64) {
                    out[..size].copy_from_slice(target);
                    return Ok(size);
                }
            }
            Node::Initrd(entry) => {
                let target = self.initrd.data(*entry);
                out.get_mut(..target.len())
                    .ok_or(Errno::EIO)?
                    .copy_from_slice(target);
                return Ok(target.len());
            }
            _ => return Err(Errno::EIO.into()),
        }
        let page = self.base_page(context, id, 0)?;
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        out[..size].copy_from_slice(&context.pool.bytes(frame)[..size]);
        Ok(size)
    }
}

/// Returns the `st_dev` of a disk's files.
pub(super) const fn device_of(disk: u8) -> u64 {
    device_number(DISK_MAJOR, disk as u32 * DISK_MINORS)
}

/// The root directory of a disk.
pub(super) const fn disk_root(disk: u8) -> Origin {
    Origin::Ext4(disk, ext4::inode::ROOT)
}

/// The root directory of the initrd.
pub(super) const fn initrd_root() -> Origin {
    Origin::Initrd(initrd::ROOT)
}
