//! A tree from a tar: an OCI layer with its whiteouts, or any other.

use super::compression;
use super::path::{join, normalize, split};
use super::tree::{Attributes, Content, Kind, Tree};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use tar::{Archive, Entry, EntryType};

/// What the name of a whiteout begins with, and the name that makes its directory opaque (OCI image specification).
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What extended attributes are called in PAX records.
const EXTENDED: &[u8] = b"SCHILY.xattr.";

/// Reads a tar, plain or compressed; the contents of its files go to `scratch`.
pub(super) fn read(path: &Path, scratch: &Path) -> Result<Tree> {
    compression::open(path)
        .and_then(|reader| unpack(reader, scratch))
        .map_err(|error| Error::io(format!("cannot read {}", path.display()), error))
}

fn unpack(reader: impl Read, scratch: &Path) -> io::Result<Tree> {
    let mut tree = Tree::new();
    let mut archive = Archive::new(reader);
    for entry in archive.entries()? {
        // The crate's words may hold what it took for a number.
        let mut entry = entry.map_err(|error| {
            let words = error.to_string().replace(char::is_control, "?");
            io::Error::new(
                error.kind(),
                format!("it is no tar, or a broken one: {words}"),
            )
        })?;
        let raw = entry.path_bytes().into_owned();
        let refused = |reason: &str| {
            io::Error::other(format!("entry {}: {reason}", String::from_utf8_lossy(&raw)))
        };
        let path = normalize(&raw).map_err(|unfit| refused(unfit.words()))?;
        let kind = match entry.header().entry_type() {
            EntryType::Directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                Kind::File(keep(&mut entry, scratch)?)
            }
            EntryType::Symlink => {
                Kind::Symlink(target(&entry).ok_or_else(|| refused("a link without a target"))?)
            }
            EntryType::Link => {
                let target = target(&entry).ok_or_else(|| refused("a link without a target"))?;
                let target = normalize(&target).map_err(|unfit| refused(unfit.words()))?;
                if !tree.link(path, &target) {
                    return Err(refused(&format!(
                        "it is a hard link to {}, which is not before it in the tar",
                        String::from_utf8_lossy(&target)
                    )));
                }
                continue;
            }
            EntryType::Char => device(&entry, Kind::CharacterDevice)?,
            EntryType::Block => device(&entry, Kind::BlockDevice)?,
            EntryType::Fifo => Kind::Fifo,
            EntryType::XGlobalHeader => continue,
            other => return Err(refused(&format!("entries of type {other:?} are not known"))),
        };
        let attributes = attributes(&mut entry)?;
        put(&mut tree, path, kind, attributes);
    }
    // What follows the end of a tar says nothing, but the end of what compresses it says whether all of it was right.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(tree)
}

/// Puts an entry into a tree, or what its name means if it is a whiteout's.
pub(super) fn put(tree: &mut Tree, path: Vec<u8>, kind: Kind, mut attributes: Attributes) {
    /// How overlayfs marks an opaque directory.
    const MARK: &[u8] = b"trusted.overlay.opaque";
    let (directory, name) = split(&path);
    if name == OPAQUE {
        let directory = directory.to_vec();
        // The directory itself may come later in the tar, or not at all.
        if tree.get(&String::from_utf8_lossy(&directory)).is_none() {
            tree.insert(
                directory.clone(),
                Kind::Directory,
                Attributes {
                    permissions: 0o755,
                    ..Attributes::default()
                },
            );
        }
        tree.opaque.insert(directory);
        return;
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        let hidden = join(directory, hidden);
        tree.insert(hidden, Kind::Whiteout, Attributes::default());
        return;
    }
    let is_opaque = kind == Kind::Directory
        && attributes
            .extended
            .remove(MARK)
            .is_some_and(|value| value == b"y");
    if is_opaque {
        tree.opaque.insert(path.clone());
    }
    let was_opaque = tree.opaque.contains(&path);
    let is_directory = kind == Kind::Directory;
    tree.insert(path.clone(), kind, attributes);
    if was_opaque && is_directory {
        tree.opaque.insert(path);
    }
}

/// Writes a file's content to where it can be read from later.
fn keep(entry: &mut Entry<'_, impl Read>, scratch: &Path) -> io::Result<Content> {
    let (mut output, file) = tempfile::NamedTempFile::new_in(scratch)?.keep()?;
    let bytes = io::copy(entry, &mut output)?;
    Ok(Content { file, bytes })
}

fn target(entry: &Entry<'_, impl Read>) -> Option<Vec<u8>> {
    entry
        .link_name_bytes()
        .map(Cow::into_owned)
        .filter(|target| !target.is_empty())
}

fn device(entry: &Entry<'_, impl Read>, kind: fn(u32, u32) -> Kind) -> io::Result<Kind> {
    let header = entry.header();
    let major = header.device_major()?.unwrap_or(0);
    let minor = header.device_minor()?.unwrap_or(0);
    Ok(match kind(major, minor) {
        // As overlayfs keeps them.
        Kind::CharacterDevice(0, 0) => Kind::Whiteout,
        kind => kind,
    })
}

fn attributes(entry: &mut Entry<'_, impl Read>) -> io::Result<Attributes> {
    /// Permissions and the three bits above them.
    const PERMISSIONS: u32 = 0o7777;
    let mut extended = BTreeMap::new();
    let mut modified = i64::try_from(entry.header().mtime()?).unwrap_or(i64::MAX);
    if let Some(records) = entry.pax_extensions()? {
        for record in records {
            let record = record?;
            if let Some(name) = record.key_bytes().strip_prefix(EXTENDED) {
                extended.insert(name.to_vec(), record.value_bytes().to_vec());
            } else if record.key_bytes() == b"mtime"
                && let Some(seconds) = record
                    .value()
                    .ok()
                    .and_then(|value| value.split('.').next()?.parse().ok())
            {
                modified = seconds;
            }
        }
    }
    let header = entry.header();
    let id = |id: u64| u32::try_from(id).map_err(|_| io::Error::other("an owner above 4294967295"));
    Ok(Attributes {
        permissions: (header.mode()? & PERMISSIONS) as u16,
        uid: id(header.uid()?)?,
        gid: id(header.gid()?)?,
        modified,
        extended,
    })
}
