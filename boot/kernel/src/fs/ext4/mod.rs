//! ext4, read-only: from blocks to inodes, directory entries and runs of file data.
//!
//! This reader is our own because a disk is hostile here: every step is bounded, asks for one block at a time from
//! the page cache (and stalls when it is not there), takes nothing from the heap, and cannot panic. It reads what
//! mke2fs makes and Linux leaves behind after a clean unmount; whatever it does not understand it refuses by name.

pub(super) mod attribute;
pub(super) mod checksum;
pub(super) mod directory;
pub(super) mod extent;
pub(super) mod inode;
mod reader;
pub(super) mod superblock;

pub(super) use inode::Node;
