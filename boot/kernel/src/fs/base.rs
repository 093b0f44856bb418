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
use crate::limits::{BASE_BUCKETS, FILE_BYTES, NAME_BYTES};
use crate::wait::Stall;
use alloc::vec::Vec;
use core::time::Duration;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// Which file of which source a base inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An inode of a volume's file system.
    Ext4(u8, u32),
    /// A volume as it is: a block device.
    Volume(u8),
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
            Origin::Volume(volume) => volume as u64,
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
        Origin::Ext4(volume, number) => number as usize ^ usize::from(volume) << 5,
        Origin::Volume(volume) => usize::from(volume),
        Origin::Initrd(entry) => entry as usize,
    }) % BASE_BUCKETS
}

impl Inode {
    pub(super) fn origin(&self) -> Option<Origin> {
        match &self.node {
            Node::Ext4(node) => Some(Origin::Ext4(node.volume, node.number)),
            Node::Volume(volume) => Some(Origin::Volume(*volume)),
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
            Origin::Ext4(volume, number) => {
                let (node, mut attributes) = self.ext4_inode(context, volume, number)?;
                attributes.device = device_of(volume);
                (Node::Ext4(node), attributes)
            }
            Origin::Volume(volume) => {
                let bytes = self.volumes.bytes(volume);
                (Node::Volume(volume), block_device(volume, bytes))
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
        if let Some(volume) = origin.volume() {
            self.volumes.hold(volume);
        }
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
        if let Some(volume) = origin.volume() {
            self.volumes.release(volume);
        }
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
                let volume = node.volume;
                self.ext4_find(context, directory, name)?
                    .map(|number| Origin::Ext4(volume, number))
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
            Node::Volume(volume) => {
                let (volume, start) = (*volume, u64::from(index) * PAGE_BYTES as u64);
                let left = self.volumes.bytes(volume).saturating_sub(start);
                let bytes = left.min(PAGE_BYTES as u64) as usize;
                let (page, _) = self.volume_bytes(context, volume, start, bytes)?;
                Ok(page)
            }
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

/// Returns the `st_dev` of a volume's files.
pub(super) const fn device_of(volume: u8) -> u64 {
    device_number(DISK_MAJOR, volume as u32 * DISK_MINORS)
}

/// What stat(2) says of a volume as a block device. Its size is the volume's, so that it can be read like a file.
fn block_device(volume: u8, bytes: u64) -> Attributes {
    Attributes {
        kind: Kind::Block,
        permissions: 0o600,
        uid: 0,
        gid: 0,
        size: bytes.min(FILE_BYTES),
        links: 1,
        number: u64::from(volume),
        device: 0,
        special: device_of(volume),
        blocks: 0,
        accessed: Duration::ZERO,
        modified: Duration::ZERO,
        changed: Duration::ZERO,
    }
}

impl Origin {
    /// Returns the volume it is on.
    pub(super) const fn volume(self) -> Option<u8> {
        match self {
            Self::Ext4(volume, _) | Self::Volume(volume) => Some(volume),
            Self::Initrd(_) => None,
        }
    }
}

/// The root directory of a volume.
pub(super) const fn volume_root(volume: u8) -> Origin {
    Origin::Ext4(volume, ext4::inode::ROOT)
}

/// The root directory of the initrd.
pub(super) const fn initrd_root() -> Origin {
    Origin::Initrd(initrd::ROOT)
}
