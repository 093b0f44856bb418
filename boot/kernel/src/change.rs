//! Changes of the tree that are under way: each is tried again from where it has got to, whenever what it waits for may
//! have happened, until it is made, cannot be made, or has waited long enough.
//!
//! ```text
//! mount      disk there? ─► its part (partition table, window) ─► superblock ─► directory made, tree mounted
//! unite      directories found ─► directory made, tree mounted
//! unmount    unused? ─► tree taken away ─► directory removed
//! eject      unused? ─► reads done ─► disk taken out
//! bind, tree in memory: when their view's first program is loaded
//! ```
//!
//! Nobody tells when a disk shows up or a user goes, so that is looked at again every [`CHANGE_RETRY`]. The paths wait
//! in a frame.

use crate::errno::Errno;
use crate::fs::{Place, Start};
use crate::limits::{CHANGE_BYTES, CHANGE_RETRY, MAX_CHANGES};
use crate::slab::{Id, Slab};
use crate::system::{FileParts, System};
use crate::view::Root;
use crate::wait::{Stall, WakeKey, Why};
use agent::kernel::{Action, Change, ChangeId, LoadError, Medium, Part, Refusal, View};
use agent::limits::ERROR_PATH_BYTES;
use core::fmt::Write;
use hal::block::Block;
use hal::clock::Instant;
use hal::frame::Frame;

/// How far it has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Begun,
    /// The disk is there: a volume of all of it is held.
    Found(u8),
    /// Its part is known, and held.
    Cut(u8),
    /// The tree is away; what it covered is to be removed.
    Uncovered,
}

/// Whether it can go on.
#[derive(Clone, Copy, Debug)]
enum State {
    Ready,
    Waits(WakeKey),
    /// It looks again at this time.
    Looks(Instant),
    Ended,
}

/// A change.
#[derive(Debug)]
struct Pending {
    id: ChangeId,
    action: Action,
    progress: Progress,
    state: State,
    /// Why it has failed, if it has.
    failure: Option<LoadError>,
    deadline: Instant,
    /// Its paths, each ended by a NUL: where, then from what.
    paths: Frame,
    length: usize,
}

/// All changes that the host has not been told the end of.
#[derive(Debug)]
pub(crate) struct Changes {
    table: Slab<Pending>,
    next: u32,
    /// Whether one of them can go on.
    pub(crate) is_ready: bool,
    /// A disk was asked for that is not there, and nobody has looked for it since.
    pub(crate) lacks_disk: bool,
    /// Why the mount of a view could not be made.
    failure: Option<LoadError>,
}

impl Changes {
    pub(crate) const fn new() -> Self {
        Self {
            table: Slab::new(MAX_CHANGES),
            next: 0,
            is_ready: false,
            lacks_disk: false,
            failure: None,
        }
    }

    /// A disk was found: whoever waits for one looks again at once.
    pub(crate) fn on_disk(&mut self) {
        for (_, pending) in self.table.iter_mut() {
            if let State::Looks(_) = pending.state {
                pending.state = State::Ready;
                self.is_ready = true;
            }
        }
    }

    /// Takes why the mount of a view could not be made.
    pub(crate) const fn take_failure(&mut self) -> Option<LoadError> {
        self.failure.take()
    }

    /// Returns the first one of those that have begun after `after`.
    fn find(&self, after: u32, is_it: &dyn Fn(&Pending) -> bool) -> Option<Id<Pending>> {
        let mut first: Option<(u32, Id<Pending>)> = None;
        for (id, pending) in self.table.iter() {
            let number = pending.id.0;
            let is_first = first.is_none_or(|(first, _)| number < first);
            if number > after && is_first && is_it(pending) {
                first = Some((number, id));
            }
        }
        first.map(|(_, id)| id)
    }
}

impl Pending {
    /// The view whose programs wait for it.
    const fn view(&self) -> Option<View> {
        match self.action {
            Action::Bind(view, _) | Action::Memory(view, _) => Some(view),
            _ => None,
        }
    }
}

impl<B: Block> System<B> {
    /// Begins a change.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoView`], [`Refusal::Limit`], [`Refusal::OutOfMemory`].
    pub(crate) fn begin_change(
        &mut self,
        change: &Change<'_>,
        deadline: Instant,
    ) -> Result<ChangeId, Refusal> {
        let action = change.action;
        if let Action::Bind(view, _) | Action::Memory(view, _) = action
            && self.views.get(view).is_none()
        {
            return Err(Refusal::NoView);
        }
        let parts = [
            change.path.as_bytes(),
            &[0],
            change.source.as_bytes(),
            &[0],
            change.layers.as_packed(),
        ];
        let length = parts.iter().map(|part| part.len()).sum();
        if length > CHANGE_BYTES {
            return Err(Refusal::Limit("CHANGE_BYTES", CHANGE_BYTES));
        }
        let paths = self.pool.take().map_err(|_| Refusal::OutOfMemory)?;
        let mut bytes = &mut self.pool.bytes_mut(&paths)[..];
        for part in &parts {
            bytes = put(bytes, part);
        }
        self.changes.next = self.changes.next.wrapping_add(1);
        let id = ChangeId(self.changes.next);
        let pending = Pending {
            id,
            action,
            progress: Progress::Begun,
            state: State::Ready,
            failure: None,
            deadline,
            paths,
            length,
        };
        match self.changes.table.insert(pending) {
            Ok(_) => {
                self.changes.is_ready = true;
                Ok(id)
            }
            Err((pending, _)) => {
                self.pool.release(pending.paths);
                Err(Refusal::Limit("MAX_CHANGES", MAX_CHANGES))
            }
        }
    }

    /// Gives a change up.
    pub(crate) fn give_up_change(&mut self, change: ChangeId) {
        self.forget_changes(&|pending| pending.id == change);
    }

    /// Gives up what was to be mounted in a view.
    pub(crate) fn give_up_mounts(&mut self, view: View) {
        self.forget_changes(&|pending| pending.view() == Some(view));
    }

    fn forget_changes(&mut self, are_they: &dyn Fn(&Pending) -> bool) {
        while let Some(id) = self.changes.find(0, are_they) {
            self.forget_change(id);
        }
    }

    /// Returns a change that has ended, and how.
    pub(crate) fn take_ended_change(&mut self) -> Option<(ChangeId, Result<(), LoadError>)> {
        let is_ended = |pending: &Pending| matches!(pending.state, State::Ended);
        let id = self.changes.find(0, &is_ended)?;
        let (change, failure) = self.forget_change(id)?;
        Some((change, failure.map_or(Ok(()), Err)))
    }

    /// Takes a change out of the table, and gives back what it has.
    fn forget_change(&mut self, id: Id<Pending>) -> Option<(ChangeId, Option<LoadError>)> {
        let pending = self.changes.table.remove(id)?;
        if let Progress::Found(volume) | Progress::Cut(volume) = pending.progress {
            self.files.release_volume(volume);
        }
        self.pool.release(pending.paths);
        Some((pending.id, pending.failure))
    }

    /// Lets the changes go on whose key was woken or whose time has come; returns whether there was one.
    pub(crate) fn wake_changes(&mut self) -> bool {
        let mut woken = false;
        for (_, pending) in self.changes.table.iter_mut() {
            let goes_on = match pending.state {
                State::Waits(key) => self.wakes.wakes(key),
                State::Looks(at) => {
                    if at > self.now {
                        self.next_timer = self.next_timer.min(at);
                    }
                    at <= self.now
                }
                State::Ready | State::Ended => false,
            };
            if goes_on {
                pending.state = State::Ready;
                woken = true;
            }
        }
        self.changes.is_ready |= woken;
        woken
    }

    /// Does some work on every change of the utility VM that does not wait; returns whether there was one.
    pub(crate) fn advance_changes(&mut self) -> bool {
        if !core::mem::replace(&mut self.changes.is_ready, false) {
            return false;
        }
        let mut after = 0;
        let mut any = false;
        loop {
            let is_next = |pending: &Pending| {
                pending.view().is_none() && matches!(pending.state, State::Ready)
            };
            let Some(id) = self.changes.find(after, &is_next) else {
                return any;
            };
            after = self
                .changes
                .table
                .get(id)
                .map_or(after, |pending| pending.id.0);
            any = true;
            let state = match self.try_change(id).map_err(Stall::why) {
                Ok(()) => State::Ended,
                Err(Why::Again) => {
                    self.changes.is_ready = true;
                    State::Ready
                }
                Err(Why::Wait(key)) => State::Waits(key),
                Err(Why::Error(errno)) => self.fail_change(id, errno),
            };
            if let Some(pending) = self.changes.table.get_mut(id) {
                pending.state = state;
            }
        }
    }

    /// Says what becomes of a change that could not be made: it looks again later, or has failed.
    fn fail_change(&mut self, id: Id<Pending>, errno: Errno) -> State {
        if errno == Errno::EBUSY && self.release_idle_holder() {
            self.changes.is_ready = true;
            return State::Ready;
        }
        let Some(pending) = self.changes.table.get(id) else {
            return State::Ready;
        };
        let may_pass = matches!(errno, Errno::ENODEV | Errno::EBUSY);
        if may_pass && self.now < pending.deadline {
            self.changes.lacks_disk |= errno == Errno::ENODEV;
            let again = (self.now + CHANGE_RETRY).min(pending.deadline);
            self.next_timer = self.next_timer.min(again);
            return State::Looks(again);
        }
        let failure = self.explain(pending, errno);
        if let Some(pending) = self.changes.table.get_mut(id) {
            pending.failure = Some(failure);
        }
        State::Ended
    }

    /// Makes the mounts of a view, in their order.
    ///
    /// # Errors
    ///
    /// What to wait for, or why one cannot be made, which [`Changes::take_failure`] tells in full.
    pub(crate) fn make_mounts(&mut self, view: View) -> Result<(), Stall> {
        let is_of_view = |pending: &Pending| pending.view() == Some(view);
        while let Some(id) = self.changes.find(0, &is_of_view) {
            if let Err(stall) = self.try_change(id) {
                if let (Some(errno), Some(pending)) = (stall.errno(), self.changes.table.get(id)) {
                    self.changes.failure = Some(self.explain(pending, errno));
                }
                return Err(stall);
            }
            self.forget_change(id);
        }
        Ok(())
    }

    /// Goes on with a change as far as it goes.
    fn try_change(&mut self, id: Id<Pending>) -> Result<(), Stall> {
        let pending = self.changes.table.get(id).ok_or(Errno::ENOENT)?;
        let (action, mut progress, length) = (pending.action, pending.progress, pending.length);
        // The frame cannot be lent while its pool is.
        let mut bytes = [0; CHANGE_BYTES];
        bytes[..length].copy_from_slice(&self.pool.bytes(&pending.paths)[..length]);
        let mut paths = bytes[..length].split(|&byte| byte == 0);
        let to = paths.next().unwrap_or_default();
        let from = paths.next().unwrap_or_default();
        let layers = paths.filter(|path| !path.is_empty());
        let result = match action {
            Action::Eject(medium) => self.try_eject(medium),
            _ => self.try_tree(&mut progress, action, to, from, layers),
        };
        if let Some(pending) = self.changes.table.get_mut(id) {
            pending.progress = progress;
        }
        result
    }

    /// Changes the tree of the utility VM or of a view, whose roots are mounted for it.
    fn try_tree<'p>(
        &mut self,
        progress: &mut Progress,
        action: Action,
        path: &[u8],
        source: &[u8],
        layers: impl Iterator<Item = &'p [u8]>,
    ) -> Result<(), Stall> {
        if let Action::Mount(medium, part, _) | Action::BlockDevice(medium, part) = action {
            self.find_part(progress, medium, part)?;
            if path.is_empty() {
                return Ok(());
            }
        }
        let view = match action {
            Action::Bind(view, _) | Action::Memory(view, _) => view,
            _ => View::UTILITY_VM,
        };
        self.open_root(View::UTILITY_VM)?;
        self.open_root(view)?;
        let FileParts {
            files,
            mut context,
            views,
            ..
        } = self.own_file_parts();
        let entry = views.get(view).ok_or(Errno::ENOENT)?;
        context.account = entry.account;
        let (Root::Mounted(own), Some(Root::Mounted(root))) = (
            &entry.root,
            views.get(View::UTILITY_VM).map(|entry| &entry.root),
        ) else {
            return Err(Errno::ENOENT.into());
        };
        let (own, root, context) = (at(own), at(root), &mut context);
        match (action, *progress) {
            (Action::Mount(_, _, writes), Progress::Cut(volume)) => {
                files.mount_volume(context, root, volume, writes, path)
            }
            (Action::BlockDevice(..), Progress::Cut(volume)) => {
                files.make_block_file(context, root, volume, path)
            }
            (Action::Unite, _) => files.unite(context, root, layers, source, path),
            (Action::Bind(_, writes), _) => {
                files.bind(context, view, (root, source), (own, path), writes)
            }
            (Action::Memory(_, mode), _) => files.mount_memory(context, view, own, mode, path),
            (Action::Unmount, Progress::Uncovered) => files.remove_mount_point(context, root, path),
            (Action::Unmount, _) if files.unmount(context, root, path)? => {
                *progress = Progress::Uncovered;
                Err(Stall::AGAIN)
            }
            _ => Ok(()),
        }
    }

    /// Finds a disk, and the part of it that is wanted.
    fn find_part(
        &mut self,
        progress: &mut Progress,
        medium: Medium,
        part: Part,
    ) -> Result<(), Stall> {
        if *progress == Progress::Begun {
            let disk = self.files.find_disk(medium)?.ok_or(Errno::ENODEV)?;
            *progress = Progress::Found(self.files.hold_disk(disk)?);
        }
        if let Progress::Found(whole) = *progress {
            let FileParts {
                files, mut context, ..
            } = self.own_file_parts();
            *progress = Progress::Cut(files.hold_part(&mut context, whole, part)?);
        }
        Ok(())
    }

    fn try_eject(&mut self, medium: Medium) -> Result<(), Stall> {
        let Some(disk) = self.files.find_disk(medium)? else {
            return Ok(());
        };
        let room = self.ejected.try_reserve(1);
        room.map_err(|_| Errno::ENOMEM)?;
        self.ejected.extend(self.files.eject(disk)?);
        Ok(())
    }

    /// Says why a change cannot be made.
    fn explain(&self, pending: &Pending, errno: Errno) -> LoadError {
        let is_cut = matches!(pending.progress, Progress::Cut(_));
        let reason = match (pending.action, errno) {
            (_, Errno::ENODEV) => "there is no such disk",
            (_, Errno::EBUSY) => "it is in use",
            (_, Errno::ENODATA) => "no sound GUID partition table",
            (_, Errno::ENXIO) => "no such partition",
            (Action::Mount(..), Errno::EINVAL) if is_cut => "no ext4 that can be read",
            (Action::Mount(..) | Action::BlockDevice(..), Errno::EINVAL) => {
                "not whole sectors of the device"
            }
            (Action::Unite, Errno::EINVAL) => "a directory in memory alone is no layer",
            (Action::Unite, Errno::E2BIG) => "limit reached: MAX_LAYERS = 128",
            (Action::Unmount, Errno::EINVAL) => "nothing is mounted there",
            (Action::Bind(..), Errno::EEXIST) => "its source is mounted here with other rights",
            _ => errno.text(),
        };
        let mut path = heapless::String::<ERROR_PATH_BYTES>::new();
        let bytes = &self.pool.bytes(&pending.paths)[..pending.length];
        let named = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        if let Action::Mount(medium, ..) | Action::BlockDevice(medium, _) | Action::Eject(medium) =
            pending.action
        {
            // A medium is short.
            let _ = write!(path, "{medium} ");
        }
        crate::program::append_cut(&mut path, named);
        let holder = if errno == Errno::EBUSY {
            self.find_holder()
        } else {
            None
        };
        LoadError {
            errno: i32::from(errno.number()),
            reason,
            path,
            holder,
        }
    }
}

/// Writes a part to the front of `bytes`, which has room for it, and returns what is behind.
#[inline(never)]
fn put<'b>(bytes: &'b mut [u8], part: &[u8]) -> &'b mut [u8] {
    let (front, back) = bytes.split_at_mut(part.len());
    front.copy_from_slice(part);
    back
}

/// A walk that starts at a root and stays below it.
const fn at(root: &Place) -> Start<'_> {
    Start {
        root: root.by_ref(),
        base: root.by_ref(),
    }
}

const _: () = assert!(
    crate::limits::MAX_LAYERS == 128,
    "an error's text says how many"
);
