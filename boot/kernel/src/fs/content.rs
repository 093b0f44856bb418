//! Content of regular files: read, written, cut, mapped. A page that is written becomes the file's own; all others
//! come from its source, or are zero.

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Kind;
use crate::fs::context::{Context, Span};
use crate::fs::inode::{InodeId, Node, Union};
use crate::fs::page_cache::{Content, Owner, PageId};
use crate::fs::place::PlaceRef;
use crate::fs::seal::Seals;
use crate::limits::FILE_BYTES;
use crate::wait::Stall;
use core::cmp::Ordering;
use hal::block::Block;
use hal::frame::Frame;
use hal::limits::PAGE_BYTES;

const PAGE: u64 = PAGE_BYTES as u64;

impl<B: Block> Files<B> {
    pub(super) fn union_mut(&mut self, id: InodeId) -> Result<&mut Union, Errno> {
        match &mut self.inodes.get_mut(id).ok_or(Errno::EIO)?.node {
            Node::Union(union) => Ok(union),
            _ => Err(Errno::EINVAL),
        }
    }

    fn union_of(&self, id: InodeId) -> Result<&Union, Errno> {
        match &self.inodes.get(id).ok_or(Errno::EIO)?.node {
            Node::Union(union) => Ok(union),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Waits while a page that was cut off is yet to be given back.
    fn await_cut(&self, id: InodeId, index: u32) -> Result<(), Stall> {
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        if inode.remains.contains(&index) {
            return Err(Stall::AGAIN);
        }
        Ok(())
    }

    /// Returns the page that holds a file's bytes from `index * 4096` on; `None` when they are zero.
    pub(super) fn content_page(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        index: u32,
    ) -> Result<Option<PageId>, Stall> {
        self.await_cut(id, index)?;
        let union = self.union_of(id)?;
        let (lower, kept) = (union.lower, union.kept);
        if let Some(own) = self.pages.find(Owner::Inode(id), index) {
            return Ok(Some(own));
        }
        match lower {
            Some(base) if u64::from(index) * PAGE < kept => {
                self.base_page(context, base, index).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Makes page `index` the file's own. `is_overwritten` says that all of it will be written, so that what was there
    /// does not matter.
    pub(super) fn own_page(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        index: u32,
        is_overwritten: bool,
    ) -> Result<PageId, Stall> {
        self.await_cut(id, index)?;
        if let Some(own) = self.pages.find(Owner::Inode(id), index) {
            return Ok(own);
        }
        let account = self.payer(context, id)?;
        let before = if is_overwritten {
            None
        } else {
            self.content_page(context, id, index)?
        };
        if let Some(page) = before {
            // What is copied must not be forgotten while a frame is looked for.
            let Some(copied) = self
                .pages
                .frame(page)
                .and_then(|frame| context.pool.share(frame.by_ref()))
            else {
                return Err(Errno::EIO.into());
            };
            let made = self.insert_owned(context, id, index, account, Some(&copied));
            context.pool.release(copied);
            return made;
        }
        self.insert_owned(context, id, index, account, None)
    }

    /// Returns who pays for a file's pages: its owner or, when that is gone, whoever writes now, for good.
    fn payer(&mut self, context: &Context<'_>, id: InodeId) -> Result<AccountId, Errno> {
        let account = self.union_of(id)?.account;
        if context.accounts.get(account).is_some() {
            return Ok(account);
        }
        if let Some(Node::Union(union)) = self.inodes.get_mut(id).map(|inode| &mut inode.node) {
            union.account = context.account;
        }
        Ok(context.account)
    }

    fn insert_owned(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        index: u32,
        account: AccountId,
        copied: Option<&Frame>,
    ) -> Result<PageId, Stall> {
        let payer = context.accounts.get_mut(account).ok_or(Errno::ENOSPC)?;
        if payer.charge(Resource::FileFrames, 1).is_err() {
            return Err(if self.teardown.has_pages() {
                // What the account gave up may not have come back yet.
                Stall::AGAIN
            } else {
                Errno::ENOSPC.into()
            });
        }
        let taken = self
            .room_for_writing(context)
            .and_then(|()| self.take_frame(context));
        let made = taken.and_then(|frame| {
            match copied {
                Some(from) => context
                    .pool
                    .copy(from.by_ref(), 0, frame.by_ref(), 0, PAGE_BYTES),
                None => context.pool.bytes_mut(&frame).fill(0),
            }
            self.pages
                .insert(Owner::Inode(id), index, Content::Owned(frame))
                .map_err(|(content, errno)| {
                    if let Content::Owned(frame) = content {
                        context.pool.release(frame);
                    }
                    errno.into()
                })
        });
        made.map_err(|stall| {
            context.refund(account, Resource::FileFrames, 1);
            if stall.is_error() {
                Errno::ENOSPC.into()
            } else {
                stall
            }
        })
    }

    /// Reads from a regular file into one page of a program; returns how many bytes, 0 at or behind the end.
    pub(super) fn read_content(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        position: u64,
        span: Span<'_>,
    ) -> Result<usize, Stall> {
        let size = self.inodes.get(id).ok_or(Errno::EIO)?.attributes.size;
        let wanted = (size.saturating_sub(position)).min(span.len as u64) as usize;
        let mut done = 0;
        while done < wanted {
            let at = position + done as u64;
            let within = (at % PAGE) as usize;
            let count = (PAGE_BYTES - within).min(wanted - done);
            let page = match self.content_page(context, id, (at / PAGE) as u32) {
                Ok(page) => page,
                Err(_) if done > 0 => break,
                Err(stall) => return Err(stall),
            };
            match page {
                Some(page) => {
                    let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
                    context.pool.copy(
                        frame.by_ref(),
                        within,
                        span.frame,
                        span.offset + done,
                        count,
                    );
                }
                None => {
                    let start = span.offset + done;
                    context.pool.bytes_mut(span.frame)[start..start + count].fill(0);
                }
            }
            done += count;
        }
        Ok(done)
    }

    /// Writes from one page of a program into a regular file; returns how many bytes.
    pub(super) fn write_content(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        position: u64,
        span: Span<'_>,
    ) -> Result<usize, Stall> {
        if span.len == 0 {
            return Ok(0);
        }
        let most = FILE_BYTES.min(context.largest_file);
        if position >= most {
            return Err(Errno::EFBIG.into());
        }
        self.permit_seals(id, Seals::WRITES)?;
        let size = self.inodes.get(id).ok_or(Errno::EIO)?.attributes.size;
        let wanted = (most - position).min(span.len as u64) as usize;
        let mut done = 0;
        while done < wanted {
            let at = position + done as u64;
            let within = (at % PAGE) as usize;
            let count = (PAGE_BYTES - within).min(wanted - done);
            let grown = if at + count as u64 > size {
                self.permit_seals(id, Seals::GROW)
            } else {
                Ok(())
            };
            let index = (at / PAGE) as u32;
            let owned = grown
                .map_err(Stall::from)
                .and_then(|()| self.own_page(context, id, index, count == PAGE_BYTES));
            let page = match owned {
                Ok(page) => page,
                Err(_) if done > 0 => break,
                Err(stall) => return Err(stall),
            };
            let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
            context.pool.copy(
                span.frame,
                span.offset + done,
                frame.by_ref(),
                within,
                count,
            );
            done += count;
        }
        let wall = context.wall;
        let attributes = &mut self.inodes.get_mut(id).ok_or(Errno::EIO)?.attributes;
        attributes.size = attributes.size.max(position + done as u64);
        attributes.blocks = attributes.size.div_ceil(512);
        attributes.modified = wall;
        attributes.changed = wall;
        attributes.lose_rights(context.credentials);
        Ok(done)
    }

    /// Sets a regular file's length. What is cut off is gone, its pages some turns later, which a cut that leaves some behind
    /// them waits for; what is added is zero.
    pub(super) fn set_length(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        length: u64,
    ) -> Result<(), Stall> {
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        let (size, remains) = (inode.attributes.size, inode.remains.clone());
        if length > FILE_BYTES || length > size.max(context.largest_file) {
            return Err(Errno::EFBIG.into());
        }
        self.permit_seals(
            id,
            match length.cmp(&size) {
                Ordering::Less => Seals::SHRINK,
                Ordering::Equal => Seals::empty(),
                Ordering::Greater => Seals::GROW,
            },
        )?;
        if length < size {
            let cut = length.div_ceil(PAGE) as u32..size.div_ceil(PAGE) as u32;
            if !remains.is_empty() && remains.end < cut.start {
                // Between what an earlier cut left and this one is what was written since.
                return Err(Stall::AGAIN);
            }
            let within = (length % PAGE) as usize;
            if within > 0 {
                // The part of the last page that is cut off must read as zeroes when the file grows again.
                let index = (length / PAGE) as u32;
                if self.content_page(context, id, index)?.is_some() {
                    let page = self.own_page(context, id, index, false)?;
                    let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
                    context.pool.bytes_mut(frame)[within..].fill(0);
                }
            }
            self.refresh_viewers(id);
            self.abandon_pages(id, cut);
            self.give_pages_back(context.pool, context.accounts);
        }
        let wall = context.wall;
        let inode = self.inodes.get_mut(id).ok_or(Errno::EIO)?;
        inode.attributes.size = length;
        inode.attributes.blocks = length.div_ceil(512);
        inode.attributes.modified = wall;
        inode.attributes.changed = wall;
        inode.attributes.lose_rights(context.credentials);
        if let Node::Union(union) = &mut inode.node {
            union.kept = union.kept.min(length);
        }
        Ok(())
    }

    /// Returns a token of the frame that holds page `index` of a file, for mapping it where what is written is seen by
    /// everybody: the page becomes the file's own first.
    ///
    /// # Errors
    ///
    /// ENXIO for a page wholly behind the end, ENOSPC, EIO.
    pub fn shared_page(
        &mut self,
        context: &mut Context<'_>,
        place: PlaceRef<'_>,
        index: u32,
    ) -> Result<Frame, Stall> {
        let id = self.inode_at(place.0)?;
        let size = self.inodes.get(id).ok_or(Errno::EIO)?.attributes.size;
        if u64::from(index) * PAGE >= size {
            return Err(Errno::ENXIO.into());
        }
        let page = self.own_page(context, id, index, false)?;
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        Ok(context.pool.share(frame.by_ref()).ok_or(Errno::ENOMEM)?)
    }

    /// Returns a token of the frame that holds page `index` of a regular file, for mapping it. Bytes behind the file's
    /// end are zero. The frame must not be written to: it may be the file's only copy.
    ///
    /// # Errors
    ///
    /// EACCES unless regular, ENXIO for a page wholly behind the end, EIO, ENOMEM.
    pub fn page(
        &mut self,
        context: &mut Context<'_>,
        place: PlaceRef<'_>,
        index: u32,
    ) -> Result<Frame, Stall> {
        let id = self.inode_at(place.0)?;
        let attributes = self.inodes.get(id).ok_or(Errno::EIO)?.attributes;
        if attributes.kind != Kind::Regular {
            return Err(Errno::EACCES.into());
        }
        if u64::from(index) * PAGE >= attributes.size {
            return Err(Errno::ENXIO.into());
        }
        let page = match self.content_page(context, id, index)? {
            Some(page) => page,
            None => self.own_page(context, id, index, true)?,
        };
        let frame = self.pages.frame(page).ok_or(Errno::EIO)?;
        Ok(context.pool.share(frame.by_ref()).ok_or(Errno::ENOMEM)?)
    }
}
