//! Path walking: from a path to a place, one component at a time, without recursion.
//!
//! What is left of the path stands at the end of a fixed buffer; a symbolic link's target is put in front of it.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Kind};
use crate::fs::bind::Up;
use crate::fs::context::Context;
use crate::fs::dentry::{DentryId, State};
use crate::fs::flags::Last;
use crate::fs::inode::{InodeId, Node};
use crate::fs::place::{Place, PlaceRef};
use crate::fs::proc::Jump;
use crate::limits::{MAX_SYMLINKS, NAME_BYTES, PATH_BYTES};
use crate::wait::Stall;
use hal::block::Block;

/// Bytes of the buffer for what is left of a path: a path, and a link's target in front of it.
pub(super) const SCRATCH_BYTES: usize = 2 * PATH_BYTES;

/// Where a path starts.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Where absolute paths start; `..` does not lead out of it.
    pub root: PlaceRef<'a>,
    /// Where relative paths start.
    pub base: PlaceRef<'a>,
}

bitflags::bitflags! {
    /// Where a walk may not lead (openat2(2), with the numbers of linux/openat2.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Rules: u64 {
        /// RESOLVE_NO_XDEV: into another tree.
        const NO_XDEV = 1;
        /// RESOLVE_NO_MAGICLINKS: through a link of `/proc` that is no path.
        const NO_MAGICLINKS = 2;
        /// RESOLVE_NO_SYMLINKS: through a symbolic link.
        const NO_SYMLINKS = 4;
        /// RESOLVE_BENEATH: out of where it starts.
        const BENEATH = 8;
        /// RESOLVE_IN_ROOT: where it starts is the root.
        const IN_ROOT = 0x10;
        /// RESOLVE_CACHED: to a disk.
        const CACHED = 0x20;
        /// Where it starts it stays.
        const SCOPED = 8 | 0x10;
    }
}

/// The last component of a path.
#[expect(
    clippy::large_enum_variant,
    reason = "it lies on the stack for the length of one walk, without the heap"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LastName {
    /// A name that can be made or removed.
    Name(heapless::Vec<u8, NAME_BYTES>),
    /// The start itself: a path without components.
    Start,
    /// `.`.
    Dot,
    /// `..`.
    DotDot,
    /// Reached through a link of `/proc` that names no entry.
    Jumped,
}

/// The end of a walk.
#[derive(Debug)]
#[must_use = "its places have to be given back"]
pub(super) struct Resolved {
    /// The directory the last component was looked up in.
    pub(super) directory: Place,
    /// What was found there; it holds no inode when there is no such file.
    pub(super) entry: Place,
    pub(super) last: LastName,
    /// The path ended with a slash: only a directory will do.
    pub(super) is_slashed: bool,
}

/// A walk under way. `directory` and `entry` are referenced.
struct Walk {
    root: DentryId,
    directory: DentryId,
    entry: DentryId,
    last_name: LastName,
    /// Where in the buffer the rest of the path starts.
    at: usize,
    links: usize,
    is_slashed: bool,
    rules: Rules,
}

impl<B: Block> Files<B> {
    /// Finds the place a path leads to.
    ///
    /// # Errors
    ///
    /// Those of path_resolution(7).
    pub fn walk(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
        last: Last,
    ) -> Result<Place, Stall> {
        let found = self.resolve(context, start, path, last)?;
        self.release_place(found.directory);
        let checked = self.attributes_at(found.entry.0).and_then(|attributes| {
            if found.is_slashed && attributes.kind != Kind::Directory {
                return Err(Errno::ENOTDIR);
            }
            Ok(())
        });
        match checked {
            Ok(()) => Ok(found.entry),
            Err(errno) => {
                self.release_place(found.entry);
                Err(errno.into())
            }
        }
    }

    /// Gives both places of a finished walk back.
    pub(super) fn release_resolved(&mut self, found: Resolved) {
        self.release_place(found.directory);
        self.release_place(found.entry);
    }

    /// Walks a path up to its last component and looks that up, following a link there as `last` says. The entry that is
    /// found may hold no inode.
    pub(super) fn resolve(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
        last: Last,
    ) -> Result<Resolved, Stall> {
        let rules = core::mem::replace(&mut self.rules, Rules::empty());
        if path.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        if path.len() >= PATH_BYTES {
            return Err(Errno::ENAMETOOLONG.into());
        }
        let at = SCRATCH_BYTES - path.len();
        self.scratch[at..].copy_from_slice(path);
        let is_absolute = path[0] == b'/';
        let root = if rules.intersects(Rules::SCOPED) {
            start.base.0
        } else {
            start.root.0
        };
        if is_absolute && rules.contains(Rules::BENEATH) {
            return Err(Errno::EXDEV.into());
        }
        let from = if is_absolute { root } else { start.base.0 };
        self.dentries.hold(from);
        self.dentries.hold(from);
        let mut walk = Walk {
            root,
            directory: from,
            entry: from,
            last_name: LastName::Start,
            at,
            links: 0,
            is_slashed: false,
            rules,
        };
        let result = loop {
            match self.step(context, &mut walk, last) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(stall) => break Err(stall),
            }
        };
        let found = Resolved {
            directory: Place(walk.directory),
            entry: Place(walk.entry),
            last: walk.last_name,
            is_slashed: walk.is_slashed,
        };
        match result {
            Ok(()) => Ok(found),
            Err(stall) => {
                self.release_resolved(found);
                Err(stall)
            }
        }
    }

    /// Goes one component on; false when there is none left.
    fn step(
        &mut self,
        context: &mut Context<'_>,
        walk: &mut Walk,
        last: Last,
    ) -> Result<bool, Stall> {
        let slashes = count_while(&self.scratch[walk.at..], |byte| byte == b'/');
        walk.at += slashes;
        walk.is_slashed = slashes > 0;
        let rest = &self.scratch[walk.at..];
        if rest.is_empty() {
            return Ok(false);
        }
        let length = count_while(rest, |byte| byte != b'/');
        let name: heapless::Vec<u8, NAME_BYTES> =
            heapless::Vec::from_slice(&rest[..length]).map_err(|_| Errno::ENAMETOOLONG)?;
        walk.at += length;

        let attributes = self.attributes_at(walk.entry)?;
        if attributes.kind != Kind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        attributes.permit(context.credentials, Access::EXECUTE)?;
        match &name[..] {
            b"." => {
                let here = walk.entry;
                self.dentries.hold(here);
                self.move_to(walk, here, LastName::Dot);
            }
            b".." => {
                if walk.rules.contains(Rules::BENEATH) && walk.entry == walk.root {
                    return Err(Errno::EXDEV.into());
                }
                let above = self.above(walk.root, walk.entry)?;
                self.permit_mount(walk.rules, walk.entry, above)?;
                self.dentries.hold(above);
                self.move_to(walk, above, LastName::DotDot);
            }
            _ => {
                let child = self.child(context, walk.entry, &name)?;
                let child = self.top_of(child);
                self.permit_mount(walk.rules, walk.entry, child)?;
                self.dentries.hold(child);
                if let Err(stall) = self.enter_child(context, walk, child, last, name) {
                    self.let_go(child);
                    return Err(stall);
                }
            }
        }
        Ok(true)
    }

    /// Makes `child`, which is referenced, the present entry, or goes where it points. On an error the reference is
    /// still the caller's.
    fn enter_child(
        &mut self,
        context: &mut Context<'_>,
        walk: &mut Walk,
        child: DentryId,
        last: Last,
        name: heapless::Vec<u8, NAME_BYTES>,
    ) -> Result<(), Stall> {
        let rest = &self.scratch[walk.at..];
        let is_last = match last {
            Last::Name => rest.iter().all(|&byte| byte == b'/'),
            _ => rest.is_empty(),
        };
        let inode = self.dentries.get(child)?.inode;
        let link = inode.filter(|&inode| {
            self.inodes
                .get(inode)
                .is_some_and(|inode| inode.attributes.kind == Kind::Symlink)
        });
        let Some(link) = link.filter(|_| !is_last || last == Last::Follow) else {
            let directory = core::mem::replace(&mut walk.directory, walk.entry);
            walk.entry = child;
            walk.last_name = LastName::Name(name);
            self.let_go(directory);
            return Ok(());
        };
        walk.links += 1;
        if walk.links > MAX_SYMLINKS || walk.rules.contains(Rules::NO_SYMLINKS) {
            return Err(Errno::ELOOP.into());
        }
        let jump = self.jump(context, link)?;
        if jump.is_some() {
            if walk.rules.contains(Rules::NO_MAGICLINKS) {
                return Err(Errno::ELOOP.into());
            }
            if walk.rules.intersects(Rules::SCOPED) {
                return Err(Errno::EXDEV.into());
            }
        }
        match jump {
            Some(Jump::To(target)) => {
                self.permit_mount(walk.rules, walk.entry, target)?;
                self.dentries.hold(target);
                self.move_to(walk, target, LastName::Jumped);
                self.let_go(child);
                return Ok(());
            }
            Some(Jump::Open(_)) => {
                self.move_to(walk, child, LastName::Jumped);
                return Ok(());
            }
            None => {}
        }
        let start = self.put_link_before(context, link, walk.at)?;
        walk.at = start;
        if self.scratch[start] == b'/' {
            let root = walk.root;
            self.permit_root(walk.rules, walk.entry, root)?;
            self.dentries.hold(root);
            self.move_to(walk, root, LastName::Start);
        }
        self.let_go(child);
        Ok(())
    }

    /// Checks that a path from an entry may start over at the root.
    fn permit_root(&self, rules: Rules, from: DentryId, root: DentryId) -> Result<(), Errno> {
        if rules.contains(Rules::BENEATH) {
            return Err(Errno::EXDEV);
        }
        self.permit_mount(rules, from, root)
    }

    /// Checks that a path may lead from one entry to another one, which may be in another tree.
    fn permit_mount(&self, rules: Rules, from: DentryId, to: DentryId) -> Result<(), Errno> {
        if rules.contains(Rules::NO_XDEV)
            && self.dentries.get(from)?.mount != self.dentries.get(to)?.mount
        {
            return Err(Errno::EXDEV);
        }
        Ok(())
    }

    /// Makes `entry`, whose reference is taken, the present one and its own directory.
    fn move_to(&mut self, walk: &mut Walk, entry: DentryId, last_name: LastName) {
        self.dentries.hold(entry);
        let directory = core::mem::replace(&mut walk.directory, entry);
        let before = core::mem::replace(&mut walk.entry, entry);
        walk.last_name = last_name;
        self.let_go(directory);
        self.let_go(before);
    }

    /// Returns the directory above an entry, out of mounted trees but not out of `root`.
    fn above(&self, root: DentryId, mut entry: DentryId) -> Result<DentryId, Errno> {
        loop {
            if entry == root {
                return Ok(entry);
            }
            match self.up(root, entry)? {
                Up::Parent(parent) => return Ok(parent),
                Up::Over(over) => entry = over,
                Up::Top => return Ok(entry),
            }
        }
    }

    /// Returns the root of what is mounted on an entry, or the entry itself.
    pub(super) fn top_of(&self, mut entry: DentryId) -> DentryId {
        while let Some(root) = self
            .dentries
            .get(entry)
            .ok()
            .and_then(|known| known.mounted)
        {
            entry = root;
        }
        entry
    }

    /// Puts a link's target before byte `at` of the buffer and returns where it starts.
    fn put_link_before(
        &mut self,
        context: &mut Context<'_>,
        link: InodeId,
        at: usize,
    ) -> Result<usize, Stall> {
        let mut scratch = core::mem::take(&mut self.scratch);
        let result = self.read_link(context, link, &mut scratch[..at]);
        if let Ok(length) = result {
            scratch.copy_within(..length, at - length);
        }
        self.scratch = scratch;
        match result? {
            0 => Err(Errno::ENOENT.into()),
            length => Ok(at - length),
        }
    }

    /// Writes a symbolic link's target into `out` and returns its length.
    pub(super) fn read_link(
        &mut self,
        context: &mut Context<'_>,
        id: InodeId,
        out: &mut [u8],
    ) -> Result<usize, Stall> {
        let inode = self.inodes.get(id).ok_or(Errno::EIO)?;
        if inode.attributes.kind != Kind::Symlink {
            return Err(Errno::EINVAL.into());
        }
        match &inode.node {
            Node::Union(union) => match union.lower {
                Some(base) => self.base_link(context, base, out),
                None => {
                    let target = &union.link;
                    out.get_mut(..target.len())
                        .ok_or(Errno::ENAMETOOLONG)?
                        .copy_from_slice(target);
                    Ok(target.len())
                }
            },
            Node::Proc(node) => self.proc_link(context, *node, out),
            _ => self.base_link(context, id, out),
        }
    }

    /// Writes the path that leads from `root` to a place into `out` and returns its length.
    ///
    /// # Errors
    ///
    /// ENAMETOOLONG when `out` is too short, ENOENT when the place was removed.
    pub fn path_of(
        &self,
        root: PlaceRef<'_>,
        place: PlaceRef<'_>,
        out: &mut [u8],
    ) -> Result<usize, Errno> {
        self.path_between(root.0, place.0, out)
    }

    pub(super) fn path_between(
        &self,
        root: DentryId,
        mut entry: DentryId,
        out: &mut [u8],
    ) -> Result<usize, Errno> {
        let mut at = out.len();
        while entry != root {
            let parent = match self.up(root, entry)? {
                Up::Parent(parent) => parent,
                Up::Over(over) => {
                    entry = over;
                    continue;
                }
                Up::Top => break,
            };
            let known = self.dentries.get(entry)?;
            if known.state == State::Detached && !self.is_proc(entry) {
                return Err(Errno::ENOENT);
            }
            let start = at
                .checked_sub(known.name.len() + 1)
                .ok_or(Errno::ENAMETOOLONG)?;
            out[start] = b'/';
            out[start + 1..at].copy_from_slice(&known.name);
            at = start;
            entry = parent;
        }
        if at == out.len() {
            at = at.checked_sub(1).ok_or(Errno::ENAMETOOLONG)?;
            out[at] = b'/';
        }
        let length = out.len() - at;
        out.copy_within(at.., 0);
        Ok(length)
    }
}

fn count_while(bytes: &[u8], is_counted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|&&byte| is_counted(byte)).count()
}
