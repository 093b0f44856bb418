//! Views: a container's root directory, the account that pays for it, and the pod it is in. View 0 is the utility VM itself.
//!
//! ```text
//! of each view alone    its tree, its limits, its processes, its terminals
//! of each pod           abstract names of sockets: those of the sandbox's view
//! ```
//!
//! Linux keeps abstract names by network namespace, and the containers of a pod have the one of its sandbox.

use crate::account::AccountId;
use crate::fs::Place;
use crate::limits::MAX_VIEWS;
use agent::kernel::{View, Writes};
use alloc::vec::Vec;
use hal::frame::Frame;

/// Where a view's root is.
#[derive(Debug)]
pub(crate) enum Root {
    /// At this path of the utility VM, which nobody has looked at yet: so many bytes at the start of the frame.
    Named(Frame, usize),
    /// Here.
    Mounted(Place),
    /// The machine's root, which nobody has mounted yet.
    Unmounted,
    /// Nowhere any more: its processes are gone, and the host has taken away what it was on.
    Left,
}

/// One view.
#[derive(Debug)]
pub(crate) struct ViewEntry {
    /// Its root directory.
    pub(crate) root: Root,
    /// Who pays.
    pub(crate) account: AccountId,
    /// The view of its pod's sandbox, which may be gone by now; `None` when it is one itself, or alone.
    pub(crate) sandbox: Option<View>,
    /// The pid of its first process, with which all others end; 0 when there is none.
    pub(crate) init: u32,
    /// What its programs take for the machine's name; empty when that is the pod's, or the machine's own.
    pub(crate) host_name: Vec<u8>,
    /// What becomes of its programs' writes.
    pub(crate) writes: Writes,
    /// User and group that its first process's name came to, when it had one.
    pub(crate) user: Option<(u32, u32)>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u16,
    entry: Option<ViewEntry>,
}

/// All views.
#[derive(Debug)]
pub(crate) struct Views {
    slots: heapless::Vec<Slot, MAX_VIEWS>,
}

impl Views {
    /// Makes the table with the utility VM's view.
    pub(crate) fn new(account: AccountId) -> Self {
        let mut views = Self {
            slots: heapless::Vec::new(),
        };
        let entry = ViewEntry {
            root: Root::Unmounted,
            account,
            sandbox: None,
            init: 0,
            host_name: Vec::new(),
            writes: Writes::Kept,
            user: None,
        };
        // The table is empty, so there is room.
        let _ = views.insert(entry);
        views
    }

    /// Puts a view in.
    ///
    /// # Errors
    ///
    /// The entry comes back when there are [`MAX_VIEWS`].
    pub(crate) fn insert(&mut self, entry: ViewEntry) -> Result<View, ViewEntry> {
        let free = self.slots.iter().position(|slot| slot.entry.is_none());
        let index = match free {
            Some(index) => index,
            None if self.slots.push(Slot::default()).is_ok() => self.slots.len() - 1,
            None => return Err(entry),
        };
        let slot = &mut self.slots[index];
        slot.entry = Some(entry);
        Ok(View {
            index: index as u16,
            generation: slot.generation,
        })
    }

    /// Returns the names of all views.
    pub(crate) fn names(&self) -> impl Iterator<Item = View> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| {
            slot.entry.as_ref().map(|_| View {
                index: index as u16,
                generation: slot.generation,
            })
        })
    }

    /// Returns a view; `None` for a stale name.
    pub(crate) fn get(&self, view: View) -> Option<&ViewEntry> {
        let slot = self.slots.get(usize::from(view.index))?;
        slot.entry
            .as_ref()
            .filter(|_| slot.generation == view.generation)
    }

    /// Returns the view that stands for the pod a view is in: its sandbox's, or its own.
    pub(crate) fn pod(&self, view: View) -> View {
        let sandbox = self.get(view).and_then(|entry| entry.sandbox);
        sandbox.unwrap_or(view)
    }

    /// Returns what the programs of a view take for the machine's name.
    pub(crate) fn host_name(&self, view: View) -> &[u8] {
        [view, self.pod(view)]
            .into_iter()
            .filter_map(|view| self.get(view))
            .map(|entry| &entry.host_name[..])
            .find(|name| !name.is_empty())
            .unwrap_or(b"mote")
    }

    /// Returns a view for changing; `None` for a stale name.
    pub(crate) fn get_mut(&mut self, view: View) -> Option<&mut ViewEntry> {
        let slot = self.slots.get_mut(usize::from(view.index))?;
        slot.entry
            .as_mut()
            .filter(|_| slot.generation == view.generation)
    }

    /// Takes a view out; `None` for a stale name and for the utility VM.
    pub(crate) fn remove(&mut self, view: View) -> Option<ViewEntry> {
        if view == View::UTILITY_VM {
            return None;
        }
        self.get(view)?;
        let slot = &mut self.slots[usize::from(view.index)];
        slot.generation = slot.generation.wrapping_add(1);
        slot.entry.take()
    }
}
