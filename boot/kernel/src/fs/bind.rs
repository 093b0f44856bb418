//! Binds: a file or directory of one tree that is seen at a place of another one, too. Both places lead to the same entry,
//! so what is written at one is there at the other.
//!
//! An entry that is bound has two ways up, and which one is taken depends on whose root the walk must not leave: the way
//! to its own parent when that leads to the root, else to a place it is seen at from which the root is reached. When
//! neither does, it is as high as one gets.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Kind;
use crate::fs::change::Make;
use crate::fs::context::Context;
use crate::fs::dentry::DentryId;
use crate::fs::flags::Last;
use crate::fs::place::{Place, PlaceRef};
use crate::fs::walk::Start;
use crate::limits::MAX_BINDS;
use crate::wait::Stall;
use agent::kernel::{View, Writes};
use alloc::vec::Vec;
use hal::block::Block;

/// One bind.
#[derive(Debug)]
struct Bind {
    view: View,
    /// What is seen.
    source: Place,
    /// Where.
    over: Place,
    writes: Writes,
}

/// All binds.
#[derive(Debug)]
pub(super) struct Binds {
    list: Vec<Bind>,
}

/// The next step on the way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Up {
    /// To the directory the entry is in.
    Parent(DentryId),
    /// To what the entry covers, which has its name and its parent.
    Over(DentryId),
    /// There is none.
    Top,
}

impl Binds {
    pub(super) const fn new() -> Self {
        Self { list: Vec::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns all places of a view's binds.
    pub(super) fn places(&self, view: View) -> impl Iterator<Item = PlaceRef<'_>> {
        let own = self.list.iter().filter(move |bind| bind.view == view);
        own.flat_map(|bind| [bind.source.by_ref(), bind.over.by_ref()])
    }

    fn of(&self, source: DentryId) -> impl Iterator<Item = &Bind> {
        self.list.iter().filter(move |bind| bind.source.0 == source)
    }
}

impl<B: Block> Files<B> {
    /// Returns the next step up from an entry, for a walk that must not leave `root`.
    pub(super) fn up(&self, root: DentryId, entry: DentryId) -> Result<Up, Errno> {
        if let Some(bind) = self.bind_on_the_way(root, entry) {
            return Ok(bind.map_or(Up::Top, |bind| Up::Over(bind.over.0)));
        }
        self.plain_up(entry)
    }

    /// Returns the bind an entry is seen through from `root`: `Some(None)` when it is bound and seen through none.
    fn bind_on_the_way(&self, root: DentryId, entry: DentryId) -> Option<Option<&Bind>> {
        self.binds.of(entry).next()?;
        if self.climbs_to(root, entry) {
            return None;
        }
        let mut binds = self.binds.of(entry);
        Some(binds.find(|bind| self.climbs_to(root, bind.over.0)))
    }

    fn plain_up(&self, entry: DentryId) -> Result<Up, Errno> {
        let known = self.dentries.get(entry)?;
        Ok(match known.parent {
            Some(parent) => Up::Parent(parent),
            None => match self.mounts.get(known.mount).and_then(|mount| mount.over) {
                // Mounts are made on what existed before them, so this ends.
                Some(over) => Up::Over(over),
                None => Up::Top,
            },
        })
    }

    /// Returns whether the way up without binds leads to `root`.
    fn climbs_to(&self, root: DentryId, mut entry: DentryId) -> bool {
        loop {
            if entry == root {
                return true;
            }
            match self.plain_up(entry) {
                Ok(Up::Parent(next) | Up::Over(next)) => entry = next,
                _ => return false,
            }
        }
    }

    /// Returns whether the way up from an entry leads to `root`.
    pub(super) fn is_reachable(&self, root: DentryId, mut entry: DentryId) -> bool {
        loop {
            if entry == root {
                return true;
            }
            match self.up(root, entry) {
                Ok(Up::Parent(next) | Up::Over(next)) => entry = next,
                _ => return false,
            }
        }
    }

    /// Checks that what is at an entry may be changed by the asker: neither its tree nor the bind it is seen through
    /// refuses writes.
    pub(super) fn permit_write(
        &self,
        context: &Context<'_>,
        mut entry: DentryId,
    ) -> Result<(), Errno> {
        let mount = self.mounts.get(self.dentries.get(entry)?.mount);
        if mount.is_some_and(|mount| mount.writes == Writes::Refused) {
            return Err(Errno::EROFS);
        }
        let is_refusing = |bind: &Bind| bind.writes == Writes::Refused;
        if !self.binds.list.iter().any(is_refusing) {
            return Ok(());
        }
        let current = context.processes.current();
        let Ok(root) = self.root_of(current, context.processes) else {
            return Ok(());
        };
        while entry != root {
            match self.bind_on_the_way(root, entry) {
                Some(Some(bind)) if is_refusing(bind) => return Err(Errno::EROFS),
                Some(_) => return Ok(()),
                None => {}
            }
            match self.plain_up(entry)? {
                Up::Parent(parent) => entry = parent,
                // What is mounted on something bound is not the bind's.
                Up::Over(_) | Up::Top => return Ok(()),
            }
        }
        Ok(())
    }

    /// Shows what `source` leads to at the path `over` of a view's tree, where a file or directory is made for it.
    ///
    /// # Errors
    ///
    /// Those of path_resolution(7); ENOTDIR or EISDIR for a directory at the place of a file and the other way round,
    /// EINVAL at its own place, EEXIST when the view sees it with other rights already, ENOMEM at [`MAX_BINDS`].
    pub fn bind(
        &mut self,
        context: &mut Context<'_>,
        view: View,
        (from, source): (Start<'_>, &[u8]),
        (to, over): (Start<'_>, &[u8]),
        writes: Writes,
    ) -> Result<(), Stall> {
        let source = self.walk(context, from, source, Last::Follow)?;
        let over = match self.make_like(context, &source, to, over) {
            Ok(over) => over,
            Err(stall) => {
                self.release_place(source);
                return Err(stall);
            }
        };
        // A place does not tell by which of two ways it was reached.
        let is_other =
            |bind: &Bind| bind.view == view && bind.source == source && bind.writes != writes;
        let refused = if over == source || over.0 == to.root.0 {
            Some(Errno::EINVAL)
        } else if self.binds.list.iter().any(is_other) {
            Some(Errno::EEXIST)
        } else if self.binds.list.len() == MAX_BINDS || self.binds.list.try_reserve(1).is_err() {
            Some(Errno::ENOMEM)
        } else {
            None
        };
        if let Some(errno) = refused {
            self.release_place(over);
            self.release_place(source);
            return Err(errno.into());
        }
        self.dentries.get_mut(over.0)?.mounted = Some(source.0);
        self.binds.list.push(Bind {
            view,
            source,
            over,
            writes,
        });
        Ok(())
    }

    /// Finds or makes a directory for a directory, and a file for anything else.
    fn make_like(
        &mut self,
        context: &mut Context<'_>,
        like: &Place,
        start: Start<'_>,
        path: &[u8],
    ) -> Result<Place, Stall> {
        if self.attributes(like.by_ref())?.kind == Kind::Directory {
            return self.make_directories(context, start, path, 0o755);
        }
        self.make_parents(context, start, path)?;
        let found = self.resolve(context, start, path, Last::Follow)?;
        let made = match self.attributes_at(found.entry.0) {
            Ok(attributes) if attributes.kind == Kind::Directory => Err(Errno::EISDIR),
            Ok(_) => Ok(()),
            Err(_) => self
                .make(context, &found, Make::Regular, 0o644)
                .map(|_inode| ()),
        };
        self.release_place(found.directory);
        if let Err(errno) = made {
            self.release_place(found.entry);
            return Err(errno.into());
        }
        Ok(found.entry)
    }

    /// Finds or makes the directories a path leads through.
    pub(super) fn make_parents(
        &mut self,
        context: &mut Context<'_>,
        start: Start<'_>,
        path: &[u8],
    ) -> Result<(), Stall> {
        let end = path.iter().rposition(|&byte| byte == b'/');
        if let Some(end) = end.filter(|&end| end > 0) {
            let above = self.make_directories(context, start, &path[..end], 0o755)?;
            self.release_place(above);
        }
        Ok(())
    }

    /// Takes away what was bound for a view.
    pub(super) fn release_binds(&mut self, view: View) {
        while let Some(at) = self.binds.list.iter().position(|bind| bind.view == view) {
            let bind = self.binds.list.swap_remove(at);
            if let Ok(entry) = self.dentries.get_mut(bind.over.0) {
                entry.mounted = None;
            }
            self.release_place(bind.over);
            self.release_place(bind.source);
        }
    }
}
