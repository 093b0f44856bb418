//! Reading an ext4 disk through the page cache: superblock, inodes, names, data. Each function is tried again from its
//! start when it stalled; what it read until then is in the cache.

use super::attribute::{Opacity, each_in_block, each_in_inode, is_opaque_block, prefix};
use super::directory::{is_intact, next_entry};
use super::extent::{self, MAX_DEPTH, Step};
use super::inode::{Node, Search, attributes_of};
use super::superblock::{self, Geometry};
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Attributes, Kind};
use crate::fs::base::{Found, Origin};
use crate::fs::context::Context;
use crate::fs::inode::{InodeId, Node as InodeNode};
use crate::fs::page_cache::{Owner, PageId};
use crate::fs::volume::{Cached, Wanted};
use crate::fs::xattr::Take;
use crate::limits::{READ_AHEAD_PAGES, WORK_PAGES};
use crate::wait::Stall;
use core::ops::Range;
use hal::block::Block;
use hal::frame::Frame;
use hal::limits::PAGE_BYTES;

const PAGE: u64 = PAGE_BYTES as u64;

impl<B: Block> Files<B> {
    /// Reads a volume's superblock and remembers its geometry.
    ///
    /// # Errors
    ///
    /// EIO when the disk fails, EINVAL when it holds nothing this reader reads; the reason is logged.
    pub(in crate::fs) fn ext4_mount(
        &mut self,
        context: &mut Context<'_>,
        volume: u8,
    ) -> Result<(), Stall> {
        if self.geometry(volume).is_ok() {
            return Ok(());
        }
        let (frame, range) =
            self.volume_bytes(context, volume, superblock::START, superblock::BYTES)?;
        let bytes = &context
            .pool
            .bytes(self.pages.frame(frame).ok_or(Errno::EIO)?)[range];
        let bytes = bytes.try_into().map_err(|_| Errno::EIO)?;
        match Geometry::parse(bytes, self.volumes.bytes(volume)) {
            Ok(geometry) => {
                if let Some(known) = self.volumes.get_mut(volume) {
                    known.geometry = Some(geometry);
                }
                Ok(())
            }
            Err(refused) => {
                log::warn!("volume={volume} not mounted: {refused}");
                Err(Errno::EINVAL.into())
            }
        }
    }

    fn geometry(&self, volume: u8) -> Result<&Geometry, Errno> {
        self.volumes
            .get(volume)
            .and_then(|known| known.geometry.as_ref())
            .ok_or(Errno::EIO)
    }

    /// Brings the bytes of an inode in.
    fn ext4_inode_bytes(
        &mut self,
        context: &mut Context<'_>,
        geometry: &Geometry,
        volume: u8,
        number: u32,
    ) -> Result<(PageId, Range<usize>), Stall> {
        let (group, start, within) = geometry.descriptor_of(number).ok_or(Errno::EIO)?;
        let length = geometry.descriptor_bytes as usize;
        let (page, range) = self.volume_bytes(context, volume, start, length)?;
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        let table = geometry
            .inode_table(group, &context.pool.bytes(frame)[range])
            .ok_or(Errno::EIO)?;
        let start = table * u64::from(geometry.block_bytes)
            + u64::from(within) * u64::from(geometry.inode_bytes);
        let length = geometry.inode_bytes as usize;
        self.volume_bytes(context, volume, start, length)
    }

    /// Goes through the extended attributes of a file.
    ///
    /// # Errors
    ///
    /// EIO, or what to wait for; some may have been taken then.
    pub(in crate::fs) fn ext4_attributes(
        &mut self,
        context: &mut Context<'_>,
        (volume, number): (u8, u32),
        take: Take<'_>,
    ) -> Result<(), Stall> {
        let mut known = |index, name: &[u8], value: &[u8]| {
            if let Some(prefix) = prefix(index) {
                take(prefix, name, value);
            }
        };
        let geometry = self.geometry(volume)?.clone();
        let (page, range) = self.ext4_inode_bytes(context, &geometry, volume, number)?;
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        let (behind, block) = attributes_of(&context.pool.bytes(frame)[range]);
        each_in_inode(behind, &mut known);
        if block != 0 {
            let (page, range) = self.ext4_block(context, &geometry, volume, block)?;
            let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
            let bytes = &context.pool.bytes(frame)[range];
            each_in_block(bytes, block, geometry.seed, &mut known).ok_or(Errno::EIO)?;
        }
        Ok(())
    }

    /// Reads an inode.
    pub(in crate::fs) fn ext4_inode(
        &mut self,
        context: &mut Context<'_>,
        volume: u8,
        number: u32,
    ) -> Result<(Node, Attributes), Stall> {
        let geometry = self.geometry(volume)?.clone();
        let (page, range) = self.ext4_inode_bytes(context, &geometry, volume, number)?;
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        let bytes = &context.pool.bytes(frame)[range];
        Ok(Node::parse(&geometry, volume, number, bytes).ok_or(Errno::EIO)?)
    }

    /// Returns where block `block` of a file lies, and how many blocks behind it follow on.
    fn ext4_map(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        block: u32,
    ) -> Result<Step, Stall> {
        let Some(InodeNode::Ext4(node)) = self.inodes.get(id).map(|inode| &inode.node) else {
            return Err(Errno::EIO.into());
        };
        let (first, start, count) = node.last_run;
        if block >= first && block - first < count {
            let ahead = block - first;
            return Ok(Step::Run {
                start: start + u64::from(ahead),
                count: count - ahead,
            });
        }
        let node = node.clone();
        let geometry = self.geometry(node.volume)?.clone();
        let step = if node.has_extents {
            self.ext4_map_extents(context, &geometry, &node, block)?
        } else {
            self.ext4_map_blocks(context, &geometry, &node, block)?
        };
        if let Step::Run { start, count } = step {
            let end = start.checked_add(u64::from(count)).ok_or(Errno::EIO)?;
            if start == 0 || end > geometry.blocks {
                return Err(Errno::EIO.into());
            }
            if let Some(InodeNode::Ext4(node)) =
                self.inodes.get_mut(id).map(|inode| &mut inode.node)
            {
                node.last_run = (block, start, count);
            }
        }
        Ok(step)
    }

    fn ext4_map_extents(
        &mut self,
        context: &mut Context<'_>,
        geometry: &Geometry,
        node: &Node,
        block: u32,
    ) -> Result<Step, Stall> {
        let mut until = u32::MAX;
        let (mut depth, mut step) =
            extent::search(&node.block, None, block, &mut until).ok_or(Errno::EIO)?;
        // Each child is one level nearer to the leaves, so there are at most so many steps.
        for _ in 0..MAX_DEPTH {
            let Step::Child(child) = step else {
                break;
            };
            let (page, range) = self.ext4_block(context, geometry, node.volume, child)?;
            let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
            let bytes = &context.pool.bytes(frame)[range];
            if node
                .seed
                .is_some_and(|seed| !extent::is_intact(bytes, seed))
            {
                return Err(Errno::EIO.into());
            }
            let wanted = depth.checked_sub(1).ok_or(Errno::EIO)?;
            (depth, step) =
                extent::search(bytes, Some(wanted), block, &mut until).ok_or(Errno::EIO)?;
        }
        match step {
            Step::Child(_) => Err(Errno::EIO.into()),
            found => Ok(found),
        }
    }

    fn ext4_map_blocks(
        &mut self,
        context: &mut Context<'_>,
        geometry: &Geometry,
        node: &Node,
        block: u32,
    ) -> Result<Step, Stall> {
        let path = extent::map_path(block, geometry.block_bytes).ok_or(Errno::EIO)?;
        let pointer = |bytes: &[u8], index: usize| {
            let field = bytes.get(index * 4..index * 4 + 4)?;
            Some(u32::from_le_bytes(field.try_into().ok()?))
        };
        let mut at = pointer(&node.block, path.first).ok_or(Errno::EIO)?;
        for &index in &path.below[..path.depth] {
            if at == 0 {
                break;
            }
            let (page, range) = self.ext4_block(context, geometry, node.volume, at.into())?;
            let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
            let bytes = &context.pool.bytes(frame)[range];
            at = pointer(bytes, index as usize).ok_or(Errno::EIO)?;
        }
        Ok(if at == 0 {
            Step::Hole { count: 1 }
        } else {
            Step::Run {
                start: at.into(),
                count: 1,
            }
        })
    }

    /// Brings a block of metadata in.
    fn ext4_block(
        &mut self,
        context: &mut Context<'_>,
        geometry: &Geometry,
        volume: u8,
        block: u64,
    ) -> Result<(PageId, Range<usize>), Stall> {
        if block == 0 || block >= geometry.blocks {
            return Err(Errno::EIO.into());
        }
        let bytes = u64::from(geometry.block_bytes);
        self.volume_bytes(context, volume, block * bytes, bytes as usize)
    }

    /// Returns a page of a file's or directory's data.
    pub(in crate::fs) fn ext4_page(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        index: u32,
    ) -> Result<PageId, Stall> {
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        let InodeNode::Ext4(node) = &inode.node else {
            return Err(Errno::EIO.into());
        };
        let (volume, size) = (node.volume, inode.attributes.size);
        let owner = Owner::Inode(id);
        let start = u64::from(index) * PAGE;
        let left = size.checked_sub(start).ok_or(Errno::EIO)?;
        let ahead = match self.cached(owner, index, volume)? {
            Cached::Page(page) => return Ok(page),
            Cached::Missing => READ_AHEAD_PAGES as u64,
            Cached::Suspect => 1,
        };
        let block_bytes = u64::from(self.geometry(volume)?.block_bytes);
        let first = u32::try_from(start / block_bytes).map_err(|_| Errno::EIO)?;
        let needed = left.min(PAGE).div_ceil(block_bytes);
        match self.ext4_map(context, id, first)? {
            Step::Hole { count } if u64::from(count) >= needed => {
                let frame = self.take_frame(context)?;
                context.pool.bytes_mut(&frame).fill(0);
                self.insert_clean(context, owner, index, frame)
            }
            Step::Run { start, count } if u64::from(count) >= needed => {
                let bytes = (u64::from(count) * block_bytes).min(left).min(ahead * PAGE);
                // Whole pages only, unless the file ends inside the last one.
                let pages = if bytes == left {
                    bytes.div_ceil(PAGE)
                } else {
                    (bytes / PAGE).max(1)
                };
                let count = self.uncached(owner, index, pages as usize);
                self.start_read(
                    context,
                    Wanted {
                        volume,
                        start: start * block_bytes,
                        owner,
                        first: index,
                        count,
                        bytes: (left.min(count as u64 * PAGE)) as usize,
                    },
                )
            }
            _ => self.ext4_gather(context, id, index, first..first + needed as u32),
        }
    }

    /// Puts a page together whose blocks do not lie together.
    fn ext4_gather(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        index: u32,
        blocks: Range<u32>,
    ) -> Result<PageId, Stall> {
        let frame = self.take_frame(context)?;
        context.pool.bytes_mut(&frame).fill(0);
        if let Err(stall) = self.ext4_gather_into(context, id, index, blocks, &frame) {
            context.pool.release(frame);
            return Err(stall);
        }
        self.insert_clean(context, Owner::Inode(id), index, frame)
    }

    fn ext4_gather_into(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        index: u32,
        blocks: Range<u32>,
        into: &Frame,
    ) -> Result<(), Stall> {
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        let InodeNode::Ext4(node) = &inode.node else {
            return Err(Errno::EIO.into());
        };
        let volume = node.volume;
        let left = (inode.attributes.size - u64::from(index) * PAGE).min(PAGE) as usize;
        let geometry = self.geometry(volume)?.clone();
        let mut at = 0;
        for block in blocks {
            if let Step::Run { start, .. } = self.ext4_map(context, id, block)? {
                let (page, range) = self.ext4_block(context, &geometry, volume, start)?;
                let from = self.pages.frame(page).ok_or(Errno::EIO)?;
                let count = range.len().min(left - at);
                context
                    .pool
                    .copy(from.by_ref(), range.start, into.by_ref(), at, count);
            }
            at += geometry.block_bytes as usize;
        }
        Ok(())
    }

    /// Returns whether a directory hides those of the same name in lower layers.
    pub(in crate::fs) fn ext4_is_opaque(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
    ) -> Result<bool, Stall> {
        let Some(InodeNode::Ext4(node)) = self.inodes.get(id).map(|inode| &inode.node) else {
            return Ok(false);
        };
        let volume = node.volume;
        let number = match node.opacity {
            Opacity::Known(is_opaque) => return Ok(is_opaque),
            Opacity::Block(number) => number,
        };
        let geometry = self.geometry(volume)?.clone();
        let (page, range) = self.ext4_block(context, &geometry, volume, number)?;
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        let bytes = &context.pool.bytes(frame)[range];
        let is_opaque = is_opaque_block(bytes, number, geometry.seed).ok_or(Errno::EIO)?;
        if let Some(InodeNode::Ext4(node)) = self.inodes.get_mut(id).map(|inode| &mut inode.node) {
            node.opacity = Opacity::Known(is_opaque);
        }
        Ok(is_opaque)
    }

    /// Finds a name in a directory and returns its inode's number.
    pub(in crate::fs) fn ext4_find(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        name: &[u8],
    ) -> Result<Option<u32>, Stall> {
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        let InodeNode::Ext4(node) = &inode.node else {
            return Err(Errno::EIO.into());
        };
        if inode.attributes.kind != Kind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        // A directory may be larger than the cache, or than one turn looks at: the search goes on where it stalled.
        let of = Some((context.account, name_hash(name)));
        let pages = inode.attributes.size.div_ceil(PAGE) as u32;
        let before = node.search;
        let mut search = match before.of == of {
            true => before,
            false => Search {
                of,
                done: 0,
                ..before
            },
        };
        // Who finds another search under way looks to the end at once: so of two neither puts the other back for ever.
        let may_pause = before.of.is_none() || before.of == of;
        let last = match may_pause {
            true => pages.min(search.done.saturating_add(WORK_PAGES as u32)),
            false => pages,
        };
        let found = loop {
            if search.done == last {
                break if last < pages {
                    Err(Stall::AGAIN)
                } else {
                    Ok(None)
                };
            }
            let index = (search.first + search.done) % pages;
            let found = self.ext4_directory_page(context, id, index, |block| {
                let mut offset = 0;
                while let Some(entry) = next_entry(block, offset).map_err(|_| Errno::EIO)? {
                    if entry.name == name {
                        return Ok(Some(entry.inode));
                    }
                    offset = entry.next;
                }
                Ok(None)
            });
            match found {
                Ok(None) => search.done += 1,
                Ok(Some((_, number))) => {
                    search.first = index;
                    break Ok(Some(number));
                }
                Err(stall) => break Err(stall),
            }
        };
        if found.is_ok() || found.is_err_and(Stall::is_error) {
            search.of = None;
        }
        if let Some(InodeNode::Ext4(node)) = self.inodes.get_mut(id).map(|inode| &mut inode.node) {
            node.search = search;
        }
        found
    }

    /// Asks `look` about each block of a directory's page until it finds something; returns that and where the
    /// block starts in the page.
    fn ext4_directory_page<T>(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        index: u32,
        mut look: impl FnMut(&[u8]) -> Result<Option<T>, Errno>,
    ) -> Result<Option<(usize, T)>, Stall> {
        let page = self.ext4_page(context, id, index)?;
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        let InodeNode::Ext4(node) = &inode.node else {
            return Err(Errno::EIO.into());
        };
        let block_bytes = self.geometry(node.volume)?.block_bytes as usize;
        let left = inode.attributes.size - u64::from(index) * PAGE;
        let seed = node.seed.filter(|_| !self.pages.is_checked(page));
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        let bytes = &context.pool.bytes(frame)[..left.min(PAGE) as usize];
        let blocks = bytes.chunks_exact(block_bytes);
        if seed.is_some_and(|seed| !blocks.clone().all(|block| is_intact(block, seed))) {
            return Err(Errno::EIO.into());
        }
        let mut found = None;
        for (nth, block) in blocks.enumerate() {
            if let Some(answer) = look(block)? {
                found = Some((nth * block_bytes, answer));
                break;
            }
        }
        if seed.is_some() {
            self.pages.set_checked(page);
        }
        Ok(found)
    }

    /// Returns the first entry of a directory at or behind byte `cookie`.
    pub(in crate::fs) fn ext4_entry(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        cookie: u64,
    ) -> Result<Option<Found>, Stall> {
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        let InodeNode::Ext4(node) = &inode.node else {
            return Err(Errno::EIO.into());
        };
        let volume = node.volume;
        let pages = inode.attributes.size.div_ceil(PAGE) as u32;
        let first = u32::try_from(cookie / PAGE).map_err(|_| Errno::EINVAL)?;
        for index in first..pages {
            let start = u64::from(index) * PAGE;
            // Where in the page to begin; entries before it were listed already.
            let mut skip = cookie.saturating_sub(start) as usize;
            let found = self.ext4_directory_page(context, id, index, |block| {
                if skip >= block.len() {
                    skip -= block.len();
                    return Ok(None);
                }
                // A cookie is an entry's start, unless a program made it up: then it is searched from the front.
                let mut offset = 0;
                while let Some(entry) = next_entry(block, offset).map_err(|_| Errno::EIO)? {
                    offset = entry.next;
                    if entry.next <= skip || entry.name == b"." || entry.name == b".." {
                        continue;
                    }
                    let name = heapless::Vec::from_slice(entry.name).map_err(|_| Errno::EIO)?;
                    skip = 0;
                    return Ok(Some((name, entry.kind, entry.inode, entry.next)));
                }
                skip = 0;
                Ok(None)
            })?;
            if let Some((block, (name, kind, number, next))) = found {
                return Ok(Some(Found {
                    name,
                    kind,
                    origin: Origin::Ext4(volume, number),
                    next: start + (block + next) as u64,
                }));
            }
        }
        Ok(None)
    }
}

/// Returns a number that two names rarely share (FNV-1a).
fn name_hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
