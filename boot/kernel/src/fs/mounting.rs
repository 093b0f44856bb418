//! Mounting: the machine's root, containers' views, and what every tree is furnished with.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Attributes, Kind};
use crate::fs::base::{Origin, initrd_root, volume_root};
use crate::fs::change::Make;
use crate::fs::context::Context;
use crate::fs::credentials::Credentials;
use crate::fs::dentry::{DentryId, State};
use crate::fs::device::{Device, device_number};
use crate::fs::inode::{Inode, InodeId, Node, Union};
use crate::fs::mount::{Layers, Mount, MountId, NewTree, Sort, TreeSet};
use crate::fs::place::{Place, PlaceRef};
use crate::fs::proc::ProcNode;
use crate::fs::terminal;
use crate::fs::walk::{LastName, Resolved};
use crate::limits::MAX_MOUNTS;
use crate::wait::Stall;
use agent::kernel::Writes;
use hal::block::Block;

/// Numbers of files made in memory start here, above those of any source.
const FIRST_NUMBER: u64 = 1 << 32;

/// What every tree has, made if the sources have it not.
const FURNITURE: [(&[u8], u16, Option<Sort>); 3] = [
    (b"dev", 0o755, Some(Sort::Devices)),
    (b"proc", 0o555, Some(Sort::Processes)),
    (b"tmp", 0o1777, None),
];

/// Trees of one view: its own and those its furniture is covered with.
const TREES: usize = 4;

const DEVICES: [(&[u8], u64); 8] = [
    (b"null", Device::Null.number()),
    (b"zero", Device::Zero.number()),
    (b"full", Device::Full.number()),
    (b"random", Device::Random.number()),
    (b"urandom", Device::Urandom.number()),
    (b"vsock", Device::Vsock.number()),
    (b"tty", terminal::OWN),
    (b"ptmx", terminal::MASTERS),
];

const DEVICE_LINKS: [(&[u8], &[u8]); 4] = [
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
];

impl<B: Block> Files<B> {
    /// Mounts the machine's root (the first disk that holds ext4, else the initrd, else memory) with `/dev`, `/proc`
    /// and `/tmp`, and returns its root. Later calls return the same root.
    ///
    /// # Errors
    ///
    /// EIO when a disk fails, EINVAL when there are disks but none that holds a file system this kernel reads.
    pub fn mount_root(&mut self, context: &mut Context<'_>) -> Result<Place, Stall> {
        let root = match self.root {
            Some(root) => root,
            None => {
                let bases = Layers {
                    top: self.root_base(context)?,
                    ..Layers::default()
                };
                let root = self.mount_tree(context, bases, NewTree::OWN, None)?;
                self.root = Some(root);
                root
            }
        };
        self.furnish_as_root(context, root)?;
        self.dentries.hold(root);
        Ok(Place(root))
    }

    /// Returns the root directory of what the machine was given to start from, with a reference.
    fn root_base(&mut self, context: &mut Context<'_>) -> Result<Option<InodeId>, Stall> {
        let mut failure = None;
        for disk in 0..self.disks.len() as u8 {
            if self.is_addressed(disk)? {
                continue;
            }
            match self.disk_base(context, disk) {
                Ok(base) if self.is_directory(base) => return Ok(Some(base)),
                Ok(base) => {
                    self.release_inode(base);
                    failure = Some(Errno::EIO);
                }
                Err(stall) => failure = Some(stall.errno().ok_or(stall)?),
            }
        }
        if self.initrd.is_present() {
            self.initrd.index()?;
            return Ok(Some(self.base(context, initrd_root())?));
        }
        failure.map_or(Ok(None), |errno| Err(errno.into()))
    }

    /// Returns the root directory of the file system on a whole disk, with a reference.
    fn disk_base(&mut self, context: &mut Context<'_>, disk: u8) -> Result<InodeId, Stall> {
        let volume = self.volumes.acquire(disk, 0, self.disks.bytes(disk))?;
        let base = self
            .ext4_mount(context, volume)
            .and_then(|()| self.base(context, volume_root(volume)));
        if base.is_err_and(Stall::is_error) {
            self.volumes.discard(volume);
        }
        base
    }

    pub(super) fn is_directory(&self, inode: InodeId) -> bool {
        self.inodes
            .get(inode)
            .is_some_and(|inode| inode.attributes.kind == Kind::Directory)
    }

    /// Makes a tree over some bases, whose references are taken; returns its root, which the tree holds.
    pub(super) fn mount_tree(
        &mut self,
        context: &mut Context<'_>,
        bases: Layers,
        tree: NewTree,
        over: Option<DentryId>,
    ) -> Result<DentryId, Errno> {
        let sort = if bases.top.is_none() {
            Sort::Memory
        } else {
            Sort::Overlay
        };
        let volumes = bases.iter().fold(0, |volumes, base| {
            let origin = self.inodes.get(base).and_then(Inode::origin);
            let volume = origin.and_then(Origin::volume);
            volumes | volume.map_or(0, |volume| 1 << volume)
        });
        let mount = match self.new_mount(sort, over) {
            Ok(mount) => mount,
            Err(errno) => {
                self.release_bases(bases);
                return Err(errno);
            }
        };
        if let Some(mount) = self.mounts.get_mut(mount) {
            mount.writes = tree.writes;
            mount.lenders = bases.lenders;
            mount.view = tree.view;
            mount.volumes = volumes;
        }
        let inode = match bases.top {
            Some(top) => self.union_root(context, mount, top, bases.deeper),
            None => self.memory_directory(context, mount, tree.permissions),
        };
        self.finish_mount(mount, inode)
    }

    /// Makes a view's tree over a directory of another tree.
    ///
    /// What was changed in memory below that directory is not seen: a view stands on the sources. A directory that is
    /// in memory altogether has none; the view is then that directory itself. So is a directory on which a tree is mounted:
    /// the host made that tree for the view.
    ///
    /// # Errors
    ///
    /// ENOTDIR, ENOMEM, ENOSPC at the limit of mounts.
    pub fn mount_view(
        &mut self,
        context: &mut Context<'_>,
        over: PlaceRef<'_>,
    ) -> Result<Place, Stall> {
        if self.mounts.len() + TREES > MAX_MOUNTS && self.has_abandoned_trees() {
            return Err(Stall::AGAIN);
        }
        let id = self.inode_at(over.0)?;
        if !self.is_directory(id) {
            return Err(Errno::ENOTDIR.into());
        }
        let is_memory = self.source(id, 0).is_none();
        if is_memory || self.is_mount_point(over.0) {
            let root = self.share_place(over);
            if !is_memory && let Err(stall) = self.furnish_as_root(context, root.0) {
                self.release_place(root);
                return Err(stall);
            }
            return Ok(root);
        }
        let mut bases = Layers::default();
        if let Err(errno) = self.gather(over, &mut bases) {
            self.release_bases(bases);
            return Err(errno.into());
        }
        let root = self.mount_tree(context, bases, NewTree::OWN, None)?;
        self.dentries.hold(root);
        let root = Place(root);
        if let Err(stall) = self.furnish_as_root(context, root.0) {
            // What was read until now is in the cache: the next try comes further.
            self.unmount_view(root);
            return Err(stall);
        }
        Ok(root)
    }

    /// Returns whether an entry is the root of a tree that is mounted somewhere.
    fn is_mount_point(&self, entry: DentryId) -> bool {
        self.dentries.get(entry).is_ok_and(|known| {
            let mount = self.mounts.get(known.mount);
            known.parent.is_none() && mount.is_some_and(|mount| mount.over.is_some())
        })
    }

    /// Furnishes a tree on the kernel's own behalf, whoever caused it.
    fn furnish_as_root(&mut self, context: &mut Context<'_>, root: DentryId) -> Result<(), Stall> {
        let owner = Credentials::default();
        let mut context = Context {
            credentials: &owner,
            pool: context.pool,
            accounts: context.accounts,
            wakes: context.wakes,
            random: context.random,
            ..*context
        };
        self.furnish(&mut context, root)
    }

    fn furnish(&mut self, context: &mut Context<'_>, root: DentryId) -> Result<(), Stall> {
        for (name, permissions, sort) in FURNITURE {
            let entry = self.child(context, root, name)?;
            if self.dentries.get(entry)?.mounted.is_some() {
                continue;
            }
            if self.dentries.get(entry)?.inode.is_none() {
                self.make_in(context, root, entry, name, Make::Directory, permissions)?;
            }
            let inode = self.inode_at(entry)?;
            if !self.is_directory(inode) {
                log::warn!("{} is no directory; left as it is", name.escape_ascii());
                continue;
            }
            if let Some(sort) = sort {
                self.cover(context, entry, sort)?;
            }
        }
        Ok(())
    }

    /// Makes a file under an entry that was found to hold none.
    fn make_in(
        &mut self,
        context: &mut Context<'_>,
        directory: DentryId,
        entry: DentryId,
        name: &[u8],
        make: Make<'_>,
        permissions: u16,
    ) -> Result<(), Errno> {
        self.dentries.hold(directory);
        self.dentries.hold(entry);
        let found = Resolved {
            directory: Place(directory),
            entry: Place(entry),
            last: LastName::Name(heapless::Vec::from_slice(name).map_err(|_| Errno::EIO)?),
            is_slashed: false,
        };
        let made = self.make(context, &found, make, permissions);
        self.release_resolved(found);
        made.map(|_inode| ())
    }

    /// Mounts `/dev`, `/dev/pts` or `/proc` on a directory.
    fn cover(
        &mut self,
        context: &mut Context<'_>,
        over: DentryId,
        sort: Sort,
    ) -> Result<(), Stall> {
        let mount = self.new_mount(sort, Some(over))?;
        let node = match sort {
            Sort::Processes => Some(ProcNode::Root),
            Sort::Terminals => Some(ProcNode::Terminals),
            _ => None,
        };
        let inode = match node {
            Some(node) => {
                let inode = Inode::new(node.attributes(context), Node::Proc(node));
                self.inodes.insert(inode).map_err(|_| Errno::ENOMEM)
            }
            None => self.memory_directory(context, mount, 0o755),
        };
        let root = self.finish_mount(mount, inode)?;
        if sort == Sort::Devices {
            for (name, special) in DEVICES {
                let entry = self.child(context, root, name)?;
                let make = Make::Special(Kind::Character, special);
                self.make_in(context, root, entry, name, make, 0o666)?;
            }
            for (name, target) in DEVICE_LINKS {
                let entry = self.child(context, root, name)?;
                self.make_in(context, root, entry, name, Make::Symlink(target), 0o777)?;
            }
            for (name, permissions) in [(b"shm", 0o1777), (b"pts", 0o755)] {
                let entry = self.child(context, root, name)?;
                self.make_in(context, root, entry, name, Make::Directory, permissions)?;
            }
            let over = self.child(context, root, b"pts")?;
            self.cover(context, over, Sort::Terminals)?;
        }
        self.put_over(root, over)?;
        Ok(())
    }

    fn new_mount(&mut self, sort: Sort, over: Option<DentryId>) -> Result<MountId, Errno> {
        let mount = Mount {
            sort,
            root: None,
            over,
            writes: Writes::Kept,
            lenders: TreeSet::default(),
            view: None,
            volumes: 0,
            is_abandoned: false,
            next_number: FIRST_NUMBER,
            device: 0,
        };
        let id = self.mounts.insert(mount).map_err(|_| Errno::ENOSPC)?;
        if let Some(mount) = self.mounts.get_mut(id) {
            // Anonymous devices have major 0 (Linux fs/super.c `get_anon_bdev`).
            mount.device = device_number(0, 32 + id.index());
        }
        Ok(id)
    }

    fn memory_directory(
        &mut self,
        context: &Context<'_>,
        mount: MountId,
        permissions: u16,
    ) -> Result<InodeId, Errno> {
        let attributes = Attributes {
            kind: Kind::Directory,
            permissions,
            uid: 0,
            gid: 0,
            size: 4096,
            links: 2,
            number: 1,
            device: self.mounts.get(mount).map_or(0, |mount| mount.device),
            special: 0,
            blocks: 0,
            accessed: context.wall,
            modified: context.wall,
            changed: context.wall,
        };
        let union = Union::new(mount, context.account);
        self.inodes
            .insert(Inode::new(attributes, Node::Union(union)))
            .map_err(|_| Errno::ENOMEM)
    }

    /// Gives a tree its root, or takes the tree back when that could not be made.
    fn finish_mount(
        &mut self,
        mount: MountId,
        inode: Result<InodeId, Errno>,
    ) -> Result<DentryId, Errno> {
        let entered = inode.and_then(|inode| {
            self.enter(None, b"", Some(inode), mount, State::Cached)
                .inspect_err(|_| self.release_inode(inode))
        });
        match entered {
            Ok(root) => {
                self.dentries.hold(root);
                if let Some(mount) = self.mounts.get_mut(mount) {
                    mount.root = Some(root);
                }
                Ok(root)
            }
            Err(errno) => {
                self.mounts.remove(mount);
                Err(errno)
            }
        }
    }

    /// Takes a view's tree away with all that was written in it. What is still open in it stays until it is closed.
    pub fn unmount_view(&mut self, root: Place) {
        let entry = root.0;
        self.release_place(root);
        let Ok(known) = self.dentries.get(entry) else {
            return;
        };
        let mount = known.mount;
        // The machine's own tree, and what it shares with a view, stay.
        if known.parent.is_some() || self.root == Some(entry) || self.is_mount_point(entry) {
            return;
        }
        // With what is mounted on it: `/dev`, `/proc` and the like.
        self.abandon_above(mount);
        self.abandon_tree(mount);
    }

    /// Returns a tree that is mounted on a directory of another, and that directory.
    pub(super) fn tree_above(&self, below: MountId) -> Option<(MountId, DentryId)> {
        self.mounts.iter().find_map(|(id, known)| {
            let over = known.over?;
            (self.dentries.get(over).ok()?.mount == below).then_some((id, over))
        })
    }
}
