//! Path walking: from a path to a place, one component at a time.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Attributes;
use crate::fs::context::Context;
use crate::fs::flags::Last;
use crate::fs::place::{Place, PlaceRef};
use crate::wait::Stall;
use hal::block::Block;
use hal::frame::Frame;

/// Where a path starts.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Where absolute paths start; `..` does not lead out of it.
    pub root: PlaceRef<'a>,
    /// Where relative paths start.
    pub base: PlaceRef<'a>,
}

impl<B: Block> Files<B> {
    /// Mounts the machine's root (the first disk that holds ext4, else the initrd, else memory) with `/dev`, `/proc`
    /// and `/tmp`, and returns its root.
    ///
    /// # Errors
    ///
    /// EIO when a disk holds no file system this kernel reads.
    pub fn mount_root(&mut self, _context: &mut Context<'_>) -> Result<Place, Stall> {
        Err(Errno::ENOSYS.into())
    }

    /// Makes a container's tree: what `over` holds, with changes of its own.
    ///
    /// # Errors
    ///
    /// ENOTDIR, ENOMEM, ENOSPC at the limit of mounts.
    pub fn mount_view(
        &mut self,
        _context: &mut Context<'_>,
        _over: PlaceRef<'_>,
    ) -> Result<Place, Stall> {
        Err(Errno::ENOSYS.into())
    }

    /// Takes a container's tree away with all that was written in it. Nothing may be open in it any more; what still
    /// is keeps its memory.
    pub fn unmount_view(&mut self, _context: &mut Context<'_>, _root: Place) {}

    /// Finds the place a path leads to.
    ///
    /// # Errors
    ///
    /// Those of path_resolution(7).
    pub fn walk(
        &mut self,
        _context: &mut Context<'_>,
        _start: Start<'_>,
        _path: &[u8],
        _last: Last,
    ) -> Result<Place, Stall> {
        Err(Errno::ENOSYS.into())
    }

    /// Makes a second token of a place.
    pub fn share_place(&mut self, place: PlaceRef<'_>) -> Place {
        self.dentries.hold(place.0);
        Place(place.0)
    }

    /// Gives a place back.
    pub fn release_place(&mut self, _context: &mut Context<'_>, _place: Place) {}

    /// Returns what stat(2) says of the file in a place.
    ///
    /// # Errors
    ///
    /// ENOENT when the place holds no file.
    pub fn attributes(&self, _place: PlaceRef<'_>) -> Result<Attributes, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Writes the path that leads from `root` to a place into `out` and returns its length.
    ///
    /// # Errors
    ///
    /// ERANGE when `out` is too short, ENOENT when the place was removed.
    pub fn path_of(
        &self,
        _root: PlaceRef<'_>,
        _place: PlaceRef<'_>,
        _out: &mut [u8],
    ) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }

    /// Returns a token of the frame that holds page `index` of a regular file, for mapping it. Bytes behind the file's
    /// end are zero. The frame must not be written to: it may be the file's only copy.
    ///
    /// # Errors
    ///
    /// EACCES unless regular, ENXIO for a page wholly behind the end, EIO, ENOMEM.
    pub fn page(
        &mut self,
        _context: &mut Context<'_>,
        _place: PlaceRef<'_>,
        _index: u32,
    ) -> Result<Frame, Stall> {
        Err(Errno::ENOSYS.into())
    }
}
