//! What a host has the kernel mount, unite, show and take away, in any order, on disks that may be pulled at any moment. In
//! the end everything is taken away, and nothing may be left.

use super::Target;
use crate::guest::Guest;
use crate::script::Script;
use agent::kernel::{
    Action, Change, ChangeId, Event, Kernel as _, Medium, Part, Pid, StringList, View, Writes,
};
use fakes::disk::Disk;
use std::cell::Cell;
use std::rc::Rc;

pub(super) const MOUNTS: Target = Target {
    name: "mounts",
    about: "a host that mounts, unites, binds and takes away anything anywhere, and pulls disks",
    corpus: || (32..40).map(super::kernel::script).collect(),
    words: &[
        b"\x00\x00\x00",
        b"\x01\x11\x00",
        b"\x02\x21\x00\x11",
        b"\x03\x00",
        b"\x04\x00\x11",
        b"\x06\x11",
        b"\x07\x00",
        b"\x08\x00",
    ],
    weight: 200,
    max_bytes: 256,
    run: mounts,
};

/// Where things are mounted, and what they are made of: on the root, below one another, and where nothing can be.
const PATHS: [&str; 12] = [
    "/run/a",
    "/run/b",
    "/run/a/in",
    "/run/u",
    "/run/u/tmp",
    "/tmp",
    "/etc",
    "/etc/notes",
    "/bin",
    "/",
    "",
    "/nowhere/at/all",
];

/// Most changes and containers at once.
const MOST: usize = 6;

/// What is under way, and what is there.
struct Host {
    guest: Guest,
    pulled: Vec<Rc<Cell<bool>>>,
    views: Vec<View>,
    changes: Vec<ChangeId>,
    loading: Vec<Pid>,
    loaded: Vec<Pid>,
}

fn mounts(bytes: &[u8]) {
    let Some(image) = super::kernel::image() else {
        return;
    };
    let mut script = Script::new(bytes);
    let mut host = Host::new(image);
    while !script.is_over() {
        host.step(&mut script);
    }
    host.finish();
}

impl Host {
    fn new(image: &[u8]) -> Self {
        let root = Disk::new(image.to_vec());
        let disks = (0..3).map(|unit| Disk::new(image.to_vec()).called(&format!("scsi-0-{unit}")));
        let disks: Vec<Disk> = disks.chain([root]).collect();
        let pulled = disks[..3].iter().map(|disk| disk.dead.clone()).collect();
        Self {
            guest: Guest::of_disks(disks, 2048),
            pulled,
            views: Vec::new(),
            changes: Vec::new(),
            loading: Vec::new(),
            loaded: Vec::new(),
        }
    }

    /// Does one thing.
    fn step(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        let unit = what >> 4 & 3;
        let medium = match what >> 6 {
            3 => Medium::Pmem(unit.into()),
            _ => Medium::Scsi(0, unit),
        };
        match what & 15 {
            0 | 1 => {
                let (path, part) = (path(script), part(script));
                let writes = writes(what);
                self.change(&Change::at(Action::Mount(medium, part, writes), path));
            }
            2 | 3 => {
                let (to, scratch) = (path(script), path(script));
                let count = script.byte() % 4;
                let layers: String = (0..count).map(|_| [path(script), "\0"].concat()).collect();
                let layers = layers.replace("\0\0", "\0");
                let layers = layers.trim_start_matches('\0').as_bytes();
                self.change(&Change {
                    source: scratch,
                    layers: StringList::from_packed(layers).unwrap_or_default(),
                    ..Change::at(Action::Unite, to)
                });
            }
            4 => {
                let (to, from) = (path(script), path(script));
                if let Some(&view) = self.views.last() {
                    self.change(&Change {
                        source: from,
                        ..Change::at(Action::Bind(view, writes(what)), to)
                    });
                }
            }
            5 => {
                let to = path(script);
                if let Some(&view) = self.views.last() {
                    self.change(&Change::at(Action::Memory(view, 0o755), to));
                }
            }
            6 | 7 => {
                let path = path(script);
                self.change(&Change::at(Action::Unmount, path));
            }
            8 => self.change(&Change::at(Action::Eject(medium), "")),
            9 => self.change(&Change::at(
                Action::BlockDevice(medium, part(script)),
                path(script),
            )),
            10 if self.views.len() < MOST => {
                let root = path(script);
                self.views
                    .extend(self.guest.kernel.create_view(root, writes(what), None));
            }
            11 if !self.views.is_empty() => {
                let view = self.views.swap_remove(usize::from(unit) % self.views.len());
                self.remove_view(view);
            }
            12 => {
                let view = self.views.last().copied().unwrap_or(View::UTILITY_VM);
                let cwd = path(script);
                self.loading.extend(self.guest.spawn(view, cwd));
            }
            13 if !self.loaded.is_empty() => {
                let pid = self
                    .loaded
                    .swap_remove(usize::from(unit) % self.loaded.len());
                self.guest.kernel.abort(pid);
            }
            14 if what > 0xd0 => {
                if let Some(pulled) = self.pulled.get(usize::from(unit)) {
                    pulled.set(true);
                }
            }
            15 if !self.changes.is_empty() => {
                let id = self
                    .changes
                    .swap_remove(usize::from(unit) % self.changes.len());
                self.guest.kernel.give_up(id);
            }
            _ => {}
        }
        for _ in 0..what >> 5 {
            self.guest.slice();
            self.take_events();
        }
        // Disks that were ejected are gone.
        while self.guest.kernel.take_ejected().is_some() {}
    }

    fn change(&mut self, change: &Change<'_>) {
        let is_of_view = matches!(change.action, Action::Bind(..) | Action::Memory(..));
        if let Ok(id) = self.guest.change(change)
            && !is_of_view
        {
            self.changes.push(id);
        }
    }

    fn remove_view(&mut self, view: View) {
        self.guest.kernel.remove_view(view);
        // Processes that were in it vanish without an event; aborting one that is gone does nothing.
    }

    fn take_events(&mut self) {
        while let Some(event) = self.guest.kernel.next_event() {
            match event {
                Event::Changed(id, outcome) => {
                    self.changes.retain(|&known| known != id);
                    if let Err(error) = outcome {
                        assert!(error.errno > 0 && !error.reason.is_empty(), "{error:?}");
                    }
                }
                Event::Loaded(pid, outcome) => {
                    self.loading.retain(|&known| known != pid);
                    if outcome.is_ok() {
                        self.loaded.push(pid);
                    }
                }
                other => panic!("nothing runs: {other:?}"),
            }
        }
    }

    /// Takes everything away, topmost first, and looks at what is left.
    fn finish(mut self) {
        for pid in self.loading.iter().chain(&self.loaded) {
            self.guest.kernel.abort(*pid);
        }
        for view in std::mem::take(&mut self.views) {
            self.remove_view(view);
        }
        for id in std::mem::take(&mut self.changes) {
            self.guest.kernel.give_up(id);
        }
        self.guest.rest();
        self.take_events();
        // A path may be covered more than once, lie in a tree that must go first, and have been reached through a bind.
        let ends = ["/in", "/tmp", "/notes", ""];
        let paths = PATHS
            .iter()
            .flat_map(|path| ends.map(|end| [path, end].concat()));
        let paths: Vec<String> = paths.collect();
        for _ in 0..40 {
            for path in &paths {
                self.change(&Change::at(Action::Unmount, path));
                self.guest.slice();
                self.take_events();
            }
            while !self.changes.is_empty() {
                self.guest.wind();
                self.take_events();
            }
        }
        self.guest.rest();
        let mut report = String::new();
        self.guest
            .kernel
            .dump(&mut report)
            .expect("a string takes all");
        let files = report.lines().find(|line| line.starts_with("files: "));
        let files = files.expect("it is always told");
        // The machine's own tree with `/dev`, `/dev/pts` and `/proc`, on one disk; none of it before somebody looked.
        let own = [
            " 0 open, 4 trees, 0 binds, 1 volumes",
            " 0 open, 0 trees, 0 binds, 0 volumes",
        ];
        assert!(
            own.iter().any(|own| files.contains(own)),
            "left behind: {files}"
        );
    }
}

fn path(script: &mut Script<'_>) -> &'static str {
    PATHS[usize::from(script.byte()) % PATHS.len()]
}

fn part(script: &mut Script<'_>) -> Part {
    match script.byte() {
        0..0xc0 => Part::Whole,
        number @ 0xc0..0xe0 => Part::Partition((number & 3).into()),
        _ => Part::Window {
            start: u64::from(script.half()) << 9,
            bytes: u64::from(script.word()),
        },
    }
}

const fn writes(what: u8) -> Writes {
    if what & 0x80 == 0 {
        Writes::Kept
    } else {
        Writes::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_mount_something() {
        let Some(image) = super::super::kernel::image() else {
            return;
        };
        let mut host = Host::new(image);
        let action = Action::Mount(Medium::Scsi(0, 1), Part::Whole, Writes::Kept);
        host.change(&Change::at(action, "/run/a"));
        host.guest.rest();
        host.take_events();
        assert!(host.changes.is_empty());
        let mut report = String::new();
        host.guest.kernel.dump(&mut report).unwrap();
        assert!(report.contains("5 trees, 0 binds, 2 volumes"), "{report}");
        host.finish();
    }
}
