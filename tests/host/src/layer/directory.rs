//! A tree from a directory of the host.

use super::archive;
use super::path::{join, normalize};
use super::tree::{Attributes, Content, InodeId, Kind, Tree};
use crate::error::{Error, Result};
use rustix::fs::{lgetxattr, llistxattr, major, minor};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Longest value of an extended attribute (Linux `XATTR_SIZE_MAX`).
const LONGEST_VALUE: usize = 64 * 1024;

/// Reads a directory: names, owners, permissions, times, links, devices and extended attributes as they are there.
pub(super) fn read(directory: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut seen: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    // A list instead of recursion: a directory tree may be deeper than a stack.
    let mut unread = vec![(directory.to_owned(), Vec::new())];
    while let Some((host, path)) = unread.pop() {
        let named = |error| Error::io(format!("cannot read {}", host.display()), error);
        let metadata = if path.is_empty() {
            fs::metadata(&host)
        } else {
            fs::symlink_metadata(&host)
        }
        .map_err(named)?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&host).map_err(named)? {
                let entry = entry.map_err(named)?;
                let child = join(&path, entry.file_name().as_bytes());
                let child = normalize(&child).map_err(|unfit| {
                    named(io::Error::other(format!(
                        "{:?} {}",
                        entry.file_name(),
                        unfit.words()
                    )))
                })?;
                unread.push((entry.path(), child));
            }
        } else if metadata.nlink() > 1 {
            let identity = (metadata.dev(), metadata.ino());
            if let Some(first) = seen.get(&identity) {
                // It was put in a moment ago, and is no directory.
                tree.link(path, first);
                continue;
            }
            seen.insert(identity, path.clone());
        }
        let kind = kind(&host, &metadata).map_err(named)?;
        let attributes = attributes(&host, &metadata).map_err(named)?;
        archive::put(&mut tree, path, kind, attributes);
    }
    Ok(in_order(tree))
}

/// Numbers inodes by their first names, so that the order in which a directory was listed leaves no trace.
fn in_order(mut tree: Tree) -> Tree {
    let mut moved: BTreeMap<InodeId, InodeId> = BTreeMap::new();
    let mut inodes = Vec::new();
    for id in tree.names.values_mut() {
        *id = *moved.entry(*id).or_insert_with(|| {
            inodes.push(tree.inodes[*id].clone());
            inodes.len() - 1
        });
    }
    tree.inodes = inodes;
    tree
}

fn kind(path: &Path, metadata: &Metadata) -> io::Result<Kind> {
    let is = |what: fn(&FileType) -> bool| what(&metadata.file_type());
    let device = metadata.rdev();
    Ok(if metadata.is_dir() {
        Kind::Directory
    } else if metadata.is_file() {
        Kind::File(Content {
            file: path.to_owned(),
            bytes: metadata.len(),
        })
    } else if metadata.is_symlink() {
        Kind::Symlink(fs::read_link(path)?.into_os_string().into_vec())
    } else if is(FileTypeExt::is_char_device) {
        match (major(device), minor(device)) {
            // As overlayfs keeps them.
            (0, 0) => Kind::Whiteout,
            (major, minor) => Kind::CharacterDevice(major, minor),
        }
    } else if is(FileTypeExt::is_block_device) {
        Kind::BlockDevice(major(device), minor(device))
    } else if is(FileTypeExt::is_fifo) {
        Kind::Fifo
    } else {
        return Err(io::Error::other(
            "sockets cannot be part of a layer; remove it",
        ));
    })
}

fn attributes(path: &Path, metadata: &Metadata) -> io::Result<Attributes> {
    /// Permissions and the three bits above them.
    const PERMISSIONS: u32 = 0o7777;
    Ok(Attributes {
        permissions: (metadata.mode() & PERMISSIONS) as u16,
        uid: metadata.uid(),
        gid: metadata.gid(),
        modified: metadata.mtime(),
        extended: extended(path)?,
    })
}

fn extended(path: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0; LONGEST_VALUE];
    let length = match llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        // A file system without them.
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut all = BTreeMap::new();
    for name in names[..length].split(|&byte| byte == 0) {
        if name.is_empty() {
            continue;
        }
        let mut value = vec![0; LONGEST_VALUE];
        let length = lgetxattr(path, name, &mut value[..])?;
        value.truncate(length);
        all.insert(name.to_vec(), value);
    }
    Ok(all)
}
