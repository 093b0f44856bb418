//! Memory of programs, as the kernel sees it: a pointer from a program is an allegation.
//!
//! A [`UserAddr`] cannot be dereferenced. [`System::span`] checks it, brings the page in (which may have to wait for a
//! disk) and names the bytes as a [`Span`] of one frame; everything else here is made of spans. So a fault in kernel
//! mode cannot happen, and a bad pointer is EFAULT.

use crate::errno::Errno;
use crate::slab::Slab;
use crate::space::{AddressSpace, Denial, SpaceId};
use crate::system::System;
use crate::wait::Stall;
use hal::block::Block;
use hal::frame::{FramePool, FrameRef};
use hal::limits::PAGE_BYTES;
use hal::page_table::{Page, Protection};

/// An address a program named. Nothing is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UserAddr(pub(crate) u64);

impl UserAddr {
    /// The address that means "none" in many calls.
    pub(crate) const NULL: Self = Self(0);

    /// Returns whether this is the address that means "none".
    pub(crate) const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// Returns the address `bytes` further on.
    ///
    /// # Errors
    ///
    /// EFAULT behind the end of the address space.
    pub(crate) fn offset(self, bytes: u64) -> Result<Self, Errno> {
        self.0.checked_add(bytes).map(Self).ok_or(Errno::EFAULT)
    }
}

/// What is to be done with a page of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Load.
    Read,
    /// Store.
    Write,
    /// Fetch instructions.
    Execute,
    /// Store by the loader, which may write to pages that are read-only for the program.
    Load,
}

/// Some bytes of one page of an address space. The page was there when the span was made and stays until the space is
/// changed; [`Span::frame`] looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The page.
    pub(crate) page: Page,
    /// First byte in the page.
    pub(crate) offset: usize,
    /// How many bytes; `offset + len` is at most a page.
    pub(crate) len: usize,
}

impl Span {
    /// Returns the frame that holds the bytes.
    ///
    /// # Errors
    ///
    /// EFAULT when the page is not mapped any more.
    pub(crate) fn frame<'a>(
        &self,
        space: &'a AddressSpace,
        pool: &FramePool,
    ) -> Result<FrameRef<'a>, Errno> {
        space
            .table
            .lookup(pool, self.page)
            .map(|mapping| mapping.frame)
            .ok_or(Errno::EFAULT)
    }

    /// Returns the frame as `frame` does, and the place of the bytes in it.
    pub(crate) fn range(&self) -> core::ops::Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// Returns the frame and the place in it of the bytes from `address` on, if their page is there and the program has the
/// right to `access` it: what nearly always is. They end with the page or with `len`, whichever comes first.
#[inline(always)]
fn at_hand<'a>(
    spaces: &'a Slab<AddressSpace>,
    pool: &FramePool,
    space: SpaceId,
    address: UserAddr,
    len: usize,
    access: Access,
) -> Option<(FrameRef<'a>, core::ops::Range<usize>)> {
    let wanted = match access {
        Access::Read => Protection::READ,
        Access::Write => Protection::WRITE,
        Access::Execute => Protection::EXECUTE,
        Access::Load => return None,
    };
    let page = Page::containing(address.0)?;
    let frame = spaces.get(space)?.table.permitted(pool, page, wanted)?;
    let offset = address.0 as usize % PAGE_BYTES;
    Some((frame, offset..offset + len.min(PAGE_BYTES - offset)))
}

impl<B: Block> System<B> {
    /// Checks the bytes from `address` on and brings their page in. The span ends with the page or with `len`,
    /// whichever comes first; it is never empty unless `len` is 0.
    ///
    /// # Errors
    ///
    /// EFAULT, ENOMEM, EIO, or what to wait for.
    pub(crate) fn span(
        &mut self,
        space: SpaceId,
        address: UserAddr,
        len: usize,
        access: Access,
    ) -> Result<Span, Stall> {
        let page = Page::containing(address.0).ok_or(Errno::EFAULT)?;
        let offset = (address.0 - page.address()) as usize;
        let len = len.min(PAGE_BYTES - offset);
        if len > 0 && at_hand(&self.spaces, &self.pool, space, address, len, access).is_none() {
            self.page_in(space, page, access)
                .map_err(|denial| match denial {
                    Denial::OutOf(shortage) => self.on_shortage(space, shortage),
                    denial => denial.into(),
                })?;
        }
        Ok(Span { page, offset, len })
    }

    /// Copies bytes of a program into `into`.
    ///
    /// # Errors
    ///
    /// As for [`System::span`]; `into` may be half filled then.
    pub(crate) fn read_user(
        &mut self,
        space: SpaceId,
        address: UserAddr,
        into: &mut [u8],
    ) -> Result<(), Stall> {
        let mut done = 0;
        while done < into.len() {
            let at = address.offset(done as u64)?;
            let (left, access) = (into.len() - done, Access::Read);
            let (frame, range) = match at_hand(&self.spaces, &self.pool, space, at, left, access) {
                Some(found) => found,
                None => {
                    let span = self.span(space, at, left, access)?;
                    (span.frame(self.space(space)?, &self.pool)?, span.range())
                }
            };
            let bytes = &self.pool.bytes(frame)[range];
            into[done..done + bytes.len()].copy_from_slice(bytes);
            done += bytes.len();
        }
        Ok(())
    }

    /// Copies `from` into a program's memory.
    ///
    /// # Errors
    ///
    /// As for [`System::span`]; the beginning may have been written then.
    pub(crate) fn write_user(
        &mut self,
        space: SpaceId,
        address: UserAddr,
        from: &[u8],
    ) -> Result<(), Stall> {
        self.store(space, address, from, Access::Write)
    }

    /// Copies `from` into a program's memory, with the rights of `access`.
    ///
    /// # Errors
    ///
    /// As for [`System::span`].
    pub(crate) fn store(
        &mut self,
        space: SpaceId,
        address: UserAddr,
        from: &[u8],
        access: Access,
    ) -> Result<(), Stall> {
        let mut done = 0;
        while done < from.len() {
            let at = address.offset(done as u64)?;
            let left = from.len() - done;
            let (frame, range) = match at_hand(&self.spaces, &self.pool, space, at, left, access) {
                Some(found) => found,
                None => {
                    let span = self.span(space, at, left, access)?;
                    let space = self.spaces.get(space).ok_or(Errno::EFAULT)?;
                    (span.frame(space, &self.pool)?, span.range())
                }
            };
            let bytes = &mut self.pool.bytes_mut(frame)[range];
            bytes.copy_from_slice(&from[done..done + bytes.len()]);
            done += bytes.len();
        }
        Ok(())
    }

    /// Makes sure that a later [`System::write_user`] to these bytes need not wait and does not fail.
    ///
    /// # Errors
    ///
    /// As for [`System::span`].
    pub(crate) fn touch_user(
        &mut self,
        space: SpaceId,
        address: UserAddr,
        len: usize,
    ) -> Result<(), Stall> {
        let mut done = 0;
        while done < len {
            let at = address.offset(done as u64)?;
            done += self.span(space, at, len - done, Access::Write)?.len;
        }
        Ok(())
    }

    /// Copies a string that ends with NUL into `into` and returns it without the NUL.
    ///
    /// # Errors
    ///
    /// `too_long` when there is no NUL within `into`'s length, else as for [`System::span`].
    pub(crate) fn read_cstring<'b>(
        &mut self,
        space: SpaceId,
        address: UserAddr,
        into: &'b mut [u8],
        too_long: Errno,
    ) -> Result<&'b [u8], Stall> {
        let mut done = 0;
        while done < into.len() {
            let at = address.offset(done as u64)?;
            let span = self.span(space, at, into.len() - done, Access::Read)?;
            let frame = span.frame(self.space(space)?, &self.pool)?;
            let bytes = &self.pool.bytes(frame)[span.range()];
            let length = bytes.iter().position(|&byte| byte == 0);
            let take = length.unwrap_or(bytes.len());
            into[done..done + take].copy_from_slice(&bytes[..take]);
            done += take;
            if length.is_some() {
                return Ok(&into[..done]);
            }
        }
        Err(too_long.into())
    }

    /// Reads a 32-bit number of a program.
    ///
    /// # Errors
    ///
    /// As for [`System::span`].
    pub(crate) fn read_u32(&mut self, space: SpaceId, address: UserAddr) -> Result<u32, Stall> {
        let mut bytes = [0; 4];
        self.read_user(space, address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Reads a 64-bit number of a program.
    ///
    /// # Errors
    ///
    /// As for [`System::span`].
    pub(crate) fn read_u64(&mut self, space: SpaceId, address: UserAddr) -> Result<u64, Stall> {
        let mut bytes = [0; 8];
        self.read_user(space, address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
