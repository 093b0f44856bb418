//! Who keeps what the host wants taken away: looked for when the request has waited long enough.

use crate::process::Life;
use crate::process::Process;
use crate::program::Load;
use crate::system::System;
use crate::view::Root;
use agent::kernel::{Holder, View};
use agent::limits::ERROR_NAME_BYTES;
use hal::block::Block;

impl<B: Block> System<B> {
    /// Finds who keeps the tree or the disk that was refused last: a process, else a container, else another tree, which may
    /// be a container's. `None` when it is none of these, such as a file on its way through a socket.
    pub(crate) fn find_holder(&self) -> Option<Holder> {
        let mut processes = self.table.in_order();
        let keeps = |process: &Process| !self.files.is_lent() && self.process_keeps(process);
        if let Some((_, process)) = processes.find(|(_, process)| keeps(process)) {
            return Some(Holder::Process(process.pid));
        }
        let mut views = self.views.names();
        if let Some(view) = views.find(|view| self.view_keeps(*view)) {
            return Some(Holder::View(view));
        }
        let mut path = [0; ERROR_NAME_BYTES];
        let length = self.files.tree_that_keeps(&mut path)?;
        let path = core::str::from_utf8(&path[..length]).unwrap_or_default();
        heapless::String::try_from(path).ok().map(Holder::Tree)
    }

    /// Lets a container leave what it keeps from being taken away when all its processes have ended, whether or not their
    /// output was read: hosts remove a container's layers before they delete its state (gcs-protocol §8.2), and no program
    /// sees them any more. Returns whether there was one.
    pub(crate) fn release_idle_holder(&mut self) -> bool {
        let is_idle = |view: &View| {
            *view != View::UTILITY_VM
                && !self
                    .table
                    .in_order()
                    .any(|(_, process)| process.view == *view && !process.is_over())
                && self.view_keeps(*view)
        };
        let Some(view) = self.views.names().find(is_idle) else {
            return false;
        };
        self.leave_root(view, Root::Left);
        true
    }

    /// Takes a view's mounts away, and its root, in whose place another one is put.
    pub(crate) fn leave_root(&mut self, view: View, next: Root) {
        self.give_up_mounts(view);
        self.files.release_mounts(view);
        let Some(entry) = self.views.get_mut(view) else {
            return;
        };
        match core::mem::replace(&mut entry.root, next) {
            Root::Mounted(place) => self.own_file_parts().files.unmount_view(place),
            Root::Named(frame, _) => self.pool.release(frame),
            Root::Unmounted | Root::Left => {}
        }
    }

    fn view_keeps(&self, view: View) -> bool {
        let root = self.views.get(view).map(|entry| &entry.root);
        let is_root = matches!(root, Some(Root::Mounted(root)) if self.files.keeps(root.by_ref()));
        is_root || self.files.binds_keep(view)
    }

    fn process_keeps(&self, process: &Process) -> bool {
        let executable = process.executable.as_ref();
        if executable.is_some_and(|place| self.files.keeps(place.by_ref()))
            || self.files.files_keep(process.files, process.directories)
        {
            return true;
        }
        let load = match &process.life {
            Life::Loading(load) => Some(load),
            _ => process.exec.as_ref().map(|(_, load)| load),
        };
        let files = load.map_or([None; 2], Load::files);
        let shown = files.into_iter().flatten().any(|file| self.shows(file));
        let Ok(space) = self.space(process.space) else {
            return shown;
        };
        let mut from = 0;
        let mut mapped = shown;
        while !mapped && let Some(area) = space.areas.next(from) {
            mapped = area.file().is_some_and(|file| self.shows(file));
            from = area.end;
        }
        mapped
    }

    fn shows(&self, file: crate::space::FileId) -> bool {
        let shown = self.shown.get(file);
        shown.is_some_and(|shown| self.files.keeps(shown.place.by_ref()))
    }
}
