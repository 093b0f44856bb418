//! What debugfs is told to make an image of a tree, and how much room the image needs.
//!
//! One command per line; words in double quotes, a quote in them doubled (e2fsprogs `lib/ss/parse.c`). Everything debugfs
//! makes has the owner 0/0 and the time of the environment; what differs is set.

use super::path::split;
use super::tree::{Attributes, Inode, InodeId, Kind, Tree};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Block size of the images.
pub(super) const BLOCK_BYTES: u64 = 4096;

/// Longest target an inode holds without a block of its own (`EXT4_N_BLOCKS * 4 - 1`).
const FAST_SYMLINK_BYTES: usize = 59;

/// What fits into an inode of 256 bytes beside its fields, as extended attributes with their entries.
const INLINE_ATTRIBUTE_BYTES: usize = 64;

/// Commands, and what they need.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) text: Vec<u8>,
    /// Lines of it, which debugfs says as it carries them out.
    pub(super) commands: u64,
    pub(super) inodes: u64,
    pub(super) blocks: u64,
    pub(super) files: u64,
    /// The directory of the last command that needed one.
    current: Option<Vec<u8>>,
}

impl Script {
    /// Returns the commands for a tree. Values of extended attributes go to files in `scratch`.
    pub(super) fn of(tree: &Tree, scratch: &Path) -> io::Result<Self> {
        let mut script = Self::default();
        let mut links: BTreeMap<InodeId, u32> = BTreeMap::new();
        for id in tree.names.values() {
            *links.entry(*id).or_default() += 1;
        }
        let mut first: BTreeMap<InodeId, &[u8]> = BTreeMap::new();
        for (path, id) in &tree.names {
            match first.get(id) {
                Some(target) => script.link(target, path),
                None => {
                    let is_opaque = tree.opaque.contains(path);
                    script.make(path, &tree.inodes[*id], is_opaque, scratch)?;
                    first.insert(*id, path);
                }
            }
        }
        for (id, count) in links {
            if count > 1 {
                script.set(first[&id], "links_count", &count.to_string());
            }
        }
        script.blocks += directory_blocks(tree);
        Ok(script)
    }

    fn make(
        &mut self,
        path: &[u8],
        inode: &Inode,
        is_opaque: bool,
        scratch: &Path,
    ) -> io::Result<()> {
        self.inodes += 1;
        let name = split(path).1;
        let kind_bits = match &inode.kind {
            Kind::Directory => {
                if !path.is_empty() {
                    self.enter(path);
                    self.command(&[b"mkdir", name]);
                }
                0o040_000
            }
            Kind::File(content) => {
                self.files += 1;
                self.blocks += blocks(content.bytes);
                self.enter(path);
                self.command(&[b"write", content.file.as_os_str().as_bytes(), name]);
                0o100_000
            }
            Kind::Symlink(target) => {
                self.blocks += u64::from(target.len() > FAST_SYMLINK_BYTES);
                self.enter(path);
                self.command(&[b"symlink", name, target]);
                0o120_000
            }
            Kind::CharacterDevice(major, minor) => {
                self.device(path, "c", *major, *minor, 0o020_000)
            }
            Kind::BlockDevice(major, minor) => self.device(path, "b", *major, *minor, 0o060_000),
            Kind::Whiteout => self.device(path, "c", 0, 0, 0o020_000),
            Kind::Fifo => {
                self.enter(path);
                self.command(&[b"mknod", name, b"p"]);
                0o010_000
            }
        };
        self.attributes(path, kind_bits, &inode.attributes);
        let mark = is_opaque.then_some((&b"trusted.overlay.opaque"[..], &b"y"[..]));
        let extended = inode.attributes.extended.iter();
        let extended = extended.map(|(name, value)| (name.as_slice(), value.as_slice()));
        let mut bytes = 0;
        for (name, value) in extended.chain(mark) {
            bytes += name.len() + value.len() + 24;
            let file = scratch.join(format!("value-{}", self.commands));
            fs::write(&file, value)?;
            self.command(&[
                b"ea_set",
                b"-f",
                file.as_os_str().as_bytes(),
                &absolute(path),
                name,
            ]);
        }
        self.blocks += u64::from(bytes > INLINE_ATTRIBUTE_BYTES) * blocks(bytes as u64);
        Ok(())
    }

    fn device(&mut self, path: &[u8], kind: &str, major: u32, minor: u32, bits: u32) -> u32 {
        self.enter(path);
        let (major, minor) = (major.to_string(), minor.to_string());
        self.command(&[
            b"mknod",
            split(path).1,
            kind.as_bytes(),
            major.as_bytes(),
            minor.as_bytes(),
        ]);
        bits
    }

    fn attributes(&mut self, path: &[u8], kind_bits: u32, attributes: &Attributes) {
        let permissions = u32::from(attributes.permissions);
        let permissions = match kind_bits {
            // Linux shows these for every symbolic link.
            0o120_000 => 0o777,
            _ => permissions,
        };
        self.set(path, "mode", &format!("0{:o}", kind_bits | permissions));
        for (field, id) in [("uid", attributes.uid), ("gid", attributes.gid)] {
            if id != 0 {
                self.set(path, field, &id.to_string());
            }
        }
        // ext4's seconds count from 1970 and have 34 bits; before 1970 is told as 1970.
        for field in ["mtime", "atime", "ctime"] {
            self.set(path, field, &format!("@{}", attributes.modified.max(0)));
        }
    }

    fn link(&mut self, target: &[u8], path: &[u8]) {
        self.enter(path);
        self.command(&[b"ln", &absolute(target), split(path).1]);
    }

    fn set(&mut self, path: &[u8], field: &str, value: &str) {
        self.command(&[b"sif", &absolute(path), field.as_bytes(), value.as_bytes()]);
    }

    /// Goes to the directory of a path: what makes something knows names only.
    fn enter(&mut self, path: &[u8]) {
        let directory = split(path).0;
        if self.current.as_deref() != Some(directory) {
            self.command(&[b"cd", &absolute(directory)]);
            self.current = Some(directory.to_vec());
        }
    }

    fn command(&mut self, words: &[&[u8]]) {
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                self.text.push(b' ');
            }
            self.text.push(b'"');
            for &byte in *word {
                if byte == b'"' {
                    self.text.push(b'"');
                }
                self.text.push(byte);
            }
            self.text.push(b'"');
        }
        self.text.push(b'\n');
        self.commands += 1;
    }
}

fn absolute(path: &[u8]) -> Vec<u8> {
    [b"/", path].concat()
}

fn blocks(bytes: u64) -> u64 {
    /// Blocks an extent tree's leaf maps at least, when a file lies in pieces.
    const BLOCKS_PER_LEAF: u64 = 340;
    let blocks = bytes.div_ceil(BLOCK_BYTES);
    blocks + blocks / BLOCKS_PER_LEAF
}

/// Blocks of directory entries: each has a head of 8 bytes and a multiple of 4; blocks are filled to three quarters at
/// least.
fn directory_blocks(tree: &Tree) -> u64 {
    let mut bytes: BTreeMap<&[u8], u64> = BTreeMap::new();
    for (path, id) in &tree.names {
        let (directory, name) = split(path);
        *bytes.entry(directory).or_default() += 8 + (name.len() as u64).next_multiple_of(4);
        if tree.inodes[*id].kind == Kind::Directory {
            bytes.entry(path).or_default();
        }
    }
    bytes
        .values()
        .map(|bytes| 1 + bytes * 4 / 3 / BLOCK_BYTES)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_blanks_and_quotes_reach_debugfs_as_they_are() {
        let mut tree = Tree::new();
        tree.insert(b"a b\"c".to_vec(), Kind::Fifo, Attributes::default());
        let script = Script::of(&tree, Path::new("/nowhere")).expect("no attributes");
        let text = String::from_utf8(script.text).expect("ASCII");
        assert!(text.contains("\"mknod\" \"a b\"\"c\" \"p\"\n"), "{text}");
    }
}
