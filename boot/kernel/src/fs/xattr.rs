//! Extended attributes of files (xattr(7)): those of the source, until one is changed; then all of them lie in one page of
//! the file's own, which is paid for and given back as the others are.
//!
//! In that page an attribute is the length of its name, that of its value, the name and the value; a name without length is
//! the end.

use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Kind};
use crate::fs::context::Context;
use crate::fs::inode::{InodeId, Node};
use crate::fs::page_cache::Owner;
use crate::fs::place::PlaceRef;
use crate::limits::ATTRIBUTE_PAGE;
use crate::wait::Stall;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// Bytes before an attribute's name.
const HEADER_BYTES: usize = 3;

/// An attribute that is asked for.
pub type Attribute<'a> = &'a [u8];

bitflags::bitflags! {
    /// How an attribute is set (linux/xattr.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct NewAttribute: u32 {
        /// XATTR_CREATE: there must be none.
        const CREATED = 1;
        /// XATTR_REPLACE: there must be one.
        const REPLACED = 2;
    }
}

/// Marks of layers, which are the kernel's own (overlayfs).
const OWN: &[u8] = b"overlay.";

/// Takes an attribute: its prefix, the rest of its name, its value.
pub(super) type Take<'a> = &'a mut dyn FnMut(&[u8], &[u8], &[u8]);

/// What is put together for a page.
struct Page {
    bytes: [u8; PAGE_BYTES],
    len: usize,
}

impl Page {
    /// Adds an attribute; `false` when there is no room.
    fn add(&mut self, name: [&[u8]; 2], value: &[u8]) -> bool {
        let length = name[0].len() + name[1].len();
        let Ok(count) = u8::try_from(length) else {
            return false;
        };
        // Behind the last one is the end.
        let end = self.len + HEADER_BYTES + length + value.len();
        if end >= PAGE_BYTES {
            return false;
        }
        let size = (value.len() as u16).to_le_bytes();
        for part in [&[count], &size[..], name[0], name[1], value] {
            self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
        }
        true
    }
}

/// Goes through the attributes in a page.
fn each_in_page(mut bytes: &[u8], take: Take<'_>) {
    while let [length, low, high, rest @ ..] = bytes
        && *length > 0
    {
        let length = usize::from(*length);
        let size = usize::from(u16::from_le_bytes([*low, *high]));
        let (Some(name), Some(value)) = (rest.get(..length), rest.get(length..length + size))
        else {
            return;
        };
        take(name, b"", value);
        bytes = &rest[length + size..];
    }
}

/// Returns whether a name in two parts is `whole`.
fn is_name(whole: &[u8], parts: [&[u8]; 2]) -> bool {
    whole.strip_prefix(parts[0]) == Some(parts[1])
}

impl<B: Block> Files<B> {
    fn each_attribute(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        take: Take<'_>,
    ) -> Result<(), Stall> {
        let Node::Union(union) = &self.inodes.get(id).ok_or(Errno::EIO)?.node else {
            return Err(Errno::EOPNOTSUPP.into());
        };
        let lower = union.lower;
        if union.has_attributes {
            let page = self.pages.find(Owner::Inode(id), ATTRIBUTE_PAGE);
            let frame = page.and_then(|page| self.pages.frame(page));
            each_in_page(context.pool.bytes(frame.ok_or(Errno::EIO)?), take);
            return Ok(());
        }
        let base = lower.and_then(|base| self.inodes.get(base));
        if let Some(Node::Ext4(node)) = base.map(|base| &base.node) {
            let file = (node.volume, node.number);
            self.ext4_attributes(context, file, &mut |prefix, name, value| {
                if !name.starts_with(OWN) {
                    take(prefix, name, value);
                }
            })?;
        }
        Ok(())
    }

    /// Checks that the asker may read or change an attribute of a file; `denied` is said to who may not see it.
    fn permit_attribute(
        &self,
        context: &Context<'_>,
        place: PlaceRef<'_>,
        name: Attribute<'_>,
        wanted: Access,
    ) -> Result<(), Errno> {
        let attributes = self.attributes(place)?;
        let denied = if wanted == Access::READ {
            Errno::ENODATA
        } else {
            Errno::EPERM
        };
        if name.starts_with(b"user.") {
            if !matches!(attributes.kind, Kind::Regular | Kind::Directory) {
                return Err(denied);
            }
            return attributes.permit(context.credentials, wanted);
        }
        let is_trusted = name.starts_with(b"trusted.");
        if !is_trusted && !name.starts_with(b"security.") {
            return Err(Errno::EOPNOTSUPP);
        }
        let needed = match name {
            b"security.capability" => Capabilities::SETFCAP,
            _ => Capabilities::SYS_ADMIN,
        };
        if !context.can(needed) && (is_trusted || wanted == Access::WRITE) {
            return Err(denied);
        }
        Ok(())
    }

    /// Writes the value of an attribute into `out`, as far as it fits, and returns how long it is.
    ///
    /// # Errors
    ///
    /// Those of getxattr(2).
    pub fn attribute(
        &mut self,
        context: &mut Context<'_>,
        place: PlaceRef<'_>,
        name: Attribute<'_>,
        out: &mut [u8],
    ) -> Result<usize, Stall> {
        self.permit_attribute(context, place, name, Access::READ)?;
        let id = self.inode_at(place.0)?;
        let mut found = None;
        self.each_attribute(context, id, &mut |prefix, rest, value| {
            if is_name(name, [prefix, rest]) {
                let fits = value.len().min(out.len());
                out[..fits].copy_from_slice(&value[..fits]);
                found = Some(value.len());
            }
        })?;
        Ok(found.ok_or(Errno::ENODATA)?)
    }

    /// Writes the names of a file's attributes into `out`, each with a NUL, as far as they fit, and returns how long they are.
    ///
    /// # Errors
    ///
    /// Those of listxattr(2).
    pub fn list_attributes(
        &mut self,
        context: &mut Context<'_>,
        place: PlaceRef<'_>,
        out: &mut [u8],
    ) -> Result<usize, Stall> {
        let id = self.inode_at(place.0)?;
        let sees_trusted = context.can(Capabilities::SYS_ADMIN);
        let mut length = 0;
        self.each_attribute(context, id, &mut |prefix, rest, _| {
            let is_trusted = prefix.starts_with(b"trusted.");
            if is_trusted && !sees_trusted {
                return;
            }
            for part in [prefix, rest, b"\0"] {
                if let Some(room) = out.get_mut(length..length + part.len()) {
                    room.copy_from_slice(part);
                }
                length += part.len();
            }
        })?;
        Ok(length)
    }

    /// Sets an attribute, or takes it away when there is no value.
    ///
    /// # Errors
    ///
    /// Those of setxattr(2) and removexattr(2).
    pub fn set_attribute(
        &mut self,
        context: &mut Context<'_>,
        place: PlaceRef<'_>,
        name: Attribute<'_>,
        value: Option<&[u8]>,
        how: NewAttribute,
    ) -> Result<(), Stall> {
        self.permit_write(context, place.0)?;
        self.permit_attribute(context, place, name, Access::WRITE)?;
        let id = self.inode_at(place.0)?;
        let mut page = Page {
            bytes: [0; PAGE_BYTES],
            len: 0,
        };
        let (mut is_there, mut fits) = (false, true);
        self.each_attribute(context, id, &mut |prefix, rest, value| {
            if is_name(name, [prefix, rest]) {
                is_there = true;
            } else {
                fits &= page.add([prefix, rest], value);
            }
        })?;
        if is_there && how.contains(NewAttribute::CREATED) {
            return Err(Errno::EEXIST.into());
        }
        if !is_there && how.contains(NewAttribute::REPLACED) {
            return Err(Errno::ENODATA.into());
        }
        if let Some(value) = value {
            fits &= page.add([name, b""], value);
        }
        if !fits {
            return Err(Errno::ENOSPC.into());
        }
        self.own(place)?;
        let own = self.own_page(context, id, ATTRIBUTE_PAGE, true)?;
        let frame = self.pages.frame(own).ok_or(Errno::EIO)?;
        context.pool.bytes_mut(frame).copy_from_slice(&page.bytes);
        self.union_mut(id)?.has_attributes = true;
        if let Some(inode) = self.inodes.get_mut(id) {
            inode.attributes.changed = context.wall;
        }
        Ok(())
    }
}
