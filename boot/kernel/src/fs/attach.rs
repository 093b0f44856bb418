//! Trees put in place on the machine's own tree and on views', and taken away again.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Kind;
use crate::fs::base::{Origin, volume_root};
use crate::fs::context::Context;
use crate::fs::dentry::DentryId;
use crate::fs::flags::Last;
use crate::fs::holder::Busy;
use crate::fs::mount::{Layers, Mount, MountId, NewTree, TreeSet};
use crate::fs::place::{Place, PlaceRef};
use crate::fs::walk::Start;
use crate::wait::Stall;
use agent::kernel::{View, Writes};
use hal::block::Block;

/// The directory of a scratch directory that is above all layers (overlayfs `upperdir`, hcsshim
/// `internal/guest/storage/overlay`).
const UPPER: &[u8] = b"upper";

impl<B: Block> Files<B> {
    /// Mounts the file system on a volume on a directory, which is made.
    ///
    /// # Errors
    ///
    /// Those of path_resolution(7) and mkdir(2); EINVAL when there is no file system this kernel reads, EIO, ENOSPC at
    /// the limit of mounts, EPERM on the root.
    pub fn mount_volume(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        volume: u8,
        writes: Writes,
        path: &[u8],
    ) -> Result<(), Stall> {
        self.ext4_mount(context, volume)?;
        // As the reference does (hcsshim `internal/guest/storage/scsi`): the way there is for root alone.
        let over = self.make_directories(context, start, path, 0o700)?;
        let base = match self.base(context, volume_root(volume)) {
            Ok(base) => base,
            Err(stall) => {
                self.release_place(over);
                return Err(stall);
            }
        };
        if !self.is_directory(base) {
            self.release_inode(base);
            self.release_place(over);
            return Err(Errno::EIO.into());
        }
        let layers = Layers {
            top: Some(base),
            ..Layers::default()
        };
        let tree = NewTree {
            writes,
            ..NewTree::OWN
        };
        self.mount_on(context, start, over, tree, layers)
    }

    /// Makes one tree of several directories, topmost first, and mounts it on a directory, which is made. Above them is
    /// what the directory `scratch` has as `upper`, if it is not empty; without a scratch directory the tree refuses
    /// writes.
    ///
    /// # Errors
    ///
    /// As above; ENOTDIR, EINVAL for a directory that is in memory alone, E2BIG for more than
    /// [`MAX_LAYERS`](crate::limits::MAX_LAYERS).
    pub fn unite<'p>(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        layers: impl Iterator<Item = &'p [u8]>,
        scratch: &[u8],
        path: &[u8],
    ) -> Result<(), Stall> {
        let mut bases = Layers::default();
        let gathered = self
            .gather_upper(context, start, scratch, &mut bases)
            .and_then(|()| {
                for layer in layers {
                    let place = self.walk(context, start, layer, Last::Follow)?;
                    let gathered = self.gather(place.by_ref(), &mut bases);
                    self.release_place(place);
                    if gathered? == 0 {
                        return Err(Errno::EINVAL.into());
                    }
                }
                self.make_directories(context, start, path, 0o755)
            });
        let over = match gathered {
            Ok(over) => over,
            Err(stall) => {
                self.release_bases(bases);
                return Err(stall);
            }
        };
        let writes = if scratch.is_empty() {
            Writes::Refused
        } else {
            Writes::Kept
        };
        let tree = NewTree {
            writes,
            ..NewTree::OWN
        };
        self.mount_on(context, start, over, tree, bases)
    }

    /// Adds what a scratch directory has as `upper`.
    fn gather_upper(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        scratch: &[u8],
        bases: &mut Layers,
    ) -> Result<(), Stall> {
        if scratch.is_empty() {
            return Ok(());
        }
        let absent = |stall: Stall| match stall.errno() {
            Some(Errno::ENOENT) => Ok(None),
            _ => Err(stall),
        };
        let walked = self.walk(context, start, scratch, Last::Follow);
        let Some(scratch) = walked.map(Some).or_else(absent)? else {
            return Ok(());
        };
        let below = Start {
            root: start.root,
            base: scratch.by_ref(),
        };
        let walked = self.walk(context, below, UPPER, Last::Follow);
        let upper = walked.map(Some).or_else(absent);
        self.release_place(scratch);
        let Some(upper) = upper? else {
            return Ok(());
        };
        let gathered = match self.gather(upper.by_ref(), bases) {
            // What programs wrote there would be missed.
            Ok(0) => match self.is_empty(context, upper.0) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Errno::EINVAL.into()),
                Err(stall) => Err(stall),
            },
            gathered => gathered.map(|_count| ()).map_err(Stall::from),
        };
        self.release_place(upper);
        gathered
    }

    /// Adds the sources of a directory, with a reference each; returns how many it has.
    pub(super) fn gather(
        &mut self,
        place: PlaceRef<'_>,
        bases: &mut Layers,
    ) -> Result<usize, Errno> {
        let id = self.inode_at(place.0)?;
        if !self.is_directory(id) {
            return Err(Errno::ENOTDIR);
        }
        bases.lenders.add(self.dentries.get(place.0)?.mount);
        let mut count = 0;
        while let Some(source) = self.source(id, count) {
            bases.push(source)?;
            if let Some(inode) = self.inodes.get_mut(source) {
                inode.references += 1;
            }
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn release_bases(&mut self, bases: Layers) {
        for base in bases.iter() {
            self.release_inode(base);
        }
    }

    /// Mounts an empty tree in memory on a directory of a view, which is made. It goes with the view.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn mount_memory(
        &mut self,
        context: &mut Context<'_>,
        view: View,
        start: Start<'_>,
        permissions: u16,
        path: &[u8],
    ) -> Result<(), Stall> {
        let over = self.make_directories(context, start, path, 0o755)?;
        let tree = NewTree {
            permissions,
            view: Some(view),
            ..NewTree::OWN
        };
        self.mount_on(context, start, over, tree, Layers::default())
    }

    /// Mounts a tree over some bases, whose references are taken, on a place, which is given back.
    fn mount_on(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        over: Place,
        tree: NewTree,
        bases: Layers,
    ) -> Result<(), Stall> {
        let entry = over.0;
        let mounted = if entry == start.root.0 {
            self.release_bases(bases);
            Err(Errno::EPERM)
        } else {
            self.mount_tree(context, bases, tree, Some(entry))
        };
        let covered = mounted.and_then(|root| self.put_over(root, entry));
        self.release_place(over);
        Ok(covered?)
    }

    /// Lets a tree be seen at an entry, which stays as long as the tree does, whatever its state.
    pub(super) fn put_over(&mut self, root: DentryId, over: DentryId) -> Result<(), Errno> {
        self.dentries.hold(over);
        self.dentries.get_mut(over)?.mounted = Some(root);
        Ok(())
    }

    /// Makes a block device file of a volume.
    ///
    /// # Errors
    ///
    /// Those of mknod(2).
    pub fn make_block_file(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        volume: u8,
        path: &[u8],
    ) -> Result<(), Stall> {
        self.make_parents(context, start, path)?;
        let base = self.base(context, Origin::Volume(volume))?;
        let found = match self.resolve(context, start, path, Last::Keep) {
            Ok(found) => found,
            Err(stall) => {
                self.release_inode(base);
                return Err(stall);
            }
        };
        let made = self.make_over(context, &found, base);
        self.release_resolved(found);
        Ok(made?)
    }

    /// Takes away what is mounted at a path, and what is mounted on that. Returns whether the path is yet to be removed.
    ///
    /// # Errors
    ///
    /// EBUSY while somebody uses it, EINVAL when nothing is mounted there and it is no block device.
    pub fn unmount(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
    ) -> Result<bool, Stall> {
        let found = match self.resolve(context, start, path, Last::Keep) {
            Ok(found) => found,
            Err(stall) => match stall.errno() {
                Some(Errno::ENOENT | Errno::ENOTDIR) => return Ok(false),
                _ => return Err(stall),
            },
        };
        let entry = self.dentries.get(found.entry.0)?;
        let (mount, is_root, inode) = (entry.mount, entry.parent.is_none(), entry.inode);
        let is_block = inode
            .and_then(|id| self.inodes.get(id))
            .is_some_and(|inode| inode.attributes.kind == Kind::Block);
        let result = if is_block {
            self.remove(context, &found, Kind::Block)
        } else {
            Ok(())
        };
        self.release_resolved(found);
        result?;
        if inode.is_none() || is_block {
            return Ok(false);
        }
        let over = self.mounts.get(mount).and_then(|known| known.over);
        if !is_root || over.is_none() {
            return Err(Errno::EINVAL.into());
        }
        self.take_away(mount)?;
        Ok(true)
    }

    /// Removes the directory something was mounted on, if it is empty.
    ///
    /// # Errors
    ///
    /// What to wait for.
    pub fn remove_mount_point(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
    ) -> Result<(), Stall> {
        match self.remove_directory(context, start, path) {
            Err(stall) if !stall.is_error() => Err(stall),
            _ => Ok(()),
        }
    }

    /// Takes a mounted tree away, with those that are mounted on it.
    fn take_away(&mut self, mount: MountId) -> Result<(), Errno> {
        let over = self.mounts.get(mount).ok_or(Errno::EINVAL)?.over;
        let mut uses = 0;
        let mut own = 0;
        let mut taken = TreeSet::default();
        for (id, known) in self.mounts.iter() {
            if !known.is_abandoned && self.is_mounted_on(id, mount) {
                taken.add(id);
                uses += self.dentries.uses(id);
                // Each tree holds its root, and all but this one an entry they cover.
                own += 1 + u32::from(id != mount);
            }
        }
        let stands_on_them = |(id, other): &(MountId, &Mount)| {
            !other.is_abandoned && other.lenders.meets(&taken) && !taken.has(*id)
        };
        let lent = self.mounts.iter().find(stands_on_them);
        let busy = match lent.map(|(id, _)| id) {
            _ if uses > own => Some(Busy::Used(mount)),
            lent => lent.map(Busy::Lent),
        };
        if busy.is_some() {
            return Err(self.refuse_busy(busy));
        }
        self.abandon_above(mount);
        self.uncover(mount, over);
        Ok(())
    }

    /// Takes away what is mounted on a tree, directly or not.
    pub(super) fn abandon_above(&mut self, mount: MountId) {
        // The topmost first: the others are found by what they cover.
        loop {
            let (mut top, mut covered) = (mount, None);
            while let Some((above, over)) = self.tree_above(top) {
                (top, covered) = (above, Some(over));
            }
            if covered.is_none() {
                return;
            }
            self.uncover(top, covered);
        }
    }

    /// Takes away what was bound or mounted for a view. Whoever is in there still keeps that until it leaves.
    pub fn release_mounts(&mut self, view: View) {
        self.release_binds(view);
        loop {
            let is_its = |mount: &Mount| mount.view == Some(view) && !mount.is_abandoned;
            let found = self.mounts.iter().find(|(_, mount)| is_its(mount));
            let Some((id, over)) = found.map(|(id, mount)| (id, mount.over)) else {
                return;
            };
            self.abandon_above(id);
            self.uncover(id, over);
        }
    }

    /// Takes one tree away from what it covers.
    fn uncover(&mut self, mount: MountId, over: Option<DentryId>) {
        if let Some(over) = over
            && let Ok(entry) = self.dentries.get_mut(over)
        {
            entry.mounted = None;
        }
        self.abandon_tree(mount);
        if let Some(over) = over {
            self.let_go(over);
        }
    }

    /// Returns whether a tree is `below`, or mounted on it, directly or not.
    pub(super) fn is_mounted_on(&self, mut mount: MountId, below: MountId) -> bool {
        while mount != below {
            let over = self.mounts.get(mount).and_then(|known| known.over);
            match over.and_then(|over| self.dentries.get(over).ok()) {
                Some(entry) => mount = entry.mount,
                None => return false,
            }
        }
        true
    }

    /// Lets a tree refuse writes from now on; `false` when the place is no root of a tree of its own.
    #[must_use]
    pub fn refuse_writes(&mut self, root: &Place) -> bool {
        let Ok(entry) = self.dentries.get(root.0) else {
            return false;
        };
        let is_own = entry.parent.is_none() && self.root != Some(root.0);
        if let Some(mount) = self.mounts.get_mut(entry.mount).filter(|_| is_own) {
            mount.writes = Writes::Refused;
        }
        is_own
    }
}
