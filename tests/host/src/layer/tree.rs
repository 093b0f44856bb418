//! A file tree: names, and the inodes behind them. Two names with one inode are hard links.

use super::path::split;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What belongs to every inode.
///
/// # Example
///
/// ```
/// use mote_host::layer;
/// let directory = tempfile::tempdir()?;
/// std::fs::write(directory.path().join("hello"), "hello\n")?;
/// let tree = layer::read(directory.path(), directory.path())?;
/// let (_, attributes) = tree.get("hello").unwrap();
/// assert_eq!(attributes.permissions & 0o600, 0o600);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permissions with set-user-id, set-group-id and sticky bit.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change of the content, in seconds since 1970.
    pub modified: i64,
    /// Extended attributes by their full names.
    pub extended: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The content of a regular file.
///
/// # Example
///
/// ```
/// use mote_host::layer::{self, Kind};
/// let directory = tempfile::tempdir()?;
/// std::fs::write(directory.path().join("hello"), "hello\n")?;
/// let tree = layer::read(directory.path(), directory.path())?;
/// let (Kind::File(content), _) = tree.get("hello").unwrap() else { panic!("it is a file") };
/// assert_eq!(std::fs::read(&content.file)?.len() as u64, content.bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Where it lies on the host.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// What an inode is.
///
/// # Example
///
/// ```
/// use mote_host::layer::{self, Kind};
/// let directory = tempfile::tempdir()?;
/// std::os::unix::fs::symlink("target", directory.path().join("link"))?;
/// let tree = layer::read(directory.path(), directory.path())?;
/// assert_eq!(tree.get("link").unwrap().0, &Kind::Symlink(b"target".to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A character device.
    CharacterDevice(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// The mark that nothing below shows at this name.
    Whiteout,
}

/// One inode.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) kind: Kind,
    pub(super) attributes: Attributes,
}

/// Names an inode of one tree.
pub(super) type InodeId = usize;

/// A file tree.
#[derive(Clone, Debug)]
pub struct Tree {
    pub(super) inodes: Vec<Inode>,
    /// By path; a directory comes before what is in it, since its path is the shorter one of two that begin alike.
    pub(super) names: BTreeMap<Vec<u8>, InodeId>,
    /// Directories that show nothing of what lies below them.
    pub(super) opaque: BTreeSet<Vec<u8>>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree that is an empty root directory.
    ///
    /// # Example
    ///
    /// ```
    /// let tree = mote_host::layer::Tree::new();
    /// assert!(tree.is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            inodes: vec![directory()],
            names: BTreeMap::from([(Vec::new(), 0)]),
            opaque: BTreeSet::new(),
        }
    }

    /// Returns how many names there are beside the root.
    ///
    /// # Example
    ///
    /// ```
    /// let directory = tempfile::tempdir()?;
    /// std::fs::create_dir(directory.path().join("one"))?;
    /// let tree = mote_host::layer::read(directory.path(), directory.path())?;
    /// assert_eq!(tree.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len() - 1
    }

    /// Returns whether there is nothing but the root.
    ///
    /// # Example
    ///
    /// ```
    /// assert!(mote_host::layer::Tree::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what is at a path, and its attributes.
    ///
    /// # Example
    ///
    /// ```
    /// let directory = tempfile::tempdir()?;
    /// std::fs::create_dir(directory.path().join("one"))?;
    /// let tree = mote_host::layer::read(directory.path(), directory.path())?;
    /// assert_eq!(tree.get("one").unwrap().0, &mote_host::layer::Kind::Directory);
    /// assert!(tree.get("two").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(&Kind, &Attributes)> {
        let inode = &self.inodes[*self.names.get(path.trim_matches('/').as_bytes())?];
        Some((&inode.kind, &inode.attributes))
    }

    /// Returns all paths below the root, in order.
    ///
    /// # Example
    ///
    /// ```
    /// let directory = tempfile::tempdir()?;
    /// std::fs::create_dir_all(directory.path().join("a/b"))?;
    /// let tree = mote_host::layer::read(directory.path(), directory.path())?;
    /// assert_eq!(tree.paths().collect::<Vec<_>>(), [&b"a"[..], b"a/b"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.names.keys().skip(1).map(Vec::as_slice)
    }

    /// Returns the sum of the contents of all files.
    ///
    /// # Example
    ///
    /// ```
    /// let directory = tempfile::tempdir()?;
    /// std::fs::write(directory.path().join("hello"), "hello\n")?;
    /// let tree = mote_host::layer::read(directory.path(), directory.path())?;
    /// assert_eq!(tree.content_bytes(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        let live: BTreeSet<InodeId> = self.names.values().copied().collect();
        live.into_iter()
            .map(|id| match &self.inodes[id].kind {
                Kind::File(content) => content.bytes,
                _ => 0,
            })
            .sum()
    }

    /// Puts something at a path: in a directory's place if both are directories, else instead of all that was there.
    pub(super) fn insert(&mut self, path: Vec<u8>, kind: Kind, attributes: Attributes) {
        if kind == Kind::Directory
            && let Some(&id) = self.names.get(&path)
            && self.inodes[id].kind == Kind::Directory
        {
            self.inodes[id].attributes = attributes;
            return;
        }
        let id = self.inodes.len();
        self.inodes.push(Inode { kind, attributes });
        self.place(path, id);
    }

    /// Gives an inode one more name; `false` when there is no such name to link to, or it is a directory's.
    pub(super) fn link(&mut self, path: Vec<u8>, target: &[u8]) -> bool {
        match self.names.get(target) {
            Some(&id) if self.inodes[id].kind != Kind::Directory => {
                if path != target {
                    self.place(path, id);
                }
                true
            }
            _ => false,
        }
    }

    pub(super) fn place(&mut self, path: Vec<u8>, id: InodeId) {
        self.ensure_directory(split(&path).0);
        self.remove(&path);
        self.names.insert(path, id);
    }

    /// Removes a name and all below it.
    pub(super) fn remove(&mut self, path: &[u8]) {
        self.names.remove(path);
        self.opaque.remove(path);
        self.clear(path);
    }

    /// Removes all below a name.
    pub(super) fn clear(&mut self, path: &[u8]) {
        /// The byte behind `/`.
        const AFTER_SLASH: u8 = b'/' + 1;
        if path.is_empty() {
            self.names.retain(|path, _| path.is_empty());
            self.opaque.clear();
            return;
        }
        let first = [path, b"/"].concat();
        let end = [path, &[AFTER_SLASH]].concat();
        let below: Vec<Vec<u8>> = self
            .names
            .range(first..end)
            .map(|(path, _)| path.clone())
            .collect();
        for path in below {
            self.names.remove(&path);
            self.opaque.remove(&path);
        }
    }

    /// Makes a directory and those above it where there is none, whatever else is there.
    fn ensure_directory(&mut self, path: &[u8]) {
        // From the root down, so that what is no directory goes with all that claims to be in it.
        for end in (0..=path.len()).filter(|&end| end == path.len() || path[end] == b'/') {
            let path = &path[..end];
            let is_directory = self
                .names
                .get(path)
                .is_some_and(|&id| self.inodes[id].kind == Kind::Directory);
            if !is_directory {
                self.remove(path);
                let id = self.inodes.len();
                self.inodes.push(directory());
                self.names.insert(path.to_vec(), id);
            }
        }
    }
}

/// A directory nobody described.
fn directory() -> Inode {
    Inode {
        kind: Kind::Directory,
        attributes: Attributes {
            permissions: 0o755,
            ..Attributes::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(tree: &mut Tree, path: &str, kind: Kind) {
        tree.insert(path.into(), kind, Attributes::default());
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.paths()
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect()
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let mut tree = Tree::new();
        put(&mut tree, "a/b/c", Kind::Fifo);
        put(&mut tree, "a-b", Kind::Fifo);
        assert_eq!(paths(&tree), ["a", "a-b", "a/b", "a/b/c"]);
    }

    #[test]
    fn removing_a_directory_removes_all_below_it_and_nothing_beside_it() {
        let mut tree = Tree::new();
        for path in ["a/b", "a/b/c", "a-b", "a0", "ab"] {
            put(&mut tree, path, Kind::Fifo);
        }
        tree.remove(b"a");
        assert_eq!(paths(&tree), ["a-b", "a0", "ab"]);
        tree.clear(b"");
        assert!(tree.is_empty());
    }

    #[test]
    fn something_in_what_is_no_directory_makes_it_one() {
        let mut tree = Tree::new();
        put(&mut tree, "lib", Kind::Symlink(b"usr/lib".to_vec()));
        put(&mut tree, "lib/x", Kind::Fifo);
        assert_eq!(tree.get("lib").expect("there").0, &Kind::Directory);
    }

    #[test]
    fn a_link_needs_something_that_is_no_directory() {
        let mut tree = Tree::new();
        put(&mut tree, "a", Kind::Fifo);
        put(&mut tree, "d", Kind::Directory);
        assert!(tree.link(b"b".to_vec(), b"a"));
        assert!(tree.link(b"a".to_vec(), b"a"));
        assert!(!tree.link(b"c".to_vec(), b"absent"));
        assert!(!tree.link(b"c".to_vec(), b"d"));
        assert_eq!(paths(&tree), ["a", "b", "d"]);
    }
}
