//! Changes of attributes: permissions, owners, times, length.

use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Kind, SET_GROUP};
use crate::fs::context::Context;
use crate::fs::dentry::DentryId;
use crate::fs::place::PlaceRef;
use crate::wait::Stall;
use core::marker::PhantomData;
use core::time::Duration;
use hal::block::Block;

/// What utimensat(2) does to a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTime {
    /// UTIME_NOW.
    Now,
    /// UTIME_OMIT.
    Keep,
    /// This time since 1970-01-01 UTC.
    At(Duration),
}

impl<B: Block> Files<B> {
    /// Makes sure that changes of the file under an entry are remembered.
    pub(super) fn own_entry(&mut self, entry: DentryId) -> Result<(), Errno> {
        self.own(PlaceRef(entry, PhantomData)).map(|_inode| ())
    }

    /// Sets a file's permission bits.
    ///
    /// # Errors
    ///
    /// EPERM unless its owner or root; EROFS.
    pub fn set_permissions(
        &mut self,
        context: &Context<'_>,
        place: PlaceRef<'_>,
        permissions: u16,
    ) -> Result<(), Errno> {
        let attributes = self.attributes(place)?;
        attributes.permit_owner(context.credentials)?;
        self.permit_write(context, place.0)?;
        let who = context.credentials;
        let mut permissions = permissions & 0o7777;
        if !who.can(Capabilities::FSETID) && !who.is_in(attributes.gid) {
            permissions &= !SET_GROUP;
        }
        let inode = self.own(place)?;
        inode.attributes.permissions = permissions;
        inode.attributes.changed = context.wall;
        Ok(())
    }

    /// Sets a file's owner and group; `None` keeps what it is.
    ///
    /// # Errors
    ///
    /// EPERM unless root, or the owner who gives it to one of its own groups; EROFS.
    pub fn set_owner(
        &mut self,
        context: &Context<'_>,
        place: PlaceRef<'_>,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Result<(), Errno> {
        let attributes = self.attributes(place)?;
        let who = context.credentials;
        let keeps_owner = uid.is_none_or(|uid| uid == attributes.uid);
        let is_own_group = gid.is_none_or(|gid| gid == attributes.gid || who.is_in(gid));
        let is_own = who.uid == attributes.uid && keeps_owner && is_own_group;
        if !is_own && !who.can(Capabilities::CHOWN) {
            return Err(Errno::EPERM);
        }
        self.permit_write(context, place.0)?;
        let inode = self.own(place)?;
        let known = &mut inode.attributes;
        known.uid = uid.unwrap_or(known.uid);
        known.gid = gid.unwrap_or(known.gid);
        if known.kind == Kind::Regular && known.permissions & 0o111 != 0 {
            // A program that runs as its owner must not become another owner's (chown(2)).
            known.give_up_rights();
        }
        known.changed = context.wall;
        Ok(())
    }

    /// Sets a file's times of last read and last change.
    ///
    /// # Errors
    ///
    /// EPERM or EACCES as utimensat(2) says; EROFS.
    pub fn set_times(
        &mut self,
        context: &Context<'_>,
        place: PlaceRef<'_>,
        accessed: NewTime,
        modified: NewTime,
    ) -> Result<(), Errno> {
        if accessed == NewTime::Keep && modified == NewTime::Keep {
            return Ok(());
        }
        let attributes = self.attributes(place)?;
        let is_now = accessed == NewTime::Now && modified == NewTime::Now;
        if let Err(errno) = attributes.permit_owner(context.credentials) {
            if !is_now {
                return Err(errno);
            }
            attributes.permit(context.credentials, Access::WRITE)?;
        }
        self.permit_write(context, place.0)?;
        let apply = |time: NewTime, known: Duration| match time {
            NewTime::Now => context.wall,
            NewTime::Keep => known,
            NewTime::At(time) => time,
        };
        let known = &mut self.own(place)?.attributes;
        known.accessed = apply(accessed, known.accessed);
        known.modified = apply(modified, known.modified);
        known.changed = context.wall;
        Ok(())
    }

    /// Sets a regular file's length; who may write to it is the caller's to check.
    ///
    /// # Errors
    ///
    /// EISDIR, EINVAL unless regular, EFBIG, EIO, ENOSPC.
    pub fn truncate(
        &mut self,
        context: &mut Context<'_>,
        place: PlaceRef<'_>,
        length: u64,
    ) -> Result<(), Stall> {
        match self.attributes(place)?.kind {
            Kind::Regular => {}
            Kind::Directory => return Err(Errno::EISDIR.into()),
            _ => return Err(Errno::EINVAL.into()),
        }
        self.permit_write(context, place.0)?;
        let inode = self.inode_at(place.0)?;
        self.permit_writer(inode)?;
        self.own(place)?;
        self.set_length(context, inode, length)
    }
}
